//! Every call of every run, failing in every way, once and for long.

use crate::{
    every_step::same,
    faults::{Fault, INVOKE, Kind},
    invariants::Snapshot,
    machine::End,
    scenarios::{Scenario, undoing},
    seeds,
    world::{Made, Setup},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// Of what polls, so many of the same calls are tried.
const MOST: usize = 3;
/// For an undo, which goes on for hours, a fault that lasts ends after so many calls.
const LONG: usize = 12;

#[derive(Debug)]
struct Case {
    scenario: Scenario,
    call: Made,
    nth: usize,
    kind: Kind,
    lasts: bool,
}

fn cases() -> Vec<Case> {
    let undoing = undoing();
    let mut cases = Vec::new();
    for scenario in [Scenario::Fresh, Scenario::Failing, Scenario::Again, Scenario::Offboard] {
        let mut seen: BTreeMap<Made, usize> = BTreeMap::new();
        for call in scenario.play(&Setup::calm("plain", 1), &[], false).calls {
            if scenario == Scenario::Failing && !undoing.contains(&call.state) {
                continue;
            }
            let nth = seen.entry(call.clone()).or_default();
            if *nth < MOST {
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
    /// The names that it may fail under, and whether it may succeed.
    fn may(&self) -> (&'static [&'static str], bool) {
        let invokes = self.call.action == INVOKE;
        match (self.kind, invokes) {
            (Kind::Denied, false) => return (&["AccessDenied"], false),
            (Kind::Denied, true) => return (&["Lambda.AccessDeniedException"], false),
            _ if !self.lasts => return (&[], true),
            _ => {}
        }
        // What is done, though nobody hears so, is found done by the next try.
        let writes = ["Attach", "Create", "Delete", "Detach", "Put", "Tag", "Update"];
        let found_done = !invokes
            && matches!(self.kind, Kind::CutAfter | Kind::KilledAfter | Kind::Slow)
            && writes.iter().any(|verb| self.call.action.starts_with(verb));
        let names: &[&str] = match (self.kind, invokes) {
            (Kind::KilledBefore | Kind::KilledAfter, _) => &["Runtime.ExitError"],
            (Kind::Throttled, true) => &["Lambda.TooManyRequestsException"],
            (Kind::Broken, true) => &["Lambda.ServiceException"],
            (Kind::Slow, true) => &["States.Timeout"],
            (_, true) => &["Lambda.SdkClientException"],
            (_, false) => &["Transient"],
        };
        (names, found_done)
    }

    fn holds(&self, seed: u64) -> &'static str {
        let times = match (self.lasts, self.scenario) {
            (false, _) => 1,
            (true, Scenario::Failing) => LONG,
            (true, _) => usize::MAX,
        };
        let fault = Fault::of(0, &self.call.state, &self.call.action, self.nth, times, self.kind);
        let again = self.scenario == Scenario::Offboard;
        // By the same dice as the run that taught the calls.
        let setup = Setup {
            number: seed,
            ..Setup::calm("calls", 1)
        };
        let played = self.scenario.play(&setup, &[fault], again);
        assert_eq!(played.struck, 1, "the fault did not happen: {self:?}");
        if self.scenario == Scenario::Failing {
            assert_eq!(played.error(), Some("ScraperFailed"), "{self:?}");
            same(&played.before, &played.after);
            return "undone";
        }
        let (names, may_succeed) = self.may();
        match (&played.end, played.error()) {
            (_, Some(name)) => assert!(names.contains(&name), "{self:?}: {:?}", played.end),
            (end, None) => assert!(may_succeed && matches!(end, End::Succeeded(_)), "{self:?}: {end:?}"),
        }
        match (self.scenario, played.error()) {
            (Scenario::Offboard, _) => {
                assert!(
                    matches!(played.again, Some(End::Succeeded(_))),
                    "{self:?}: {:?}",
                    played.again
                );
                same(&played.after, &Snapshot::default());
                "offboarded"
            }
            (Scenario::Again, None) => {
                same(&played.before, &played.after);
                "as before"
            }
            (_, Some(_)) => {
                same(&played.before, &played.after);
                "as before"
            }
            // That it is connected was looked at when it ended.
            (_, None) => "onboarded",
        }
    }
}

#[test]
fn every_fault_at_every_call_ends_onboarded_or_clean() {
    let cases = cases();
    let states: BTreeSet<&String> = cases.iter().map(|case| &case.call.state).collect();
    assert!(states.len() > 14, "{states:?}");
    let sums: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    seeds::each("every_fault_at_every_call", cases.len() as u64, |seed| {
        let ended = cases[seed as usize].holds(seed);
        *sums.lock().unwrap().entry(ended).or_default() += 1;
    });
    println!("{} cases: {:?}", cases.len(), sums.into_inner().unwrap());
}
