//! AMP's rules for a scrape configuration.
//!
//! Unless another source is given, a rule is from the AMP user guide, "Prometheus configuration for managed collectors"
//! (Using AWS managed collectors). Parts that the guide does not mention are not checked here; AMP validates the
//! complete configuration again.
//!
//! Two rules are ampxa's own: `identity` protects the label that identifies a cluster, and `token` the token of the
//! service account.

use super::{
    address::{API_SERVER, host_and_port, is_port},
    field::Field,
    identity, is_label_name, token,
    yaml::Node,
};
use crate::{error::Error, input::shown};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// A Prometheus duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Milliseconds(u64);

const MIN_INTERVAL: Milliseconds = Milliseconds(30_000);
/// Prometheus' default (configuration reference, `global`).
const DEFAULT_INTERVAL: Milliseconds = Milliseconds(60_000);

/// Checks the configuration of a cluster.
///
/// # Errors
/// `InvalidRequest` if it violates a rule. The message begins with the path of the field.
pub(super) fn check(tree: &Node, cluster_arn: &str) -> Result<(), Error> {
    let root = Field::root(tree);
    for (key, section) in root.members()? {
        match key {
            "global" | "scrape_configs" => {}
            _ => return Err(section.invalid(section_hint(key))),
        }
    }
    let mut interval = DEFAULT_INTERVAL;
    if let Some(global) = root.get("global") {
        global.members()?;
        interval = intervals(&global, DEFAULT_INTERVAL)?;
        if let Some(labels) = global.get("external_labels") {
            external_labels(&labels)?;
            identity::check_labels(&labels, cluster_arn)?;
        }
    }
    let no_job = "expected at least one scrape job, such as {job_name: pods, kubernetes_sd_configs: [{role: pod}]}";
    let Some(jobs) = root.get("scrape_configs") else {
        return Err(root.child("scrape_configs", tree).invalid(no_job));
    };
    let items = jobs.items()?;
    if items.is_empty() {
        return Err(jobs.invalid(no_job));
    }
    let mut names: HashMap<&str, String> = HashMap::new();
    for item in items {
        job(&item, interval)?;
        identity::check_job(&item, cluster_arn)?;
        token::check_job(&item)?;
        let Some(name) = item.get("job_name") else {
            return Err(item.invalid("job_name is missing; each job needs a unique one"));
        };
        // Prometheus' own rule: names are not empty, and unique.
        let text = name.text()?;
        if text.is_empty() {
            return Err(name.invalid("it is empty; each job needs a unique name"));
        }
        if let Some(first) = names.insert(text, name.path.clone()) {
            return Err(name.invalid(format!(
                "{} is already used by {first}; each job needs a unique name",
                shown(text)
            )));
        }
    }
    Ok(())
}

/// The longest scrape interval of a configuration that conforms to the rules, in seconds, rounded up.
pub(super) fn longest_interval(tree: &Node) -> u64 {
    let root = Field::root(tree);
    let global = root
        .get("global")
        .and_then(|global| intervals(&global, DEFAULT_INTERVAL).ok());
    let global = global.unwrap_or(DEFAULT_INTERVAL);
    let jobs = root.list("scrape_configs").unwrap_or_default();
    let longest = jobs.iter().filter_map(|job| intervals(job, global).ok()).max();
    longest.unwrap_or(global).0.div_ceil(1_000)
}

/// Why a section is not supported, and what to do instead.
fn section_hint(key: &str) -> String {
    let instead = match key {
        "remote_write" => "remove it: the scraper writes to the workspace of the request",
        "remote_read" => "remove it, and query the workspace",
        "alerting" | "rule_files" => "remove it, and define rules and alerts in the workspace",
        "scrape_config_files" => "the scraper has no files: write the jobs into scrape_configs",
        _ => "remove it",
    };
    format!("AMP supports only global and scrape_configs; {instead}")
}

/// Checks that names are label names (Prometheus configuration reference, `labelname`) and values are scalars.
fn external_labels(labels: &Field) -> Result<(), Error> {
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

fn job(job: &Field, global_interval: Milliseconds) -> Result<(), Error> {
    for (key, field) in job.members()? {
        let is_discovery = key.ends_with("_sd_configs") || key.ends_with("_sd_config");
        if is_discovery && key != "kubernetes_sd_configs" {
            return Err(field.invalid("AMP supports only kubernetes_sd_configs and static_configs; use one of them"));
        }
    }
    intervals(job, global_interval)?;
    credentials(job)?;
    for discovery in job.list("kubernetes_sd_configs")? {
        for key in ["api_server", "kubeconfig_file"] {
            if let Some(field) = discovery.get(key) {
                return Err(field.invalid("AMP discovers targets only in the scraper's own cluster; remove it"));
            }
        }
        credentials(&discovery)?;
    }
    for group in job.list("static_configs")? {
        group.members()?;
        for target in group.list("targets")? {
            static_target(&target)?;
        }
        if let Some(labels) = group.get("labels") {
            labels.members()?;
        }
    }
    Ok(())
}

/// Checks interval and timeout of `global` or a job, and returns the interval. An interval is 30 s or more. A timeout
/// must not be longer than its interval (Prometheus configuration reference, `scrape_timeout`).
fn intervals(section: &Field, inherited: Milliseconds) -> Result<Milliseconds, Error> {
    let mut interval = inherited;
    if let Some(field) = section.get("scrape_interval") {
        interval = duration(&field)?;
        if interval < MIN_INTERVAL {
            return Err(field.invalid(format!("{} is below 30s, AMP's minimum", shown(field.text()?))));
        }
    }
    if let Some(field) = section.get("scrape_timeout")
        && duration(&field)? > interval
    {
        let why = format!(
            "{} is longer than the scrape interval, {}ms",
            shown(field.text()?),
            interval.0
        );
        return Err(field.invalid(why));
    }
    Ok(interval)
}

/// Parses a Prometheus duration such as `1h30m`: each unit at most once, the longest first (configuration reference,
/// `duration`).
fn duration(field: &Field) -> Result<Milliseconds, Error> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    // Prometheus stores nanoseconds in a signed 64-bit integer.
    const MAX: u64 = i64::MAX as u64 / 1_000_000;
    let text = field.text()?;
    let invalid = || {
        field.invalid(format!(
            "{} is not a duration; expected one such as 30s, 90s or 1m30s",
            shown(text)
        ))
    };
    if text == "0" {
        return Ok(Milliseconds(0));
    }
    let (mut rest, mut sum, mut units) = (text, 0u64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*length));
        sum = part
            .and_then(|part| sum.checked_add(part))
            .filter(|sum| *sum <= MAX)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if text.is_empty() {
        Err(invalid())
    } else {
        Ok(Milliseconds(sum))
    }
}

/// Checks the credentials for a target, or for the discovery. The only secret that a scraper has is the token of its
/// service account.
fn credentials(section: &Field) -> Result<(), Error> {
    const NOT_SUPPORTED: [&str; 11] = [
        "azuread",
        "azure_ad",
        "basic_auth",
        "bearer_token",
        "google_iam",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
        "sigv4",
    ];
    for (key, field) in section.members()? {
        if NOT_SUPPORTED.contains(&key) {
            let why =
                format!("AMP does not support it; remove it, or use authorization with credentials_file: {TOKEN_FILE}");
            return Err(field.invalid(why));
        }
    }
    only_file(section, "bearer_token_file", TOKEN_FILE)?;
    if let Some(authorization) = section.get("authorization") {
        authorization.members()?;
        if let Some(field) = authorization.get("type")
            && field.text()? != "Bearer"
        {
            let why = format!("{} is not supported; expected Bearer", shown(field.text()?));
            return Err(field.invalid(why));
        }
        if let Some(field) = authorization.get("credentials") {
            let why = format!("a secret is not allowed here; use credentials_file: {TOKEN_FILE}");
            return Err(field.invalid(why));
        }
        if authorization.get("credentials_file").is_none() {
            return Err(authorization.invalid(format!("credentials_file is missing; expected {TOKEN_FILE}")));
        }
        only_file(&authorization, "credentials_file", TOKEN_FILE)?;
    }
    if let Some(tls) = section.get("tls_config") {
        for (key, field) in tls.members()? {
            if key == "key" || (key.ends_with("_file") && key != "ca_file" && !field.is_null()) {
                return Err(field.invalid(
                    "the scraper has no such file or secret; only ca_file and insecure_skip_verify are supported",
                ));
            }
        }
        only_file(&tls, "ca_file", CA_FILE)?;
    }
    // Besides plain values, Prometheus' `http_headers` may contain secrets and files.
    if let Some(headers) = section.get("http_headers") {
        for (_, header) in headers.members()? {
            for key in ["secrets", "files"] {
                if let Some(field) = header.get(key) {
                    return Err(field.invalid("the scraper has no secrets and no files; use values"));
                }
            }
        }
    }
    Ok(())
}

/// Checks that the path of a file, if given, is the only one that exists in the scraper.
fn only_file(section: &Field, key: &str, expected: &str) -> Result<(), Error> {
    match section.get(key) {
        Some(field) if field.text()? != expected => Err(field.invalid(format!(
            "{} does not exist in the scraper; expected {expected}",
            shown(field.text()?)
        ))),
        _ => Ok(()),
    }
}

/// Checks that a static target is an IP address or the name of the API server, with or without a port.
fn static_target(target: &Field) -> Result<(), Error> {
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
