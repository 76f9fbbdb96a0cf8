//! One case, tried: a place of its own, the run, and a judgement of all that it left.

use super::{
    case::{Case, End, Scenario, Trouble, UNSEEN_SECONDS},
    gate,
    ground::{Ended, Ground, Machine, Place},
    proxy::Watched,
};
use crate::terminal::change;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// By the cloud's clock: long enough to look more than once.
const ACTIVATION_MINUTES: &str = "2";
/// The first pause between two attempts of somebody who may not write; it grows.
const PAUSE: Duration = Duration::from_millis(150);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What came of a case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The case's name.
    pub name: String,
    /// How it had to end.
    pub expected: End,
    /// How it ended.
    pub found: String,
    /// What was not as it had to be: nothing, if all is well.
    pub problems: Vec<String>,
    /// Roles, scrapers and access entries that nobody asked for and that are left.
    pub orphans: usize,
    /// Versions of the target role's trust policy that let in anybody but the pair's scraper,
    /// and attempts of others that wrote.
    pub open: usize,
    /// How often the fault happened.
    pub fired: u32,
    /// Real seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Of a case that could not be tried: the cloud or this program is at fault.
    pub fn untried(case: &Case, why: &anyhow::Error) -> Self {
        Self {
            name: case.to_string(),
            expected: case.expected()[0],
            found: "not tried".to_owned(),
            problems: vec![format!("it could not be tried: {why:#}")],
            orphans: 0,
            open: 0,
            fired: 0,
            seconds: 0.0,
        }
    }
}

/// A run in which nothing went wrong.
#[derive(Debug, Clone)]
pub struct Normal {
    /// The calls it made.
    pub calls: Vec<super::call::Call>,
    /// What it left, with names in place of what is different in each run.
    pub left: Value,
}

/// A place with everything that is to be there before the run that a fault happens to.
struct Stage {
    place: Place,
    watched: Watched,
    /// Before anything of the product was there.
    empty: Value,
    /// Before the run.
    before: Value,
}

impl Stage {
    /// Lays everything out.
    async fn set(scenario: Scenario, ground: &Arc<Ground>, number: usize) -> Result<Self> {
        let mut tags = vec![("local:activation-minutes", ACTIVATION_MINUTES)];
        if scenario == Scenario::Undo {
            tags.push(("local:activation-fails", "cannot reach the API"));
        }
        let place = Place::lay(ground, number, &tags).await?;
        let watched = ground.proxy.watch(&[&place.source.id, &place.target.id]);
        let empty = place.snapshot().await?;
        let before = if matches!(scenario, Scenario::Offboard | Scenario::Again) {
            let first = place.run(Machine::Onboard, "before").await?;
            ensure!(
                first.status == "SUCCEEDED",
                "the onboarding before it ended as {:?}: {:?}",
                first.error,
                first.cause
            );
            place.snapshot().await?
        } else {
            empty.clone()
        };
        Ok(Self {
            place,
            watched,
            empty,
            before,
        })
    }

    /// Runs the scenario while somebody else tries to write; answers how often that one could.
    async fn run(&self, scenario: Scenario) -> Result<(Ended, usize)> {
        let (place, stranger) = (&self.place, gate::stranger(&self.place.pair));
        let mut written = 0;
        let execution = place.start(machine(scenario), "tested").await?;
        let intruding = async {
            let mut pause = PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                match place.writes(&stranger).await {
                    Ok(false) => {}
                    Ok(true) => written += 1,
                    Err(broken) => return broken,
                }
            }
        };
        let ended = tokio::select! {
            ended = place.end(&execution) => ended?,
            broken = intruding => return Err(broken),
        };
        Ok((ended, written))
    }
}

fn machine(scenario: Scenario) -> Machine {
    match scenario {
        Scenario::Offboard => Machine::Offboard,
        _ => Machine::Onboard,
    }
}

/// Runs a scenario in which nothing goes wrong.
///
/// # Errors
/// When it does not end as it must, or the cloud does not answer.
pub async fn normal(scenario: Scenario, ground: &Arc<Ground>, number: usize) -> Result<Normal> {
    let stage = Stage::set(scenario, ground, number).await?;
    stage.watched.plan(None);
    let (ended, _) = stage.run(scenario).await?;
    let wanted = (scenario != Scenario::Undo).then_some("SUCCEEDED");
    ensure!(
        ended.status == wanted.unwrap_or("FAILED"),
        "{} ended as {} {:?} without a fault: {:?}",
        scenario.name(),
        ended.status,
        ended.error,
        ended.cause
    );
    let after = stage.place.snapshot().await?;
    let normal = Normal {
        calls: stage.watched.calls(),
        left: named(&after, &stage.place, &stage.watched.scrapers())?,
    };
    stage.place.forget().await?;
    Ok(normal)
}

/// Tries a case.
///
/// # Errors
/// When the cloud does not answer. A case that does not end as it must is an [`Outcome`].
pub async fn trial(case: &Case, ground: &Arc<Ground>, number: usize, onboarded: &Normal) -> Result<Outcome> {
    let began = Instant::now();
    let stage = Stage::set(case.scenario, ground, number).await?;
    let Stage {
        place,
        watched,
        empty,
        before,
    } = &stage;
    if case.trouble == Trouble::UnseenRoles {
        place.show_roles_after(UNSEEN_SECONDS).await?;
    }
    watched.plan(case.planned());
    let (ended, written) = stage.run(case.scenario).await?;
    let (after, fired) = (place.snapshot().await?, watched.fired());

    let mut problems = Vec::new();
    if fired == 0 && case.planned().is_some() {
        problems.push("the fault did not happen: the run did not make that call".to_owned());
    }
    let found = match (&ended.error, case.scenario) {
        (Some(error), _) => error.clone(),
        (None, Scenario::Offboard) => End::Offboarded.to_string(),
        (None, _) => End::Onboarded.to_string(),
    };
    let may = case.expected();
    let expected = match may.iter().find(|end| end.name() == found) {
        Some(end) => *end,
        None => {
            let why = ended.cause.as_deref().unwrap_or("no cause");
            problems.push(format!("it ended as {found}, not as {}: {why}", may[0].name()));
            may[0]
        }
    };

    let known = watched.scrapers();
    let scraper = match ended.output()["scraperArn"].as_str() {
        Some(arn) => Some(arn.to_owned()),
        None => known.last().cloned(),
    };
    let mut left = after.clone();
    let wanted = match (case.scenario, expected) {
        (Scenario::Onboard, End::Onboarded) => {
            left = named(&after, place, &known)?;
            &onboarded.left
        }
        (_, End::Onboarded | End::Clean(_)) => before,
        (_, End::Offboarded) => empty,
        (_, End::Left(_)) => {
            watched.plan(None);
            let again = place.run(Machine::Offboard, "again").await?;
            if again.status != "SUCCEEDED" {
                problems.push(format!(
                    "offboarding again ended as {:?}: {:?}",
                    again.error, again.cause
                ));
            }
            left = place.snapshot().await?;
            empty
        }
    };
    if left != *wanted {
        problems.push(format!(
            "what is left differs (-: expected, +: found):\n{}",
            difference(wanted, &left)
        ));
    }
    let orphans = holdings(&left).difference(&holdings(wanted)).count();

    let mut open = gate::open_moments(place, scraper.as_deref(), &known).await?;
    let stranger = gate::stranger(&place.pair);
    if written > 0 || place.writes(&stranger).await? {
        open.push(format!("{stranger} could write"));
    }
    let lives = matches!((case.scenario, expected), (_, End::Onboarded) | (Scenario::Again, _));
    let lives = lives || matches!((case.scenario, expected), (Scenario::Offboard, End::Clean(_)));
    if let Some(scraper) = scraper.filter(|_| lives)
        && !place.writes(&scraper).await?
    {
        problems.push(format!("{scraper} cannot write"));
    }
    let count = open.len();
    problems.extend(open);
    place.forget().await?;
    Ok(Outcome {
        name: case.to_string(),
        expected,
        found,
        problems,
        orphans,
        open: count,
        fired,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// What a run left, with names in place of what is different in each run.
fn named(left: &Value, place: &Place, scrapers: &[String]) -> Result<Value> {
    let pair = &place.pair;
    let mut text = left.to_string();
    for scraper in scrapers {
        let id = scraper.rsplit('/').next().unwrap_or_default();
        // The scraper's service-linked role is named after the beginning of its id.
        let begins = id.get(2..10).unwrap_or_default();
        text = text.replace(id, "SCRAPER").replace(begins, "SCRAPER");
    }
    let workspace = pair.workspace.id();
    let role = pair.source_role_name();
    let hash = role.rsplit('-').next().unwrap_or_default();
    for (what, name) in [
        (workspace, "WORKSPACE"),
        (&place.security_group, "SECURITY_GROUP"),
        (hash, "HASH"),
        (&place.source.id, "SOURCE"),
        (&place.target.id, "TARGET"),
    ] {
        text = text.replace(what, name);
    }
    Ok(serde_json::from_str(&text)?)
}

/// The names of all roles, scrapers and access entries.
fn holdings(left: &Value) -> BTreeSet<String> {
    let sides = ["source", "target"].into_iter().map(|side| &left[side]);
    sides
        .flat_map(|side| {
            let keys = ["roles", "scrapers"]
                .into_iter()
                .filter_map(|kind| side[kind].as_object());
            let names = keys.flat_map(|kind| kind.keys().cloned());
            let entries = side["accessEntries"].as_array().into_iter().flatten();
            names
                .chain(entries.map(|entry| format!("entry {entry}")))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The lines that differ.
fn difference(wanted: &Value, found: &Value) -> String {
    let lines = change(&format!("{wanted:#}\n"), &format!("{found:#}\n"));
    let differing = lines
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("  +"));
    differing.collect::<Vec<_>>().join("\n")
}
