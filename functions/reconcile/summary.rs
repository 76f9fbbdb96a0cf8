//! The report and the totals of a reconciliation, from the results of its Maps in the bucket.
//!
//! The size of the totals is bounded, whatever the size of the organization: they count every cluster, and list the first
//! of those that failed, were skipped, or need attention. The report lists all.

use super::{
    finding::Finding,
    report::{self, Entry, Verdict},
};
use crate::{
    arn::ExecutionArn,
    aws::s3::Bucket,
    error::Error,
    input, names,
    request::{FINGERPRINT_DIGITS, Mode},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The folder of the reports, and of the results of the Maps, in the hub's bucket.
pub const FOLDER: &str = "reports/";

/// The key of the last report of a reconciliation whose request chose neither accounts nor Regions. A plan does not
/// replace it.
pub const LATEST: &str = "reports/latest.json";

/// The maximum length of each list of the totals. All lists together must fit into Step Functions' payload of 256 KiB.
const MAX_LISTED: usize = 60;

/// The maximum length of a cause or reason in these lists, in characters.
const MAX_REASON: usize = 200;

/// The Maps of a reconciliation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Whether the reconciliation only planned.
    pub mode: Mode,
    /// The keys of the manifests that the Maps wrote. The results of the last one are the lines of the report.
    pub maps: Vec<String>,
    /// Whether the request chose neither accounts nor Regions.
    pub is_whole: bool,
    /// The time at which the last Map ended, in ISO 8601.
    pub ended_at: String,
    /// The ARN of the reconciliation.
    pub execution: ExecutionArn,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"mode": "…", "maps": […], "isWhole": …, "endedAt": "…", "execution": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// How many clusters exist, and how many of them are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// The clusters of the accounts that could be reached.
    pub seen: usize,
    /// Those that a scraper of ampxa serves.
    pub connected: usize,
    /// Connected clusters in percent of all. 100 if there is no cluster.
    pub percent: f64,
}

/// A cluster, pair, location, account or role in a list of the totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_arn: Option<String>,
    /// The workspace of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_arn: Option<String>,
    /// The scraper that others manage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scraper_arn: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The account of a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Region of a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The name of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Why it was skipped, is unreachable, or is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether an unreachable account has pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_pairs: Option<bool>,
}

/// The totals.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The number of lines of the report by verdict.
    pub counts: BTreeMap<String, usize>,
    /// Whether the request chose neither accounts nor Regions.
    pub is_whole: bool,
    /// How many clusters exist, and how many are connected.
    pub coverage: Coverage,
    /// The first clusters and locations that failed, or would fail.
    pub failed: Vec<Listed>,
    /// The first clusters that were skipped.
    pub skipped: Vec<Listed>,
    /// The first accounts that are unreachable, those with pairs before the others.
    pub unreachable: Vec<Listed>,
    /// The first pairs that the routing table no longer names.
    pub unrouted: Vec<Listed>,
    /// The first pairs whose workspace does not accept the account of their cluster, or could not be read.
    pub not_accepted: Vec<Listed>,
    /// The first scrapers that others manage.
    pub unmanaged: Vec<Listed>,
    /// The first roles that belong to no pair.
    pub ownerless_roles: Vec<Listed>,
    /// How many more failed than `failed` lists.
    pub more_failed: usize,
    /// How many child executions of the Maps did not finish.
    pub lost: usize,
    /// The location of the report: `s3://<bucket>/<key>`.
    pub report: String,
    /// The fingerprint of the plan: equal changes have equal fingerprints.
    pub plan: Option<String>,
}

/// The folder of a reconciliation in the bucket. Names of executions may have characters that a URI must encode.
pub fn folder(execution: &ExecutionArn) -> String {
    let name = execution.rsplit(':').next().unwrap_or_default();
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let hash = names::hash(&[execution], 32);
    format!("{FOLDER}{}/", if is_plain { name } else { &hash })
}

/// Reads the results of the Maps, writes the report, and adds up the totals. Idempotent.
///
/// # Errors
/// Those of the calls.
pub async fn summarize(bucket: &Bucket, input: &Input) -> Result<Summary, Error> {
    let mut summary = Summary {
        is_whole: input.is_whole,
        ..Summary::default()
    };
    let mut totals = Totals::default();
    let mut report = String::new();
    for (number, key) in input.maps.iter().enumerate() {
        let manifest = bucket.read(key).await?;
        let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|why| Error::invalid(key, why))?;
        for file in manifest
            .result_files
            .failed
            .iter()
            .chain(&manifest.result_files.pending)
        {
            summary.lost += results(&bucket.read(&file.key).await?)?.len();
        }
        if number + 1 == input.maps.len() {
            for file in &manifest.result_files.succeeded {
                for line in results(&bucket.read(&file.key).await?)? {
                    let finding: Finding = input::of_machine(&line)?;
                    for entry in report::entries(finding, input.mode) {
                        report.push_str(&json!(entry).to_string());
                        report.push('\n');
                        totals.add(entry);
                    }
                }
            }
        }
    }
    totals.finish(&mut summary);
    let name = match input.mode {
        Mode::Plan => "plan.jsonl",
        Mode::Apply => "report.jsonl",
    };
    let key = format!("{}{name}", folder(&input.execution));
    summary.report = format!("s3://{}/{key}", bucket.name);
    summary.plan = (input.mode == Mode::Plan).then(|| totals.fingerprint());
    bucket.put(&key, &report).await?;
    if input.is_whole && input.mode == Mode::Apply && summary.lost == 0 {
        let latest = json!({
            "executionArn": input.execution,
            "mode": input.mode,
            "endedAt": input.ended_at,
            "counts": summary.counts,
            "coverage": summary.coverage,
            "report": summary.report,
        });
        bucket.put(LATEST, &latest.to_string()).await?;
    }
    Ok(summary)
}

/// The file `manifest.json` of a Map (Step Functions developer guide, "ResultWriter (Map)").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    result_files: ResultFiles,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct ResultFiles {
    #[serde(default)]
    succeeded: Vec<ResultFile>,
    #[serde(default)]
    failed: Vec<ResultFile>,
    #[serde(default)]
    pending: Vec<ResultFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultFile {
    key: String,
}

/// The results in a file: one JSON value per line, or one array. AWS does not document the form of failed results.
fn results(file: &[u8]) -> Result<Vec<Value>, Error> {
    let values = serde_json::Deserializer::from_slice(file).into_iter::<Value>();
    let values: Result<Vec<Value>, _> = values.collect();
    let values = values.map_err(|why| Error::invalid("maps", why))?;
    Ok(values
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(all) => all,
            one => vec![one],
        })
        .collect())
}

/// The totals of the lines so far.
#[derive(Default)]
struct Totals {
    counts: BTreeMap<Verdict, usize>,
    coverage: Coverage,
    lists: BTreeMap<Verdict, Vec<Listed>>,
    changes: BTreeSet<Vec<Option<String>>>,
}

impl Totals {
    fn add(&mut self, entry: Entry) {
        let Some(verdict) = entry.verdict else { return };
        *self.counts.entry(verdict).or_default() += 1;
        if let Some(connected) = entry.connected {
            self.coverage.seen += 1;
            self.coverage.connected += usize::from(connected);
        }
        if verdict.is_change() {
            self.changes.insert(entry.identity());
        }
        let list = self.lists.entry(verdict).or_default();
        if list.len() < MAX_LISTED {
            list.push(Listed::of(entry, verdict));
        }
    }

    fn finish(&mut self, summary: &mut Summary) {
        let mut list = |verdicts: &[Verdict]| {
            let all = verdicts
                .iter()
                .flat_map(|verdict| self.lists.remove(verdict).unwrap_or_default());
            all.take(MAX_LISTED).collect::<Vec<_>>()
        };
        summary.failed = list(&[Verdict::Failed, Verdict::WouldFail]);
        summary.skipped = list(&[Verdict::Skipped]);
        summary.unreachable = list(&[Verdict::UnreachableWithPairs, Verdict::Unreachable]);
        summary.unrouted = list(&[Verdict::Unrouted]);
        summary.not_accepted = list(&[Verdict::NotAccepted, Verdict::ConsentUnknown]);
        summary.unmanaged = list(&[Verdict::Unmanaged]);
        summary.ownerless_roles = list(&[Verdict::Ownerless]);
        let count = |verdict| self.counts.get(&verdict).copied().unwrap_or_default();
        summary.more_failed = count(Verdict::Failed) + count(Verdict::WouldFail) - summary.failed.len();
        summary.counts = self
            .counts
            .iter()
            .map(|(verdict, count)| (verdict.name(), *count))
            .collect();
        self.coverage.percent = match self.coverage.seen {
            0 => 100.0,
            seen => (1000.0 * self.coverage.connected as f64 / seen as f64).round() / 10.0,
        };
        summary.coverage = self.coverage;
    }

    fn fingerprint(&self) -> String {
        names::hash(&[&json!(self.changes).to_string()], FINGERPRINT_DIGITS)
    }
}

impl Listed {
    fn of(entry: Entry, verdict: Verdict) -> Self {
        let text: Option<String> = entry.reason.map(|reason| reason.chars().take(MAX_REASON).collect());
        let is_error = entry.error.is_some();
        let names_workspace = !matches!(verdict, Verdict::Failed | Verdict::WouldFail | Verdict::Skipped);
        let is_cluster = entry.cluster_arn.is_some() || entry.role_arn.is_some();
        Self {
            account: entry.account.filter(|_| !is_cluster),
            region: entry.region.filter(|_| !is_cluster),
            cluster_arn: entry.cluster_arn,
            workspace_arn: entry.workspace_arn.filter(|_| names_workspace),
            scraper_arn: entry.scraper_arn,
            role_arn: entry.role_arn,
            error: entry.error,
            cause: text.clone().filter(|_| is_error),
            reason: text.filter(|_| !is_error),
            has_pairs: match verdict {
                Verdict::Unreachable => Some(false),
                Verdict::UnreachableWithPairs => Some(true),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(findings: Value, mode: Mode) -> (Summary, String) {
        let (mut summary, mut totals) = (Summary::default(), Totals::default());
        for line in findings.as_array().unwrap() {
            let finding = input::of_machine(line).unwrap();
            report::entries(finding, mode)
                .into_iter()
                .for_each(|entry| totals.add(entry));
        }
        totals.finish(&mut summary);
        let plan = totals.fingerprint();
        (summary, plan)
    }

    fn cluster(name: &str, more: Value) -> Value {
        let mut cluster = json!({ "kind": "CLUSTER", "clusterArn": arn(name) });
        cluster
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        cluster
    }

    fn arn(name: &str) -> String {
        format!("arn:aws:eks:us-west-2:222222222222:cluster/{name}")
    }

    fn workspace(id: &str) -> String {
        format!("arn:aws:aps:us-west-2:333333333333:workspace/ws-{id}")
    }

    fn failed(error: &str) -> Value {
        json!({ "failure": { "Error": error, "Cause": "why" } })
    }

    #[test]
    fn every_line_is_counted_and_those_that_need_attention_are_listed() {
        let done = |outcome: &str| json!({ "result": { "outcome": outcome } });
        let location = |account: &str, more: Value| {
            let mut location = json!({ "kind": "LOCATION", "account": account, "region": "us-west-2" });
            location
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            location
        };
        let (summary, _) = totals(
            json!([
                location("111111111111", json!({ "first": true })),
                cluster("a", done("UNCHANGED")),
                cluster("b", json!({
                    "result": { "outcome": "ONBOARDED" }, "unrouted": [{ "workspaceArn": workspace("1") }],
                    "removed": [{ "workspaceArn": workspace("2"), "executionArn": "e" }],
                })),
                cluster("c", json!({ "action": "SKIP", "reason": "no rule", "connected": true })),
                cluster("d", failed("NotReady")),
                location("444444444444", json!({ "unreachable": "no reader" })),
                location("555555555555", json!({ "unreachable": "no reader", "hasPairs": true })),
                location("666666666666", failed("Transient")),
                { "kind": "PAIR", "clusterArn": arn("a"), "workspaceArn": workspace("3"), "known": true, "reason": "no tag" },
                { "kind": "SCRAPER", "clusterArn": arn("c"), "scraperArn": "s", "workspaceArn": workspace("4"), "reason": "r" },
                { "kind": "ROLE", "roleArn": "arn:aws:iam::222222222222:role/r" },
                { "kind": "ORPHAN", "clusterArn": arn("o"), "scraperArns": ["s"], "missing": true, "orphanSince": null,
                  "result": { "outcome": "ORPHAN_SEEN" } },
            ]),
            Mode::Apply,
        );
        let counts = json!({
            "UNCHANGED": 1, "ONBOARDED": 1, "UNROUTED": 1, "OFFBOARDED": 1, "SKIPPED": 1, "FAILED": 2, "UNREACHABLE": 1,
            "UNREACHABLE_WITH_PAIRS": 1, "NOT_ACCEPTED": 1, "UNMANAGED": 1, "OWNERLESS": 1, "ORPHAN_SEEN": 1,
        });
        assert_eq!(json!(summary.counts), counts);
        let coverage = json!({ "seen": 4, "connected": 3, "percent": 75.0 });
        assert_eq!(json!(summary.coverage), coverage);
        for (list, expected) in [
            (
                &summary.failed,
                json!([
                    { "clusterArn": arn("d"), "error": "NotReady", "cause": "why" },
                    { "account": "666666666666", "region": "us-west-2", "error": "Transient", "cause": "why" },
                ]),
            ),
            (
                &summary.skipped,
                json!([{ "clusterArn": arn("c"), "reason": "no rule" }]),
            ),
            (
                &summary.unreachable,
                json!([
                    { "account": "555555555555", "reason": "no reader", "hasPairs": true },
                    { "account": "444444444444", "reason": "no reader", "hasPairs": false },
                ]),
            ),
            (
                &summary.unrouted,
                json!([{ "clusterArn": arn("b"), "workspaceArn": workspace("1") }]),
            ),
            (
                &summary.not_accepted,
                json!([{ "clusterArn": arn("a"), "workspaceArn": workspace("3"), "reason": "no tag" }]),
            ),
            (
                &summary.unmanaged,
                json!([{ "clusterArn": arn("c"), "scraperArn": "s", "workspaceArn": workspace("4"), "reason": "r" }]),
            ),
            (
                &summary.ownerless_roles,
                json!([{ "roleArn": "arn:aws:iam::222222222222:role/r" }]),
            ),
        ] {
            assert_eq!(json!(list), expected);
        }
        assert_eq!(summary.more_failed, 0);
    }

    /// A plan with this change of the scraper.
    fn plan(action: &str, would_fail_as: Option<&str>, fingerprint: &str) -> Value {
        let prerequisites = would_fail_as.map_or(json!([]), |_| json!(["run the command", "and the other"]));
        json!({
            "request": { "clusterArn": "c", "workspaceArn": workspace("1") },
            "plan": {
                "changes": [
                    { "action": "NONE", "resource": "source role" }, { "action": action, "resource": "scraper" },
                ],
                "prerequisites": prerequisites, "wouldFailAs": would_fail_as, "inProgress": null, "warnings": [],
                "plan": fingerprint,
            },
        })
    }

    #[test]
    fn the_fingerprint_of_a_plan_covers_what_would_change_in_any_order() {
        let (a, b) = (
            cluster("a", plan("CREATE", None, "0a")),
            cluster("b", plan("UPDATE", None, "0b")),
        );
        let skipped = cluster("s", json!({ "action": "SKIP", "reason": "no rule" }));
        let same = [
            json!([a, b]),
            json!([
                b,
                a,
                skipped,
                cluster("c", plan("NONE", None, "0c")),
                cluster("d", plan("CREATE", Some("NotReady"), "0d"))
            ]),
        ];
        let [first, second] = same.map(|findings| totals(findings, Mode::Plan).1);
        assert_eq!(first, second);
        assert_eq!(first.len(), FINGERPRINT_DIGITS);
        let orphan = json!({ "kind": "ORPHAN", "clusterArn": arn("o"), "scraperArns": [], "missing": true, "orphanSince": null });
        let removal = cluster(
            "s",
            json!({ "action": "SKIP", "reason": "no rule", "removals": [{ "workspaceArn": workspace("1") }] }),
        );
        for other in [
            json!([a]),
            json!([a, cluster("b", plan("UPDATE", None, "0c"))]),
            json!([a, b, orphan]),
            json!([a, b, removal]),
        ] {
            assert_ne!(totals(other.clone(), Mode::Plan).1, first, "{other}");
        }
    }

    #[test]
    fn a_cluster_has_the_verdict_of_its_plan() {
        let plan_of = |more: Value| totals(json!([cluster("a", more)]), Mode::Plan).0;
        let mut replaced = plan("CREATE", None, "0a");
        replaced["plan"]["changes"][0] = json!({ "action": "DELETE", "resource": "scraper" });
        for (more, verdict) in [
            (plan("CREATE", None, "0a"), "WOULD_ONBOARD"),
            (plan("UPDATE", None, "0a"), "WOULD_REPAIR"),
            (replaced, "WOULD_REPAIR"),
            (plan("NONE", None, "0a"), "UNCHANGED"),
            (plan("CREATE", Some("NotReady"), "0a"), "WOULD_FAIL"),
            (plan("CREATE", Some("NotAccepted"), "0a"), "NOT_ACCEPTED"),
            (json!({ "reason": "it has no pair of ampxa" }), "UNCHANGED"),
            (removal(None), "WOULD_OFFBOARD"),
            (removal(Some("AccessDenied")), "WOULD_FAIL"),
            (failed("AccessDenied"), "WOULD_FAIL"),
            (failed("NotAccepted"), "NOT_ACCEPTED"),
            (json!({ "action": "SKIP", "reason": "no rule" }), "SKIPPED"),
        ] {
            let summary = plan_of(more);
            assert_eq!(json!(summary.counts), json!({ verdict: 1 }));
        }
    }

    /// The plan of an offboarding of all pairs.
    fn removal(would_fail_as: Option<&str>) -> Value {
        json!({ "removal": {
            "changes": [{ "action": "DELETE", "resource": "scraper" }], "prerequisites": [], "wouldFailAs": would_fail_as,
            "inProgress": null, "warnings": [], "plan": "0a",
        } })
    }

    #[test]
    fn a_cluster_that_would_fail_as_planned_has_failed_if_the_plan_is_applied() {
        let orphan = json!({
            "kind": "ORPHAN", "clusterArn": arn("o"), "scraperArns": [], "missing": true, "orphanSince": "sunday",
        });
        let mut orphan_that_fails = removal(Some("AccessDenied"));
        orphan_that_fails
            .as_object_mut()
            .unwrap()
            .extend(orphan.as_object().unwrap().clone());
        let lines = json!([
            cluster("a", plan("CREATE", Some("NotReady"), "0a")),
            cluster("b", removal(Some("AccessDenied"))),
            orphan_that_fails,
        ]);
        let (summary, _) = totals(lines, Mode::Apply);
        assert_eq!(json!(summary.counts), json!({ "FAILED": 3 }));
    }

    #[test]
    fn a_disconnected_cluster_is_not_connected_any_more() {
        let done = json!({ "connected": true, "result": { "outcome": "OFFBOARDED" } });
        let (summary, _) = totals(json!([cluster("a", done)]), Mode::Apply);
        assert_eq!((summary.coverage.seen, summary.coverage.connected), (1, 0));
    }

    #[test]
    fn an_orphan_has_the_verdict_of_its_tag() {
        for (missing, since, verdict) in [
            (true, json!(null), "WOULD_MARK_ORPHAN"),
            (true, json!("sunday"), "WOULD_OFFBOARD"),
            (false, json!("sunday"), "WOULD_MARK_ORPHAN"),
        ] {
            let orphan = json!({
                "kind": "ORPHAN", "clusterArn": arn("o"), "scraperArns": ["s"], "missing": missing, "orphanSince": since,
            });
            assert_eq!(
                json!(totals(json!([orphan]), Mode::Plan).0.counts),
                json!({ verdict: 1 })
            );
        }
    }

    #[test]
    fn every_line_that_is_not_as_it_should_be_says_what_to_do() {
        let error_names = [
            "NotReady",
            "NotAccepted",
            "Conflict",
            "AccessDenied",
            "QuotaExceeded",
            "Transient",
        ];
        let mut lines: Vec<Value> = error_names.iter().map(|error| cluster("a", failed(error))).collect();
        lines.extend([
            cluster("a", plan("CREATE", Some("NotReady"), "0a")),
            cluster(
                "a",
                json!({ "action": "SKIP", "reason": "no rule", "unrouted": [{ "workspaceArn": workspace("1") }] }),
            ),
            json!({ "kind": "LOCATION", "account": "222222222222", "region": "us-west-2", "unreachable": "why" }),
            json!({ "kind": "ROLE", "roleArn": "arn:aws:iam::222222222222:role/r" }),
        ]);
        for (line, mode) in lines.iter().flat_map(|line| [(line, Mode::Plan), (line, Mode::Apply)]) {
            for entry in report::entries(input::of_machine(line).unwrap(), mode) {
                let is_planned = entry.verdict == Some(Verdict::WouldOnboard);
                assert!(entry.fix.is_some() || is_planned, "{entry:?}");
            }
        }
        let entries = report::entries(
            input::of_machine(&cluster("a", plan("CREATE", Some("NotReady"), "0a"))).unwrap(),
            Mode::Plan,
        );
        assert_eq!(entries[0].reason.as_deref(), Some("run the command\nand the other"));
        assert_eq!(
            entries[0].changes,
            [json!({ "action": "CREATE", "resource": "scraper" })]
        );
    }

    #[test]
    fn the_totals_of_any_fleet_fit_into_the_payload() {
        let text = "\"".repeat(5000);
        let long = |number: usize| format!("{number:03}{}", "x".repeat(97));
        let failure = json!({ "Error": "StaleScraperNotDeleted", "Cause": text });
        let workspace = format!(
            "arn:aws-us-gov:aps:us-gov-west-1:222222222222:workspace/ws-{}",
            "x".repeat(61)
        );
        let mut lines = Vec::new();
        for number in 0..MAX_LISTED + 5 {
            let cluster = format!("arn:aws-us-gov:eks:us-gov-west-1:222222222222:cluster/{}", long(number));
            let unrouted = json!([{ "workspaceArn": workspace }]);
            lines.extend([
                json!({ "kind": "CLUSTER", "clusterArn": cluster, "failure": failure }),
                json!({ "kind": "CLUSTER", "clusterArn": cluster, "action": "SKIP", "reason": text, "unrouted": unrouted }),
                json!({ "kind": "PAIR", "clusterArn": cluster, "workspaceArn": workspace, "known": true, "reason": text }),
                json!({ "kind": "SCRAPER", "clusterArn": cluster, "workspaceArn": workspace, "scraperArn": workspace, "reason": text }),
                json!({ "kind": "ROLE", "roleArn": format!("arn:aws-us-gov:iam::222222222222:role/{}", "x".repeat(128)) }),
                json!({ "kind": "LOCATION", "account": "222222222222", "region": "us-gov-west-1", "unreachable": text }),
            ]);
        }
        let (summary, _) = totals(json!(lines), Mode::Apply);
        assert_eq!((summary.failed.len(), summary.more_failed), (MAX_LISTED, 5));
        // Step Functions escapes the output once more in the event of the execution's end.
        let size = json!(summary).to_string().len();
        assert!(size < 256 * 1024, "{size} bytes");
    }

    #[test]
    fn the_folder_of_a_reconciliation_has_only_characters_that_a_uri_needs_no_encoding_for() {
        let folder_of = |name: &str| {
            let arn = format!("arn:aws:states:us-west-2:111111111111:execution:ampxa-reconcile:{name}");
            folder(&arn.parse().unwrap())
        };
        assert_eq!(folder_of("monday_1-a"), "reports/monday_1-a/");
        for name in ["a.b", "ä", "a(b)", "a+b", "a@b", "a=b", ".."] {
            let folder = folder_of(name);
            let hash = folder.strip_prefix("reports/").unwrap().strip_suffix('/').unwrap();
            assert!(
                hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{folder}"
            );
        }
    }

    #[test]
    fn results_are_lines_or_an_array() {
        for file in [&b"{\"a\":1}\n{\"a\":2}\n"[..], b"[{\"a\":1},{\"a\":2}]"] {
            assert_eq!(results(file).unwrap(), [json!({ "a": 1 }), json!({ "a": 2 })]);
        }
        assert!(results(b"").unwrap().is_empty() && results(b"{").is_err());
    }
}
