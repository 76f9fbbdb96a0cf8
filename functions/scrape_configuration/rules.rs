//! AMP's rules for a scrape configuration. All problems are found at once.
//!
//! Unless another source is given, a rule is from the AMP user guide, "Prometheus configuration for managed collectors"
//! (Using AWS managed collectors). AMP also refuses what Prometheus refuses: `schema` has its keys and values, `client`
//! the rules of the HTTP client, `kubernetes` those of the discovery, and `actions` those of relabelling.
//!
//! Two rules are ampxa's own: `identity` protects the label that identifies a cluster, and `token` the token of the
//! service account.

use super::{
    actions,
    address::{API_SERVER, host_and_port, is_port},
    client,
    duration::{Milliseconds, duration},
    field::Field,
    identity, is_label_name, kubernetes,
    problems::{Problem, Problems},
    schema, token,
    yaml::Node,
};
use crate::{error::Error, input::shown};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

const MIN_INTERVAL: Milliseconds = Milliseconds(30_000);
/// Prometheus' default (configuration reference, `global`).
const DEFAULT_INTERVAL: Milliseconds = Milliseconds(60_000);

/// Checks the configuration of a cluster.
///
/// # Errors
/// `InvalidRequest` if it violates rules. Each line of the message begins with the path of a field.
pub(super) fn check(tree: &Node, cluster_arn: &str) -> Result<(), Error> {
    let root = Field::root(tree);
    let mut problems = Problems::default();
    if let Some(sections) = problems.check(root.members()) {
        for (key, section) in sections {
            check_section(key, &section, &mut problems);
        }
        let interval = global(&root, cluster_arn, &mut problems);
        jobs(&root, interval, cluster_arn, &mut problems);
        schema::check(&root, &mut problems);
    }
    problems.into_result()
}

/// The keys of a configuration that only newer versions of Prometheus know, with the version.
pub(super) fn newer_keys(tree: &Node) -> schema::Newer {
    schema::check(&Field::root(tree), &mut Problems::default())
}

/// The longest scrape interval of a configuration that conforms to the rules, in seconds, rounded up.
pub(super) fn longest_interval(tree: &Node) -> u64 {
    let root = Field::root(tree);
    let interval = |section: &Field, inherited| intervals(section, inherited, &mut Problems::default());
    let global = root
        .get("global")
        .map_or(DEFAULT_INTERVAL, |global| interval(&global, DEFAULT_INTERVAL));
    let jobs = root.list_or_empty("scrape_configs");
    let longest = jobs.iter().map(|job| interval(job, global)).max();
    longest.unwrap_or(global).0.div_ceil(1_000)
}

/// Checks a section of the document. Prometheus reads null as an absent section.
fn check_section(key: &str, section: &Field, problems: &mut Problems) {
    const OTHERS: [&str; 9] = [
        "alerting",
        "otlp",
        "remote_read",
        "remote_write",
        "rule_files",
        "runtime",
        "scrape_config_files",
        "storage",
        "tracing",
    ];
    match key {
        "global" | "scrape_configs" => {}
        _ if section.is_null() && OTHERS.contains(&key) => {}
        _ => problems.add(section.invalid(section_hint(key))),
    }
}

/// Checks the section `global`, and returns the scrape interval.
fn global(root: &Field, cluster_arn: &str, problems: &mut Problems) -> Milliseconds {
    let Some(global) = root.get("global") else {
        return DEFAULT_INTERVAL;
    };
    if let Some(labels) = global.get("external_labels") {
        problems.check(external_labels(&labels));
        problems.check(identity::check_labels(&labels, cluster_arn));
    }
    intervals(&global, DEFAULT_INTERVAL, problems)
}

/// Checks the jobs. There is at least one, and their names are unique (Prometheus configuration reference, `job_name`).
fn jobs(root: &Field, interval: Milliseconds, cluster_arn: &str, problems: &mut Problems) {
    let no_job = "expected at least one scrape job, such as {job_name: pods, kubernetes_sd_configs: [{role: pod}]}";
    let Some(jobs) = root.get("scrape_configs") else {
        return problems.add(root.missing("scrape_configs", no_job));
    };
    let Some(items) = problems.check(jobs.items()) else {
        return;
    };
    if items.is_empty() {
        problems.add(jobs.invalid(no_job));
    }
    let mut names: HashMap<&str, String> = HashMap::new();
    for item in items {
        if problems.check(item.members()).is_none() {
            continue;
        }
        job(&item, interval, problems);
        actions::check_job(&item, problems);
        identity::check_job(&item, cluster_arn, problems);
        token::check_job(&item, problems);
        let Some(name) = item.get("job_name") else {
            problems.add(item.lacks("job_name", "each job needs a unique one"));
            continue;
        };
        let Some(text) = problems.check(name.text()) else {
            continue;
        };
        if text.is_empty() {
            problems.add(name.invalid("it is empty; each job needs a unique name"));
        } else if let Some(first) = names.insert(text, name.path.clone()) {
            problems.add(name.invalid(format!(
                "{} is already used by {first}; each job needs a unique name",
                shown(text)
            )));
        }
    }
}

/// Why a section is not supported, and what to do instead.
fn section_hint(key: &str) -> String {
    let instead = match key {
        "remote_write" => "remove it: the scraper writes to the workspace of the request",
        "remote_read" => "remove it, and query the workspace",
        "alerting" | "rule_files" => "remove it, and define rules and alerts in the workspace",
        "scrape_config_files" => "the scraper has no files: write the jobs into scrape_configs",
        _ => {
            if let Some(known) = schema::nearest(key, ["global", "scrape_configs"].into_iter()) {
                return format!("AMP supports only global and scrape_configs; did you mean {known}?");
            }
            "remove it"
        }
    };
    format!("AMP supports only global and scrape_configs; {instead}")
}

/// Checks that names are label names (Prometheus configuration reference, `labelname`) and values are scalars.
fn external_labels(labels: &Field) -> Result<(), Problem> {
    for (name, label) in labels.members()? {
        if !is_label_name(name) {
            let why = "not a valid label name; expected letters, digits and \"_\", not beginning with a digit";
            return Err(label.invalid(why));
        }
        if !label.is_null() {
            label.text()?;
        }
    }
    Ok(())
}

fn job(job: &Field, global_interval: Milliseconds, problems: &mut Problems) {
    intervals(job, global_interval, problems);
    client::check(job, problems);
    for discovery in job.list_or_empty("kubernetes_sd_configs") {
        kubernetes::check(&discovery, problems);
    }
    for group in job.list_or_empty("static_configs") {
        for target in group.list_or_empty("targets") {
            problems.check(static_target(&target));
        }
    }
}

/// Checks interval and timeout of `global` or a job, and returns the interval. An interval is 30 s or more. A timeout
/// must not be longer than its interval (Prometheus configuration reference, `scrape_timeout`).
fn intervals(section: &Field, inherited: Milliseconds, problems: &mut Problems) -> Milliseconds {
    let mut of = |key: &str| {
        let field = section.get(key)?;
        Some((problems.check(duration(&field))?, field))
    };
    let (interval, timeout) = (of("scrape_interval"), of("scrape_timeout"));
    let interval = match interval {
        Some((given, field)) => {
            if given < MIN_INTERVAL {
                let text = field.text().unwrap_or_default();
                problems.add(field.invalid(format!("{} is below 30s, AMP's minimum", shown(text))));
            }
            given
        }
        None => inherited,
    };
    if let Some((given, field)) = timeout
        && given > interval
    {
        let text = field.text().unwrap_or_default();
        let why = format!("{} is longer than the scrape interval, {}ms", shown(text), interval.0);
        problems.add(field.invalid(why));
    }
    interval
}

/// Checks that a static target is an IP address or the name of the API server, with or without a port.
fn static_target(target: &Field) -> Result<(), Problem> {
    let text = target.text()?;
    let (host, port) = host_and_port(text);
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let valid_host = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host == API_SERVER || host.parse::<Ipv4Addr>().is_ok(),
    };
    if !valid_host {
        let why = format!(
            "{} is not an IP address; expected 10.0.0.1:9100, [fd00::1]:9100 or {API_SERVER}:443",
            shown(text)
        );
        return Err(target.invalid(why));
    }
    match port {
        Some(port) if !is_port(port) => {
            Err(target.invalid(format!("{} has no valid port; expected 1 to 65535", shown(text))))
        }
        _ => Ok(()),
    }
}
