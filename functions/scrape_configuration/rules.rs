//! What AMP allows in a scrape configuration.
//!
//! Where nothing else is said, a rule is from the AMP user guide, "Prometheus configuration for
//! managed collectors" (Using AWS managed collectors). What the guide does not speak of is left to
//! AMP, which checks the whole configuration again.

use super::{
    FIELD, is_label_name,
    yaml::{Node, Scalar},
};
use crate::{error::Error, input::shown};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// The one name that a static target may have.
const API_SERVER: &str = "kubernetes.default.svc";

/// A length of time as Prometheus writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Milliseconds(u64);

const LEAST_INTERVAL: Milliseconds = Milliseconds(30_000);
/// Prometheus' default (configuration reference, `global`).
const DEFAULT_INTERVAL: Milliseconds = Milliseconds(60_000);

/// Refuses a configuration that breaks a rule.
///
/// # Errors
/// `InvalidRequest`, beginning with the path of what is wrong.
pub(super) fn check(tree: &Node) -> Result<(), Error> {
    let root = At::root(tree);
    for (key, at) in root.members()? {
        match key {
            "global" | "scrape_configs" => {}
            _ => return Err(at.refuse(section_hint(key))),
        }
    }
    let mut interval = DEFAULT_INTERVAL;
    if let Some(global) = root.get("global") {
        global.members()?;
        interval = intervals(&global, DEFAULT_INTERVAL)?;
        if let Some(labels) = global.get("external_labels") {
            external_labels(&labels)?;
        }
    }
    let none = "at least one scrape job is needed, such as {job_name: pods, kubernetes_sd_configs: [{role: pod}]}";
    let jobs = root
        .get("scrape_configs")
        .ok_or_else(|| root.under("scrape_configs", tree).refuse(none))?;
    let items = jobs.items()?;
    if items.is_empty() {
        return Err(jobs.refuse(none));
    }
    let mut names: HashMap<&str, String> = HashMap::new();
    for item in items {
        job(&item, interval)?;
        let name = item
            .get("job_name")
            .ok_or_else(|| item.refuse("job_name is missing; each job needs one of its own"))?;
        // Prometheus' own rule: names are not empty, and unique.
        let text = name.text()?;
        if text.is_empty() {
            return Err(name.refuse("it is empty; each job needs a name of its own"));
        }
        if let Some(first) = names.insert(text, name.path.clone()) {
            return Err(name.refuse(format!(
                "{} is {first} already; each job needs a name of its own",
                shown(text)
            )));
        }
    }
    Ok(())
}

/// The longest scrape interval of a configuration that keeps the rules, in seconds, rounded up.
pub(super) fn longest_interval(tree: &Node) -> u64 {
    let root = At::root(tree);
    let global = root
        .get("global")
        .and_then(|global| intervals(&global, DEFAULT_INTERVAL).ok());
    let global = global.unwrap_or(DEFAULT_INTERVAL);
    let jobs = root.list("scrape_configs").unwrap_or_default();
    let longest = jobs.iter().filter_map(|job| intervals(job, global).ok()).max();
    longest.unwrap_or(global).0.div_ceil(1_000)
}

/// What stands in place of a section that AMP does not support.
fn section_hint(key: &str) -> String {
    let instead = match key {
        "remote_write" => "the collector writes to the request's workspace by itself",
        "remote_read" => "query the workspace instead",
        "alerting" | "rule_files" => "rules and alerts belong to the workspace",
        "scrape_config_files" => "the collector has no files; write the jobs into scrape_configs",
        _ => "leave it out",
    };
    format!("AMP supports only global and scrape_configs here; {instead}")
}

/// Names are Prometheus' (configuration reference, `labelname`), values are strings.
fn external_labels(labels: &At) -> Result<(), Error> {
    for (name, at) in labels.members()? {
        if !is_label_name(name) {
            return Err(at.refuse("no label name; expected letters, digits and \"_\", no digit first"));
        }
        if !at.is_null() {
            at.text()?;
        }
    }
    Ok(())
}

fn job(job: &At, global_interval: Milliseconds) -> Result<(), Error> {
    for (key, at) in job.members()? {
        let is_discovery = key.ends_with("_sd_configs") || key.ends_with("_sd_config");
        if is_discovery && key != "kubernetes_sd_configs" {
            return Err(at.refuse("AMP discovers targets by kubernetes_sd_configs and static_configs only"));
        }
    }
    intervals(job, global_interval)?;
    credentials(job)?;
    for discovery in job.list("kubernetes_sd_configs")? {
        // The collector knows the cluster it belongs to, and discovers in no other.
        for key in ["api_server", "kubeconfig_file"] {
            if let Some(at) = discovery.get(key) {
                return Err(at.refuse("AMP discovers in the scraper's own cluster; leave it out"));
            }
        }
        credentials(&discovery)?;
    }
    for group in job.list("static_configs")? {
        group.members()?;
        for target in group.list("targets")? {
            static_target(&target)?;
        }
    }
    Ok(())
}

/// An interval is 30 s or more. That a timeout is no longer than its interval is Prometheus' own
/// rule (configuration reference, `scrape_timeout`).
fn intervals(place: &At, inherited: Milliseconds) -> Result<Milliseconds, Error> {
    let mut interval = inherited;
    if let Some(at) = place.get("scrape_interval") {
        interval = duration(&at)?;
        if interval < LEAST_INTERVAL {
            return Err(at.refuse(format!("{} is below 30s, the least AMP allows", shown(at.text()?))));
        }
    }
    if let Some(at) = place.get("scrape_timeout")
        && duration(&at)? > interval
    {
        let why = format!(
            "{} is longer than the scrape interval, {}ms",
            shown(at.text()?),
            interval.0
        );
        return Err(at.refuse(why));
    }
    Ok(interval)
}

/// Prometheus' durations: `1h30m`, each unit once, the longest first (configuration reference,
/// `duration`).
fn duration(at: &At) -> Result<Milliseconds, Error> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    // Prometheus counts nanoseconds in 64 bits with a sign.
    const LONGEST: u64 = i64::MAX as u64 / 1_000_000;
    let text = at.text()?;
    let wrong = || {
        at.refuse(format!(
            "{} is no duration; expected one such as 30s, 90s or 1m30s",
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
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*length));
        sum = part
            .and_then(|part| sum.checked_add(part))
            .filter(|sum| *sum <= LONGEST)
            .ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(Milliseconds(sum))
    }
}

/// The collector has no secret but the service account's token: a target is asked with that
/// token or with nothing. The same holds for the discovery's own access to the cluster.
fn credentials(place: &At) -> Result<(), Error> {
    const ELSEWHERE: [&str; 11] = [
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
    for (key, at) in place.members()? {
        if ELSEWHERE.contains(&key) {
            let why =
                format!("AMP does not support it; use authorization with credentials_file: {TOKEN_FILE}, or nothing");
            return Err(at.refuse(why));
        }
    }
    only_file(place, "bearer_token_file", TOKEN_FILE)?;
    if let Some(authorization) = place.get("authorization") {
        authorization.members()?;
        if let Some(at) = authorization.get("type")
            && at.text()? != "Bearer"
        {
            return Err(at.refuse(format!("{} is not supported; expected Bearer", shown(at.text()?))));
        }
        if let Some(at) = authorization.get("credentials") {
            return Err(at.refuse(format!("no secret may stand here; use credentials_file: {TOKEN_FILE}")));
        }
        if authorization.get("credentials_file").is_none() {
            return Err(authorization.refuse(format!("credentials_file is missing; expected {TOKEN_FILE}")));
        }
        only_file(&authorization, "credentials_file", TOKEN_FILE)?;
    }
    if let Some(tls) = place.get("tls_config") {
        for (key, at) in tls.members()? {
            if key == "key" || (key.ends_with("_file") && key != "ca_file" && !at.is_null()) {
                return Err(at.refuse(
                    "the collector has no such file or secret; only ca_file and insecure_skip_verify are of use",
                ));
            }
        }
        only_file(&tls, "ca_file", CA_FILE)?;
    }
    // Prometheus' `http_headers` may carry secrets and files beside plain values.
    if let Some(headers) = place.get("http_headers") {
        for (_, header) in headers.members()? {
            for key in ["secrets", "files"] {
                if let Some(at) = header.get(key) {
                    return Err(at.refuse("AMP has neither secrets nor files; use values"));
                }
            }
        }
    }
    Ok(())
}

fn only_file(place: &At, key: &str, right: &str) -> Result<(), Error> {
    match place.get(key) {
        Some(at) if at.text()? != right => Err(at.refuse(format!(
            "{} is not in the collector; expected {right}",
            shown(at.text()?)
        ))),
        _ => Ok(()),
    }
}

/// A static target is an IP address, or the API server by its one name, with or without a port.
fn static_target(at: &At) -> Result<(), Error> {
    let text = at.text()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let known = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host == API_SERVER || host.parse::<Ipv4Addr>().is_ok(),
    };
    if !known {
        let why = format!(
            "{} is no IP address; expected 10.0.0.1:9100, [fd00::1]:9100 or {API_SERVER}:443",
            shown(text)
        );
        return Err(at.refuse(why));
    }
    let valid_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match port {
        Some(port) if !valid_port(port) => {
            Err(at.refuse(format!("{} has no valid port; expected 1 to 65535", shown(text))))
        }
        _ => Ok(()),
    }
}

/// A node and its path.
struct At<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> At<'a> {
    fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, why)
    }

    fn under(&self, key: &str, node: &'a Node) -> At<'a> {
        let word =
            !key.is_empty() && key.len() <= 80 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let path = if word {
            format!("{}.{key}", self.path)
        } else {
            format!("{}[{}]", self.path, shown(key))
        };
        At { node, path }
    }

    fn is_null(&self) -> bool {
        matches!(self.node, Node::Scalar(scalar) if scalar.is_null())
    }

    /// The value of a key of a mapping; null is nothing, as it is to Prometheus.
    fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: FIELD.to_owned(),
        }
    }

    fn get(&self, key: &str) -> Option<At<'a>> {
        let Node::Mapping(entries) = self.node else {
            return None;
        };
        let (_, node) = entries.iter().find(|(name, _)| name.text == key)?;
        Some(self.under(key, node)).filter(|at| !at.is_null())
    }

    fn members(&self) -> Result<Vec<(&'a str, At<'a>)>, Error> {
        let Node::Mapping(entries) = self.node else {
            return Err(self.refuse(format!("expected a mapping, not {}", self.kind())));
        };
        let member = |(key, node): &'a (Scalar, Node)| (key.text.as_str(), self.under(&key.text, node));
        Ok(entries.iter().map(member).collect())
    }

    fn items(&self) -> Result<Vec<At<'a>>, Error> {
        let Node::Sequence(items) = self.node else {
            return Err(self.refuse(format!("expected a list, not {}", self.kind())));
        };
        let item = |(index, node)| At {
            node,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of a key's list; none when the key is absent.
    fn list(&self, key: &str) -> Result<Vec<At<'a>>, Error> {
        self.get(key).map_or(Ok(Vec::new()), |at| at.items())
    }

    fn text(&self) -> Result<&'a str, Error> {
        match self.node {
            Node::Scalar(scalar) if !scalar.is_null() => Ok(&scalar.text),
            _ => Err(self.refuse(format!("expected a text, not {}", self.kind()))),
        }
    }

    fn kind(&self) -> &'static str {
        match self.node {
            Node::Scalar(scalar) if scalar.is_null() => "nothing",
            Node::Scalar(_) => "a text",
            Node::Sequence(_) => "a list",
            Node::Mapping(_) => "a mapping",
        }
    }
}
