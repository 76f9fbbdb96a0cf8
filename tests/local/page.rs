//! `page`: a run as one HTML file: when which state ran, what the patch changed, who was asked what, and the
//! samples that arrived.
//!
//! The file holds everything it shows. What of a run cannot be known is said in its place.

use crate::{
    account::Account,
    execution::{self, Execution},
    terminal::clock,
};
use anyhow::{Context, Result, bail};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// All that a page shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// Minutes it took, by its own clock.
    pub minutes: f64,
    /// Its states, each with the spans in which it ran.
    pub states: Vec<Bar>,
    /// The roles; none where they could not be read.
    pub trusts: Vec<Trust>,
    /// Calls of AWS; nothing where they were not seen.
    pub calls: Option<Vec<Calls>>,
    /// What arrived over time; nothing where nobody looked.
    pub samples: Option<Vec<Point>>,
}

/// A state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// From when to when, in minutes since the start.
    pub spans: Vec<(f64, f64)>,
}

/// A role's trust policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trust {
    /// The role's ARN.
    pub role: String,
    /// Before the patch; nothing where nobody looked.
    pub before: Option<Value>,
    /// Now.
    pub after: Value,
}

/// The calls of a step in an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Calls {
    /// The step.
    pub step: String,
    /// The account.
    pub account: String,
    /// The action, as in IAM.
    pub action: String,
    /// How often.
    pub count: usize,
}

/// What of a cluster was in its workspace at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Minutes since the start.
    pub minutes: f64,
    /// Endpoints.
    pub endpoints: f64,
    /// Endpoints that are up.
    pub up: f64,
}

impl Run {
    /// What an execution itself tells, by a clock on which a minute takes so many seconds.
    pub fn of(execution: &Execution, input: Value, minute: f64) -> Self {
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
            input,
            output: execution.output.clone(),
            minutes: execution.seconds / minute,
            states,
            ..Self::default()
        }
    }
}

/// Reads an execution: from a local cloud by its URL, else from AWS with the credentials that every AWS tool finds.
///
/// # Errors
/// When the ARN is none of an execution, or Step Functions does not answer.
pub async fn of_execution(arn: &str, endpoint: Option<&str>, minute: f64) -> Result<Run> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "states", region, account, "execution", ..] = parts[..] else {
        bail!(
            "{arn} is no execution's ARN, such as arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:<name>"
        );
    };
    let hub = match endpoint {
        Some(url) => Account::new(url, account, region),
        None => Account::ordinary(account, region).await?,
    };
    let described = hub.sfn().describe_execution().execution_arn(arn).send().await;
    let described = described.with_context(|| format!("{arn} could not be read"))?;
    let input = serde_json::from_str(described.input().unwrap_or_default()).unwrap_or_default();
    Ok(Run::of(&execution::look(&hub, arn).await?, input, minute))
}

/// The page.
pub fn page(run: &Run) -> String {
    let name = run.execution.rsplit(':').next().unwrap_or_default();
    let good = run.status == "SUCCEEDED";
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
                h1 { "Onboarding " span class=(if good { "good" } else { "bad" }) { (run.status) } " in " (clock(run.minutes).trim()) }
                @if let Some((error, cause)) = &run.failure {
                    p { strong class="bad" { (error) } ": " (cause) }
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
                }
                h2 { "States" }
                (timeline(run))
                h2 { "Trust policies, before and after the patch" }
                (trusts(&run.trusts))
                h2 { "Samples" }
                (samples(run))
                h2 { "Calls of AWS" }
                (calls(run.calls.as_deref()))
            }
        }
    };
    page.into_string()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
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

fn trusts(trusts: &[Trust]) -> Markup {
    html! {
        @if trusts.is_empty() {
            p class="faint" { "Not known: the roles could not be read from here." }
        }
        div class="two" {
            @for trust in trusts {
                div {
                    div { (trust.role) }
                    pre { (change(trust)) }
                    @if trust.before.is_none() {
                        p class="faint" { "What it was before the patch is not known." }
                    }
                }
            }
        }
    }
}

/// The lines of a trust policy; those that the patch took away and brought are marked.
fn change(trust: &Trust) -> Markup {
    let pretty = |value: &Value| format!("{value:#}\n");
    let after = pretty(&trust.after);
    let before = trust.before.as_ref().map_or_else(|| after.clone(), pretty);
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

fn samples(run: &Run) -> Markup {
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 160.0;
    let Some(points) = run.samples.as_deref().filter(|points| points.len() > 1) else {
        return html! { p class="faint" { "Not known: nobody asked the workspace during the run." } };
    };
    let last = points.iter().fold(0.001, |most: f64, point| most.max(point.minutes));
    let most = points.iter().fold(1.0, |most: f64, point| most.max(point.endpoints));
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
            polyline class="seen" points=(line(|point| point.endpoints)) {}
            polyline class="up" points=(line(|point| point.up)) {}
        }
        p class="faint" { "Endpoints of the cluster in the workspace, and, in dashes, those that are up." }
    }
}

fn calls(calls: Option<&[Calls]>) -> Markup {
    let Some(calls) = calls else {
        return html! { p class="faint" { "Not known here: CloudTrail of each account has them, under the session names ampxa-\u{2026}." } };
    };
    html! {
        table {
            thead { tr { th { "step" } th { "account" } th { "action" } th { "calls" } } }
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
            minutes: 20.0,
            states: vec![
                Bar {
                    name: "Give the scraper time".to_owned(),
                    spans: vec![(5.0, 10.0), (10.0, 15.0)],
                },
                Bar {
                    name: "Is the scraper active?".to_owned(),
                    spans: vec![(4.0, 4.1)],
                },
            ],
            trusts: vec![Trust {
                role: "arn:aws:iam::222222222222:role/r".to_owned(),
                before: Some(json!({ "a": "placeholder", "b": 1 })),
                after: json!({ "a": "scraper", "b": 1 }),
            }],
            calls: Some(vec![Calls {
                step: "create-scraper".to_owned(),
                account: "222222222222".to_owned(),
                action: "aps:CreateScraper".to_owned(),
                count: 1,
            }]),
            samples: Some(vec![
                Point {
                    minutes: 0.0,
                    endpoints: 0.0,
                    up: 0.0,
                },
                Point {
                    minutes: 20.0,
                    endpoints: 3.0,
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
    }

    #[test]
    fn what_cannot_be_known_is_said() {
        let bare = page(&Run {
            trusts: vec![],
            calls: None,
            samples: None,
            ..run()
        });
        assert_eq!(bare.matches("Not known").count(), 3);
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
            trusts: vec![Trust {
                role: evil.to_owned(),
                before: Some(json!(evil)),
                after: json!({ evil: evil }),
            }],
            calls: Some(vec![Calls {
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
