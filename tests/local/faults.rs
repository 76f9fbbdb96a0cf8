//! The fault matrix: every call of AWS that a run makes fails in every way, once and for long, and
//! each time the pair must end onboarded, or all must be as before.
//!
//! - `call`: which call a request is; `envelope`: how AWS says no; `proxy`: lets a call fail.
//! - `ground`: a cloud behind the proxy, and accounts for each run.
//! - `case`: what goes wrong, and what must come of it; `trial`: one case; `gate`: its strictest rule.
//! - `report`: the table.
//!
//! The calls are not listed anywhere: a run in which nothing goes wrong teaches them.

mod call;
mod case;
mod envelope;
mod gate;
mod ground;
mod proxy;
mod report;
mod trial;

pub use case::Scenario;
pub use report::Matrix;
pub use trial::Outcome;

use crate::{project::Project, terminal::Report};
use anyhow::{Context, Result, ensure};
use case::{Case, Trouble};
use ground::Ground;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use tokio::{sync::Semaphore, task::JoinSet};

/// What to try.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only cases that have this in their name.
    pub only: Option<String>,
    /// Only so many cases, chosen so that they are as different as can be; none of the longest.
    pub sample: Option<usize>,
    /// Real seconds that a minute of the cloud takes.
    pub minute: f64,
    /// Clouds to spread the cases over: each is one process.
    pub clouds: usize,
    /// Cases under way at once in each cloud; most of their time they wait.
    pub at_once: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: None,
            sample: None,
            minute: 0.02,
            clouds: 2,
            at_once: 48,
        }
    }
}

/// Tries every case that is asked for.
///
/// # Errors
/// When the product cannot be built or deployed, a run in which nothing goes wrong fails, or no
/// case has the name. A case that does not end as it must is in the [`Matrix`].
pub async fn run(options: &Options, report: &Report) -> Result<Matrix> {
    let began = Instant::now();
    let project = Project::here()?;
    project.build(report)?;
    let python = project.python(report)?;
    let doing = report.doing("Starting the local cloud and deploying the hub");
    let mut grounds = Vec::new();
    for _ in 0..options.clouds {
        grounds.push(Ground::start(&project, &python, options.minute).await?);
    }
    doing.done();

    let doing = report.doing("Learning the calls of runs in which nothing goes wrong");
    let first = grounds.first().context("at least one cloud is needed")?;
    let mut numbers = 1..;
    let mut number = move || numbers.next().unwrap_or_default();
    let mut all = Vec::new();
    let mut onboarded = None;
    for scenario in Scenario::ALL {
        let normal = trial::normal(scenario, first, number()).await?;
        all.extend(case::cases(scenario, &normal.calls));
        if scenario == Scenario::Onboard {
            onboarded = Some(Arc::new(normal));
        }
    }
    let onboarded = onboarded.context("no onboarding was learned")?;
    doing.done();

    let chosen = choose(all, options);
    ensure!(
        !chosen.is_empty(),
        "No case has {:?} in its name.",
        options.only.as_deref().unwrap_or_default()
    );
    let doing = report.doing(&format!("Trying {} cases", chosen.len()));
    let mut longest_first: Vec<usize> = (0..chosen.len()).collect();
    longest_first.sort_by_key(|index| std::cmp::Reverse(chosen[*index].patience()));
    let places: Vec<Arc<Semaphore>> = grounds
        .iter()
        .map(|_| Arc::new(Semaphore::new(options.at_once)))
        .collect();
    let mut trials = JoinSet::new();
    for (turn, index) in longest_first.into_iter().enumerate() {
        let (case, number, onboarded) = (chosen[index].clone(), number(), Arc::clone(&onboarded));
        let ground = Arc::clone(&grounds[turn % grounds.len()]);
        let place = Arc::clone(&places[turn % places.len()]);
        trials.spawn(async move {
            let _place = place.acquire_owned().await?;
            let outcome = trial::trial(&case, &ground, number, &onboarded).await;
            let outcome = outcome.unwrap_or_else(|why| Outcome::untried(&case, &why));
            anyhow::Ok((index, outcome))
        });
    }
    let mut outcomes = BTreeMap::new();
    while let Some(tried) = trials.join_next().await {
        let (index, outcome) = tried??;
        if !outcome.problems.is_empty() {
            doing.say(&format!("FAILED {}: {}", outcome.name, outcome.problems[0]));
        }
        outcomes.insert(index, outcome);
        if outcomes.len().is_multiple_of(100) {
            doing.say(&format!(
                "  {} of {} cases after {:.0} s",
                outcomes.len(),
                chosen.len(),
                began.elapsed().as_secs_f64()
            ));
        }
        doing.at(&format!("Trying {} cases: {} done", chosen.len(), outcomes.len()));
    }
    doing.done();
    let rows = chosen.into_iter().zip(outcomes.into_values()).collect();
    Ok(Matrix::new(rows, began.elapsed()))
}

/// The cases that are asked for, in the order they were learned.
///
/// A sample shows each scenario and each kind of trouble before it shows more of one kind.
fn choose(all: Vec<Case>, options: &Options) -> Vec<Case> {
    let named = |case: &Case| options.only.as_ref().is_none_or(|text| case.to_string().contains(text));
    let mut left: Vec<(usize, Case)> = all.into_iter().filter(named).enumerate().collect();
    let Some(many) = options.sample else {
        return left.into_iter().map(|(_, case)| case).collect();
    };
    left.retain(|(_, case)| case.patience() < 100);
    let (mut seen, mut chosen) = (BTreeSet::new(), Vec::new());
    while chosen.len() < many && !left.is_empty() {
        let news = |shown: Vec<String>| shown.iter().filter(|one| !seen.contains(*one)).count();
        // Of those that show as much new, the first.
        let best = (0..left.len())
            .rev()
            .max_by_key(|at| (news(kinds(&left[*at].1)), news(places(&left[*at].1))))
            .unwrap_or_default();
        let one = left.remove(best);
        seen.extend(kinds(&one.1));
        seen.extend(places(&one.1));
        chosen.push(one);
    }
    chosen.sort_by_key(|(index, _)| *index);
    chosen.into_iter().map(|(_, case)| case).collect()
}

/// The kinds of run and of trouble that a case shows.
fn kinds(case: &Case) -> Vec<String> {
    let scenario = case.scenario.name().to_owned();
    match &case.trouble {
        Trouble::UnseenRoles => vec![scenario, "unseen-roles".to_owned()],
        Trouble::OfCall { fault, times, .. } => vec![scenario, format!("{fault:?}"), format!("{times:?}")],
    }
}

/// Where a case shows its trouble.
fn places(case: &Case) -> Vec<String> {
    let scenario = case.scenario.name();
    match &case.trouble {
        Trouble::UnseenRoles => Vec::new(),
        Trouble::OfCall { call, fault, times, .. } => vec![
            format!("{fault:?} {times:?}"),
            format!("{scenario} {fault:?}"),
            call.function.clone(),
            call.service.clone(),
            call.action(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_shows_every_kind_before_it_shows_more_of_one() {
        let call = |number: u32| call::Call {
            function: format!("step-{number}"),
            service: format!("service-{number}"),
            operation: format!("Operation{number}"),
        };
        let calls: Vec<call::Call> = (0..100).map(call).collect();
        let all: Vec<Case> = [Scenario::Onboard, Scenario::Offboard, Scenario::Again]
            .into_iter()
            .flat_map(|scenario| case::cases(scenario, &calls))
            .collect();
        let every: BTreeSet<String> = all.iter().flat_map(kinds).collect();
        let options = Options {
            sample: Some(12),
            ..Options::default()
        };
        let chosen = choose(all, &options);
        assert_eq!(chosen.len(), 12);
        assert_eq!(chosen.iter().flat_map(kinds).collect::<BTreeSet<_>>(), every);
    }
}
