//! The results as a table and as JSON, and the limits of the steps.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

const ADVICE: &str = "Absolute times depend on the machine and on other load. \
                      Compare the ratios, which are measured in the same run.";

const STAND_IN: &str = "AWS is a stand-in on this machine that denies the first call, without TLS. \
                        With AWS, each function also needs a TLS handshake.";

/// The kind of a measured function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The baseline: a function that does nothing.
    DoNothing,
    /// A step of the product.
    Step,
    /// The equivalent of a step in Python.
    Python,
}

/// The medians of one function.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The name of its binary.
    pub name: String,
    /// The kind of the function.
    pub kind: Kind,
    /// The number of starts.
    pub rounds: usize,
    /// The size of the binary; `None` for Python, which Lambda provides.
    pub size_bytes: Option<u64>,
    /// The size of the deployment package.
    pub zipped_bytes: Option<u64>,
    /// The time from the start to the first request for an event, in milliseconds.
    pub init_ms: f64,
    /// The time of the first invocation, in milliseconds.
    pub first_ms: f64,
    /// The sum of both, in milliseconds.
    pub cold_ms: f64,
    /// The time of a later invocation, in milliseconds.
    pub warm_ms: f64,
    /// The CPU time of start and first invocation, in milliseconds.
    pub processor_ms: f64,
    /// The peak memory until then, in bytes.
    pub peak_bytes: f64,
}

/// A limit, and the step with the worst value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The description of the limit.
    pub limit: String,
    /// Whether all steps are within the limit.
    pub kept: bool,
    /// The step with the worst value.
    pub worst: String,
    /// The value of that step.
    pub value: f64,
}

/// The results of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    rounds: usize,
    /// The cold start of the function that does nothing, and below of Python: the denominators of the ratios.
    do_nothing_ms: f64,
    python_ms: f64,
    measured: Vec<Measured>,
}

impl Report {
    pub(super) fn new(rounds: usize, measured: Vec<Measured>) -> Result<Self> {
        let cold = |kind| measured.iter().find(|one| one.kind == kind).map(|one| one.cold_ms);
        Ok(Self {
            rounds,
            do_nothing_ms: cold(Kind::DoNothing).context("do-nothing was not measured")?,
            python_ms: cold(Kind::Python).context("Python was not measured")?,
            measured,
        })
    }

    /// The limits of size, memory and cold start.
    pub fn limits(&self) -> Vec<Limit> {
        vec![
            self.at_most(4.0, "binary at most 4 MB", |_, step| megabytes(step.size_bytes)),
            self.at_most(2.0, "zipped at most 2 MB", |_, step| megabytes(step.zipped_bytes)),
            self.at_most(8.0, "peak memory at most 8 MB", |_, step| step.peak_bytes / 1e6),
            self.at_most(4.0, "init + first at most 4 x do-nothing", Self::times_do_nothing),
            self.at_least(
                20.0,
                "init + first at least 20 x faster than Python",
                Self::python_times,
            ),
        ]
    }

    /// Whether all steps are within all limits.
    pub fn within_limits(&self) -> bool {
        self.limits().iter().all(|limit| limit.kept)
    }

    /// The results as JSON. Times are in milliseconds, sizes in bytes.
    pub fn to_json(&self) -> Value {
        let functions = self.measured.iter().map(|one| {
            let mut function = json!(one);
            function["timesDoNothing"] = json!(self.times_do_nothing(one));
            function["pythonTimes"] = json!(self.python_times(one));
            function
        });
        json!({
            "rounds": self.rounds,
            "functions": functions.collect::<Vec<Value>>(),
            "limits": self.limits(),
            "withinLimits": self.within_limits(),
            "notes": [STAND_IN, ADVICE],
        })
    }

    /// Prints the table and the limits on standard output.
    pub fn print_table(&self) {
        print!("{self}");
    }

    fn times_do_nothing(&self, one: &Measured) -> f64 {
        one.cold_ms / self.do_nothing_ms
    }

    fn python_times(&self, one: &Measured) -> f64 {
        self.python_ms / one.cold_ms
    }

    fn at_most(&self, most: f64, limit: &str, value: fn(&Self, &Measured) -> f64) -> Limit {
        let (worst, value) = self.worst(|one, other| one.total_cmp(other), value);
        Limit {
            limit: limit.to_owned(),
            kept: value <= most,
            worst,
            value,
        }
    }

    fn at_least(&self, least: f64, limit: &str, value: fn(&Self, &Measured) -> f64) -> Limit {
        let (worst, value) = self.worst(|one, other| other.total_cmp(one), value);
        Limit {
            limit: limit.to_owned(),
            kept: value >= least,
            worst,
            value,
        }
    }

    /// The last step in an order, with its value. An unknown value is the worst.
    fn worst(&self, order: fn(&f64, &f64) -> std::cmp::Ordering, value: fn(&Self, &Measured) -> f64) -> (String, f64) {
        let steps = self.measured.iter().filter(|one| one.kind == Kind::Step);
        steps
            .map(|step| (step.name.clone(), value(self, step)))
            .max_by(|(_, one), (_, other)| one.is_nan().cmp(&other.is_nan()).then(order(one, other)))
            .unwrap_or_else(|| (String::new(), f64::NAN))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        const HEADER: [&str; 11] = [
            "step",
            "size MB",
            "zip MB",
            "init ms",
            "first ms",
            "init+first ms",
            "x do-nothing",
            "Python / step",
            "warm ms",
            "CPU ms",
            "peak MB",
        ];
        write!(to, "{:<22}", HEADER[0])?;
        for head in &HEADER[1..] {
            write!(to, "  {head:>width$}", width = head.len().max(6))?;
        }
        writeln!(to)?;
        for one in &self.measured {
            let cells = [
                (megabytes(one.size_bytes), 2),
                (megabytes(one.zipped_bytes), 2),
                (one.init_ms, 2),
                (one.first_ms, 2),
                (one.cold_ms, 2),
                (self.times_do_nothing(one), 1),
                (self.python_times(one), 1),
                (one.warm_ms, 2),
                (one.processor_ms, 2),
                (one.peak_bytes / 1e6, 1),
            ];
            write!(to, "{:<22}", one.name)?;
            for ((value, digits), head) in cells.into_iter().zip(&HEADER[1..]) {
                let cell = if value.is_nan() {
                    "-".to_owned()
                } else {
                    format!("{value:.digits$}")
                };
                write!(to, "  {cell:>width$}", width = head.len().max(6))?;
            }
            writeln!(to)?;
        }
        writeln!(
            to,
            "\nMedians of {} starts; Python: {}. CPU and peak: until the end of the first invocation. 1 MB = 1,000,000 bytes.\n\
             {STAND_IN}",
            self.rounds,
            self.measured.last().map_or(0, |one| one.rounds),
        )?;
        writeln!(to, "{ADVICE}\n")?;
        for limit in self.limits() {
            writeln!(
                to,
                "{:<3}  {:<45}  {} {:.2}",
                if limit.kept { "yes" } else { "no" },
                limit.limit,
                limit.worst,
                limit.value
            )?;
        }
        Ok(())
    }
}

fn megabytes(bytes: Option<u64>) -> f64 {
    bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, kind: Kind, cold_ms: f64) -> Measured {
        Measured {
            name: name.to_owned(),
            kind,
            rounds: 15,
            size_bytes: (kind != Kind::Python).then_some(4_000_000),
            zipped_bytes: (kind != Kind::Python).then_some(2_000_000),
            init_ms: cold_ms / 2.0,
            first_ms: cold_ms / 2.0,
            cold_ms,
            warm_ms: 1.0,
            processor_ms: 1.0,
            peak_bytes: 8e6,
        }
    }

    fn report(step: Measured) -> Report {
        let good = one("good", Kind::Step, 10.0);
        let (nothing, python) = (
            one("do-nothing", Kind::DoNothing, 5.0),
            one("Python", Kind::Python, 400.0),
        );
        Report::new(15, vec![nothing, good, step, python]).unwrap()
    }

    #[test]
    fn a_step_exactly_at_every_limit_is_within_it() {
        let report = report(one("edge", Kind::Step, 20.0));
        assert!(report.within_limits(), "{report}");
        assert_eq!(report.limits()[3].worst, "edge");
        assert_eq!(report.limits()[4].value, 20.0);
    }

    #[test]
    fn each_limit_can_be_exceeded_alone() {
        let edge = || one("edge", Kind::Step, 20.0);
        let steps = [
            Measured {
                size_bytes: Some(4_000_001),
                ..edge()
            },
            Measured {
                zipped_bytes: Some(2_000_001),
                ..edge()
            },
            Measured {
                peak_bytes: 8_000_001.0,
                ..edge()
            },
        ];
        for (exceeded, step) in steps.into_iter().enumerate() {
            let report = report(step);
            let kept: Vec<bool> = report.limits().iter().map(|limit| limit.kept).collect();
            assert!(
                kept.iter()
                    .enumerate()
                    .all(|(limit, kept)| *kept == (limit != exceeded)),
                "{report}"
            );
            assert!(!report.within_limits());
        }
    }

    #[test]
    fn a_slow_step_exceeds_both_limits_of_time() {
        let report = report(one("slow", Kind::Step, 20.1));
        let kept: Vec<bool> = report.limits().iter().map(|limit| limit.kept).collect();
        assert_eq!(kept, [true, true, true, false, false]);
        assert!(report.to_string().contains("no "), "{report}");
    }

    #[test]
    fn an_unknown_value_exceeds_every_limit() {
        let unknown = Measured {
            size_bytes: None,
            cold_ms: f64::NAN,
            ..one("unknown", Kind::Step, 1.0)
        };
        let report = report(unknown);
        let kept: Vec<bool> = report.limits().iter().map(|limit| limit.kept).collect();
        assert_eq!(kept, [false, true, true, false, false]);
    }

    #[test]
    fn the_json_document_has_every_function_with_its_ratios() {
        let document = report(one("edge", Kind::Step, 20.0)).to_json();
        assert_eq!(document["functions"][2]["name"], "edge");
        assert_eq!(document["functions"][2]["timesDoNothing"], 4.0);
        assert_eq!(document["functions"][2]["pythonTimes"], 20.0);
        assert_eq!(document["functions"][3]["sizeBytes"], Value::Null);
        assert_eq!(document["withinLimits"], true);
    }
}
