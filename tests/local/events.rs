//! Started by events: the product on a cloud whose accounts tell it of their clusters, whose
//! organization tells it of its accounts, and whose schedule sends it round.
//!
//! - `ground`: the cloud, deployed and wired; `case`: all cases by name.
//! - `life`, `strangers`, `examples`, `aft`, `routes`, `trouble`, `rights`, `sweep`, `cost`: the cases.
//! - `report`: the tables.

mod aft;
mod case;
mod cost;
mod examples;
mod ground;
mod life;
mod report;
mod rights;
mod routes;
mod strangers;
mod sweep;
mod trouble;

pub use report::{Outcome, Table};

use crate::{project::Project, terminal::Report};
use anyhow::{Result, ensure};
use ground::Ground;
use std::time::Instant;

/// What to play.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only cases that have one of these in their name; all when there is none.
    pub only: Vec<String>,
    /// Real seconds that a minute of the cloud takes.
    pub minute: f64,
    /// Whether the functions' processor time is judged too, which hangs on what else the machine does.
    pub timed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            minute: 0.05,
            timed: true,
        }
    }
}

/// Plays every case that is asked for, one after the other.
///
/// # Errors
/// When the product cannot be built or deployed, or no case has the name. A case that does not end
/// as it must is in the [`Table`].
pub async fn run(options: &Options, report: &Report) -> Result<Table> {
    let began = Instant::now();
    let only = &options.only;
    let named = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text));
    let cases: Vec<case::Case> = case::all().into_iter().filter(|case| named(case.name)).collect();
    ensure!(
        !cases.is_empty(),
        "No case has {} in its name.",
        only.iter()
            .map(|text| format!("{text:?}"))
            .collect::<Vec<_>>()
            .join(" or ")
    );
    let project = Project::here()?;
    project.build(report)?;
    let python = project.python(report)?;
    let doing = report.doing("Starting the local cloud and deploying infra/ into its accounts");
    let ground = Ground::start(&project, &python, options).await?;
    doing.done();
    let doing = report.doing(&format!("Playing {} cases", cases.len()));
    let mut outcomes = Vec::new();
    for case in cases {
        doing.at(case.name);
        ground.settle().await?;
        let since = Instant::now();
        let played = (case.play)(&ground).await;
        let outcome = Outcome::new(&case, played, since.elapsed());
        let mark = outcome.problem.as_ref().map_or("", |_| "FAILED ");
        doing.say(&format!("  {mark}{}: {:.1} s", outcome.name, outcome.seconds));
        outcomes.push(outcome);
    }
    doing.done();
    Ok(Table::new(outcomes, began.elapsed()))
}
