//! The removal of the stacks of accounts: it fails while pairs exist, and keeps what removes them.

use crate::deployment::{Accounts, deployment};
use ampxa_cli::account::Account;

/// The names of the roles of ampxa in an account.
async fn roles(account: &Account) -> Vec<String> {
    let mut names = Vec::new();
    let mut roles = account.iam().list_roles().into_paginator().items().send();
    while let Some(role) = roles.next().await {
        let name = role.unwrap().role_name;
        if name.starts_with("ampxa-") {
            names.push(name);
        }
    }
    names.sort();
    names
}

fn sides(accounts: &Accounts) -> [(&'static str, &Account); 2] {
    [("source", &accounts.source), ("target", &accounts.target)]
}

#[tokio::test]
async fn a_stack_of_an_account_with_pairs_is_kept_with_working_roles_until_the_pairs_are_offboarded() {
    let accounts = deployment().new_accounts();
    let request = accounts.pair("kept").await;
    accounts.onboarded(&request).await;
    for (side, account) in sides(&accounts) {
        let before = roles(account).await;
        assert_eq!(before.len(), 3, "{before:?}");
        let status = deployment().delete_template(account, side).unwrap();
        assert_eq!(status.as_deref(), Some("DELETE_FAILED"), "{side}");
        assert_eq!(roles(account).await, before, "{side}");
    }
    // The roles still work: drift is repaired, and the pair is offboarded.
    accounts.onboarded(&request).await;
    accounts.offboarded(&request).await;
    for (side, account) in sides(&accounts) {
        let status = deployment().delete_template(account, side).unwrap();
        assert!(status.is_none_or(|status| status == "DELETE_COMPLETE"), "{side}");
        assert_eq!(roles(account).await, [""; 0], "{side}");
    }
    for (side, account) in sides(&accounts) {
        deployment().deploy_template(account, side).unwrap();
    }
    accounts.onboarded(&request).await;
    accounts.offboarded(&request).await;
}
