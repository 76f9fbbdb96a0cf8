//! The matrix as a table and as a document.

use super::{
    case::{Case, End, FAULTS, Times, Trouble, times_name},
    trial::Outcome,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Every case and what came of it.
#[derive(Debug)]
pub struct Matrix {
    rows: Vec<(Case, Outcome)>,
    took: Duration,
}

impl Matrix {
    /// The cases in the order they were learned, and what came of each.
    pub fn new(rows: Vec<(Case, Outcome)>, took: Duration) -> Self {
        Self { rows, took }
    }

    /// What came of each case.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.rows.iter().map(|(_, outcome)| outcome)
    }

    /// The cases that did not end as they must.
    pub fn failed(&self) -> Vec<&Outcome> {
        self.outcomes().filter(|outcome| !outcome.problems.is_empty()).collect()
    }

    /// The sums, by name.
    pub fn sums(&self) -> Vec<(&'static str, usize)> {
        let ended = |kind: fn(&End) -> bool| {
            let good = self.outcomes().filter(|outcome| outcome.problems.is_empty());
            good.filter(|outcome| kind(&outcome.expected)).count()
        };
        vec![
            ("cases", self.rows.len()),
            ("onboarded", ended(|end| *end == End::Onboarded)),
            ("offboarded", ended(|end| *end == End::Offboarded)),
            ("clean", ended(|end| matches!(end, End::Clean(_)))),
            ("leftThenOffboarded", ended(|end| matches!(end, End::Left(_)))),
            ("failed", self.failed().len()),
            ("orphans", self.outcomes().map(|outcome| outcome.orphans).sum()),
            ("momentsOfAnOpenGate", self.outcomes().map(|outcome| outcome.open).sum()),
        ]
    }

    /// The document of `--json`.
    pub fn to_json(&self) -> Value {
        let case = |outcome: &Outcome| {
            json!({
                "case": outcome.name,
                "expected": outcome.expected.to_string(),
                "found": outcome.found,
                "problems": outcome.problems,
                "orphans": outcome.orphans,
                "momentsOfAnOpenGate": outcome.open,
                "timesTheFaultHappened": outcome.fired,
                "seconds": (outcome.seconds * 100.0).round() / 100.0,
            })
        };
        let mut document: serde_json::Map<String, Value> = self
            .sums()
            .into_iter()
            .map(|(name, sum)| (name.to_owned(), json!(sum)))
            .collect();
        document.insert(
            "minutes".to_owned(),
            json!((self.took.as_secs_f64() / 6.0).round() / 10.0),
        );
        document.insert("matrix".to_owned(), self.outcomes().map(case).collect());
        document.into()
    }

    /// The table, the sums, and each failed case with the command that tries it alone.
    pub fn print_table(&self) {
        let mut heading = String::new();
        let mut at = 0;
        while at < self.rows.len() {
            let (case, outcome) = &self.rows[at];
            let group = group(case);
            if group != heading {
                println!(
                    "\n{:<41}{}",
                    group,
                    FAULTS.map(|(_, name)| format!("{name:<11}")).concat().trim_end()
                );
                heading = group;
            }
            let Trouble::OfCall { .. } = case.trouble else {
                println!("  {:<39}{}", "a new role is not shown for 30 s", cell(outcome));
                at += 1;
                continue;
            };
            let same = self.rows[at..]
                .iter()
                .take_while(|(other, _)| point(other) == point(case))
                .count();
            for times in [Times::Once, Times::Always] {
                let mut cells = String::new();
                let mut any = false;
                for (fault, _) in FAULTS {
                    let found = self.rows[at..at + same].iter().find(|(other, _)| {
                        matches!(&other.trouble, Trouble::OfCall { fault: f, times: t, .. } if *f == fault && *t == times)
                    });
                    any |= found.is_some();
                    cells.push_str(&format!(
                        "{:<11}",
                        found.map_or(String::new(), |(_, outcome)| cell(outcome))
                    ));
                }
                if any {
                    let label = format!(
                        "{} {}",
                        point(case).rsplit('/').next().unwrap_or_default(),
                        times_name(times)
                    );
                    println!("  {label:<39}{}", cells.trim_end());
                }
            }
            at += same;
        }
        println!("\nA name: ended under it, and all was as before (of an undo: as before the run it undid).");
        println!("A name with *: the offboarding failed under it, and the next one took away what was left.");
        let sums = self
            .sums()
            .into_iter()
            .map(|(name, sum)| format!("{sum} {}", words(name)));
        let sums = sums.collect::<Vec<_>>().join(", ");
        println!("\n{sums}; {:.1} minutes", self.took.as_secs_f64() / 60.0);
        for outcome in self.failed() {
            println!(
                "\nFAILED {}\n  expected: {}\n  found: {}",
                outcome.name, outcome.expected, outcome.found
            );
            for problem in &outcome.problems {
                println!("  {}", problem.replace('\n', "\n  "));
            }
            println!("  cargo run -p local -- faults --only '{}'", outcome.name);
        }
    }
}

/// The heading that a case stands under.
fn group(case: &Case) -> String {
    match &case.trouble {
        Trouble::OfCall { call, .. } => format!("{}: {}", case.scenario.name(), call.function),
        Trouble::UnseenRoles => format!("{}: IAM", case.scenario.name()),
    }
}

/// The call of a case, with its number.
fn point(case: &Case) -> String {
    match &case.trouble {
        Trouble::OfCall { call, occurrence, .. } => {
            format!(
                "{}/{}/{} #{occurrence}",
                case.scenario.name(),
                call.function,
                call.action()
            )
        }
        Trouble::UnseenRoles => case.to_string(),
    }
}

/// At most ten letters.
fn cell(outcome: &Outcome) -> String {
    if !outcome.problems.is_empty() {
        return "FAILED".to_owned();
    }
    match outcome.expected {
        End::Onboarded | End::Offboarded => outcome.expected.to_string(),
        End::Clean("ScraperFailed") => "undone".to_owned(),
        End::Clean(name) => short(name),
        End::Left(name) => format!("{}*", short(name)),
    }
}

fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// `momentsOfAnOpenGate` as words.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
