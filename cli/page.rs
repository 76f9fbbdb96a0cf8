//! `page`: one execution as an HTML file: its states over time, the change of both trust policies, the calls to AWS,
//! and the samples in the workspace.
//!
//! The file loads nothing from elsewhere. A section without data says why. [`from_aws`] reads an execution from AWS.

pub mod from_aws;

use crate::{execution::Execution, terminal::clock};
use aws_smithy_types::{DateTime, date_time::Format};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// The data of a section, or the reason why it is not available.
pub type Available<T> = Result<T, String>;

/// The content of a page.
#[derive(Debug, Clone)]
pub struct Run {
    /// The ARN of the execution.
    pub execution: String,
    /// The status of the execution.
    pub status: String,
    /// The name and the cause of the error, if the execution failed.
    pub failure: Option<(String, String)>,
    /// The input.
    pub input: Value,
    /// The output, if the execution succeeded.
    pub output: Option<Value>,
    /// The time of the start, in UTC.
    pub started: String,
    /// The duration in minutes, by the clock of the cloud.
    pub minutes: f64,
    /// The states, each with the time spans in which it ran.
    pub states: Vec<Bar>,
    /// The trust policies of both roles.
    pub trusts: Available<Vec<Trust>>,
    /// The calls to AWS.
    pub calls: Available<Vec<Calls>>,
    /// The targets in the workspace over time.
    pub samples: Available<Vec<Point>>,
}

/// A state on the timeline.
#[derive(Debug, Clone)]
pub struct Bar {
    /// The name of the state.
    pub name: String,
    /// Start and end of each span, in minutes since the start of the execution.
    pub spans: Vec<(f64, f64)>,
}

/// The trust policy of a role.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The ARN of the role.
    pub role: String,
    /// The document before the patch; `None` if it is unknown or if nothing was patched.
    pub before: Option<Value>,
    /// The current document; `None` if the role does not exist.
    pub after: Option<Value>,
    /// A note below the document.
    pub note: Option<String>,
}

/// The calls of one operation by a step in an account.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The step.
    pub step: String,
    /// The account.
    pub account: String,
    /// The service and the operation.
    pub action: String,
    /// The number of calls.
    pub count: usize,
}

/// The targets of a cluster in its workspace at one point in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Minutes since the start of the execution.
    pub minutes: f64,
    /// The number of targets.
    pub targets: f64,
    /// The number of targets that are up.
    pub up: f64,
}

impl Run {
    /// The part of a page that follows from the execution alone. `minute` is the number of real seconds in a minute of
    /// the cloud's clock.
    pub fn of(execution: &Execution, minute: f64) -> Self {
        let start = execution.states.first().map_or(0.0, |state| state.at);
        let mut states: Vec<Bar> = Vec::new();
        for state in &execution.states {
            let since = |at: f64| (at - start) / minute;
            let span = (since(state.at), since(state.left.unwrap_or(start + execution.seconds)));
            match states.iter_mut().find(|bar| bar.name == state.name) {
                Some(bar) => bar.spans.push(span),
                None => states.push(Bar {
                    name: state.name.clone(),
                    spans: vec![span],
                }),
            }
        }
        let failure = execution.error.clone();
        Self {
            execution: execution.arn.clone(),
            status: execution.status.as_str().to_owned(),
            failure: failure.map(|error| (error, execution.cause.clone().unwrap_or_default())),
            input: execution.input.clone(),
            output: execution.output.clone(),
            started: utc(execution.began),
            minutes: execution.seconds / minute,
            states,
            trusts: Err("not read".to_owned()),
            calls: Err("not read".to_owned()),
            samples: Err("not read".to_owned()),
        }
    }
}

/// Seconds since the epoch as `2026-11-26T21:14:03Z`.
fn utc(seconds: f64) -> String {
    let time = DateTime::from_secs(seconds as i64).fmt(Format::DateTime);
    time.unwrap_or_else(|_| "unknown".to_owned())
}

/// Renders the page as HTML.
pub fn page(run: &Run) -> String {
    let name = run.execution.rsplit(':').next().unwrap_or_default();
    let class = match run.status.as_str() {
        "SUCCEEDED" => "good",
        "RUNNING" => "faint",
        _ => "bad",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "ampxa: " (name) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                h1 { "Onboarding " span class=(class) { (run.status) } (if run.status == "RUNNING" { " for " } else { " in " }) (clock(run.minutes).trim()) }
                @if let Some((error, cause)) = &run.failure {
                    p class="cause" { strong class="bad" { (error) } ": " (cause) }
                }
                dl {
                    dt { "cluster" } dd { (text(&run.input["clusterArn"])) }
                    dt { "workspace" } dd { (text(&run.input["workspaceArn"])) }
                    @if let Some(output) = &run.output {
                        dt { "scraper" } dd { (text(&output["scraperArn"])) }
                        dt { "outcome" } dd { (text(&output["outcome"])) }
                        dt { "samples" } dd { (text(&output["ingestion"]["result"])) }
                    }
                    dt { "execution" } dd { (run.execution) }
                    dt { "started" } dd { (run.started) }
                }
                h2 { "States" }
                (timeline(run))
                h2 { "Trust policies, before and after the patch" }
                (section(&run.trusts, |trusts| trust_changes(trusts)))
                h2 { "Samples" }
                (section(&run.samples, |points| samples(points)))
                h2 { "Calls to AWS" }
                (section(&run.calls, |calls| table(run, calls)))
                @if let Some(output) = &run.output {
                    h2 { "Output" }
                    pre { (format!("{output:#}")) }
                }
            }
        }
    };
    page.into_string()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// A section of the page, or the reason why its data is not available.
fn section<T>(data: &Available<T>, render: impl Fn(&T) -> Markup) -> Markup {
    match data {
        Ok(data) => render(data),
        Err(reason) => html! { p class="faint" { "Not available: " (reason.trim_end_matches('.')) "." } },
    }
}

fn timeline(run: &Run) -> Markup {
    let total = run.minutes.max(0.001);
    let percent = |minutes: f64| format!("{:.3}%", 100.0 * (minutes / total).clamp(0.0, 1.0));
    html! {
        div class="bars" {
            @for state in run.states.iter().filter(|state| !state.name.ends_with('?')) {
                @let waits = state.name.starts_with("Wait");
                @let sum: f64 = state.spans.iter().map(|(from, to)| to - from).sum();
                div { (state.name) }
                div class="track" {
                    @for (from, to) in &state.spans {
                        div class=(if waits { "bar waits" } else { "bar" }) style=(format!("left: {}; width: {}", percent(*from), percent(to - from))) {}
                    }
                }
                div class="faint" {
                    (clock(sum).trim())
                    @if state.spans.len() > 1 { " \u{d7}" (state.spans.len()) }
                }
            }
        }
    }
}

fn trust_changes(trusts: &[Trust]) -> Markup {
    html! {
        div class="two" {
            @for trust in trusts {
                div {
                    div { (trust.role) }
                    @if let Some(after) = &trust.after {
                        pre { (change(trust.before.as_ref().unwrap_or(after), after)) }
                    }
                    @if let Some(note) = &trust.note {
                        p class="faint" { (note) }
                    }
                }
            }
        }
    }
}

/// The lines of a trust policy. Lines that the patch removed or added are marked.
fn change(before: &Value, after: &Value) -> Markup {
    let pretty = |value: &Value| {
        // The order of keys has no meaning: both documents are sorted.
        let mut value = value.clone();
        value.sort_all_objects();
        format!("{value:#}\n")
    };
    let (before, after) = (pretty(before), pretty(after));
    let lines = TextDiff::from_lines(&before, &after);
    html! {
        @for line in lines.iter_all_changes() {
            @let text = line.to_string();
            @let text = text.trim_end();
            @match line.tag() {
                ChangeTag::Delete => del { "\u{2212} " (text) },
                ChangeTag::Insert => ins { "+ " (text) },
                ChangeTag::Equal => span { "  " (text) },
            }
        }
    }
}

fn samples(points: &[Point]) -> Markup {
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 160.0;
    if points.len() < 2 {
        return html! { p class="faint" { "No data yet." } };
    }
    let last = points.iter().fold(0.001, |most: f64, point| most.max(point.minutes));
    let most = points.iter().fold(1.0, |most: f64, point| most.max(point.targets));
    let x = |minutes: f64| 30.0 + (WIDTH - 40.0) * minutes / last;
    let y = |count: f64| 10.0 + (HEIGHT - 30.0) * (1.0 - count / most);
    let line = |count: fn(&Point) -> f64| {
        let at = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.minutes), y(count(point))));
        at.collect::<Vec<_>>().join(" ")
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Targets of the cluster in the workspace over time" {
            line class="axis" x1="30" x2=(WIDTH - 10.0) y1=(y(0.0)) y2=(y(0.0)) {}
            line class="axis" x1="30" x2="30" y1="10" y2=(y(0.0)) {}
            text x="24" y=(y(most) + 4.0) text-anchor="end" { (most) }
            text x="24" y=(y(0.0) + 4.0) text-anchor="end" { "0" }
            text x=(WIDTH - 10.0) y=(HEIGHT - 4.0) text-anchor="end" { (clock(last).trim()) }
            text x="30" y=(HEIGHT - 4.0) { "0:00" }
            polyline class="targets" points=(line(|point| point.targets)) {}
            polyline class="up" points=(line(|point| point.up)) {}
        }
        p class="faint" { "Targets of the cluster in the workspace. Dashed: targets that are up." }
    }
}

fn table(run: &Run, calls: &[Calls]) -> Markup {
    // In the order in which the steps ran.
    let position = |call: &&Calls| {
        let step = |state: &Bar| state.name.to_lowercase().replace(' ', "-");
        run.states
            .iter()
            .position(|state| step(state) == call.step)
            .unwrap_or(usize::MAX)
    };
    let mut calls: Vec<&Calls> = calls.iter().collect();
    calls.sort_by_key(position);
    html! {
        table {
            thead { tr { th { "step" } th { "account" } th { "call" } th { "calls" } } }
            tbody {
                @for call in calls {
                    tr { td { (call.step) } td { (call.account) } td { (call.action) } td class="number" { (call.count) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> Run {
        Run {
            execution: "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:one".to_owned(),
            status: "SUCCEEDED".to_owned(),
            input: json!({ "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo" }),
            output: Some(json!({ "outcome": "ONBOARDED" })),
            started: utc(0.0),
            minutes: 20.0,
            states: vec![
                Bar {
                    name: "Wait for the scraper".to_owned(),
                    spans: vec![(5.0, 10.0), (10.0, 15.0)],
                },
                Bar {
                    name: "Is the scraper active?".to_owned(),
                    spans: vec![(4.0, 4.1)],
                },
            ],
            trusts: Ok(vec![Trust {
                role: "arn:aws:iam::222222222222:role/r".to_owned(),
                before: Some(json!({ "b": { "d": 1, "c": 2 }, "a": "placeholder" })),
                after: Some(json!({ "a": "scraper", "b": { "c": 2, "d": 1 } })),
                note: None,
            }]),
            calls: Ok(vec![Calls {
                step: "create-scraper".to_owned(),
                account: "222222222222".to_owned(),
                action: "aps:CreateScraper".to_owned(),
                count: 1,
            }]),
            samples: Ok(vec![
                Point {
                    minutes: 0.0,
                    targets: 0.0,
                    up: 0.0,
                },
                Point {
                    minutes: 20.0,
                    targets: 3.0,
                    up: 2.0,
                },
            ]),
            failure: None,
        }
    }

    #[test]
    fn a_page_has_bars_trust_changes_calls_and_samples() {
        let page = page(&run());
        for expected in [
            "left: 25.000%; width: 25.000%",
            "left: 50.000%; width: 25.000%",
            "10:00 \u{d7}2",
            "<del>\u{2212}   &quot;a&quot;: &quot;placeholder&quot;,</del>",
            "<ins>+   &quot;a&quot;: &quot;scraper&quot;,</ins>",
            "<td>aps:CreateScraper</td>",
            "points=\"30.0,140.0 470.0,10.0\"",
        ] {
            assert!(page.contains(expected), "no {expected} in {page}");
        }
        assert!(!page.contains("Is the scraper active?"), "Choice states have no bar");
        assert_eq!(
            page.matches("<ins>").count(),
            1,
            "the order of keys is not a change: {page}"
        );
    }

    #[test]
    fn a_section_without_data_says_why() {
        let page = page(&Run {
            trusts: Err("access to the role is denied".to_owned()),
            calls: Err("the log group does not exist".to_owned()),
            samples: Err("not read".to_owned()),
            ..run()
        });
        for reason in [
            "access to the role is denied",
            "the log group does not exist",
            "not read",
        ] {
            assert!(page.contains(&format!("Not available: {reason}.")), "{page}");
        }
    }

    #[test]
    fn values_of_a_run_are_escaped() {
        let evil = "</style><script>alert(1)</script>\"'<img src=x onerror=alert(1)>";
        let page = page(&Run {
            execution: evil.to_owned(),
            status: evil.to_owned(),
            failure: Some((evil.to_owned(), evil.to_owned())),
            input: json!({ "clusterArn": evil, "workspaceArn": evil }),
            output: Some(json!({ "outcome": evil, "scraperArn": evil, "ingestion": { "result": evil } })),
            states: vec![Bar {
                name: evil.to_owned(),
                spans: vec![(0.0, 1.0)],
            }],
            trusts: Ok(vec![Trust {
                role: evil.to_owned(),
                before: Some(json!(evil)),
                after: Some(json!({ evil: evil })),
                note: Some(evil.to_owned()),
            }]),
            samples: Err(evil.to_owned()),
            calls: Ok(vec![Calls {
                step: evil.to_owned(),
                account: evil.to_owned(),
                action: evil.to_owned(),
                count: 1,
            }]),
            ..run()
        });
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert_eq!(page.matches("</style>").count(), 1);
    }
}
