//! Faults of calls and of processes in a run of the deployed functions. The simulation tries every fault at every call
//! (`tests/simulation/every_call.rs`); these tests prove that the real processes, clients and timeouts agree with it.
//!
//! Each test has two accounts of its own. The gate is checked against every version of the target role's trust policy,
//! and another scraper attempts to write during the run.

mod gate;
pub mod proxy;

use crate::{
    deployment::{Accounts, attempt, deployment, pair_of, text, with},
    onboarding::assert_onboarded,
};
use ampxa_cli::execution::{self, Execution};
use driver::demo;
use proxy::{Fault, Planned};
use serde_json::{Value, json};
use std::time::Duration;

const ALWAYS: u32 = u32::MAX;
/// The time between two attempts of another scraper to write.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(500);

/// Two accounts with a cluster and a workspace.
struct Scenario {
    accounts: Accounts,
    request: Value,
}

impl Scenario {
    async fn new() -> Self {
        Self::of(&demo::Cluster::named("faults")).await
    }

    /// A scenario whose scraper fails, so that its onboarding is rolled back.
    async fn failing() -> Self {
        Self::of(&demo::Cluster::named("faults").tag("local:activation-fails", "cannot reach the API")).await
    }

    async fn of(cluster: &demo::Cluster) -> Self {
        let accounts = deployment().new_accounts();
        let request = accounts
            .pair_of(&cluster.clone().tag("local:activation-minutes", "2"))
            .await;
        Self { accounts, request }
    }

    /// Plans a fault for calls of a function in its account. That is the target account for steps on the target role,
    /// else the source account.
    fn plan(&self, function: &'static str, call: &'static str, fault: Fault, times: u32) {
        let planned = Planned {
            function,
            call,
            fault,
            times,
        };
        deployment().proxy.plan(self.account_of(function), planned);
    }

    /// Ends the fault; panics if it did not happen.
    fn end(&self, function: &str) {
        assert_ne!(
            deployment().proxy.end(self.account_of(function)),
            0,
            "the fault did not happen"
        );
    }

    fn account_of(&self, function: &str) -> &str {
        match function.contains("target-role") {
            true => &self.accounts.target.id,
            false => &self.accounts.source.id,
        }
    }

    async fn onboard(&self) -> Execution {
        self.run(&deployment().onboard_arn).await
    }

    async fn offboard(&self) -> Execution {
        self.run(&deployment().offboard_arn).await
    }

    /// Runs a state machine while another scraper attempts to write.
    async fn run(&self, machine: &str) -> Execution {
        let pair = pair_of(&self.request);
        let roles = json!({
            "sourceRoleArn": pair.source_role_arn(),
            "targetRoleArn": pair.target_role_arn(),
            "workspaceArn": self.request["workspaceArn"],
        });
        let other = gate::other_scraper(&pair);
        let attempts_of_other = async {
            loop {
                tokio::time::sleep(ATTEMPT_INTERVAL).await;
                let result = attempt(&roles, &other);
                assert_eq!(result["written"], false, "another scraper could write: {result}");
            }
        };
        tokio::select! {
            run = execution::run(&self.accounts.hub, machine, &self.request) => {
                run.expect("the execution could not be started or read")
            }
            () = attempts_of_other => unreachable!(),
        }
    }

    /// Asserts that the run has connected the pair, exactly as a run without faults does.
    async fn assert_connected(&self, run: &Execution) {
        let output = run
            .output
            .as_ref()
            .unwrap_or_else(|| panic!("{:?}: {:?}", run.error, run.cause));
        assert_onboarded(&self.accounts, &self.request, output).await;
        assert_eq!(self.accounts.scrapers().await.len(), 1, "expected one scraper");
        let scraper = text(&output["scraperArn"]);
        assert_eq!(attempt(output, scraper)["written"], true);
        gate::assert_admits_no_other(&pair_of(&self.request), Some(scraper));
    }

    /// Asserts that the run failed with an error and that the accounts are as before.
    fn assert_unchanged(&self, run: &Execution, error: &str, before: &Value) {
        assert_eq!(run.error.as_deref(), Some(error), "{:?}", run.cause);
        assert_eq!(self.accounts.resources(), *before, "resources are left or missing");
        gate::assert_admits_no_other(&pair_of(&self.request), None);
    }
}

async fn onboards_despite(function: &'static str, call: &'static str, fault: Fault, times: u32) {
    let scenario = Scenario::new().await;
    scenario.plan(function, call, fault, times);
    let run = scenario.onboard().await;
    scenario.end(function);
    scenario.assert_connected(&run).await;
}

async fn fails_and_leaves_nothing(function: &'static str, call: &'static str, fault: Fault, times: u32, error: &str) {
    let scenario = Scenario::new().await;
    let before = scenario.accounts.resources();
    scenario.plan(function, call, fault, times);
    let run = scenario.onboard().await;
    scenario.end(function);
    scenario.assert_unchanged(&run, error, &before);
}

#[tokio::test]
async fn a_call_that_is_throttled_once_is_retried() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::Throttled, 1).await;
}

#[tokio::test]
async fn a_call_that_is_always_throttled_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("create-scraper", "aps:CreateScraper");
    fails_and_leaves_nothing(function, call, Fault::Throttled, ALWAYS, "Transient").await;
}

#[tokio::test]
async fn a_patch_that_iam_answers_with_a_server_error_is_retried() {
    onboards_despite("patch-trust-policies", "iam:UpdateAssumeRolePolicy", Fault::Failed, 1).await;
}

#[tokio::test]
async fn a_call_whose_connection_is_closed_before_the_effect_is_retried() {
    onboards_despite("ensure-target-role", "iam:CreateRole", Fault::ClosedBefore, 1).await;
}

#[tokio::test]
async fn a_scraper_whose_creation_was_not_answered_is_not_created_twice() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::ClosedAfter, 1).await;
}

#[tokio::test]
async fn a_call_that_is_denied_once_is_not_retried() {
    let (function, call) = ("ensure-target-role", "iam:PutRolePolicy");
    fails_and_leaves_nothing(function, call, Fault::Denied, 1, "AccessDenied").await;
}

#[tokio::test]
async fn a_patch_that_is_always_denied_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("patch-trust-policies", "iam:UpdateAssumeRolePolicy");
    fails_and_leaves_nothing(function, call, Fault::Denied, ALWAYS, "AccessDenied").await;
}

/// AMP may reject roles that were created seconds ago.
#[tokio::test]
async fn a_scraper_whose_new_roles_amp_rejects_for_a_while_is_created() {
    for fault in [Fault::Invalid, Fault::Denied] {
        onboards_despite("create-scraper", "aps:CreateScraper", fault, 3).await;
    }
}

#[tokio::test]
async fn a_scraper_that_amp_always_rejects_fails_the_run_with_the_field_that_amp_names() {
    let scenario = Scenario::new().await;
    let before = scenario.accounts.resources();
    let function = "create-scraper";
    scenario.plan(function, "aps:CreateScraper", Fault::Invalid, ALWAYS);
    let run = scenario.onboard().await;
    // The first attempt, and one each 15 seconds for a minute.
    assert_eq!(deployment().proxy.end(&scenario.accounts.source.id), 5);
    scenario.assert_unchanged(&run, "InvalidRequest", &before);
    let cause = run.cause.unwrap_or_default();
    for text in [
        "aps:CreateScraper failed with ValidationException: The request is not valid.",
        "roleConfiguration: the role is not valid",
    ] {
        assert!(cause.contains(text), "{cause}");
    }
}

#[tokio::test]
async fn an_update_that_amp_rejects_fails_at_once_if_the_roles_existed() {
    let scenario = Scenario::new().await;
    let first = scenario.onboard().await;
    scenario.assert_connected(&first).await;
    let other = with(&scenario.request, json!({ "alias": "other" }));
    let function = "update-scraper";
    scenario.plan(function, "aps:UpdateScraper", Fault::Invalid, ALWAYS);
    let run = scenario.accounts.onboard(&other).await;
    assert_eq!(deployment().proxy.end(&scenario.accounts.source.id), 1);
    assert_eq!(run.error.as_deref(), Some("InvalidRequest"), "{:?}", run.cause);
    assert!(run.cause.unwrap_or_default().contains("roleConfiguration: the role"));
}

#[tokio::test]
async fn a_call_that_is_answered_after_the_client_timeout_is_retried() {
    onboards_despite("ensure-source-role", "iam:CreateRole", Fault::Slow, 1).await;
}

#[tokio::test]
async fn a_function_that_is_killed_after_it_created_the_scraper_continues_with_it() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::Killed, 1).await;
}

#[tokio::test]
async fn a_function_that_is_always_killed_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("check-scraper", "aps:DescribeScraper");
    fails_and_leaves_nothing(function, call, Fault::Killed, ALWAYS, "Runtime.ExitError").await;
}

#[tokio::test]
async fn onboarding_waits_for_roles_that_iam_does_not_show_for_thirty_seconds() {
    let scenario = Scenario::new().await;
    for account in [&scenario.accounts.source, &scenario.accounts.target] {
        let delay = json!({ "account": account.id, "seconds": 30 });
        deployment().cloud.tell("visibility", &delay).unwrap();
    }
    let run = scenario.onboard().await;
    scenario.assert_connected(&run).await;
}

async fn rolls_back_despite(function: &'static str, call: &'static str, fault: Fault, times: u32) {
    let scenario = Scenario::failing().await;
    let before = scenario.accounts.resources();
    scenario.plan(function, call, fault, times);
    let run = scenario.onboard().await;
    scenario.end(function);
    scenario.assert_unchanged(&run, "ScraperFailed", &before);
}

#[tokio::test]
async fn a_rollback_continues_after_access_was_denied_for_a_while() {
    rolls_back_despite("remove-target-role", "iam:DeleteRole", Fault::Denied, 3).await;
}

#[tokio::test]
async fn a_rollback_continues_after_its_function_was_killed() {
    rolls_back_despite("remove-scraper", "aps:DeleteScraper", Fault::Killed, 1).await;
}

#[tokio::test]
async fn an_offboarding_that_is_always_throttled_is_finished_by_the_next_one() {
    let scenario = Scenario::new().await;
    let before = scenario.accounts.resources();
    let onboarding = scenario.onboard().await;
    scenario.assert_connected(&onboarding).await;
    let function = "remove-target-role";
    scenario.plan(function, "iam:DeleteRole", Fault::Throttled, ALWAYS);
    let failed = scenario.offboard().await;
    assert_eq!(failed.error.as_deref(), Some("Transient"), "{:?}", failed.cause);
    scenario.end(function);
    let finished = scenario.offboard().await;
    assert!(finished.output.is_some(), "{:?}: {:?}", finished.error, finished.cause);
    assert_eq!(scenario.accounts.resources(), before, "resources are left");
    let scraper = onboarding.output.unwrap()["scraperArn"].clone();
    gate::assert_admits_no_other(&pair_of(&scenario.request), Some(text(&scraper)));
}

#[tokio::test]
async fn a_repeated_onboarding_succeeds_despite_a_server_error_and_changes_nothing() {
    let scenario = Scenario::new().await;
    let first = scenario.onboard().await;
    scenario.assert_connected(&first).await;
    let before = scenario.accounts.resources();
    let function = "ensure-target-role";
    scenario.plan(function, "iam:GetRole", Fault::Failed, 1);
    let second = scenario.onboard().await;
    scenario.end(function);
    scenario.assert_connected(&second).await;
    assert_eq!(scenario.accounts.resources(), before);
}
