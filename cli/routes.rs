//! Checks a routing table, and explains which rule routes a cluster. Makes no calls.

pub mod check;
pub mod explain;

use ampxa::routing::{Routes, Settings};
use anyhow::{Result, anyhow};

/// The parameters of a hub that routing needs. A table in a file is checked as one of a hub with access to AWS
/// Organizations.
pub fn settings(hub: &str) -> Settings {
    Settings {
        hub: hub.to_owned(),
        parameter: format!("/{hub}/routes"),
        default_workspace: String::new(),
        default_workspace_any_account: false,
        organizations: true,
    }
}

/// Parses a table. `origin` names it in messages: a file or a parameter.
///
/// # Errors
/// If the table is not valid, with the path of the field.
pub fn parse(table: Option<&str>, settings: &Settings, origin: &str) -> Result<Routes> {
    Routes::parse(table, settings).map_err(|error| {
        let parameter = format!("the parameter {}", settings.parameter);
        let message = error.to_string().replacen(&parameter, "the table", 1);
        anyhow!("{origin}: {message}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_the_path_of_the_field() {
        let error = |text: &str| {
            parse(Some(text), &settings("ampxa"), "routes.json")
                .unwrap_err()
                .to_string()
        };
        let invalid = error(r#"{"rules": [{"match": {"acounts": []}, "ignore": "x"}]}"#);
        let expected = "routes.json: routes: rules[0].match.acounts: unknown field; did you mean accounts?";
        assert_eq!(invalid, expected);
        let expected = "routes.json: routes: the table is not valid JSON: ";
        assert!(error("{").starts_with(expected), "{}", error("{"));
    }
}
