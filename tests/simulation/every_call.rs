//! Each call of each scenario fails with each kind of fault, once and repeatedly.

use crate::{
    every_step::assert_same,
    faults::{Fault, INVOKE, Kind},
    invariants::Snapshot,
    machine::End,
    scenarios::{Scenario, rollback_tasks},
    seeds,
    world::{RecordedCall, Setup},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// The maximum number of equal calls in one state that are tested: a polling loop makes many of them.
const MAX_EQUAL_CALLS: usize = 3;
/// The number of calls that a lasting fault hits in the rollback, which retries for hours.
const LASTING: usize = 12;

/// The states whose calls differ for a scraper that is adopted.
const ADOPTING: [&str; 5] = [
    "Check cluster",
    "Adopt scraper",
    "Create scraper",
    "Patch trust policies early",
    "Update scraper",
];

#[derive(Debug)]
struct Case {
    scenario: Scenario,
    call: RecordedCall,
    nth: usize,
    kind: Kind,
    lasts: bool,
}

fn cases() -> Vec<Case> {
    let rollback_tasks = rollback_tasks();
    let mut cases = Vec::new();
    for scenario in [
        Scenario::Fresh,
        Scenario::Unprepared,
        Scenario::Logging,
        Scenario::Adopting,
        Scenario::AdoptingFails,
        Scenario::Failing,
        Scenario::AlreadyOnboarded,
        Scenario::Offboard,
        Scenario::Expecting,
        Scenario::OffboardExpecting,
    ] {
        let mut seen: BTreeMap<RecordedCall, usize> = BTreeMap::new();
        for call in scenario.run(&Setup::calm("plain", 1), &[], false).calls {
            // The other calls are those of the scenarios before.
            let is_tested = match scenario {
                Scenario::Logging => call.state == "Update collector logs",
                Scenario::Unprepared => ["Prepare cluster", "Check cluster"].contains(&call.state.as_str()),
                Scenario::Failing | Scenario::AdoptingFails => rollback_tasks.contains(&call.state),
                Scenario::Adopting => ADOPTING.contains(&call.state.as_str()),
                Scenario::Expecting | Scenario::OffboardExpecting => call.state.starts_with("Plan "),
                _ => true,
            };
            if !is_tested {
                continue;
            }
            let nth = seen.entry(call.clone()).or_default();
            if *nth < MAX_EQUAL_CALLS {
                for kind in Kind::ALL {
                    for lasts in [false, true] {
                        let call = call.clone();
                        cases.push(Case {
                            scenario,
                            call,
                            nth: *nth,
                            kind,
                            lasts,
                        });
                    }
                }
            }
            *nth += 1;
        }
    }
    cases
}

impl Case {
    /// The allowed error names, and whether the execution may succeed.
    fn allowed(&self) -> (&'static [&'static str], bool) {
        let invokes = self.call.action == INVOKE;
        match (self.kind, invokes) {
            // The request names the pair, so an account that cannot be reached is left.
            (Kind::AccessDenied, false) if self.scenario == Scenario::Offboard && self.call.action == "AssumeRole" => {
                return (&["OffboardingIncomplete"], false);
            }
            // What a plan may not read is a prerequisite that is not met, so the plan is another one.
            (Kind::AccessDenied, false) if self.call.state.starts_with("Plan ") => {
                return (&["PlanChanged", "AccessDenied"], false);
            }
            // Logs that cannot be switched on are a warning.
            _ if self.call.state == "Update collector logs" => return (&[], true),
            // The first minute after the creation of the roles, the scraper's creation is attempted again.
            (Kind::AccessDenied, false) => {
                let has_new_roles = match self.scenario {
                    Scenario::Fresh => self.call.state == "Create scraper",
                    Scenario::Adopting => ["Create scraper", "Update scraper"].contains(&self.call.state.as_str()),
                    _ => false,
                };
                return match has_new_roles && !self.lasts {
                    true => (&[], true),
                    false => (&["AccessDenied"], false),
                };
            }
            (Kind::AccessDenied, true) => return (&["Lambda.AccessDeniedException"], false),
            _ if !self.lasts => return (&[], true),
            _ => {}
        }
        // If a write takes effect without a response, the next attempt finds its result and continues.
        let writes = ["Attach", "Create", "Delete", "Detach", "Put", "Tag", "Update"];
        let takes_effect = !invokes
            && matches!(
                self.kind,
                Kind::DisconnectedAfter | Kind::KilledAfter | Kind::NoResponse
            )
            && writes.iter().any(|verb| self.call.action.starts_with(verb));
        let names: &[&str] = match (self.kind, invokes) {
            (Kind::KilledBefore | Kind::KilledAfter, _) => &["Runtime.ExitError"],
            (Kind::Throttled, true) => &["Lambda.TooManyRequestsException"],
            (Kind::ServerError, true) => &["Lambda.ServiceException"],
            (Kind::NoResponse, true) => &["States.Timeout"],
            (_, true) => &["Lambda.SdkClientException"],
            (_, false) => &["Transient"],
        };
        (names, takes_effect)
    }

    /// Runs the case, checks its result, and returns the category for the statistics.
    fn check(&self, seed: u64) -> &'static str {
        let times = match (self.lasts, self.scenario) {
            (false, _) => 1,
            (true, scenario) if scenario.error().is_some() => LASTING,
            (true, _) => usize::MAX,
        };
        let fault = Fault::of(0, &self.call.state, &self.call.action, self.nth, times, self.kind);
        let repeat = self.scenario == Scenario::Offboard;
        // The same seed as in `cases`, so that the execution makes the same calls.
        let setup = Setup {
            number: seed,
            ..Setup::calm("calls", 1)
        };
        let outcome = self.scenario.run(&setup, &[fault], repeat);
        assert_eq!(outcome.injected, 1, "the fault was not injected: {self:?}");
        if let Some(error) = self.scenario.error() {
            assert_eq!(outcome.error(), Some(error), "{self:?}");
            assert_same(&outcome.before, &outcome.after);
            return "rolled back";
        }
        let (names, may_succeed) = self.allowed();
        match (&outcome.end, outcome.error()) {
            (_, Some(name)) => assert!(names.contains(&name), "{self:?}: {:?}", outcome.end),
            (end, None) => assert!(may_succeed && matches!(end, End::Succeeded(_)), "{self:?}: {end:?}"),
        }
        match (self.scenario, outcome.error()) {
            (Scenario::Offboard, _) => {
                assert!(
                    matches!(outcome.second_end, Some(End::Succeeded(_))),
                    "{self:?}: {:?}",
                    outcome.second_end
                );
                assert_same(&outcome.after, &Snapshot::default());
                "offboarded"
            }
            (Scenario::AlreadyOnboarded, None) => {
                assert_same(&outcome.before, &outcome.after);
                "unchanged"
            }
            (_, Some(_)) => {
                assert_same(&outcome.before, &outcome.after);
                "unchanged"
            }
            // The invariants at the end of the execution check that the pair is connected.
            (_, None) => "onboarded",
        }
    }
}

#[test]
fn every_fault_at_every_call_ends_in_a_consistent_state() {
    let cases = cases();
    let states: BTreeSet<&String> = cases.iter().map(|case| &case.call.state).collect();
    assert!(states.len() > 14, "{states:?}");
    let counts: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    seeds::each("every_fault_at_every_call", cases.len() as u64, |seed| {
        let category = cases[seed as usize].check(seed);
        *counts.lock().unwrap().entry(category).or_default() += 1;
    });
    println!("{} cases: {:?}", cases.len(), counts.into_inner().unwrap());
}
