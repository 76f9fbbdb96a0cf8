//! `bench`: measures each Lambda function, one that does nothing and one in Python, in the same run.
//!
//! - `aws`: a stand-in for AWS that denies every call.
//! - `report`: the table, and the limits of the steps.

mod aws;
mod report;

pub use report::{Limit, Measured, Report};

use crate::runtime_api::Function;
use anyhow::{Context, Result, bail, ensure};
use aws::{Aws, FIRST_CALL};
use serde_json::{Value, json};
use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The steps that make no call to AWS.
const WITHOUT_CALLS: [&str; 3] = ["check-request", "check-offboarding", "record-outcome"];
/// The step that succeeds if its provisioner cannot be assumed, because it reports such an account.
const REPORTS_DENIAL: &str = "find-clusters";
/// The function that every step is compared with.
const DO_NOTHING: &str = "do-nothing";
/// The equivalent of a step in Python.
const EQUIVALENT: &str = include_str!("bench/equivalent.py");
/// The number of starts of Python: one takes as long as dozens of starts of a step.
const PYTHON_ROUNDS: usize = 3;
const WARM_INVOCATIONS: usize = 10;

/// The options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the result is printed as JSON; then no progress is shown.
    pub json: bool,
    /// The number of starts of each function; Python is started at most three times.
    pub rounds: usize,
    /// A Python interpreter with boto3.
    pub python: PathBuf,
    /// The folder of the release binaries, or of one folder with a `bootstrap` for each of them.
    pub release_dir: PathBuf,
    /// The steps, by the names of their binaries.
    pub steps: Vec<String>,
}

/// Starts all functions, round after round, so that other load on the machine affects all of them equally.
///
/// A start is followed by one cold invocation and ten warm ones. Each invocation is checked: a step that only parses
/// its request succeeds without a call to AWS; every other step makes exactly one signed call and fails with
/// `AccessDenied`. All processes end with this function.
///
/// # Errors
/// If a binary is missing, if Python lacks boto3, or if a check fails.
pub fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.rounds > 0 && !options.steps.is_empty(),
        "Nothing to measure: no rounds or no steps."
    );
    let subjects = subjects(options);
    let sizes = sizes(options, &subjects)?;
    let aws = Aws::start().context("The stand-in for AWS could not be started")?;
    let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
    // The first start reads the program from disk and is not counted.
    for round in 0..=options.rounds {
        let _line = Progress::show(options, round);
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            if round == 0 {
                subject.measure(&aws)?;
            } else if subject.takes_part(round - 1, options.rounds) {
                samples.push(subject.measure(&aws)?);
            }
        }
    }
    let measured = subjects
        .iter()
        .zip(&samples)
        .zip(sizes)
        .map(|((subject, samples), sizes)| summary(subject, samples, sizes))
        .collect();
    Report::new(options.rounds, measured)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Succeeds,
    IsDenied,
    ReportsDenial,
}

#[derive(Debug)]
struct Subject {
    name: String,
    kind: report::Kind,
    program: PathBuf,
    arguments: Vec<&'static str>,
    behaviour: Behaviour,
}

#[derive(Debug)]
struct Sample {
    init: Duration,
    first: Duration,
    warm: f64,
    processor: Duration,
    peak: u64,
}

fn subjects(options: &Options) -> Vec<Subject> {
    let binary = |name: &str, kind, behaviour| Subject {
        name: name.to_owned(),
        kind,
        program: match options.release_dir.join(name) {
            folder if folder.is_dir() => folder.join("bootstrap"),
            program => program,
        },
        arguments: Vec::new(),
        behaviour,
    };
    let mut subjects = vec![binary(DO_NOTHING, report::Kind::DoNothing, Behaviour::Succeeds)];
    subjects.extend(options.steps.iter().map(|step| {
        let behaviour = match step.as_str() {
            step if WITHOUT_CALLS.contains(&step) => Behaviour::Succeeds,
            REPORTS_DENIAL => Behaviour::ReportsDenial,
            _ => Behaviour::IsDenied,
        };
        binary(step, report::Kind::Step, behaviour)
    }));
    subjects.push(Subject {
        name: "Python (boto3)".to_owned(),
        kind: report::Kind::Python,
        program: options.python.clone(),
        // Isolated mode: modules of this folder and of the user are ignored.
        arguments: vec!["-I", "-c", EQUIVALENT],
        behaviour: Behaviour::IsDenied,
    });
    subjects
}

impl Subject {
    fn takes_part(&self, round: usize, rounds: usize) -> bool {
        let python_round = |round: usize| round * PYTHON_ROUNDS / rounds;
        self.kind != report::Kind::Python || round == 0 || python_round(round) != python_round(round - 1)
    }

    fn measure(&self, aws: &Aws) -> Result<Sample> {
        self.start_and_invoke(aws)
            .with_context(|| format!("{} cannot be measured", self.name))
    }

    fn start_and_invoke(&self, aws: &Aws) -> Result<Sample> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let (mut function, init) = Function::start(command, &self.name, aws.address())?;
        let first = self.invoke(&mut function, aws)?;
        let (processor, peak) = (function.processor_time()?, function.peak()?);
        let mut warm = Vec::new();
        for _ in 0..WARM_INVOCATIONS {
            warm.push(milliseconds(self.invoke(&mut function, aws)?));
        }
        Ok(Sample {
            init,
            first,
            warm: median(warm),
            processor,
            peak,
        })
    }

    fn invoke(&self, function: &mut Function, aws: &Aws) -> Result<Duration> {
        let answer = function.invoke(&event(&self.name))?;
        let (error, calls) = (answer.error.as_deref(), aws.take_calls());
        match self.behaviour {
            Behaviour::Succeeds if error.is_none() && calls.is_empty() => Ok(answer.took),
            Behaviour::IsDenied if error == Some("AccessDenied") && calls == [FIRST_CALL] => Ok(answer.took),
            Behaviour::ReportsDenial if error.is_none() && calls == [FIRST_CALL] => Ok(answer.took),
            behaviour => bail!(
                "expected a function that {}, but it {} and made {} calls to AWS: {calls:?}",
                match behaviour {
                    Behaviour::Succeeds => "succeeds without a call to AWS",
                    Behaviour::IsDenied => "makes one signed call to AWS and fails with AccessDenied",
                    Behaviour::ReportsDenial => "makes one signed call to AWS and succeeds although it is denied",
                },
                error.map_or_else(|| "succeeded".to_owned(), |error| format!("failed with {error}")),
                calls.len(),
            ),
        }
    }
}

/// The input of a step from its state machine or from EventBridge. Most steps share one input, from which each reads
/// its own fields.
fn event(step: &str) -> Value {
    let (account, region) = ("222222222222", "us-west-2");
    let cluster = format!("arn:aws:eks:{region}:{account}:cluster/demo");
    let scraper = format!("arn:aws:aps:{region}:{account}:scraper/s-01234567-89ab-cdef-0123-456789abcdef");
    let execution = "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:bench";
    match step {
        "check-reconciliation" => {
            json!({ "request": { "accounts": [account], "regions": [region] }, "execution": execution })
        }
        "find-clusters" => json!({ "account": account, "region": region }),
        "route-cluster" => json!({ "clusterArn": cluster, "reconciliation": execution }),
        "mark-orphans" => {
            json!({ "clusterArn": cluster, "scraperArns": [scraper], "missing": true, "reconciliation": execution })
        }
        "record-outcome" => json!({
            "detail": {
                "executionArn": execution,
                "stateMachineArn": "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-onboard",
                "status": "FAILED",
                "error": "NotReady",
            },
        }),
        "route-event" => json!({
            "id": "01234567-89ab-cdef-0123-456789abcdef",
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.eks",
            "account": account,
            "region": region,
            "detail": {
                "eventSource": "eks.amazonaws.com",
                "eventName": "CreateCluster",
                "eventID": "01234567-89ab-cdef-0123-456789abcdef",
                "awsRegion": region,
                "requestParameters": { "name": "demo" },
                "responseElements": { "cluster": { "arn": cluster } },
            },
        }),
        _ => json!({
            "request": {
                "clusterArn": cluster,
                "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-01234567-89ab-cdef-0123-456789abcdef",
            },
            "execution": execution,
            "scraperArn": scraper,
            "preparations": [],
            "updateId": null,
            "collectorLogsSince": null,
            "change": "ENABLE",
            "startedAt": "2026-01-01T00:00:00Z",
            "manualAccess": false,
            "network": {
                "subnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                "securityGroupIds": [],
            },
        }),
    }
}

/// The size of a binary, and of its deployment package.
#[derive(Debug, Clone, Copy)]
struct Size {
    bytes: u64,
    zipped: u64,
}

/// The sizes of the binaries. Python has no size, because Lambda provides it with boto3.
fn sizes(options: &Options, subjects: &[Subject]) -> Result<Vec<Option<Size>>> {
    let binaries: Vec<&Path> = subjects
        .iter()
        .filter(|subject| subject.kind != report::Kind::Python)
        .map(|subject| subject.program.as_path())
        .collect();
    let mut bytes = Vec::new();
    for binary in &binaries {
        let file = fs::metadata(binary).with_context(|| {
            format!(
                "{} is missing. Build it with cargo build --release --bins --package ampxa --package {DO_NOTHING}",
                binary.display()
            )
        })?;
        bytes.push(file.len());
    }
    let zipped = zipped_sizes(&options.python, &binaries)?;
    ensure!(
        zipped.len() == bytes.len(),
        "Python's zipfile returned {} sizes for {} binaries",
        zipped.len(),
        bytes.len()
    );
    let sizes = bytes.into_iter().zip(zipped);
    Ok(sizes
        .map(|(bytes, zipped)| Some(Size { bytes, zipped }))
        .chain([None])
        .collect())
}

fn zipped_sizes(python: &Path, binaries: &[&Path]) -> Result<Vec<u64>> {
    const PROGRAM: &str = "
import io, sys, zipfile
for path in sys.argv[1:]:
    package = io.BytesIO()
    with zipfile.ZipFile(package, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, 'bootstrap')
    print(len(package.getvalue()))
";
    let output = Command::new(python)
        .args(["-I", "-c", PROGRAM])
        .args(binaries)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} could not be started", python.display()))?;
    ensure!(
        output.status.success(),
        "Python could not zip the binaries:\n{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| Ok(line.parse()?)).collect()
}

fn summary(subject: &Subject, samples: &[Sample], size: Option<Size>) -> Measured {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    Measured {
        name: subject.name.clone(),
        kind: subject.kind,
        rounds: samples.len(),
        size_bytes: size.map(|size| size.bytes),
        zipped_bytes: size.map(|size| size.zipped),
        init_ms: of(|sample| milliseconds(sample.init)),
        first_ms: of(|sample| milliseconds(sample.first)),
        cold_ms: of(|sample| milliseconds(sample.init + sample.first)),
        warm_ms: of(|sample| sample.warm),
        processor_ms: of(|sample| milliseconds(sample.processor)),
        peak_bytes: of(|sample| sample.peak as f64),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The median; NaN for an empty list.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// A progress line on the terminal during a round.
#[derive(Debug)]
struct Progress(bool);

impl Progress {
    fn show(options: &Options, round: usize) -> Self {
        let shown = !options.json && std::io::stderr().is_terminal();
        if shown {
            eprint!("\rMeasuring: round {round} of {}", options.rounds);
            let _ = std::io::stderr().flush();
        }
        Self(shown)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.0 {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 900.0]), 3.5);
        assert_eq!(median(vec![7.0]), 7.0);
        assert!(median(Vec::new()).is_nan());
    }

    fn options(python: &str, rounds: usize) -> Options {
        Options {
            json: true,
            rounds,
            python: python.into(),
            release_dir: "/nowhere".into(),
            steps: vec![WITHOUT_CALLS[0].to_owned(), "check-cluster".to_owned()],
        }
    }

    #[test]
    fn python_takes_part_in_three_evenly_spread_rounds() {
        let subjects = subjects(&options("/nowhere", 15));
        let rounds_of = |subject: &Subject, rounds| {
            let rounds = (0..rounds).filter(|round| subject.takes_part(*round, rounds));
            rounds.collect::<Vec<usize>>()
        };
        let python = subjects.last().unwrap();
        assert_eq!(rounds_of(python, 15), [0, 5, 10]);
        assert_eq!(rounds_of(python, 4), [0, 2, 3]);
        assert_eq!(rounds_of(python, 2), [0, 1]);
        assert_eq!(rounds_of(&subjects[0], 15).len(), 15);
    }

    #[test]
    fn a_missing_binary_is_reported_with_its_path_and_the_build_command() {
        let error = run(&options("/nowhere", 1)).unwrap_err().to_string();
        assert!(
            error.starts_with("/nowhere/do-nothing is missing. Build it with cargo"),
            "{error}"
        );
    }

    /// A function whose invocations all have the outcome of a Python expression.
    fn function(name: &str, outcome: &'static str, behaviour: Behaviour) -> Subject {
        const LOOP: &str = r#"
import http.client, json, os, sys
runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def send(method, path, body=None):
    runtime.request(method, "/2018-06-01/runtime/" + path, body)
    response = runtime.getresponse()
    response.read()
    return response.headers["Lambda-Runtime-Aws-Request-Id"]
while True:
    request_id = send("GET", "invocation/next")
    kind, body = eval(sys.argv[1])
    send("POST", f"invocation/{request_id}/{kind}", json.dumps(body))
"#;
        Subject {
            name: name.to_owned(),
            kind: report::Kind::Step,
            program: "python3".into(),
            arguments: vec!["-c", LOOP, outcome],
            behaviour,
        }
    }

    #[test]
    fn a_function_with_the_expected_behaviour_is_measured() {
        let aws = Aws::start().unwrap();
        let good = function("good", "('response', {})", Behaviour::Succeeds);
        let sample = good.measure(&aws).unwrap();
        assert!(sample.init > Duration::ZERO && sample.first > Duration::ZERO);
        assert!(sample.processor > Duration::ZERO && sample.peak > 1_000_000);
    }

    #[test]
    fn a_function_with_other_behaviour_is_an_error() {
        let aws = Aws::start().unwrap();
        for (outcome, behaviour, message) in [
            (
                "('error', {'errorType': 'Oh'})",
                Behaviour::Succeeds,
                "it failed with Oh",
            ),
            (
                "('error', {})",
                Behaviour::Succeeds,
                "it failed with an error without a name",
            ),
            ("('response', {})", Behaviour::IsDenied, "it succeeded and made 0 calls"),
            (
                "('error', {'errorType': 'AccessDenied'})",
                Behaviour::IsDenied,
                "it failed with AccessDenied and made 0 calls",
            ),
            ("sys.exit('a message')", Behaviour::Succeeds, "a message"),
            ("('else', {})", Behaviour::Succeeds, "it sent POST"),
        ] {
            let bad = function("bad", outcome, behaviour);
            let error = format!("{:#}", bad.measure(&aws).unwrap_err());
            assert!(error.starts_with("bad cannot be measured: "), "{error}");
            assert!(error.contains(message), "{error}");
        }
    }
}
