//! Reconciles the clusters of many accounts and Regions with the routing table. In the order of the steps: the accounts
//! and Regions ([`check`]), which of them have pairs ([`accounts`]), the clusters of each location ([`clusters`]), whether
//! their workspaces accept them (`accepted`), the workspace of each cluster ([`route`]), clusters that do not exist any
//! more ([`orphans`]), and the totals ([`summary`]).

mod accepted;
pub mod accounts;
pub mod clusters;
pub mod orphans;
pub mod route;
pub mod summary;

use crate::{
    arn::{AccountId, Region, WorkspaceArn},
    aws::Account,
    environment,
    error::Error,
    input::Fields,
    routing::{self, Settings},
};
use aws_sdk_organizations::types::{AccountState, AccountStatus};
use serde::Serialize;
use serde_json::Value;
use std::{mem, str::FromStr};

/// The number of batches into which accounts are divided, if there are enough accounts.
const DEFAULT_BATCHES: usize = 100;
/// The maximum number of batches. Their output must fit into Step Functions' payload of 256 KiB.
const MAX_BATCHES: usize = 800;
/// The maximum number of locations of a batch. Their summaries must fit into Step Functions' payload of 256 KiB.
const MAX_LOCATIONS_PER_BATCH: usize = 10;
/// The maximum length of each list of the summary.
const MAX_LISTED: usize = 80;
/// The same maximum for one batch.
const MAX_LISTED_PER_BATCH: usize = 40;

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
}

impl TryFrom<Value> for Request {
    type Error = Error;

    /// Parses `{"request": {…}}`. An error begins with the field that is not valid.
    fn try_from(input: Value) -> Result<Self, Error> {
        let known = [
            "accounts",
            "regions",
            "organization",
            "provisionerTimeoutMinutes",
            "workspace",
            "removeUnrouted",
        ];
        let fields = Fields::of(&input["request"], &known, "{}")?;
        let organization = fields.boolean("organization")?;
        let request = Self {
            accounts: fields.identifiers("accounts", "222222222222")?,
            regions: fields.identifiers("regions", "us-west-2")?,
            organization,
            provisioner_timeout_minutes: fields.whole_number("provisionerTimeoutMinutes", 0, 240)?.unwrap_or(0),
            workspace: fields.text("workspace")?.map(str::to_owned),
            remove_unrouted: fields.boolean("removeUnrouted")?,
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
    /// The accounts, in batches that are reconciled in parallel.
    pub batches: Vec<Batch>,
    /// The Regions of each account.
    pub regions: Vec<Region>,
    /// How long to wait for the provisioner of an account, in minutes.
    pub provisioner_timeout_minutes: u32,
    /// The workspace of clusters that do not choose one by tag.
    pub workspace: Option<String>,
    /// Whether to offboard pairs that the routing table no longer names.
    pub remove_unrouted: bool,
    /// The outcomes of target roles that belong to no pair.
    pub outcomes: Vec<summary::Outcome>,
    /// The maximum length of each list of a batch. Others are only counted.
    pub max_listed: usize,
}

/// The accounts of one child execution of the distributed Map. Each is in one of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// The accounts that have pairs, or may have some.
    pub accounts_with_pairs: Vec<AccountId>,
    /// The other accounts.
    pub accounts: Vec<AccountId>,
}

/// Determines the accounts and Regions, and which accounts have pairs. `target` returns access to the account of a
/// workspace. Validates the routing table, so that an error in it ends the reconciliation at
/// once. Read-only.
///
/// # Errors
/// `InvalidRequest` if no accounts are given, if the locations are too many for one reconciliation, or if the routing
/// table is not valid; and those of the calls.
pub async fn check(
    ssm: &aws_sdk_ssm::Client,
    organizations: &aws_sdk_organizations::Client,
    target: impl AsyncFn(&WorkspaceArn) -> Result<Account, Error>,
    settings: &Settings,
    defaults: &Defaults,
    request: Request,
) -> Result<Output, Error> {
    let routes = routing::read(ssm, settings).await?;
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
        None if settings.organizations => accounts_of(organizations).await?,
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
    let mut batches = batches(&accounts, regions.len())?;
    let target_roles = accounts::target_roles(&routes.all_workspaces(), target).await?;
    for batch in &mut batches {
        let all = mem::take(&mut batch.accounts);
        (batch.accounts_with_pairs, batch.accounts) = all.into_iter().partition(|id| target_roles.may_have_pairs(id));
    }
    Ok(Output {
        outcomes: target_roles
            .ownerless
            .into_iter()
            .map(summary::Outcome::ownerless_role)
            .collect(),
        remove_unrouted: request.remove_unrouted,
        max_listed: max_listed(batches.len()),
        batches,
        regions,
        provisioner_timeout_minutes: request.provisioner_timeout_minutes,
        workspace: request.workspace,
    })
}

/// The maximum length of each list of a batch, for a number of batches.
fn max_listed(batches: usize) -> usize {
    (MAX_LISTED / batches.max(1)).min(MAX_LISTED_PER_BATCH)
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

/// Divides accounts into batches of equal size; the last one may be smaller.
fn batches(accounts: &[AccountId], regions: usize) -> Result<Vec<Batch>, Error> {
    let max_size = (MAX_LOCATIONS_PER_BATCH / regions.max(1)).max(1);
    let size = accounts.len().div_ceil(DEFAULT_BATCHES).clamp(1, max_size);
    let batch = |accounts: &[AccountId]| Batch {
        accounts: accounts.to_vec(),
        ..Batch::default()
    };
    let batches: Vec<Batch> = accounts.chunks(size).map(batch).collect();
    if batches.len() > MAX_BATCHES {
        let (accounts, max_accounts) = (accounts.len(), MAX_BATCHES * max_size);
        return Err(Error::invalid(
            "accounts",
            format!(
                "{accounts} accounts are too many for one reconciliation of {regions} Regions; at most {max_accounts} \
                 are allowed. Split the accounts or the Regions into several reconciliations"
            ),
        ));
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn accounts(count: usize) -> Vec<AccountId> {
        (0..count).map(|n| format!("{n:012}").parse().unwrap()).collect()
    }

    #[test]
    fn an_empty_request_has_the_default_values() {
        for request in [json!({}), json!({ "accounts": null, "organization": false })] {
            let request = Request::try_from(json!({ "request": request }));
            assert_eq!(request, Ok(Request::default()));
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
            (
                json!({ "removeUnrouted": "yes" }),
                "removeUnrouted: expected true or false",
            ),
            (
                json!({ "removeUnrouted": true, "workspace": "ws-1" }),
                "removeUnrouted: not allowed together with workspace",
            ),
        ] {
            let error = Request::try_from(json!({ "request": request })).unwrap_err();
            assert_eq!(error.name(), "InvalidRequest");
            assert!(
                error.to_string().starts_with(expected),
                "{error:?} does not begin with {expected:?}"
            );
        }
    }

    #[test]
    fn more_batches_than_the_maximum_are_refused() {
        assert_eq!(batches(&accounts(8_000), 1).unwrap().len(), 800);
        assert_eq!(batches(&accounts(500), 3).unwrap().len(), 167);
        let error = batches(&accounts(801), 17).unwrap_err().to_string();
        assert!(
            error.starts_with("accounts: 801 accounts are too many for one reconciliation of 17 Regions"),
            "{error}"
        );
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

    /// The largest output of a batch, with texts that are shortened as in `statemachine/reconcile.asl.yaml`.
    fn largest_output(max_listed: usize) -> Value {
        let outcomes = [
            "ONBOARDED",
            "REPAIRED",
            "UNCHANGED",
            "SKIPPED",
            "FAILED",
            "OFFBOARDED",
            "ORPHAN_SEEN",
            "ORPHAN_RECOVERED",
            "UNREACHABLE",
            "UNREACHABLE_WITH_PAIRS",
            "UNROUTED",
            "NOT_ACCEPTED",
            "CONSENT_UNKNOWN",
            "OWNERLESS",
        ];
        let cluster = format!(
            "arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/{}",
            "x".repeat(100)
        );
        let text = "\"".repeat(200);
        let failed = json!({ "clusterArn": cluster, "error": "StaleScraperNotDeleted", "cause": text });
        let skipped = json!({ "clusterArn": cluster, "reason": text });
        let unreachable = json!({ "account": "222222222222", "reason": text, "hasPairs": false });
        let workspace = format!(
            "arn:aws-us-gov:aps:us-gov-west-1:222222222222:workspace/ws-{}",
            "x".repeat(61)
        );
        let unrouted = json!({ "clusterArn": cluster, "workspaceArn": workspace });
        let role = format!("arn:aws-us-gov:iam::222222222222:role/{}", "x".repeat(128));
        let list = |listed: Value| vec![serde_json::from_value(listed).unwrap(); max_listed];
        json!(summary::Summary {
            counts: outcomes.iter().map(|outcome| ((*outcome).to_owned(), 9999)).collect(),
            failed: list(failed),
            skipped: list(skipped),
            unreachable: list(unreachable),
            unrouted: list(unrouted),
            not_accepted: list(json!({ "clusterArn": cluster, "workspaceArn": workspace, "reason": text })),
            ownerless_roles: list(json!({ "roleArn": role })),
            more_failed: 9999,
            lost: 0,
        })
    }

    #[test]
    fn the_output_of_all_batches_fits_into_the_payload() {
        assert!(largest_output(MAX_LISTED).to_string().len() < 256 * 1024);
        for batches in 1..=MAX_BATCHES {
            let output = largest_output(max_listed(batches)).to_string();
            assert!(
                batches * (output.len() + 1) < 256 * 1024,
                "{batches} batches: {} bytes each",
                output.len()
            );
        }
    }

    /// `statemachine/reconcile.asl.yaml` divides 20 entries of each list among the groups of an inventory, and 80 among
    /// the locations of a batch.
    #[test]
    fn the_results_of_a_location_and_of_a_batch_fit_into_the_payload() {
        let size = |max_listed: usize| largest_output(max_listed).to_string().len();
        // The summary so far, those of all groups, and that of the inventory, which has two of the six lists.
        let groups = |number: usize| number * size(20 / number);
        for number in 1..=20 {
            let results = size(MAX_LISTED_PER_BATCH) + groups(number) + size(MAX_LISTED_PER_BATCH) / 3;
            assert!(results < 256 * 1024, "{number} groups: {results} bytes");
        }
        // While the groups run, the state has the inventory instead of their results.
        assert!(clusters::MAX_INVENTORY + size(MAX_LISTED_PER_BATCH) * 4 / 3 < 256 * 1024);
        for locations in 1..=40 {
            let results = locations * size((80 / locations).min(MAX_LISTED_PER_BATCH));
            assert!(results < 256 * 1024, "{locations} locations: {results} bytes");
        }
    }

    proptest! {
        #[test]
        fn every_account_is_in_one_batch_and_no_batch_is_too_large(count in 1_usize..3000, regions in 1_usize..35) {
            let all = accounts(count);
            if let Ok(batches) = batches(&all, regions) {
                prop_assert_eq!(batches.iter().flat_map(|batch| batch.accounts.clone()).collect::<Vec<_>>(), all);
                prop_assert!(batches.len() <= MAX_BATCHES);
                for batch in batches {
                    prop_assert!(batch.accounts.len() == 1 || batch.accounts.len() * regions <= MAX_LOCATIONS_PER_BATCH);
                }
            }
        }
    }
}
