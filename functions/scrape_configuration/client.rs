//! The options of the HTTP client: of a job, for its targets, and of a discovery.
//!
//! The only secret that a scraper has is the token of its service account, and the only file its CA certificate (AMP
//! user guide, "Prometheus configuration for managed collectors"). Which options exclude each other: `HTTPClientConfig`
//! in `config/http_config.go` of prometheus/common.

use super::{
    field::Field,
    problems::{Problem, Problems},
};
use crate::input::shown;

const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Checks the options of a job.
pub(super) fn check(job: &Field, problems: &mut Problems) {
    not_supported(job, problems);
    problems.check(only_file(job, "bearer_token_file", TOKEN_FILE));
    if let Some(authorization) = job.get("authorization") {
        check_authorization(&authorization, problems);
        if let Some(file) = job.get_text("bearer_token_file") {
            problems.add(file.invalid("the job also has authorization; keep one of them"));
        }
    }
    if let Some(tls) = job.get("tls_config") {
        check_tls(&tls, problems);
    }
    check_headers(job, problems);
}

/// Adds a problem for each option that AMP does not support and that is set.
pub(super) fn not_supported(section: &Field, problems: &mut Problems) {
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
    for key in NOT_SUPPORTED {
        let Some(field) = section.get_text(key) else { continue };
        if key == "proxy_from_environment" && is_false(&field) {
            continue;
        }
        let why =
            format!("AMP does not support it; remove it, or use authorization with credentials_file: {TOKEN_FILE}");
        problems.add(field.invalid(why));
    }
}

/// Whether a field is a boolean that is false.
pub(super) fn is_false(field: &Field) -> bool {
    let words = ["false", "no", "off", "n"];
    field
        .scalar()
        .is_ok_and(|scalar| scalar.untyped && words.iter().any(|word| scalar.text.eq_ignore_ascii_case(word)))
}

fn check_authorization(authorization: &Field, problems: &mut Problems) {
    if problems.check(authorization.members()).is_none() {
        return;
    }
    if let Some(field) = authorization.get_text("type")
        && let Some(text) = problems.check(field.text())
        && text != "Bearer"
    {
        problems.add(field.invalid(format!("{} is not supported; expected Bearer", shown(text))));
    }
    for key in ["credentials", "credentials_ref"] {
        if let Some(field) = authorization.get_text(key) {
            let why = format!("a secret is not allowed here; use credentials_file: {TOKEN_FILE}");
            problems.add(field.invalid(why));
        }
    }
    let has_credentials = ["credentials", "credentials_file", "credentials_ref"]
        .iter()
        .any(|key| authorization.get_text(key).is_some());
    // A job of another type has that problem only.
    let is_bearer = authorization
        .get_text("type")
        .is_none_or(|kind| kind.text().is_ok_and(|text| text == "Bearer"));
    if is_bearer && !has_credentials {
        problems.add(authorization.lacks("credentials_file", format!("expected {TOKEN_FILE}")));
    }
    problems.check(only_file(authorization, "credentials_file", TOKEN_FILE));
}

fn check_tls(tls: &Field, problems: &mut Problems) {
    for (key, field) in tls.members().unwrap_or_default() {
        let is_secret = matches!(key, "cert" | "key") || key.ends_with("_ref");
        let is_file = key.ends_with("_file") && key != "ca_file";
        if (is_secret || is_file) && !field.is_unset() {
            problems.add(field.invalid(
                "the scraper has no such file or secret; only ca_file and insecure_skip_verify are supported",
            ));
        }
    }
    problems.check(only_file(tls, "ca_file", CA_FILE));
    if let (Some(ca), Some(_)) = (tls.get_text("ca"), tls.get_text("ca_file")) {
        problems.add(ca.invalid("tls_config also has ca_file; keep one of them"));
    }
}

/// Checks `http_headers`. Besides plain values, Prometheus has secrets and files.
fn check_headers(job: &Field, problems: &mut Problems) {
    // `ReservedHeaders` in `config/headers.go` of prometheus/common.
    const RESERVED: [&str; 18] = [
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "user-agent",
        "www-authenticate",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-prometheus-remote-read-version",
        "x-prometheus-remote-write-version",
        "x-prometheus-scrape-timeout-seconds",
    ];
    let headers = job.get("http_headers").and_then(|headers| headers.members().ok());
    for (name, header) in headers.unwrap_or_default() {
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            problems.add(header.invalid("Prometheus does not allow to set this header; remove it"));
        }
        for key in ["secrets", "files"] {
            if let Some(field) = header.get(key) {
                problems.add(field.invalid("the scraper has no secrets and no files; use values"));
            }
        }
    }
}

/// Checks that the path of a file, if given, is the only one that exists in the scraper.
fn only_file(section: &Field, key: &str, expected: &str) -> Result<(), Problem> {
    match section.get_text(key) {
        Some(field) if field.text()? != expected => Err(field.invalid(format!(
            "{} does not exist in the scraper; expected {expected}",
            shown(field.text()?)
        ))),
        _ => Ok(()),
    }
}
