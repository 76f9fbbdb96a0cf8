//! The roles of source and target accounts; the Regions and the forwarding of events of source accounts.

use super::{Finding, Level};
use crate::{
    account::Account,
    api::{EC2, EVENTS, xml},
    credentials::Credentials,
    hub::Hub,
};
use ampxa::{
    Error,
    cluster::Quotas,
    names::{SOURCE_PROVISIONER, SOURCE_READER, TARGET_PROVISIONER, TARGET_READER},
    scraper,
    tags::VERSION_TAG,
};
use aws_sdk_iam::types::Tag;
use semver::Version;
use serde_json::json;

/// Checks a source account.
pub(super) async fn source(credentials: &Credentials, hub: &Hub, id: &str) -> Vec<Finding> {
    let check = format!("account {id}");
    match credentials.source(id, &hub.account.region).await {
        Ok(account) => {
            let template = "infra/source-account.yaml";
            let mut findings = roles(&account, hub, &check, [SOURCE_READER, SOURCE_PROVISIONER], template).await;
            findings.push(forwarding(&account, hub, &check).await);
            findings.push(regions(&account, hub, &check).await);
            for region in regions_of(hub) {
                let account = credentials.source(id, &region).await;
                findings.push(match account {
                    Ok(account) => scrapers(&account, hub, &check).await,
                    Err(error) => unreachable(&check, &error),
                });
            }
            findings
        }
        Err(error) => vec![unreachable(&check, &error)],
    }
}

/// Checks a target account.
pub(super) async fn target(credentials: &Credentials, hub: &Hub, id: &str) -> Vec<Finding> {
    let check = format!("account {id}");
    match credentials.target(id, &hub.account.region).await {
        Ok(account) => {
            let template = "infra/target-account.yaml";
            roles(&account, hub, &check, [TARGET_READER, TARGET_PROVISIONER], template).await
        }
        Err(error) => vec![unreachable(&check, &error)],
    }
}

/// Without access, it is not known whether the hub has access: the readers admit the hub and people apart.
fn unreachable(check: &str, error: &anyhow::Error) -> Finding {
    let why = "not checked, because your credentials give no access; to check it, use --readers or --role-name";
    Finding::skip(check, format!("{why}: {error:#}"))
}

/// Replaces the checks that need permissions beyond those of the readers by one finding: a fleet has hundreds of
/// accounts.
pub(super) fn merge_denied(findings: Vec<Finding>) -> Vec<Finding> {
    let is_denied = |finding: &Finding| finding.level == Level::Skip && finding.message.starts_with(DENIED);
    let (denied, mut findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_denied);
    if let Some(first) = denied.first() {
        let message = format!("{} checks {}, the first one: {}", denied.len(), DENIED, first.check);
        findings.push(Finding::skip("provisioners, forwarding, Regions", message));
    }
    findings
}

/// The beginning of the message of a check that the readers cannot make.
const DENIED: &str = "not made, because the role that is used there cannot read it";

async fn roles(account: &Account, hub: &Hub, check: &str, names: [&str; 2], template: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in names {
        let response = account.iam().get_role().role_name(name).send().await;
        findings.push(match response {
            Ok(response) => {
                let tags = response
                    .role
                    .map(|role| role.tags.unwrap_or_default())
                    .unwrap_or_default();
                let version = tags.iter().find(|tag| tag.key() == VERSION_TAG).map(Tag::value);
                of_version(
                    check,
                    name,
                    version,
                    hub.outputs.get("Version").map_or("", String::as_str),
                    template,
                )
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_entity_exception()) =>
            {
                Finding::fail(
                    check,
                    format!("it has no role {name}"),
                    format!("Deploy {template} there"),
                )
            }
            Err(error) => match Error::from(error) {
                Error::AccessDenied(_) => Finding::skip(&format!("{check}, role {name}"), DENIED),
                other => Finding::fail(check, other.to_string(), "Repeat the command"),
            },
        });
    }
    findings
}

/// Whether a role is as new as the hub. Accounts are upgraded before the hub, so a role may be newer.
fn of_version(check: &str, name: &str, version: Option<&str>, of_hub: &str, template: &str) -> Finding {
    let parsed = |text: &str| Version::parse(text).ok();
    let message = match version {
        Some(version) => format!("the role {name} has the version {version}"),
        None => format!("the role {name} has no version"),
    };
    match (version.and_then(parsed), parsed(of_hub)) {
        (Some(version), Some(of_hub)) if version >= of_hub => Finding::ok(check, message),
        (_, None) => Finding::ok(check, message),
        _ => Finding::warn(
            check,
            format!("{message}, and the hub has the version {of_hub}"),
            format!("Deploy {template} of the version {of_hub} there"),
        ),
    }
}

/// Whether a rule of the account forwards events to the bus of the hub.
async fn forwarding(account: &Account, hub: &Hub, check: &str) -> Finding {
    let Some(bus) = hub.outputs.get("EventBusArn") else {
        return Finding::skip(
            check,
            "forwarding not checked: the stack of the hub has no output EventBusArn",
        );
    };
    let input = json!({ "TargetArn": bus });
    match account.json_call(EVENTS, "ListRuleNamesByTarget", &input).await {
        Ok(rules) if rules["RuleNames"].as_array().is_some_and(|names| !names.is_empty()) => {
            Finding::ok(check, format!("it forwards events of {} to the hub", account.region))
        }
        Ok(_) => Finding::warn(
            check,
            format!(
                "it forwards no events of {} to the hub, so only reconciliations find new clusters",
                account.region
            ),
            format!("Deploy infra/source-account.yaml there with the parameter EventBusArn={bus}"),
        ),
        Err(error) if error.is_denied() => Finding::skip(&format!("{check}, forwarding"), DENIED),
        Err(error) => Finding::fail(check, error.to_string(), "Repeat the command"),
    }
}

/// Whether the Regions of reconciliations are enabled in the account.
async fn regions(account: &Account, hub: &Hub, check: &str) -> Finding {
    let regions = regions_of(hub);
    let names: Vec<String> = (1..=regions.len()).map(|nth| format!("RegionName.{nth}")).collect();
    let mut parameters = vec![("AllRegions", "true")];
    parameters.extend(names.iter().map(String::as_str).zip(regions.iter().map(String::as_str)));
    let response = match account.query_call(EC2, "DescribeRegions", &parameters).await {
        Ok(response) => response,
        Err(error) if error.is_denied() => return Finding::skip(&format!("{check}, Regions"), DENIED),
        Err(error) => return Finding::fail(check, error.to_string(), "Name Regions that exist in ReconcileRegions"),
    };
    let disabled: Vec<String> = xml::rows(&response, &["regionInfo", "item"])
        .into_iter()
        .filter(|region| region.get("optInStatus").is_some_and(|status| status == "not-opted-in"))
        .filter_map(|mut region| region.remove("regionName"))
        .collect();
    match disabled.first() {
        None => Finding::ok(check, format!("these Regions are enabled: {}", regions.join(", "))),
        Some(first) => Finding::fail(
            check,
            format!("these Regions are not enabled: {}", disabled.join(", ")),
            format!("Enable each there, with `aws account enable-region --region-name {first}`"),
        ),
    }
}

/// The Regions of reconciliations, or that of the hub.
fn regions_of(hub: &Hub) -> Vec<String> {
    let configured = hub.parameters.get("ReconcileRegions").map_or("", String::as_str);
    let configured = configured.split(',').map(str::trim).filter(|region| !region.is_empty());
    let regions: Vec<String> = configured.map(str::to_owned).collect();
    match regions.is_empty() {
        true => vec![hub.account.region.clone()],
        false => regions,
    }
}

/// Whether the quota of scrapers admits more of them. The quota is that of the hub's parameter, which limits ampxa.
async fn scrapers(account: &Account, hub: &Hub, check: &str) -> Finding {
    let existing = match scraper::list(account.amp().list_scrapers()).await {
        Ok(scrapers) => scrapers.len(),
        Err(Error::AccessDenied(_)) => return Finding::skip(&format!("{check}, scrapers"), DENIED),
        Err(error) => return Finding::fail(check, error.to_string(), "Repeat the command"),
    };
    let quotas = Quotas::parse(hub.parameters.get("ScraperQuota").map_or("", String::as_str));
    headroom(
        check,
        &account.id,
        &account.region,
        existing,
        quotas.of(&account.id, &account.region),
    )
}

fn headroom(check: &str, account: &str, region: &str, existing: usize, quota: usize) -> Finding {
    let message = format!("{existing} of {quota} scrapers in {region}");
    let fix = format!(
        "Request an increase of the quota \"Scrapers per Region\" there, and add {account}/{region}=<quota> to the parameter \
         ScraperQuota of the hub's stack"
    );
    // Four of five.
    match (existing >= quota, existing * 5 >= quota * 4) {
        (true, _) => Finding::fail(check, message, fix),
        (false, true) => Finding::warn(check, message, fix),
        (false, false) => Finding::ok(check, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_scrapers_that_is_almost_reached_is_a_warning() {
        for (existing, level) in [
            (7, Level::Ok),
            (8, Level::Warn),
            (9, Level::Warn),
            (10, Level::Fail),
            (11, Level::Fail),
        ] {
            let finding = headroom("account 1", "1", "us-west-2", existing, 10);
            assert_eq!(finding.level, level, "{existing}");
            assert_eq!(finding.message, format!("{existing} of 10 scrapers in us-west-2"));
            assert_eq!(finding.fix.is_some(), level != Level::Ok);
        }
    }

    #[test]
    fn a_role_that_is_older_than_the_hub_is_a_warning() {
        for (version, of_hub, level) in [
            (Some("1.2.0"), "1.2.0", Level::Ok),
            (Some("1.10.0"), "1.9.3", Level::Ok),
            (Some("1.9.3"), "1.10.0", Level::Warn),
            (None, "1.2.0", Level::Warn),
            (Some("unknown"), "1.2.0", Level::Warn),
            // The finding about the hub says that it has no version.
            (None, "", Level::Ok),
        ] {
            let finding = of_version("account 1", "a", version, of_hub, "infra/source-account.yaml");
            assert_eq!(finding.level, level, "{version:?} {of_hub}");
            assert_eq!(finding.fix.is_some(), level == Level::Warn);
        }
    }

    #[test]
    fn checks_that_the_readers_cannot_make_are_one_finding() {
        let skipped = |check: &str| Finding::skip(check, DENIED);
        let findings = vec![
            skipped("account 1, role a"),
            Finding::ok("account 1", "fine"),
            skipped("account 2"),
        ];
        let merged = merge_denied(findings);
        assert_eq!(merged.len(), 2);
        let expected = "2 checks not made, because the role that is used there cannot read it, the first one: account 1, \
                        role a";
        assert_eq!(merged[1].message, expected);
        assert_eq!(merge_denied(vec![Finding::ok("a", "b")]).len(), 1);
    }
}
