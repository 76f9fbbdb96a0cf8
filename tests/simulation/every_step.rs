//! What holds for every step, whichever it is: twice is as good as once, and a failure leaves
//! nothing behind.

use crate::{
    faults::{Fault, INVOKE, Kind},
    invariants::{Snapshot, difference},
    machine::End,
    scenarios::{Played, Scenario, undoing},
    seeds,
    world::{Setup, simulate},
};

/// Snapshots as they are but for when a scraper was made.
fn timeless(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for thing in snapshot.0.values_mut() {
        thing.as_object_mut().expect("an object").remove("madeAt");
    }
    snapshot
}

pub fn same(one: &Snapshot, other: &Snapshot) {
    let (one, other) = (timeless(one), timeless(other));
    assert!(one == other, "{}", difference(&one, &other));
}

#[test]
fn every_step_may_run_twice() {
    seeds::each("every_step_may_run_twice", Scenario::ALL.len() as u64, |seed| {
        let scenario = Scenario::ALL[seed as usize];
        let once = scenario.play(&Setup::calm("once", seed), &[], false);
        let twice = Setup {
            twice: true,
            ..Setup::calm("once", seed)
        };
        let twice = scenario.play(&twice, &[], false);
        assert_eq!(once.error(), twice.error(), "{scenario:?}");
        assert_eq!(once.error(), (scenario == Scenario::Failing).then_some("ScraperFailed"));
        same(&once.after, &twice.after);
    });
}

#[test]
fn a_failure_at_any_step_leaves_the_accounts_as_before() {
    let undoing = undoing();
    let mut cases = Vec::new();
    for scenario in Scenario::ALL {
        let tasks = scenario.play(&Setup::calm("plain", 0), &[], false).tasks();
        for task in &tasks - &undoing {
            for kind in [Kind::Broken, Kind::KilledAfter] {
                cases.push((scenario, task.clone(), kind));
            }
        }
    }
    assert!(cases.len() > 80, "{}", cases.len());
    seeds::each("a_failure_at_any_step", cases.len() as u64, |seed| {
        let (scenario, task, kind) = &cases[seed as usize];
        let offboards = scenario.machine() == "offboard";
        let fault = Fault::of(0, task, INVOKE, 0, usize::MAX, *kind);
        let played = scenario.play(&Setup::calm("failure", seed), &[fault], offboards);
        let name = match kind {
            Kind::Broken => "Lambda.ServiceException",
            _ => "Runtime.ExitError",
        };
        assert_eq!(
            (played.struck, played.error()),
            (1, Some(name)),
            "{scenario:?} {task} {kind:?}"
        );
        match scenario {
            // What a dead scraper leaves behind is nobody's loss; the roles stay.
            Scenario::DeadScraper => roles_as_before(&played),
            // Offboarding again takes away what is left.
            Scenario::Offboard | Scenario::OffboardAll => {
                assert!(matches!(played.again, Some(End::Succeeded(_))), "{played:?}");
                same(&played.after, &Snapshot::default());
            }
            // What was repaired before the failure stays repaired, but nothing is made or lost.
            Scenario::OtherAlias => assert!(played.before.0.keys().eq(played.after.0.keys())),
            _ => same(&played.before, &played.after),
        }
    });
}

fn roles_as_before(played: &Played) {
    let roles = |snapshot: &Snapshot| {
        let mut snapshot = snapshot.clone();
        snapshot.0.retain(|arn, _| arn.contains(":role/"));
        // A gate that was open to the dead scraper is shut.
        for role in snapshot.0.values_mut() {
            role.as_object_mut().expect("an object").remove("trust");
        }
        snapshot
    };
    same(&roles(&played.before), &roles(&played.after));
}

#[test]
fn every_undo_may_run_twice() {
    let undoing: Vec<String> = undoing().into_iter().collect();
    let ways = [
        // Done, and nobody heard so: it runs again.
        (Kind::KilledAfter, 1),
        (Kind::CutAfter, 1),
        // Whatever happens, for long.
        (Kind::Broken, 6),
        (Kind::Denied, 6),
        (Kind::Slow, 3),
    ];
    let cases = undoing.len() * ways.len();
    seeds::each("every_undo_may_run_twice", cases as u64, |seed| {
        let (task, (kind, times)) = (&undoing[seed as usize / ways.len()], ways[seed as usize % ways.len()]);
        let fault = Fault::of(0, task, INVOKE, 0, times, kind);
        let setup = Setup {
            twice: true,
            ..Setup::calm("undo", seed)
        };
        let played = Scenario::Failing.play(&setup, &[fault], false);
        assert_eq!(
            (played.struck, played.error()),
            (1, Some("ScraperFailed")),
            "{task} {kind:?}"
        );
        same(&played.before, &played.after);
    });
}

#[test]
fn a_look_for_samples_that_fails_is_told_and_fails_nothing() {
    let fault = Fault::of(0, "Check ingestion", INVOKE, 0, usize::MAX, Kind::Broken);
    let end = simulate(&Setup::calm("unseen", 1), async |world| {
        world.state().faults = vec![fault];
        let run = world.start("onboard", world.request(1));
        world.rest().await;
        run.end().expect("it has ended")
    });
    let End::Succeeded(output) = end else { panic!("{end:?}") };
    assert_eq!(output["ingestion"]["result"], "NOT_CHECKED");
    assert!(
        output["ingestion"]["hints"][0]
            .as_str()
            .unwrap()
            .contains("Lambda.ServiceException")
    );
}
