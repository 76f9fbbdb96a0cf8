//! The token of the scraper's service account: a job sends it to the API server, or to hosts that the discovery found.
//!
//! The author of a configuration must not choose the host that receives the token. Prometheus builds the URL of a
//! target from the labels `__scheme__`, `__address__`, `__metrics_path__` and `__param_<name>`, and the first two
//! decide on the host: with a port in the address, Prometheus accepts any text as the scheme. Values of the labels
//! `__meta_kubernetes_*` and `__address__` come from the cluster; those of all other labels can come from the
//! configuration.
//!
//! Whoever can create pods, services or nodes in the cluster can still receive the token of a job that discovers them.

use super::{
    address::{API_SERVER, host_and_port, is_port},
    field::Field,
    problems::{Problem, Problems},
    relabelling::{Rule, Template, has_alternatives},
};
use crate::input::shown;

/// The labels that decide on the host.
const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
/// The beginning of the labels with what the discovery found.
const DISCOVERED: &str = "__meta_kubernetes";

/// Checks a job whose `target_label`s have no references. A job without the token is accepted.
pub(super) fn check_job(job: &Field, problems: &mut Problems) {
    if job.get_text("bearer_token_file").is_none() && job.get("authorization").is_none() {
        return;
    }
    if let Some(scheme) = job.get("scheme") {
        problems.check(check_scheme(&scheme));
    }
    for group in job.list_or_empty("static_configs") {
        for target in group.list_or_empty("targets") {
            problems.check(check_static_target(&target));
        }
        let labels = group.get("labels").and_then(|labels| problems.check(labels.members()));
        for (name, label) in labels.unwrap_or_default() {
            problems.check(check_label(name, &label));
        }
    }
    for rule in Rule::list(job, "relabel_configs", problems) {
        problems.check(check_rule(&rule));
    }
}

fn check_static_target(target: &Field) -> Result<(), Problem> {
    let text = target.text()?;
    match is_api_server(text) {
        true => Ok(()),
        false => Err(target.invalid(format!(
            "{} would receive the token of the service account; expected {API_SERVER}:443, the only static target of a \
             job with the token, or remove the token from the job",
            shown(text)
        ))),
    }
}

/// Checks a label of static targets.
fn check_label(name: &str, label: &Field) -> Result<(), Problem> {
    check_name(name, label)?;
    match name {
        ADDRESS => Err(label.invalid(format!("leave it out, and write {API_SERVER}:443 into targets"))),
        SCHEME if !label.is_null() => check_scheme(label),
        _ => Ok(()),
    }
}

fn check_rule(rule: &Rule) -> Result<(), Problem> {
    if rule.action == "labelmap" {
        check_labelmap(rule)?;
    }
    let Some(target) = rule.target() else {
        return Ok(());
    };
    check_name(target.text()?, &target)?;
    match target.text()? {
        ADDRESS if !keeps_host(rule)? => Err(rule.at("replacement").invalid(format!(
            "this job sends the token of the service account, so {ADDRESS} can become only {API_SERVER}:443, or host and \
             port of what was discovered, such as $1:10250 with source_labels: [{ADDRESS}]"
        ))),
        SCHEME if !keeps_scheme(rule)? => Err(rule.at("replacement").invalid(format!(
            "this job sends the token of the service account, so {SCHEME} can become only http or https, or $1 with \
             source_labels of the discovery"
        ))),
        _ => Ok(()),
    }
}

fn check_scheme(field: &Field) -> Result<(), Problem> {
    let scheme = field.text()?;
    match scheme {
        "http" | "https" => Ok(()),
        _ => Err(field.invalid(format!("{} is not a scheme; expected http or https", shown(scheme)))),
    }
}

/// Checks that the name of a label that the configuration sets is not one of the discovery's labels.
fn check_name(name: &str, field: &Field) -> Result<(), Problem> {
    match name.starts_with(DISCOVERED) {
        true => Err(field.invalid(format!(
            "this job sends the token of the service account, so it must not set labels that begin with {DISCOVERED}; \
             use another name"
        ))),
        false => Ok(()),
    }
}

/// Checks that a `labelmap` copies only the discovery's labels. It can copy to any name, also to that of the address.
fn check_labelmap(rule: &Rule) -> Result<(), Problem> {
    let regex = rule.regex()?;
    if regex.starts_with(DISCOVERED) && has_alternatives(regex) == Some(false) {
        return Ok(());
    }
    Err(rule.at("regex").invalid(format!(
        "this job sends the token of the service account, so its labelmap can copy only labels of the discovery; \
         expected a regex without | that begins with {DISCOVERED}, such as {DISCOVERED}_pod_label_(.+)"
    )))
}

/// Whether an address is that of the API server.
fn is_api_server(address: &str) -> bool {
    let (host, port) = host_and_port(address);
    host == API_SERVER && port.is_none_or(is_port)
}

/// Whether a rule for the address keeps the host that was discovered, or sets that of the API server.
fn keeps_host(rule: &Rule) -> Result<bool, Problem> {
    let replacement = rule.replacement()?;
    if rule.action == "replace" && is_api_server(replacement) {
        return Ok(true);
    }
    // A host is one reference, in brackets or not. A port is one reference or a number.
    let keeps = match Template::parse(replacement).literals()[..] {
        ["", end] | ["[", end] if end.is_empty() || end == "]" => true,
        ["", port] => port.strip_prefix(':').is_some_and(is_port),
        ["[", port] => port.strip_prefix("]:").is_some_and(is_port),
        ["", ":", ""] | ["[", "]:", ""] => true,
        _ => false,
    };
    Ok(keeps && has_discovered_value(rule)?)
}

/// Whether a rule for the scheme keeps a value of the discovery, or sets a scheme.
fn keeps_scheme(rule: &Rule) -> Result<bool, Problem> {
    let replacement = rule.replacement()?;
    if rule.action == "replace" && matches!(replacement, "http" | "https") {
        return Ok(true);
    }
    Ok(Template::parse(replacement).literals() == ["", ""] && has_discovered_value(rule)?)
}

/// Whether the value that a rule reads consists of what was discovered. The separator must not add a name or a number.
fn has_discovered_value(rule: &Rule) -> Result<bool, Problem> {
    let sources = rule.sources()?;
    Ok(matches!(rule.action.as_str(), "replace" | "lowercase" | "uppercase")
        && sources
            .iter()
            .all(|name| name.starts_with(DISCOVERED) || matches!(*name, ADDRESS | SCHEME))
        && rule.separator()?.chars().all(|c| matches!(c, ':' | ';')))
}
