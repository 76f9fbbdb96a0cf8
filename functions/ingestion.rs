//! Whether samples of a cluster arrive in its workspace, and where to look when none do.
//!
//! A scraper that is ACTIVE proves nothing: it scrapes, and what it may not write is lost.

use crate::{
    Error,
    arn::ScraperArn,
    aws::aps,
    request::Request,
    roles::{self, Role},
    scrape_configuration,
    task::Task,
};
use aws_sdk_iam::Client;
use serde::{Deserialize, Serialize};

/// What the state machine knows when it asks for samples.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The pair's scraper.
    pub scraper_arn: ScraperArn,
    /// Whether a person has to let the scraper into the cluster.
    pub manual_access: bool,
}

/// What arrives.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// In a word.
    pub result: IngestionResult,
    /// Endpoints of the cluster that the scraper has found.
    pub targets: u64,
    /// Those of them that answer.
    pub up: u64,
    /// What to look at when samples do not arrive, the likeliest first; of nothing at all, [`hints`] tells it.
    pub hints: Vec<String>,
}

/// Whether samples arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IngestionResult {
    /// Samples of at least one endpoint.
    Receiving,
    /// The scraper tells of targets, none of which answers it.
    TargetsDown,
    /// Not a single sample.
    None,
}

/// Asks the workspace how many targets of the cluster there are, and how many are up. Touches nothing.
///
/// # Errors
/// As AWS answers.
pub async fn check(samples: &aps::Client, task: &Task<Input>) -> Result<Output, Error> {
    let (targets, up) = count(samples, task).await?;
    let (result, hints) = match (targets, up) {
        (0, _) => (IngestionResult::None, Vec::new()),
        (_, 0) => (IngestionResult::TargetsDown, all_down(targets)),
        _ => (IngestionResult::Receiving, Vec::new()),
    };
    Ok(Output {
        result,
        targets,
        up,
        hints,
    })
}

/// How many targets of the cluster tell of themselves in the workspace, and how many of them are up.
///
/// # Errors
/// As AWS answers.
pub async fn count<K>(samples: &aps::Client, task: &Task<K>) -> Result<(u64, u64), Error> {
    let series = series(&task.request);
    let workspace = task.pair.workspace.id();
    let count = async |expression: String| Ok::<_, Error>(samples.number(workspace, &expression).await?.unwrap_or(0.0));
    let targets = count(format!("count({series})")).await? as u64;
    let up = match targets {
        0 => 0,
        _ => count(format!("sum({series})")).await? as u64,
    };
    Ok((targets, up))
}

/// What each endpoint of the request's cluster tells of itself, in PromQL.
///
/// A question about now finds the samples of the last five minutes (Prometheus, "Querying basics", staleness): what
/// is scraped more seldom than that would be overlooked every other time.
pub fn series(request: &Request) -> String {
    let series = format!("up{{clusterArn={}}}", quoted(&label(request)));
    match interval(request) {
        0..=LONGEST_PLAIN_SECONDS => series,
        seconds => format!("last_over_time({series}[{}s])", (2 * seconds).min(LONGEST_LOOK_SECONDS)),
    }
}

/// The longest interval, in seconds, of which no question about now misses two scrapes in a row.
const LONGEST_PLAIN_SECONDS: u64 = 150;
/// So far back nobody looks.
const LONGEST_LOOK_SECONDS: u64 = 86_400;

/// The longest scrape interval of the request's configuration, in seconds; AMP's default has a minute at most.
fn interval(request: &Request) -> u64 {
    let configured = request.scrape_configuration.as_deref();
    configured.map_or(0, scrape_configuration::longest_interval)
}

/// The value of the label by which the cluster's samples are told from others: the request may set it.
fn label(request: &Request) -> String {
    const NAME: &str = "clusterArn";
    let configured = request.scrape_configuration.as_deref();
    let mut labels = scrape_configuration::labels(&request.cluster_arn, &request.external_labels);
    configured
        .and_then(|yaml| scrape_configuration::external_label(yaml, NAME))
        .or(labels.remove(NAME))
        .unwrap_or_default()
}

/// A text as PromQL quotes it (Prometheus, "Querying basics", string literals are Go's).
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// What to look at when nothing arrives: the trust policies, which are read for it, and then what AWS's own
/// troubleshooting names, in its order (AMP user guide, "Troubleshooting scraper configuration").
///
/// An account that cannot be entered, or a role that cannot be read, is told as such: that nothing arrives stays true.
pub async fn hints(
    source_iam: Result<Client, Error>,
    target_iam: Result<Client, Error>,
    task: &Task<Input>,
) -> Vec<String> {
    let scraper = &task.input.scraper_arn;
    let known = roles::EnsureInput {
        scraper_arn: Some(scraper.clone()),
    };
    let its = task.with_input(known);
    let mut hints = Vec::new();
    for (iam, role, arn) in [
        (source_iam, roles::source(&its), task.pair.source_role_arn()),
        (target_iam, roles::target(&its), task.pair.target_role_arn()),
    ] {
        match is_open(iam, &role).await {
            Ok(true) => {}
            Ok(false) => hints.push(format!(
                "The trust policy of the role {arn} does not name the scraper {scraper}: samples are scraped and not \
                 written. Onboard the pair again, which patches it, and find out who changed it."
            )),
            Err(why) => hints.push(format!(
                "The trust policy of the role {arn} must name the scraper {scraper}, and could not be read: {why}"
            )),
        }
    }
    let cluster = &task.pair.cluster;
    hints.push(match task.input.manual_access {
        true => format!(
            "The cluster {cluster} lets the scraper in by its ConfigMap aws-auth only: apply the mapping that the \
             warnings show, if nobody has."
        ),
        false => format!(
            "The authentication mode of the cluster {cluster} must stay API or API_AND_CONFIG_MAP, and the access \
             entry that AMP made for its scraper must be there."
        ),
    });
    hints.extend([
        "The cluster's VPC must have DNS resolution and DNS host names on.".to_owned(),
        "The scraper's security groups must let it out, and the cluster's must let it in on port 443.".to_owned(),
        "The scrape configuration must have a job that finds targets of this cluster.".to_owned(),
    ]);
    let interval = interval(&task.request);
    if interval > LONGEST_PLAIN_SECONDS {
        hints.push(format!(
            "The longest scrape interval is {interval} s, and so late may the first sample be: onboard again later."
        ));
    }
    hints
}

/// A role that somebody replaced lets nobody in either.
async fn is_open(iam: Result<Client, Error>, role: &Role) -> Result<bool, Error> {
    match roles::is_open(&iam?, role).await {
        Err(Error::Conflict(_)) => Ok(false),
        found => found,
    }
}

fn all_down(targets: u64) -> Vec<String> {
    vec![
        format!(
            "The scraper has found {targets} targets, and none answers: security groups and network policies must \
             let it reach their ports."
        ),
        "The scrape configuration's ports, paths and schemes must be the targets'.".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(more: serde_json::Value) -> Request {
        let mut request = json!({
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/payments",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-0a1b",
        });
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Request::parse(&request).unwrap()
    }

    #[test]
    fn the_label_is_the_one_that_the_samples_carry() {
        let yaml = "global: {external_labels: {clusterArn: theirs}}\nscrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]";
        for (more, right) in [
            (json!({}), "arn:aws:eks:us-west-2:222222222222:cluster/payments"),
            (json!({ "externalLabels": { "clusterArn": "mine" } }), "mine"),
            (
                json!({ "externalLabels": { "clusterArn": "mine" }, "scrapeConfiguration": yaml }),
                "theirs",
            ),
        ] {
            assert_eq!(label(&request(more)), right);
        }
    }

    #[test]
    fn what_is_scraped_seldom_is_looked_for_longer() {
        let yaml = |interval: &str| {
            format!(
                "global: {{scrape_interval: {interval}}}\nscrape_configs: [{{job_name: a, static_configs: []}}, \
                 {{job_name: b, scrape_interval: 45s}}]"
            )
        };
        let plain = series(&request(json!({})));
        assert!(plain.starts_with("up{"), "{plain}");
        for (interval, right) in [
            ("30s", plain.clone()),
            ("150s", plain.clone()),
            ("10m", format!("last_over_time({plain}[1200s])")),
            ("1y", format!("last_over_time({plain}[86400s])")),
        ] {
            assert_eq!(
                series(&request(json!({ "scrapeConfiguration": yaml(interval) }))),
                right
            );
        }
        let job = "scrape_configs: [{job_name: a, scrape_interval: 4m}]";
        let series = series(&request(json!({ "scrapeConfiguration": job })));
        assert_eq!(series, format!("last_over_time({plain}[480s])"));
    }

    #[test]
    fn a_label_stays_inside_its_quotes() {
        assert_eq!(quoted(r#"a"} or up{b="\"#), r#""a\"} or up{b=\"\\""#);
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
    }
}
