//! Reconciles the clusters of many accounts and Regions with the routing table. In the order of the steps: the accounts
//! and Regions ([`check`]), which of them have pairs ([`accounts`]), the clusters of each location ([`clusters`]), whether
//! their workspaces accept them (`accepted`), the workspace of each cluster ([`route`]), clusters that do not exist any
//! more ([`orphans`]), and the [`report`] with the totals ([`summary`]). A [`finding`] is what the steps pass on.

mod accepted;
pub mod accounts;
pub mod clusters;
pub mod finding;
pub mod orphans;
pub mod report;
pub mod route;
pub mod summary;

use self::finding::Finding;
use crate::{
    VERSION,
    arn::{AccountId, ExecutionArn, Region, WorkspaceArn},
    aws::{Account, s3::Bucket},
    environment,
    error::Error,
    input::{self, Fields},
    request,
    routing::{self, Settings},
};
use aws_sdk_organizations::types::{AccountState, AccountStatus};
use serde::Serialize;
use serde_json::{Value, json};
use std::str::FromStr;

/// The request of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The accounts. Without them: the hub's `ReconcileAccounts`, or else all accounts of the organization.
    pub accounts: Option<Vec<AccountId>>,
    /// The Regions of each account. Without them: the hub's `ReconcileRegions`.
    pub regions: Option<Vec<Region>>,
    /// Whether to reconcile all accounts of the organization.
    pub organization: bool,
    /// How long to wait for the provisioner of an account, in minutes: 0 to 240, by default 0.
    pub provisioner_timeout_minutes: u32,
    /// The workspace of clusters that do not choose one by tag: an id or an ARN.
    pub workspace: Option<String>,
    /// Whether to offboard pairs that an event or a reconciliation connected, and that the routing table no longer names.
    pub remove_unrouted: bool,
    /// Whether to change anything.
    pub mode: request::Mode,
    /// The fingerprint of the only plan that may be applied.
    pub expected_plan: Option<String>,
    /// Whether clusters are connected or disconnected.
    pub action: Action,
}

/// What a reconciliation does with the clusters that it finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// It connects those that the routing table selects.
    #[default]
    Connect,
    /// It offboards all pairs of each cluster.
    Disconnect,
}

/// The input of [`check`].
#[derive(Debug)]
pub struct Input {
    /// The request.
    pub request: Request,
    /// The ARN of the reconciliation.
    pub execution: ExecutionArn,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"request": {…}, "execution": "…"}`. An error begins with the field that is not valid.
    fn try_from(input: Value) -> Result<Self, Error> {
        Ok(Self {
            request: Request::parse(&input["request"])?,
            execution: input::of_machine(&input["execution"])?,
        })
    }
}

impl Request {
    /// Parses a request. An error begins with the field that is not valid.
    ///
    /// # Errors
    /// `InvalidRequest` if a field is not valid.
    pub fn parse(request: &Value) -> Result<Self, Error> {
        let known = [
            "action",
            "mode",
            "expectedPlan",
            "accounts",
            "regions",
            "organization",
            "provisionerTimeoutMinutes",
            "workspace",
            "removeUnrouted",
        ];
        let fields = Fields::of(request, &known, "{}")?;
        let organization = fields.boolean("organization")?;
        let request = Self {
            accounts: fields.identifiers("accounts", "222222222222")?,
            regions: fields.identifiers("regions", "us-west-2")?,
            organization,
            provisioner_timeout_minutes: fields.whole_number("provisionerTimeoutMinutes", 0, 240)?.unwrap_or(0),
            workspace: fields.text("workspace")?.map(str::to_owned),
            remove_unrouted: fields.boolean("removeUnrouted")?,
            mode: fields.choice("mode", request::Mode::ALL)?,
            expected_plan: request::expected_plan(&fields)?,
            action: fields.choice(
                "action",
                [("CONNECT", Action::Connect), ("DISCONNECT", Action::Disconnect)],
            )?,
        };
        if organization && request.accounts.is_some() {
            let why = "not allowed together with accounts; remove one of the two";
            return Err(Error::invalid("organization", why));
        }
        let workspace = request.workspace.as_deref();
        if workspace.is_some_and(|workspace| workspace.is_empty() || workspace.len() > 256) {
            let why = "expected the id or ARN of a workspace, at most 256 bytes; or remove the field";
            return Err(Error::invalid("workspace", why));
        }
        for (field, is_given) in [
            ("workspace", workspace.is_some()),
            ("removeUnrouted", request.remove_unrouted),
        ] {
            if is_given && request.action == Action::Disconnect {
                let why =
                    "not allowed together with the action DISCONNECT, which offboards all pairs; remove one of the two";
                return Err(Error::invalid(field, why));
            }
        }
        if request.remove_unrouted && workspace.is_some() {
            let why = "not allowed together with workspace, which overrides the routing table; remove one of the two";
            return Err(Error::invalid("removeUnrouted", why));
        }
        Ok(request)
    }
}

/// The parameters of the hub's template.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// The accounts, separated by commas. Empty: all accounts of the organization.
    pub accounts: String,
    /// The Regions, separated by commas.
    pub regions: String,
}

impl Defaults {
    /// Reads `AMPXA_RECONCILE_ACCOUNTS` and `AMPXA_RECONCILE_REGIONS`. If the latter is empty: the Region of the hub.
    ///
    /// # Errors
    /// [`environment::Missing`] if one of them is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        let regions = environment::required("AMPXA_RECONCILE_REGIONS")?;
        Ok(Self {
            accounts: environment::required("AMPXA_RECONCILE_ACCOUNTS")?,
            regions: match regions.as_str() {
                "" => environment::required("AWS_REGION")?,
                _ => regions,
            },
        })
    }
}

/// The scope of a reconciliation.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The key of the object with the locations, in the hub's bucket.
    pub locations: String,
    /// The folder of the reconciliation in the bucket.
    pub folder: String,
    /// Whether the request chose neither accounts nor Regions.
    pub is_whole: bool,
    /// How long to wait for the provisioner of an account, in minutes.
    pub provisioner_timeout_minutes: u32,
    /// The workspace of clusters that do not choose one by tag.
    pub workspace: Option<String>,
    /// Whether to offboard pairs that the routing table no longer names.
    pub remove_unrouted: bool,
    /// Whether to change anything.
    pub mode: request::Mode,
    /// The fingerprint of the only plan that may be applied.
    pub expected_plan: Option<String>,
    /// Whether to plan each onboarding: to report it, or to compare the fingerprint.
    pub plans: bool,
    /// Whether to offboard all pairs.
    pub disconnects: bool,
    /// The version of ampxa.
    pub version: &'static str,
}

/// Determines the accounts and Regions, and which accounts have pairs. `target` returns access to the account of a
/// workspace. Validates the routing table, so that an error in it ends the reconciliation at once. Writes the locations
/// into the hub's bucket; reads everything else.
///
/// # Errors
/// `InvalidRequest` if no accounts are given, or if the routing table is not valid; and those of the calls.
pub async fn check(
    hub: &Account,
    bucket: &Bucket,
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
    settings: &Settings,
    defaults: &Defaults,
    Input { request, execution }: Input,
) -> Result<Output, Error> {
    let routes = routing::read(&hub.ssm(), settings).await?;
    let is_whole = request.accounts.is_none() && request.regions.is_none();
    if request.remove_unrouted && routes.rules.is_empty() {
        let why = "the routing table has no rules, so every pair of an event or a reconciliation would be offboarded; \
                   write the table, or leave this field out";
        return Err(Error::invalid("removeUnrouted", why));
    }
    let regions = match request.regions {
        Some(regions) => regions,
        None => items(&defaults.regions, "ReconcileRegions")?,
    };
    let configured = items(&defaults.accounts, "ReconcileAccounts")?;
    let accounts = match request.accounts {
        Some(accounts) => accounts,
        None if !request.organization && !configured.is_empty() => configured,
        None if settings.organizations => accounts_of(&hub.organizations()).await?,
        None if request.organization => {
            let why = "the hub has no access to AWS Organizations; deploy it with OrganizationsAccess=yes in the \
                       management account or a delegated administrator account, or give accounts instead";
            return Err(Error::invalid("organization", why));
        }
        None => {
            let why = "missing; expected a list of accounts, or the parameter ReconcileAccounts or \
                       OrganizationsAccess=yes of the hub's stack";
            return Err(Error::invalid("accounts", why));
        }
    };
    let target_roles = accounts::target_roles(&routes.all_workspaces(), target).await?;
    let folder = summary::folder(&execution);
    let locations = format!("{folder}locations.jsonl");
    bucket
        .put(&locations, &lines(&accounts, &regions, target_roles))
        .await?;
    Ok(Output {
        locations,
        folder,
        is_whole,
        provisioner_timeout_minutes: request.provisioner_timeout_minutes,
        workspace: request.workspace,
        remove_unrouted: request.remove_unrouted,
        disconnects: request.action == Action::Disconnect,
        plans: request.mode == request::Mode::Plan || request.expected_plan.is_some(),
        mode: request.mode,
        expected_plan: request.expected_plan,
        version: VERSION,
    })
}

/// The locations and the target roles that belong to no pair, one line of JSON each. Accounts that have pairs are first.
fn lines(accounts: &[AccountId], regions: &[Region], target_roles: accounts::TargetRoles) -> String {
    let may_have_pairs = |account: &AccountId| target_roles.may_have_pairs(account);
    let (with_pairs, others): (Vec<_>, Vec<_>) = accounts.iter().partition(|account| may_have_pairs(account));
    let locations = with_pairs.into_iter().chain(others).flat_map(|account| {
        regions.iter().enumerate().map(move |(index, region)| {
            Finding::Location(finding::Location {
                account: account.clone(),
                region: region.clone(),
                first: index == 0,
                has_pairs: may_have_pairs(account),
                unreachable: None,
                failure: None,
            })
        })
    });
    let roles = target_roles.ownerless.iter().cloned();
    let roles = roles.map(|role_arn| Finding::Role(finding::Role { role_arn }));
    locations
        .chain(roles)
        .map(|line| format!("{}\n", json!(line)))
        .collect()
}

/// Parses a parameter of the hub's stack: a list separated by commas. Duplicates are dropped.
fn items<T: FromStr<Err = String> + PartialEq>(list: &str, parameter: &str) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let item = item
            .parse()
            .map_err(|why| Error::invalid(parameter, format!("{why}; correct the parameter of the hub's stack")))?;
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items)
}

/// The active accounts of the organization.
async fn accounts_of(organizations: &aws_sdk_organizations::Client) -> Result<Vec<AccountId>, Error> {
    let mut pages = organizations.list_accounts().into_paginator().send();
    let mut accounts = Vec::new();
    while let Some(page) = pages.next().await {
        for account in page?.accounts.unwrap_or_default() {
            // AWS replaces the field Status by State; a response may have either (AWS Organizations API reference,
            // Account).
            let active = match account.state() {
                Some(state) => *state == AccountState::Active,
                None => account.status() == Some(&AccountStatus::Active),
            };
            if active {
                accounts.extend(account.id.and_then(|id| id.parse().ok()));
            }
        }
    }
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_has_the_default_values() {
        for request in [json!({}), json!({ "accounts": null, "organization": false })] {
            assert_eq!(Request::parse(&request), Ok(Request::default()));
        }
    }

    #[test]
    fn an_error_in_a_request_begins_with_the_field() {
        for (request, expected) in [
            (json!(null), "request: expected an object"),
            (
                json!({ "account": [] }),
                "account: unknown field; did you mean accounts?",
            ),
            (json!({ "accounts": [] }), "accounts: the array is empty"),
            (json!({ "accounts": "222222222222" }), "accounts: expected an array"),
            (json!({ "accounts": ["2222"] }), "accounts[0]: \"2222\" is not valid"),
            (
                json!({ "accounts": ["222222222222", "222222222222"] }),
                "accounts[1]: duplicate of accounts[0]",
            ),
            (json!({ "regions": ["oregon"] }), "regions[0]: \"oregon\" is not valid"),
            (json!({ "organization": "yes" }), "organization: expected true or false"),
            (
                json!({ "organization": true, "accounts": ["222222222222"] }),
                "organization: not allowed together with accounts",
            ),
            (
                json!({ "provisionerTimeoutMinutes": 241 }),
                "provisionerTimeoutMinutes: 241 is not valid",
            ),
            (
                json!({ "workspace": "" }),
                "workspace: expected the id or ARN of a workspace",
            ),
            (json!({ "workspace": 1 }), "workspace: expected a string"),
            (json!({ "mode": "DRY" }), "mode: \"DRY\" is not valid"),
            (json!({ "expectedPlan": "0a" }), "expectedPlan: \"0a\" is not valid"),
            (
                json!({ "removeUnrouted": "yes" }),
                "removeUnrouted: expected true or false",
            ),
            (json!({ "action": "REMOVE" }), "action: \"REMOVE\" is not valid"),
            (
                json!({ "action": "DISCONNECT", "workspace": "ws-1" }),
                "workspace: not allowed together with the action DISCONNECT",
            ),
            (
                json!({ "action": "DISCONNECT", "removeUnrouted": true }),
                "removeUnrouted: not allowed together with the action DISCONNECT",
            ),
            (
                json!({ "removeUnrouted": true, "workspace": "ws-1" }),
                "removeUnrouted: not allowed together with workspace",
            ),
        ] {
            let error = Request::parse(&request).unwrap_err();
            assert_eq!(error.name(), "InvalidRequest");
            assert!(
                error.to_string().starts_with(expected),
                "{error:?} does not begin with {expected:?}"
            );
        }
    }

    #[test]
    fn an_error_in_a_parameter_begins_with_its_name() {
        let error = items::<AccountId>("222222222222, x", "ReconcileAccounts").unwrap_err();
        assert!(
            error.to_string().starts_with("ReconcileAccounts: \"x\" is not valid"),
            "{error}"
        );
        let all = items::<AccountId>("222222222222,333333333333, 222222222222,", "ReconcileAccounts");
        assert_eq!(
            all.unwrap(),
            ["222222222222", "333333333333"].map(|id| id.parse::<AccountId>().unwrap())
        );
    }
}
