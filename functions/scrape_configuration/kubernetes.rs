//! The discovery of targets in Kubernetes (`discovery/kubernetes/kubernetes.go` of Prometheus). AMP's part of the rules
//! is that a scraper discovers only in its own cluster.

use super::{client, field::Field, keys::ROLES, problems::Problems};

/// Checks an item of `kubernetes_sd_configs`.
pub(super) fn check(discovery: &Field, problems: &mut Problems) {
    if discovery.members().is_err() {
        return;
    }
    if discovery.get("role").is_none() {
        problems.add(discovery.lacks("role", format!("expected one of {}", ROLES.join(", "))));
    }
    for key in ["api_server", "kubeconfig_file"] {
        if let Some(field) = discovery.get_text(key) {
            problems.add(field.invalid("AMP discovers targets only in the scraper's own cluster; remove it"));
        }
    }
    client::not_supported(discovery, problems);
    check_client(discovery, problems);
    check_selectors(discovery, problems);
}

/// Checks that the discovery has no options of the HTTP client. Prometheus refuses them without `api_server`.
fn check_client(discovery: &Field, problems: &mut Problems) {
    for key in [
        "authorization",
        "bearer_token_file",
        "enable_http2",
        "follow_redirects",
        "http_headers",
        "tls_config",
    ] {
        let Some(field) = discovery.get_text(key) else { continue };
        let is_default = match key {
            "enable_http2" | "follow_redirects" => !client::is_false(&field),
            // A structure whose fields are unset is the default. The other two are pointers in Prometheus.
            "tls_config" => {
                let members = field.members().unwrap_or_default();
                members
                    .iter()
                    .all(|(_, option)| option.is_unset() || client::is_false(option))
            }
            _ => false,
        };
        if !is_default {
            problems.add(field.invalid(
                "Prometheus accepts it only together with api_server, and AMP discovers only in the scraper's own \
                 cluster; remove it, or move it to the job",
            ));
        }
    }
}

/// Checks that each role has at most one selector, and only those that its discovery can use.
fn check_selectors(discovery: &Field, problems: &mut Problems) {
    let role = discovery.get("role").and_then(|role| role.text().ok());
    let allowed: &[&str] = match role {
        Some("pod") => &["pod", "node"],
        Some("service") => &["service"],
        Some("endpointslice") => &["pod", "service", "endpointslice"],
        Some("endpoints") => &["pod", "service", "endpoints"],
        Some("node") => &["node"],
        Some("ingress") => &["ingress"],
        _ => return,
    };
    let mut seen = Vec::new();
    for selector in discovery.list_or_empty("selectors") {
        let field = selector.get("role").unwrap_or_else(|| selector.clone());
        let text = selector
            .get("role")
            .and_then(|role| role.text().ok())
            .unwrap_or_default();
        if !allowed.contains(&text) {
            let allowed = allowed.join(", ");
            problems.add(field.invalid(format!(
                "a discovery of this role supports only the selectors {allowed}"
            )));
        } else if seen.contains(&text) {
            problems.add(field.invalid(format!(
                "a selector of the role {text} already exists; join them with a comma"
            )));
        }
        seen.push(text);
    }
}
