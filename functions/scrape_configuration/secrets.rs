//! Finds values in a configuration that look like credentials. They are accepted, because a name or a value can only
//! look like one.

use super::{field::Field, yaml::Node};

/// Parts of names of credentials, in lower case, without punctuation.
const NAMES: [&str; 12] = [
    "accesskey",
    "apikey",
    "authkey",
    "authorization",
    "bearer",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "token",
];

/// A warning for each parameter and header of a job that looks like a credential. It never contains the value.
pub(super) fn warnings(tree: &Node) -> Vec<String> {
    let mut warnings = Vec::new();
    for job in Field::root(tree).list("scrape_configs").unwrap_or_default() {
        for section in ["params", "http_headers"] {
            let members = job.get(section).and_then(|section| section.members().ok());
            for (name, field) in members.unwrap_or_default() {
                if is_credential_name(name) || has_credential(&field) {
                    warnings.push(format!(
                        "{} looks like a credential. Everyone who can read the scraper or the execution can read it. \
                         Remove it from the scrape configuration, and replace the credential.",
                        field.path
                    ));
                }
            }
        }
    }
    warnings
}

fn is_credential_name(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().any(|part| letters.contains(part))
}

/// Whether one of the values of a parameter (a list) or of a header (a list under `values`) is a credential.
fn has_credential(field: &Field) -> bool {
    let list = field.items().or_else(|_| field.list("values")).unwrap_or_default();
    let mut values = list.iter().filter_map(|value| value.text().ok());
    values.any(|value| is_credential(value.trim()))
}

/// Whether a value is an HTTP credential, a JSON Web Token, the id of an AWS access key, or a text such as `password=x`.
fn is_credential(value: &str) -> bool {
    let first_word = value.split_once(' ').map_or("", |(word, _)| word);
    let is_http = ["bearer", "basic"]
        .iter()
        .any(|scheme| first_word.eq_ignore_ascii_case(scheme));
    let is_key_id = value.len() == 20 && (value.starts_with("AKIA") || value.starts_with("ASIA"));
    let assigns = value.split(['&', ';', ',', ' ', '?']).any(|part| {
        let name = part.split_once(['=', ':']).map(|(name, _)| name);
        name.is_some_and(is_credential_name)
    });
    is_http || is_key_id || assigns || value.starts_with("eyJ")
}
