//! The reconciliation of many accounts and Regions with the routing table. In running order: which accounts and Regions
//! ([`check`]), the clusters of each location ([`clusters`]), the workspace of each cluster ([`route`]), clusters that do
//! not exist any more ([`orphans`]), and the sums ([`summary`]).

pub mod clusters;
pub mod orphans;
pub mod route;
pub mod summary;

use crate::{
    arn::{is_account, is_region},
    error::Error,
    input::{Fields, shown, text},
    routing::{self, Settings},
};
use aws_sdk_organizations::types::{AccountState, AccountStatus};
use serde::Serialize;
use serde_json::Value;
use std::env;

/// Batches that accounts are dealt to, where there are enough of them.
const USUAL_BATCHES: usize = 100;
/// Batches that one reconciliation may have: what they answer must fit into Step Functions' 256 KiB.
const MOST_BATCHES: usize = 1000;
/// Accounts times Regions of one batch: its history must fit into Step Functions' 25,000 events.
const LOCATIONS_OF_A_BATCH: usize = 10;
/// Clusters that failed, and as many that were left alone, that a reconciliation's summary names over all batches.
const MOST_LISTED: usize = 150;
/// Clusters of one batch that the summary names, however few batches there are.
const MOST_LISTED_OF_A_BATCH: usize = 50;

/// What a reconciliation is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The accounts, 12 digits each; absent: the hub's `ReconcileAccounts`, else the organization's.
    pub accounts: Option<Vec<String>>,
    /// The Regions; absent: the hub's `ReconcileRegions`.
    pub regions: Option<Vec<String>>,
    /// Whether the accounts are all of the organization.
    pub organization: bool,
    /// Minutes that an account is given to have its provisioner: 0 to 240, 0 unless said otherwise.
    pub provisioner_timeout_minutes: u32,
    /// The workspace, by id or ARN, for clusters that choose none themselves.
    pub workspace: Option<String>,
}

impl TryFrom<Value> for Request {
    type Error = Error;

    /// Reads `{"request": {…}}`, and refuses by field what is wrong.
    fn try_from(input: Value) -> Result<Self, Error> {
        let known = [
            "accounts",
            "regions",
            "organization",
            "provisionerTimeoutMinutes",
            "workspace",
        ];
        let fields = Fields::of(&input["request"], &known, "{}")?;
        let list = |name, right: &str, valid: fn(&str) -> bool| {
            fields.list(name, &format!("\"{right}\""), |path, item| {
                let item = text(path, item)?;
                let wrong = || Error::invalid(path, format!("{} is none; expected such as {right}", shown(item)));
                valid(item).then(|| item.to_owned()).ok_or_else(wrong)
            })
        };
        let organization = match fields.get("organization") {
            None => false,
            Some(Value::Bool(all)) => *all,
            Some(_) => return Err(Error::invalid("organization", "expected true or false")),
        };
        let request = Self {
            accounts: list("accounts", "222222222222", is_account)?,
            regions: list("regions", "us-west-2", is_region)?,
            organization,
            provisioner_timeout_minutes: fields.whole("provisionerTimeoutMinutes", 0, 240)?.unwrap_or(0),
            workspace: fields.text("workspace")?.map(str::to_owned),
        };
        if organization && request.accounts.is_some() {
            let why = "all of the organization's accounts are reconciled then; leave out this, or accounts";
            return Err(Error::invalid("organization", why));
        }
        let workspace = request.workspace.as_deref();
        if workspace.is_some_and(|workspace| workspace.is_empty() || workspace.len() > 256) {
            let why = "expected a workspace's id or ARN, at most 256 bytes, or leave the field out";
            return Err(Error::invalid("workspace", why));
        }
        Ok(request)
    }
}

/// What the hub's template says of reconciliations.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Accounts, with commas between them; empty: the organization's.
    pub accounts: String,
    /// Regions, with commas between them.
    pub regions: String,
}

impl Defaults {
    /// `AMPXA_RECONCILE_ACCOUNTS` and `AMPXA_RECONCILE_REGIONS`; without the latter, the hub's own Region.
    pub fn from_environment() -> Self {
        let read = |name| env::var(name).unwrap_or_default();
        let regions = Some(read("AMPXA_RECONCILE_REGIONS")).filter(|regions| !regions.is_empty());
        Self {
            accounts: read("AMPXA_RECONCILE_ACCOUNTS"),
            regions: regions.unwrap_or_else(|| read("AWS_REGION")),
        }
    }
}

/// What a reconciliation goes through.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The accounts, dealt to batches that are reconciled side by side.
    pub batches: Vec<Batch>,
    /// The Regions of each account.
    pub regions: Vec<String>,
    /// Minutes that an account is given to have its provisioner.
    pub provisioner_timeout_minutes: u32,
    /// The workspace for clusters that choose none themselves.
    pub workspace: Option<String>,
    /// Clusters that failed, and as many that were left alone, that each batch names; the others are counted.
    pub max_listed: usize,
}

/// Accounts that one execution of the reconciliation's own fan-out goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// 12 digits each.
    pub accounts: Vec<String>,
}

/// Says what a reconciliation goes through; reads the routing table, so that a wrong one stops it at once.
///
/// # Errors
/// `InvalidRequest` when there is nothing to reconciliation, or too much for one reconciliation, or the table is wrong; and
/// as AWS answers.
pub async fn check(
    ssm: &aws_sdk_ssm::Client,
    organizations: &aws_sdk_organizations::Client,
    settings: &Settings,
    defaults: &Defaults,
    request: Request,
) -> Result<Output, Error> {
    routing::read(ssm, settings).await?;
    let regions = match request.regions {
        Some(regions) => regions,
        None => items(&defaults.regions, "ReconcileRegions", is_region)?,
    };
    let usual = items(&defaults.accounts, "ReconcileAccounts", is_account)?;
    let accounts = match request.accounts {
        Some(accounts) => accounts,
        None if !request.organization && !usual.is_empty() => usual,
        None if settings.organizations => accounts_of(organizations).await?,
        None if request.organization => {
            let why = "the hub may not ask AWS Organizations; update its stack with OrganizationsAccess=yes, in the \
                       management account or one that is a delegated administrator, or name accounts";
            return Err(Error::invalid("organization", why));
        }
        None => {
            let why =
                "missing; name them, or set the parameters ReconcileAccounts or OrganizationsAccess of the hub's stack";
            return Err(Error::invalid("accounts", why));
        }
    };
    let batches = batches(&accounts, regions.len())?;
    Ok(Output {
        max_listed: max_listed(batches.len()),
        batches,
        regions,
        provisioner_timeout_minutes: request.provisioner_timeout_minutes,
        workspace: request.workspace,
    })
}

/// How many clusters of a kind each of so many batches may name.
fn max_listed(batches: usize) -> usize {
    (MOST_LISTED / batches.max(1)).min(MOST_LISTED_OF_A_BATCH)
}

/// The items of a list with commas, as CloudFormation writes a CommaDelimitedList.
fn items(list: &str, parameter: &str, valid: fn(&str) -> bool) -> Result<Vec<String>, Error> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    let mut all: Vec<String> = Vec::new();
    for item in items {
        if !valid(item) {
            let why = format!("{} is none; mend the parameter of the hub's stack", shown(item));
            return Err(Error::invalid(parameter, why));
        }
        if !all.iter().any(|known| known == item) {
            all.push(item.to_owned());
        }
    }
    Ok(all)
}

/// The organization's accounts that are in use.
async fn accounts_of(organizations: &aws_sdk_organizations::Client) -> Result<Vec<String>, Error> {
    let mut pages = organizations.list_accounts().into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        for account in page?.accounts.unwrap_or_default() {
            // AWS retires the status for the state; an answer may tell either (AWS Organizations API
            // reference, Account).
            let active = match account.state() {
                Some(state) => *state == AccountState::Active,
                None => account.status() == Some(&AccountStatus::Active),
            };
            all.extend(account.id.filter(|_| active));
        }
    }
    Ok(all)
}

/// Accounts in batches of equal size; the last may be smaller.
fn batches(accounts: &[String], regions: usize) -> Result<Vec<Batch>, Error> {
    let most = (LOCATIONS_OF_A_BATCH / regions.max(1)).max(1);
    let size = accounts.len().div_ceil(USUAL_BATCHES).clamp(1, most);
    let batch = |accounts: &[String]| Batch {
        accounts: accounts.to_vec(),
    };
    let batches: Vec<Batch> = accounts.chunks(size).map(batch).collect();
    if batches.len() > MOST_BATCHES {
        let (accounts, most) = (accounts.len(), MOST_BATCHES * most);
        return Err(Error::invalid(
            "accounts",
            format!(
                "{accounts} accounts in {regions} Regions are too many for one reconciliation, which takes {most}; reconciliation fewer \
                 Regions, or a part of the accounts, at a time"
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

    fn accounts(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:012}")).collect()
    }

    #[test]
    fn a_reconciliation_of_nothing_in_particular_is_a_request() {
        for request in [json!({}), json!({ "accounts": null, "organization": false })] {
            let request = Request::try_from(json!({ "request": request }));
            assert_eq!(request, Ok(Request::default()));
        }
    }

    #[test]
    fn what_is_wrong_in_a_request_is_named_by_its_field() {
        for (request, says) in [
            (json!(null), "request: expected an object"),
            (
                json!({ "account": [] }),
                "account: unknown field; did you mean accounts?",
            ),
            (json!({ "accounts": [] }), "accounts: it is empty"),
            (json!({ "accounts": "222222222222" }), "accounts: expected an array"),
            (json!({ "accounts": ["2222"] }), "accounts[0]: \"2222\" is none"),
            (
                json!({ "accounts": ["222222222222", "222222222222"] }),
                "accounts[1]: it is accounts[0] already",
            ),
            (json!({ "regions": ["oregon"] }), "regions[0]: \"oregon\" is none"),
            (json!({ "organization": "yes" }), "organization: expected true or false"),
            (
                json!({ "organization": true, "accounts": ["222222222222"] }),
                "organization: all of the organization's accounts",
            ),
            (
                json!({ "provisionerTimeoutMinutes": 241 }),
                "provisionerTimeoutMinutes: 241 is out of range",
            ),
            (json!({ "workspace": "" }), "workspace: expected a workspace's id"),
            (json!({ "workspace": 1 }), "workspace: expected a string"),
        ] {
            let why = Request::try_from(json!({ "request": request })).unwrap_err();
            assert_eq!(why.name(), "InvalidRequest");
            assert!(
                why.to_string().starts_with(says),
                "{why:?} does not begin with {says:?}"
            );
        }
    }

    #[test]
    fn more_than_one_reconciliation_can_tell_is_refused() {
        assert_eq!(batches(&accounts(10_000), 1).unwrap().len(), 1000);
        assert_eq!(batches(&accounts(500), 3).unwrap().len(), 167);
        let why = batches(&accounts(1001), 17).unwrap_err().to_string();
        assert!(
            why.starts_with("accounts: 1001 accounts in 17 Regions are too many"),
            "{why}"
        );
    }

    #[test]
    fn a_parameter_that_is_no_list_of_accounts_is_named() {
        let why = items("222222222222, x", "ReconcileAccounts", is_account).unwrap_err();
        assert!(why.to_string().starts_with("ReconcileAccounts: \"x\" is none"), "{why}");
        let all = items(
            "222222222222,333333333333, 222222222222,",
            "ReconcileAccounts",
            is_account,
        );
        assert_eq!(all.unwrap(), ["222222222222", "333333333333"]);
    }

    /// What a batch answers when everything went as wrong as it can, as `statemachine/reconcile.asl.yaml` shortens it.
    fn longest_answer(max_listed: usize) -> Value {
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
        ];
        let counts: serde_json::Map<_, _> = outcomes
            .iter()
            .map(|outcome| ((*outcome).to_owned(), json!(9999)))
            .collect();
        let cluster = format!(
            "arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/{}",
            "x".repeat(100)
        );
        let failed = json!({ "clusterArn": cluster, "error": "StaleScraperNotDeleted", "cause": "\"".repeat(200) });
        let skipped = json!({ "clusterArn": cluster, "reason": "\"".repeat(200) });
        json!({ "counts": counts, "failed": vec![failed; max_listed], "skipped": vec![skipped; max_listed] })
    }

    #[test]
    fn what_all_groups_answer_fits_into_the_payload_however_many_there_are() {
        for batches in 1..=MOST_BATCHES {
            let answer = longest_answer(max_listed(batches)).to_string();
            assert!(
                batches * (answer.len() + 1) < 256 * 1024,
                "{batches} batches: {} bytes each",
                answer.len()
            );
        }
    }

    proptest! {
        #[test]
        fn every_account_is_dealt_to_one_group_and_no_group_is_too_large(count in 1_usize..3000, regions in 1_usize..35) {
            let all = accounts(count);
            if let Ok(batches) = batches(&all, regions) {
                prop_assert_eq!(batches.iter().flat_map(|batch| batch.accounts.clone()).collect::<Vec<_>>(), all);
                prop_assert!(batches.len() <= MOST_BATCHES);
                for batch in batches {
                    prop_assert!(batch.accounts.len() == 1 || batch.accounts.len() * regions <= LOCATIONS_OF_A_BATCH);
                }
            }
        }
    }
}
