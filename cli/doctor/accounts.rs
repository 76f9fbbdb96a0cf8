//! The roles of source and target accounts.

use super::Finding;
use crate::{account::Account, credentials::Credentials};
use ampxa::{
    Error,
    names::{SOURCE_PROVISIONER, SOURCE_READER, TARGET_PROVISIONER, TARGET_READER},
};

/// Checks the roles of a source account.
pub(super) async fn source(credentials: &Credentials, id: &str, region: &str) -> Vec<Finding> {
    let check = format!("account {id}");
    match credentials.source(id, region).await {
        Ok(account) => {
            let template = "infra/source-account.yaml";
            roles(&account, &check, [SOURCE_READER, SOURCE_PROVISIONER], template).await
        }
        Err(error) => vec![unreachable(&check, &error)],
    }
}

/// Checks the roles of a target account.
pub(super) async fn target(credentials: &Credentials, id: &str, region: &str) -> Vec<Finding> {
    let check = format!("account {id}");
    match credentials.target(id, region).await {
        Ok(account) => {
            let template = "infra/target-account.yaml";
            roles(&account, &check, [TARGET_READER, TARGET_PROVISIONER], template).await
        }
        Err(error) => vec![unreachable(&check, &error)],
    }
}

/// Without access, it is not known whether the hub has access: the readers admit the hub and people apart.
fn unreachable(check: &str, error: &anyhow::Error) -> Finding {
    Finding::skip(
        check,
        format!(
            "not checked, because your credentials give no access; to check it, use --readers or --role-name: {error:#}"
        ),
    )
}

async fn roles(account: &Account, check: &str, names: [&str; 2], template: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in names {
        let response = account.iam().get_role().role_name(name).send().await;
        findings.push(match response {
            Ok(_) => Finding::ok(check, format!("the role {name} exists")),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_entity_exception()) =>
            {
                Finding::fail(
                    check,
                    format!("it has no role {name}"),
                    format!("Deploy {template} there"),
                )
            }
            Err(error) => match Error::from(error) {
                // The readers can read themselves and roles of pairs, not the provisioners.
                Error::AccessDenied(why) => Finding::skip(check, format!("role {name} not checked: {why}")),
                other => Finding::fail(check, other.to_string(), "Repeat the command"),
            },
        });
    }
    findings
}
