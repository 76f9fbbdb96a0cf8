//! A report as a table, grouped by verdict.

use super::{FleetReport, Row, Summary};
use crate::{
    plan::Change,
    style::{Color, Style, columns, printable},
};
use std::collections::BTreeMap;

/// The verdicts in the order of the table: first those that need an action. Other verdicts follow in alphabetical order.
const ORDER: [&str; 20] = [
    "FAILED",
    "WOULD_FAIL",
    "UNREACHABLE_WITH_PAIRS",
    "UNREACHABLE",
    "NOT_ACCEPTED",
    "CONSENT_UNKNOWN",
    "UNROUTED",
    "OWNERLESS",
    "UNMANAGED",
    "WOULD_OFFBOARD",
    "WOULD_MARK_ORPHAN",
    "WOULD_ONBOARD",
    "WOULD_REPAIR",
    "OFFBOARDED",
    "ORPHAN_SEEN",
    "ORPHAN_RECOVERED",
    "ONBOARDED",
    "REPAIRED",
    "SKIPPED",
    "UNCHANGED",
];

impl FleetReport {
    /// The summary, and a table for each verdict.
    pub fn text(&self, style: Style) -> String {
        let mut parts = vec![self.summary.text()];
        parts.extend(tables(&self.rows, style));
        parts.join("\n\n")
    }
}

impl Summary {
    /// The summary in some lines.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(ended_at) = &self.ended_at {
            let what = match self.mode.as_deref() {
                Some("PLAN") => "Plan of a reconciliation",
                _ => "Reconciliation",
            };
            lines.push(format!("{what} that ended at {}", printable(ended_at)));
        }
        lines.extend(self.execution_arn.as_deref().map(printable));
        if let Some(coverage) = &self.coverage {
            lines.push(format!(
                "{} of {} clusters are connected ({:.1} %).",
                coverage.connected, coverage.seen, coverage.percent
            ));
        }
        lines.push(counts(&self.counts));
        lines.join("\n")
    }
}

/// The counts in one line: `WOULD_ONBOARD 3, UNCHANGED 40`.
pub(crate) fn counts(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(verdict, _)| rank(verdict));
    if counts.is_empty() {
        return "No clusters.".to_owned();
    }
    let words = counts
        .iter()
        .map(|(verdict, count)| format!("{} {count}", printable(verdict)));
    words.collect::<Vec<_>>().join(", ")
}

/// A table for each verdict.
pub(crate) fn tables(rows: &[Row], style: Style) -> Vec<String> {
    let mut verdicts: Vec<&str> = rows.iter().map(|row| row.verdict.as_str()).collect();
    verdicts.sort_by_key(|verdict| (rank(verdict), *verdict));
    verdicts.dedup();
    verdicts
        .into_iter()
        .map(|verdict| {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.verdict == verdict).collect();
            let title = style.paint(color(rows[0]), &printable(verdict));
            format!("{title} ({})\n{}", rows.len(), table(&rows))
        })
        .collect()
}

fn rank(verdict: &str) -> usize {
    ORDER.iter().position(|known| *known == verdict).unwrap_or(ORDER.len())
}

fn color(row: &Row) -> Color {
    match row.verdict.as_str() {
        "FAILED" | "WOULD_FAIL" | "UNREACHABLE_WITH_PAIRS" | "UNREACHABLE" | "NOT_ACCEPTED" => Color::Red,
        _ if row.needs_action() => Color::Yellow,
        _ => Color::Green,
    }
}

fn table(rows: &[&Row]) -> String {
    let header = ["account", "region", "cluster", "workspace", "details"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| row.cells()));
    let mut lines = Vec::new();
    for (nth, line) in columns(&cells).into_iter().enumerate() {
        lines.push(format!("  {line}"));
        let row = nth.checked_sub(1).map(|nth| rows[nth]);
        lines.extend(row.into_iter().flat_map(Row::further_lines));
        let fix = nth.checked_sub(1).and_then(|nth| rows[nth].fix.as_deref());
        lines.extend(fix.map(|fix| format!("      fix: {}", printable(fix).trim_end().replace('\n', "\n        "))));
    }
    lines.join("\n")
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let last = |arn: &Option<String>| {
            let id = arn.as_deref().and_then(|arn| arn.rsplit('/').next());
            id.unwrap_or("-").to_owned()
        };
        vec![
            self.account.clone(),
            self.region.clone().unwrap_or_else(|| "-".to_owned()),
            last(&self.cluster_arn),
            last(&self.workspace_arn),
            self.details(),
        ]
    }

    /// The lines of the reason after the first one, such as commands.
    fn further_lines(&self) -> Vec<String> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let further = reason.lines().skip(1).filter(|line| !line.trim().is_empty());
        further.map(|line| format!("      {}", printable(line))).collect()
    }

    fn details(&self) -> String {
        let mut parts = Vec::new();
        let reason = self.reason.as_deref().and_then(|reason| reason.lines().next());
        match (&self.error, reason) {
            (Some(error), Some(reason)) => parts.push(format!("{error}: {reason}")),
            (Some(error), None) => parts.push(error.clone()),
            (None, Some(reason)) => parts.push(reason.to_owned()),
            (None, None) => {}
        }
        // An execution that would fail would change nothing.
        if self.error.is_none() {
            parts.extend(self.changes.iter().map(Change::words));
        }
        parts.extend(self.changed.clone());
        // A role and a scraper have no other name in the table.
        let other = self.role_arn.iter().chain(&self.scraper_arn).cloned();
        parts.extend(other);
        if self
            .samples
            .as_deref()
            .is_some_and(|samples| ["NONE", "TARGETS_DOWN"].contains(&samples))
        {
            parts.push(
                ["no samples".to_owned()]
                    .into_iter()
                    .chain(self.hints.clone())
                    .collect::<Vec<_>>()
                    .join(": "),
            );
        }
        parts.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        match parts.is_empty() {
            true => "-".to_owned(),
            false => parts.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;

    #[test]
    fn a_report_is_grouped_by_verdict() {
        let lines = r#"
{"account":"222222222222","region":"us-west-2","clusterArn":"arn:aws:eks:us-west-2:222222222222:cluster/a","workspaceArn":"arn:aws:aps:us-west-2:333333333333:workspace/ws-1","verdict":"UNCHANGED","reason":null,"error":null,"fix":null,"changes":[],"plan":null,"executionArn":null}
{"account":"222222222222","region":"us-west-2","clusterArn":"arn:aws:eks:us-west-2:222222222222:cluster/payments","workspaceArn":"arn:aws:aps:us-west-2:333333333333:workspace/ws-1","verdict":"WOULD_ONBOARD","connected":false,"changes":[{"action":"CREATE","resource":"source role","accountId":"2","arn":null,"differences":[]},{"action":"CREATE","resource":"scraper"}]}
{"account":"444444444444","region":"eu-west-1","clusterArn":"arn:aws:eks:eu-west-1:444444444444:cluster/b","workspaceArn":null,"verdict":"WOULD_FAIL","reason":"the private endpoint is off:\n  aws eks update-cluster-config","error":"NotReady","changes":[{"action":"CREATE","resource":"scraper"}],"fix":"Run:\nthe command"}
{"account":"555555555555","verdict":"UNREACHABLE","reason":"no reader"}
"#;
        let report = FleetReport {
            summary: serde_json::from_str(
                r#"{"executionArn":"arn:e","mode":"PLAN","endedAt":"2026-11-27T10:00:00Z","counts":{"UNCHANGED":1,"WOULD_ONBOARD":1,"WOULD_FAIL":1,"UNREACHABLE":1,"FAILED":0},"coverage":{"seen":3,"connected":1,"percent":33.333},"report":"reports/x/report.jsonl"}"#,
            )
            .unwrap(),
            rows: rows(lines).unwrap(),
        };
        let expected = "\
Plan of a reconciliation that ended at 2026-11-27T10:00:00Z
arn:e
1 of 3 clusters are connected (33.3 %).
WOULD_FAIL 1, UNREACHABLE 1, WOULD_ONBOARD 1, UNCHANGED 1

WOULD_FAIL (1)
  account       region     cluster  workspace  details
  444444444444  eu-west-1  b        -          NotReady: the private endpoint is off:
        aws eks update-cluster-config
      fix: Run:
        the command

UNREACHABLE (1)
  account       region  cluster  workspace  details
  555555555555  -       -        -          no reader

WOULD_ONBOARD (1)
  account       region     cluster   workspace  details
  222222222222  us-west-2  payments  ws-1       create source role; create scraper

UNCHANGED (1)
  account       region     cluster  workspace  details
  222222222222  us-west-2  a        ws-1       -";
        assert_eq!(report.text(Style::plain()), expected);
    }

    #[test]
    fn a_report_without_clusters_says_so() {
        assert_eq!(Summary::default().text(), "No clusters.");
    }
}
