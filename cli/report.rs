//! The report of a reconciliation: a summary, and one line of JSON for each cluster, in the hub's bucket.

mod csv;
mod table;

pub(crate) use table::tables;

use crate::{hub::Hub, plan::Change};
use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The object with the summary of the last reconciliation.
const LATEST: &str = "reports/latest.json";

/// The summary of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The ARN of the execution of `ampxa-reconcile`.
    #[serde(default)]
    pub execution_arn: Option<String>,
    /// `PLAN` or `APPLY`.
    #[serde(default)]
    pub mode: Option<String>,
    /// The end of the execution.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// The number of clusters, by verdict.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// How many clusters are connected.
    #[serde(default)]
    pub coverage: Option<Coverage>,
    /// The location of the object with the lines: `s3://<bucket>/<key>`.
    #[serde(default)]
    pub report: String,
}

/// How many clusters are connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// The number of clusters that were found.
    pub seen: u64,
    /// The number of clusters that are connected.
    pub connected: u64,
    /// The connected clusters in percent.
    pub percent: f64,
}

/// The line of a cluster, or of a pair, scraper, role or account that needs attention.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Row {
    /// The account id.
    pub account: String,
    /// The Region.
    pub region: Option<String>,
    /// The ARN of the cluster.
    pub cluster_arn: Option<String>,
    /// The ARN of the workspace.
    pub workspace_arn: Option<String>,
    /// The ARN of a scraper that others manage.
    pub scraper_arn: Option<String>,
    /// The ARN of a role that belongs to no pair.
    pub role_arn: Option<String>,
    /// Whether a scraper of ampxa serves the cluster. `None` if the line is not that of a cluster.
    pub connected: Option<bool>,
    /// The verdict, such as `WOULD_ONBOARD`.
    pub verdict: String,
    /// Why the cluster has this verdict.
    pub reason: Option<String>,
    /// The name of the error.
    pub error: Option<String>,
    /// What to do.
    pub fix: Option<String>,
    /// What would change.
    pub changes: Vec<Change>,
    /// What was created or repaired.
    pub changed: Vec<String>,
    /// Differences that are not changed.
    pub warnings: Vec<String>,
    /// Whether samples arrive, such as `RECEIVING`.
    pub samples: Option<String>,
    /// Why no sample arrives.
    pub hints: Vec<String>,
    /// The fingerprint of the plan.
    pub plan: Option<String>,
    /// The ARN of the execution for the cluster.
    pub execution_arn: Option<String>,
}

/// The report of a reconciliation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetReport {
    /// The summary.
    #[serde(flatten)]
    pub summary: Summary,
    /// The lines.
    pub rows: Vec<Row>,
}

/// The verdicts of clusters that need no action.
const SETTLED: [&str; 7] = [
    "UNCHANGED",
    "ONBOARDED",
    "REPAIRED",
    "OFFBOARDED",
    "ORPHAN_RECOVERED",
    "SKIPPED",
    "UNMANAGED",
];

impl Row {
    /// Whether someone has to act on the cluster.
    pub fn needs_action(&self) -> bool {
        !SETTLED.contains(&self.verdict.as_str())
    }

    /// Whether the cluster is connected to a workspace.
    pub fn is_connected(&self) -> bool {
        self.connected == Some(true)
    }
}

impl FleetReport {
    /// The report of the last reconciliation.
    ///
    /// # Errors
    /// If the hub has no report, or if it cannot be read.
    pub async fn latest(hub: &Hub) -> Result<Self> {
        let bucket = hub.output("BucketName")?;
        let summary = hub.account.object(bucket, LATEST).await.map_err(|error| {
            anyhow!(
                "the last report s3://{bucket}/{LATEST} cannot be read ({error}): start a reconciliation with \
                 `ampxa reconcile` if none has ended, or get s3:GetObject on the bucket"
            )
        })?;
        let summary: Summary = serde_json::from_slice(&summary)
            .with_context(|| format!("s3://{bucket}/{LATEST} is not a summary of a reconciliation"))?;
        let rows = rows_at(hub, &summary.report).await?;
        Ok(Self { summary, rows })
    }

    /// The rows with one of these verdicts; all rows if there are none. An unknown verdict selects nothing.
    pub fn select(&mut self, verdicts: &[String]) {
        if !verdicts.is_empty() {
            self.rows.retain(|row| {
                verdicts
                    .iter()
                    .any(|verdict| verdict.eq_ignore_ascii_case(&row.verdict))
            });
        }
    }
}

/// The lines of a report at a location `s3://<bucket>/<key>` of the hub's bucket.
///
/// # Errors
/// If the object cannot be read, or is not a report.
pub async fn rows_at(hub: &Hub, location: &str) -> Result<Vec<Row>> {
    let (bucket, key) = location
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("{location:?} is not a location such as s3://<bucket>/<key>"))?;
    let lines = hub.account.object(bucket, key).await;
    let lines = lines.with_context(|| format!("the report {location} cannot be read"))?;
    rows(&String::from_utf8_lossy(&lines)).with_context(|| location.to_owned())
}

/// Parses the lines of a report.
///
/// # Errors
/// If a line is not a row, with its number.
pub fn rows(text: &str) -> Result<Vec<Row>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(nth, line)| {
            serde_json::from_str(line).with_context(|| format!("line {} is not a row of a report", nth + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_invalid_line_is_reported() {
        let rows = rows("{\"account\":\"1\",\"verdict\":\"UNCHANGED\",\"unknown\":1}\n\n").unwrap();
        assert_eq!((rows.len(), rows[0].needs_action()), (1, false));
        let error = super::rows("{}\n[1\n").unwrap_err().to_string();
        assert_eq!(error, "line 2 is not a row of a report");
    }

    #[test]
    fn verdicts_select_rows() {
        let row = |verdict: &str| Row {
            verdict: verdict.to_owned(),
            ..Row::default()
        };
        let mut report = FleetReport {
            summary: Summary::default(),
            rows: vec![row("UNCHANGED"), row("WOULD_FAIL")],
        };
        report.select(&[]);
        assert_eq!(report.rows.len(), 2);
        report.select(&["would_fail".to_owned()]);
        assert_eq!(report.rows, [row("WOULD_FAIL")]);
    }
}
