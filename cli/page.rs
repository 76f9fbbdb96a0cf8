//! `page`: a run as one HTML file: when which state ran, what the patch changed, who was asked what, and the
//! samples that arrived.
//!
//! The file holds everything it shows. What of a run cannot be known is said in its place. [`from_aws`] is what AWS
//! tells of a run that is over.

pub mod from_aws;

use crate::{execution::Execution, terminal::clock};
use aws_smithy_types::{DateTime, date_time::Format};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// What a part of a page shows, or why it cannot.
pub type Known<T> = Result<T, String>;

/// All that a page shows.
#[derive(Debug, Clone)]
pub struct Run {
    /// The execution's ARN.
    pub execution: String,
    /// Its status.
    pub status: String,
    /// The name it failed under, and why.
    pub failure: Option<(String, String)>,
    /// What it was started with.
    pub input: Value,
    /// What it said at its end.
    pub output: Option<Value>,
    /// When it was started, in UTC.
    pub started: String,
    /// Minutes it took, by its own clock.
    pub minutes: f64,
    /// Its states, each with the spans in which it ran.
    pub states: Vec<Bar>,
    /// The roles.
    pub trusts: Known<Vec<Trust>>,
    /// Calls of AWS.
    pub calls: Known<Vec<Calls>>,
    /// What arrived over time.
    pub samples: Known<Vec<Point>>,
}

/// A state.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// From when to when, in minutes since the start.
    pub spans: Vec<(f64, f64)>,
}

/// A role's trust policy.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The role's ARN.
    pub role: String,
    /// Before the patch; nothing where that is not known, or where there was none.
    pub before: Option<Value>,
    /// Afterwards; nothing where there is no such role any more.
    pub after: Option<Value>,
    /// What is to be said of it.
    pub note: Option<String>,
}

/// The calls of a step in an account.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The step.
    pub step: String,
    /// The account.
    pub account: String,
    /// The service and what was asked of it.
    pub action: String,
    /// How often.
    pub count: usize,
}

/// What of a cluster was in its workspace at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Minutes since the start.
    pub minutes: f64,
    /// Endpoints.
    pub targets: f64,
    /// Endpoints that are up.
    pub up: f64,
}

impl Run {
    /// What an execution itself tells, by a clock on which a minute takes so many seconds.
    pub fn of(execution: &Execution, minute: f64) -> Self {
        let start = execution.states.first().map_or(0.0, |state| state.at);
        let mut states: Vec<Bar> = Vec::new();
        for state in &execution.states {
            let since = |at: f64| (at - start) / minute;
            let span = (since(state.at), since(state.left.unwrap_or(start + execution.seconds)));
            match states.iter_mut().find(|known| known.name == state.name) {
                Some(known) => known.spans.push(span),
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
            trusts: Err("nobody looked".to_owned()),
            calls: Err("nobody looked".to_owned()),
            samples: Err("nobody looked".to_owned()),
        }
    }
}

/// Seconds since the epoch as `2026-11-26T21:14:03Z`.
fn utc(seconds: f64) -> String {
    let time = DateTime::from_secs(seconds as i64).fmt(Format::DateTime);
    time.unwrap_or_else(|_| "unknown".to_owned())
}

/// The page.
pub fn page(run: &Run) -> String {
    let name = run.execution.rsplit(':').next().unwrap_or_default();
    let mood = match run.status.as_str() {
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
                h1 { "Onboarding " span class=(mood) { (run.status) } (if run.status == "RUNNING" { " for " } else { " in " }) (clock(run.minutes).trim()) }
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
                (shown(&run.trusts, |trusts| change_of_trust(trusts)))
                h2 { "Samples" }
                (shown(&run.samples, |points| samples(points)))
                h2 { "Calls of AWS" }
                (shown(&run.calls, |calls| table(run, calls)))
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

/// A part of the page, or why it is not there.
fn shown<T>(known: &Known<T>, show: impl Fn(&T) -> Markup) -> Markup {
    match known {
        Ok(known) => show(known),
        Err(why) => html! { p class="faint" { "Not known: " (why.trim_end_matches('.')) "." } },
    }
}

fn timeline(run: &Run) -> Markup {
    let whole = run.minutes.max(0.001);
    let percent = |minutes: f64| format!("{:.3}%", 100.0 * (minutes / whole).clamp(0.0, 1.0));
    html! {
        div class="bars" {
            @for state in run.states.iter().filter(|state| !state.name.ends_with('?')) {
                @let waits = ["Wait", "Give", "Let"].iter().any(|word| state.name.starts_with(word));
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

fn change_of_trust(trusts: &[Trust]) -> Markup {
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

/// The lines of a trust policy; those that the patch took away and brought are marked.
fn change(before: &Value, after: &Value) -> Markup {
    let pretty = |value: &Value| {
        // One order for both: that of keys means nothing.
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
        return html! { p class="faint" { "It is too early to tell." } };
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
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Endpoints of the cluster in the workspace over time" {
            line class="axis" x1="30" x2=(WIDTH - 10.0) y1=(y(0.0)) y2=(y(0.0)) {}
            line class="axis" x1="30" x2="30" y1="10" y2=(y(0.0)) {}
            text x="24" y=(y(most) + 4.0) text-anchor="end" { (most) }
            text x="24" y=(y(0.0) + 4.0) text-anchor="end" { "0" }
            text x=(WIDTH - 10.0) y=(HEIGHT - 4.0) text-anchor="end" { (clock(last).trim()) }
            text x="30" y=(HEIGHT - 4.0) { "0:00" }
            polyline class="seen" points=(line(|point| point.targets)) {}
            polyline class="up" points=(line(|point| point.up)) {}
        }
        p class="faint" { "Endpoints of the cluster in the workspace, and, in dashes, those that are up." }
    }
}

fn table(run: &Run, calls: &[Calls]) -> Markup {
    // In the order in which the steps ran.
    let place = |call: &&Calls| {
        let step = |state: &Bar| state.name.to_lowercase().replace(' ', "-");
        run.states
            .iter()
            .position(|state| step(state) == call.step)
            .unwrap_or(usize::MAX)
    };
    let mut calls: Vec<&Calls> = calls.iter().collect();
    calls.sort_by_key(place);
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
    fn a_page_shows_bars_the_change_the_calls_and_the_samples() {
        let page = page(&run());
        for shown in [
            "left: 25.000%; width: 25.000%",
            "left: 50.000%; width: 25.000%",
            "10:00 \u{d7}2",
            "<del>\u{2212}   &quot;a&quot;: &quot;placeholder&quot;,</del>",
            "<ins>+   &quot;a&quot;: &quot;scraper&quot;,</ins>",
            "<td>aps:CreateScraper</td>",
            "points=\"30.0,140.0 470.0,10.0\"",
        ] {
            assert!(page.contains(shown), "no {shown} in {page}");
        }
        assert!(!page.contains("Is the scraper active?"), "choices take no time");
        assert_eq!(
            page.matches("<ins>").count(),
            1,
            "an order of keys is no change: {page}"
        );
    }

    #[test]
    fn what_cannot_be_known_is_said() {
        let bare = page(&Run {
            trusts: Err("the role may not be read".to_owned()),
            calls: Err("the log is gone".to_owned()),
            samples: Err("nobody asked".to_owned()),
            ..run()
        });
        for why in ["the role may not be read", "the log is gone", "nobody asked"] {
            assert!(bare.contains(&format!("Not known: {why}.")), "{bare}");
        }
    }

    #[test]
    fn nothing_in_a_run_becomes_markup() {
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
