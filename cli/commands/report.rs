//! `report` and `status`.

use super::{Exit, Usage, emit, hub_of, print_json};
use crate::{
    LOCAL_SOURCE, arguments,
    report::{FleetReport, Row},
    status,
    style::Style,
    terminal::Report,
};
use anyhow::{Result, bail};

/// Prints the last report.
pub(super) async fn report(arguments: arguments::Report) -> Result<Exit> {
    let (hub, _) = hub_of(&arguments.hub).await?;
    let mut report = FleetReport::latest(&hub).await?;
    report.select(&arguments.verdicts);
    if arguments.json {
        print_json(&report)?;
    } else if arguments.csv {
        emit(report.csv()?.trim_end_matches("\n"))?;
    } else {
        emit(&report.text(Style::of_stdout()))?;
    }
    Ok(Exit::Success)
}

/// Prints the pairs of the last report, or those that the accounts have now.
pub(super) async fn status(arguments: arguments::Status) -> Result<Exit> {
    if arguments.live {
        return live(arguments).await;
    }
    let (hub, _) = hub_of(&arguments.hub).await?;
    let report = FleetReport::latest(&hub).await?;
    match arguments.json {
        true => print_json(&report)?,
        false => emit(&report.text(Style::of_stdout()))?,
    }
    Ok(Exit::of(!arguments.check || is_in_desired_state(&report.rows)))
}

/// Whether at least one cluster is connected, and no cluster needs an action.
fn is_in_desired_state(rows: &[Row]) -> bool {
    rows.iter().any(Row::is_connected) && !rows.iter().any(Row::needs_action)
}

async fn live(mut arguments: arguments::Status) -> Result<Exit> {
    let endpoint = &arguments.hub.endpoint;
    if arguments.accounts.is_empty() {
        if endpoint.local_cloud.is_none() {
            bail!(Usage("--live reads accounts: name them with --accounts".to_owned()));
        }
        arguments.accounts.push(LOCAL_SOURCE.to_owned());
    }
    let credentials = endpoint.credentials(Some(&arguments.roles))?;
    if arguments.regions.is_empty() {
        arguments.regions.push(match arguments.hub.region {
            Some(region) => region,
            None => credentials.region().await?,
        });
    }
    let fleet = status::look(&credentials, &arguments.accounts, &arguments.regions, &Report::new()).await;
    match arguments.json {
        true => print_json(&fleet)?,
        false => emit(&fleet.table())?,
    }
    Ok(Exit::of(match arguments.check {
        true => fleet.is_in_desired_state(),
        false => fleet.is_whole(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;

    #[test]
    fn a_report_without_pairs_is_not_in_the_desired_state() {
        let row = |verdict: &str| {
            let connected = !["SKIPPED", "WOULD_ONBOARD"].contains(&verdict);
            let line = format!(r#"{{"account":"1","clusterArn":"c","connected":{connected},"verdict":"{verdict}"}}"#);
            rows(&line).unwrap().remove(0)
        };
        assert!(!is_in_desired_state(&[]));
        assert!(!is_in_desired_state(&[row("SKIPPED")]));
        assert!(is_in_desired_state(&[row("UNCHANGED"), row("SKIPPED")]));
        assert!(!is_in_desired_state(&[row("UNCHANGED"), row("WOULD_REPAIR")]));
        assert!(!is_in_desired_state(&[row("UNCHANGED"), row("NEW_VERDICT")]));
    }
}
