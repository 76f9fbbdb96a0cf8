//! What was played, as a table and as a document.

use super::case::{Case, Seen};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// The case's name.
    pub name: &'static str,
    /// What was wrong, if anything was.
    pub problem: Option<String>,
    /// Real seconds it took.
    pub seconds: f64,
    seen: Seen,
}

impl Outcome {
    /// What a played case came to.
    pub fn new(case: &Case, played: Result<Seen>, took: Duration) -> Self {
        let (seen, problem) = match played {
            Ok(seen) => (seen, None),
            Err(error) => (Seen::default(), Some(format!("{error:#}"))),
        };
        Self {
            name: case.name,
            problem,
            seconds: took.as_secs_f64(),
            seen,
        }
    }
}

/// Every case that was played.
#[derive(Debug)]
pub struct Table {
    outcomes: Vec<Outcome>,
    took: Duration,
}

impl Table {
    /// Of cases in the order they were played.
    pub fn new(outcomes: Vec<Outcome>, took: Duration) -> Self {
        Self { outcomes, took }
    }

    /// What came of each case.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The cases that did not end as they must.
    pub fn failed(&self) -> Vec<&Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.problem.is_some())
            .collect()
    }

    /// The document of `--json`.
    pub fn to_json(&self) -> Value {
        let case = |outcome: &Outcome| {
            json!({
                "case": outcome.name,
                "good": outcome.problem.is_none(),
                "seen": outcome.seen.words,
                "table": outcome.seen.table,
                "problem": outcome.problem,
                "seconds": rounded(outcome.seconds),
            })
        };
        json!({
            "cases": self.outcomes.len(),
            "failed": self.failed().len(),
            "seconds": rounded(self.took.as_secs_f64()),
            "outcomes": self.outcomes.iter().map(case).collect::<Vec<_>>(),
        })
    }

    /// The table, what some cases measured, and each failed case with the command that plays it alone.
    pub fn print(&self) {
        let mut group = "";
        for outcome in &self.outcomes {
            let (heading, fact) = outcome.name.split_once('/').unwrap_or_default();
            if heading != group {
                println!("\n{heading}");
                group = heading;
            }
            let mark = if outcome.problem.is_none() { "ok" } else { "FAILED" };
            let fact = fact.replace('-', " ");
            println!(
                "  {mark:<7}{fact:<62}{:>6.1} s  {}",
                outcome.seconds, outcome.seen.words
            );
            for line in &outcome.seen.table {
                println!("           {line}");
            }
        }
        let failed = self.failed();
        println!(
            "\n{} cases, {} failed; {:.1} minutes",
            self.outcomes.len(),
            failed.len(),
            self.took.as_secs_f64() / 60.0
        );
        for outcome in failed {
            let problem = outcome.problem.as_deref().unwrap_or_default();
            println!("\nFAILED {}\n  {}", outcome.name, problem.replace('\n', "\n  "));
            println!("  cargo run -p local -- events --only '{}'", outcome.name);
        }
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}
