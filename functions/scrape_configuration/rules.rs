//! AMP's rules for a scrape configuration (AMP user guide, "Using an AWS managed collector":
//! "Scraper configuration" and "Limitations"), with Prometheus' own where breaking them would be
//! found only after twenty minutes.

use super::yaml::Node;
use std::net::IpAddr;

/// The least time between two scrapes, in milliseconds.
const LEAST_INTERVAL: u64 = 30_000;
/// Prometheus' interval and timeout where none is given, in milliseconds.
const DEFAULT_INTERVAL: u64 = 60_000;
/// The one file that a job may take its authorization from.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The one certificate authority that a job may name.
const AUTHORITY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// What carries a secret, a file or a way around that AMP does not support.
const UNSUPPORTED: [&str; 14] = [
    "basic_auth",
    "bearer_token",
    "oauth2",
    "sigv4",
    "azuread",
    "google_iam",
    "proxy_url",
    "proxy_from_environment",
    "proxy_connect_header",
    "http_headers",
    "kubeconfig_file",
    "api_server",
    "password",
    "password_file",
];

/// A rule that is broken: where, and what would be right.
pub type Broken = (String, String);

/// Checks all rules.
///
/// # Errors
/// The first rule that is broken.
pub fn check(root: &Node) -> Result<(), Broken> {
    let Node::Mapping(_) = root else {
        return broken("", "expected a mapping with scrape_configs");
    };
    for (section, _) in root.entries() {
        let hint = match section {
            "global" | "scrape_configs" => continue,
            "remote_write" | "remote_read" => "the scraper writes to its workspace by itself",
            "alerting" | "rule_files" => "rules and alerts belong to the workspace",
            _ => "AMP supports global and scrape_configs",
        };
        return broken(
            &format!(".{section}"),
            &format!("this section is not supported; {hint}"),
        );
    }
    let global = root.get("global").filter(|global| !global.is_null());
    let interval = match global {
        Some(global) => check_global(global)?,
        None => DEFAULT_INTERVAL,
    };
    let jobs = root.get("scrape_configs").map_or(&[][..], Node::items);
    if jobs.is_empty() {
        return broken(".scrape_configs", "expected a list of at least one scrape job");
    }
    let mut names: Vec<&str> = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let at = format!(".scrape_configs[{i}]");
        let name = job.get("job_name").and_then(Node::as_text).unwrap_or_default();
        if name.is_empty() {
            return broken(&format!("{at}.job_name"), "expected a name");
        }
        if names.contains(&name) {
            return broken(
                &format!("{at}.job_name"),
                &format!("{name:?} is the name of another job too"),
            );
        }
        names.push(name);
        check_job(job, &at, interval)?;
    }
    Ok(())
}

fn check_global(global: &Node) -> Result<u64, Broken> {
    if !matches!(global, Node::Mapping(_)) {
        return broken(".global", "expected a mapping");
    }
    match global.get("external_labels") {
        None | Some(Node::Mapping(_)) => {}
        Some(labels) if labels.is_null() => {}
        Some(_) => return broken(".global.external_labels", "expected a mapping of names to values"),
    }
    let interval = check_interval(global, ".global", DEFAULT_INTERVAL)?;
    check_secrets(global, ".global")?;
    Ok(interval)
}

/// `scrape_interval` is at least 30 s, `scrape_timeout` at most the interval.
fn check_interval(section: &Node, at: &str, otherwise: u64) -> Result<u64, Broken> {
    let mut interval = otherwise;
    if let Some(node) = section.get("scrape_interval") {
        let at = format!("{at}.scrape_interval");
        let text = node.as_text().unwrap_or_default();
        match duration(text) {
            None => return broken(&at, &format!("{text:?} is no duration; expected one such as 30s or 1m")),
            Some(short) if short < LEAST_INTERVAL => {
                return broken(&at, &format!("{text:?} is below 30s, the least AMP allows"));
            }
            Some(good) => interval = good,
        }
    }
    if let Some(node) = section.get("scrape_timeout") {
        let at = format!("{at}.scrape_timeout");
        let text = node.as_text().unwrap_or_default();
        match duration(text) {
            None | Some(0) => return broken(&at, &format!("{text:?} is no duration; expected one such as 10s")),
            Some(long) if long > interval => {
                return broken(&at, &format!("{text:?} is longer than the scrape interval"));
            }
            Some(_) => {}
        }
    }
    Ok(interval)
}

/// A duration of Prometheus', such as `1m30s`, in milliseconds: units from long to short, each once.
fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut from, mut total) = (text, 0, 0u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = after.get(..letters)?;
        let which = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .filter(|which| *which >= from)?;
        total = total.checked_add(number.checked_mul(UNITS.get(which)?.1)?)?;
        from = which + 1;
        rest = after.get(letters..)?;
    }
    (!text.is_empty()).then_some(total)
}

fn check_job(job: &Node, at: &str, interval: u64) -> Result<(), Broken> {
    check_interval(job, at, interval)?;
    for (key, _) in job.entries() {
        if key.ends_with("_sd_configs") && key != "kubernetes_sd_configs" {
            let why = "this service discovery is not supported; use kubernetes_sd_configs or static_configs";
            return broken(&format!("{at}.{key}"), why);
        }
    }
    for (i, group) in job
        .get("static_configs")
        .map_or(&[][..], Node::items)
        .iter()
        .enumerate()
    {
        for (j, target) in group.get("targets").map_or(&[][..], Node::items).iter().enumerate() {
            let text = target.as_text().unwrap_or_default();
            if !is_address(text) {
                let why = format!(
                    "{text:?} is no IP address; expected one, with or without a port, or kubernetes.default.svc"
                );
                return broken(&format!("{at}.static_configs[{i}].targets[{j}]"), &why);
            }
        }
    }
    check_secrets(job, at)?;
    for (i, discovery) in job
        .get("kubernetes_sd_configs")
        .map_or(&[][..], Node::items)
        .iter()
        .enumerate()
    {
        check_secrets(discovery, &format!("{at}.kubernetes_sd_configs[{i}]"))?;
    }
    Ok(())
}

/// The scraper has one identity in the cluster, its service account, and reads no other file.
fn check_secrets(section: &Node, at: &str) -> Result<(), Broken> {
    for (key, value) in section.entries() {
        let here = format!("{at}.{key}");
        match key {
            key if UNSUPPORTED.contains(&key) => {
                return broken(
                    &here,
                    "this is not supported; a job authorizes with the service account's token or not at all",
                );
            }
            "bearer_token_file" => only(value, TOKEN, &here)?,
            "authorization" => {
                for (key, value) in value.entries() {
                    let here = format!("{here}.{key}");
                    match key {
                        "type" => only(value, "Bearer", &here)?,
                        "credentials_file" => only(value, TOKEN, &here)?,
                        _ => {
                            return broken(
                                &here,
                                &format!("this is not supported; expected credentials_file: {TOKEN}"),
                            );
                        }
                    }
                }
            }
            "tls_config" => {
                for (key, value) in value.entries() {
                    let here = format!("{here}.{key}");
                    match key {
                        "ca_file" => only(value, AUTHORITY, &here)?,
                        "cert_file" | "key_file" | "cert" | "key" => {
                            return broken(&here, "client certificates are not supported");
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn only(value: &Node, right: &str, at: &str) -> Result<(), Broken> {
    match value.as_text() {
        Some(text) if text == right => Ok(()),
        other => broken(
            at,
            &format!("{:?} is not supported; expected {right}", other.unwrap_or_default()),
        ),
    }
}

/// `10.0.0.1`, `10.0.0.1:9090`, `[fd00::1]:9090`, or the one name that AMP allows.
fn is_address(target: &str) -> bool {
    let (host, port) = match target.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (target, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (host == "kubernetes.default.svc" || host.parse::<IpAddr>().is_ok())
}

fn broken<T>(at: &str, why: &str) -> Result<T, Broken> {
    Err((at.to_owned(), why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("30000ms", 30_000),
            ("1h", 3_600_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Some(milliseconds), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "1s1m",
            "30 s",
            "-30s",
            "1.5m",
            "30S",
            "99999999999999999999y",
            "1m1m",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn static_targets_are_addresses() {
        for target in [
            "10.0.0.1",
            "10.0.0.1:9090",
            "[fd00::1]:9090",
            "fd00::1",
            "kubernetes.default.svc:443",
        ] {
            assert!(is_address(target), "{target}");
        }
        for target in [
            "example.com",
            "10.0.0.1:x",
            "10.0.0",
            "",
            ":9090",
            "kubernetes.default.svc.evil.com",
            "http://10.0.0.1",
        ] {
            assert!(!is_address(target), "{target}");
        }
    }
}
