//! The addresses of targets.

/// The only host name that a static target may have.
pub(super) const API_SERVER: &str = "kubernetes.default.svc";

/// The host and the port of an address.
pub(super) fn host_and_port(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    }
}

/// Whether a text is a port.
pub(super) fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
