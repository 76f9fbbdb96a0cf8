//! Faults of calls and of processes in a run of the deployed functions. The simulation tries every fault at every call
//! (`tests/simulation/every_call.rs`); these tests prove that the real processes, clients and timeouts agree with it.
//!
//! Each test has two accounts of its own. The gate is checked against every version of the target role's trust policy,
//! and another scraper tries to write while the run goes on.

mod gate;
pub mod proxy;

use crate::{
    onboarding::is_onboarded,
    world::{Place, attempt, pair_of, text, world},
};
use ampxa_cli::execution::{self, Execution};
use driver::demo;
use proxy::{Fault, Planned};
use serde_json::{Value, json};
use std::time::Duration;

const ALWAYS: u32 = u32::MAX;
/// The time between two attempts of another scraper to write.
const PACE: Duration = Duration::from_millis(500);

/// Two accounts, a cluster and a workspace.
struct Stage {
    place: Place,
    request: Value,
}

impl Stage {
    async fn new() -> Self {
        Self::of(&demo::Cluster::named("faults")).await
    }

    /// The scraper of this stage's cluster fails, so that its onboarding is rolled back.
    async fn failing() -> Self {
        Self::of(&demo::Cluster::named("faults").tag("local:activation-fails", "cannot reach the API")).await
    }

    async fn of(cluster: &demo::Cluster) -> Self {
        let place = world().fresh_place();
        let request = place
            .pair_of(&cluster.clone().tag("local:activation-minutes", "2"))
            .await;
        Self { place, request }
    }

    /// Makes the calls fail that a function makes in its account: the target account for target roles, else the source
    /// account.
    fn plan(&self, function: &'static str, call: &'static str, fault: Fault, times: u32) {
        let planned = Planned {
            function,
            call,
            fault,
            times,
        };
        world().proxy.plan(self.account_of(function), planned);
    }

    /// Ends the fault, which must have happened.
    fn end(&self, function: &str) {
        assert_ne!(
            world().proxy.end(self.account_of(function)),
            0,
            "the fault did not happen"
        );
    }

    fn account_of(&self, function: &str) -> &str {
        match function.contains("target-role") {
            true => &self.place.target.id,
            false => &self.place.source.id,
        }
    }

    async fn onboard(&self) -> Execution {
        self.run(&world().onboard_arn).await
    }

    async fn offboard(&self) -> Execution {
        self.run(&world().offboard_arn).await
    }

    /// Runs a machine while another scraper tries to write.
    async fn run(&self, machine: &str) -> Execution {
        let pair = pair_of(&self.request);
        let roles = json!({
            "sourceRoleArn": pair.source_role_arn(),
            "targetRoleArn": pair.target_role_arn(),
            "workspaceArn": self.request["workspaceArn"],
        });
        let other = gate::other_scraper(&pair);
        let intrude = async {
            loop {
                tokio::time::sleep(PACE).await;
                let tried = attempt(&roles, &other);
                assert_eq!(tried["written"], false, "another scraper could write: {tried}");
            }
        };
        tokio::select! {
            run = execution::run(&self.place.hub, machine, &self.request) => run.expect("an execution"),
            () = intrude => unreachable!(),
        }
    }

    /// The run has connected the pair, exactly as an undisturbed run does.
    async fn is_connected(&self, run: &Execution) {
        let output = run
            .output
            .as_ref()
            .unwrap_or_else(|| panic!("{:?}: {:?}", run.error, run.cause));
        is_onboarded(&self.place, &self.request, output).await;
        assert_eq!(self.place.scrapers().await.len(), 1, "there is one scraper");
        let scraper = text(&output["scraperArn"]);
        assert_eq!(attempt(output, scraper)["written"], true);
        gate::never_opened_for_others(&pair_of(&self.request), Some(scraper));
    }

    /// The run has failed with an error and left the accounts as they were.
    fn is_as_before(&self, run: &Execution, error: &str, before: &Value) {
        assert_eq!(run.error.as_deref(), Some(error), "{:?}", run.cause);
        assert_eq!(self.place.resources(), *before, "resources were left or lost");
        gate::never_opened_for_others(&pair_of(&self.request), None);
    }
}

async fn onboards_despite(function: &'static str, call: &'static str, fault: Fault, times: u32) {
    let stage = Stage::new().await;
    stage.plan(function, call, fault, times);
    let run = stage.onboard().await;
    stage.end(function);
    stage.is_connected(&run).await;
}

async fn fails_and_leaves_nothing(function: &'static str, call: &'static str, fault: Fault, times: u32, error: &str) {
    let stage = Stage::new().await;
    let before = stage.place.resources();
    stage.plan(function, call, fault, times);
    let run = stage.onboard().await;
    stage.end(function);
    stage.is_as_before(&run, error, &before);
}

#[tokio::test]
async fn a_call_that_is_throttled_once_is_repeated() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::Throttled, 1).await;
}

#[tokio::test]
async fn a_call_that_is_always_throttled_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("create-scraper", "aps:CreateScraper");
    fails_and_leaves_nothing(function, call, Fault::Throttled, ALWAYS, "Transient").await;
}

#[tokio::test]
async fn a_patch_that_iam_answers_with_a_server_error_is_repeated() {
    onboards_despite("patch-trust-policies", "iam:UpdateAssumeRolePolicy", Fault::Failed, 1).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_effect_is_repeated() {
    onboards_despite("ensure-target-role", "iam:CreateRole", Fault::CutBefore, 1).await;
}

#[tokio::test]
async fn a_scraper_whose_creation_was_not_answered_is_not_created_twice() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::CutAfter, 1).await;
}

#[tokio::test]
async fn an_access_that_is_denied_once_is_not_repeated() {
    let (function, call) = ("ensure-target-role", "iam:PutRolePolicy");
    fails_and_leaves_nothing(function, call, Fault::Denied, 1, "AccessDenied").await;
}

#[tokio::test]
async fn a_patch_that_is_always_denied_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("patch-trust-policies", "iam:UpdateAssumeRolePolicy");
    fails_and_leaves_nothing(function, call, Fault::Denied, ALWAYS, "AccessDenied").await;
}

#[tokio::test]
async fn a_call_that_is_answered_after_the_client_gave_up_is_repeated() {
    onboards_despite("ensure-source-role", "iam:CreateRole", Fault::Slow, 1).await;
}

#[tokio::test]
async fn a_function_that_is_killed_after_it_created_the_scraper_finds_it() {
    onboards_despite("create-scraper", "aps:CreateScraper", Fault::Killed, 1).await;
}

#[tokio::test]
async fn a_function_that_is_always_killed_fails_the_run_which_is_rolled_back() {
    let (function, call) = ("check-scraper", "aps:DescribeScraper");
    fails_and_leaves_nothing(function, call, Fault::Killed, ALWAYS, "Runtime.ExitError").await;
}

#[tokio::test]
async fn roles_that_iam_does_not_show_for_thirty_seconds_are_waited_for() {
    let stage = Stage::new().await;
    for account in [&stage.place.source, &stage.place.target] {
        let delay = json!({ "account": account.id, "seconds": 30 });
        world().cloud.tell("visibility", &delay).unwrap();
    }
    let run = stage.onboard().await;
    stage.is_connected(&run).await;
}

async fn rolls_back_despite(function: &'static str, call: &'static str, fault: Fault, times: u32) {
    let stage = Stage::failing().await;
    let before = stage.place.resources();
    stage.plan(function, call, fault, times);
    let run = stage.onboard().await;
    stage.end(function);
    stage.is_as_before(&run, "ScraperFailed", &before);
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
    let stage = Stage::new().await;
    let before = stage.place.resources();
    let onboarding = stage.onboard().await;
    stage.is_connected(&onboarding).await;
    let function = "remove-target-role";
    stage.plan(function, "iam:DeleteRole", Fault::Throttled, ALWAYS);
    let failed = stage.offboard().await;
    assert_eq!(failed.error.as_deref(), Some("Transient"), "{:?}", failed.cause);
    stage.end(function);
    let finished = stage.offboard().await;
    assert!(finished.output.is_some(), "{:?}: {:?}", finished.error, finished.cause);
    assert_eq!(stage.place.resources(), before, "resources were left");
    let scraper = onboarding.output.unwrap()["scraperArn"].clone();
    gate::never_opened_for_others(&pair_of(&stage.request), Some(text(&scraper)));
}

#[tokio::test]
async fn a_repeated_onboarding_survives_a_server_error_and_changes_nothing() {
    let stage = Stage::new().await;
    let first = stage.onboard().await;
    stage.is_connected(&first).await;
    let before = stage.place.resources();
    let function = "ensure-target-role";
    stage.plan(function, "iam:GetRole", Fault::Failed, 1);
    let second = stage.onboard().await;
    stage.end(function);
    stage.is_connected(&second).await;
    assert_eq!(stage.place.resources(), before);
}
