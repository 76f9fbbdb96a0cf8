//! `doctor`: checks an installation. Read-only.

mod accounts;
mod alerts;
mod machines;

use crate::{
    api::CallError,
    credentials::Credentials,
    hub::Hub,
    report::FleetReport,
    style::{Color, Style, printable},
};
use ampxa::VERSION;
use serde::Serialize;
use std::collections::BTreeSet;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The check found no problem.
    Ok,
    /// Something works, but not as recommended.
    Warn,
    /// Something does not work.
    Fail,
    /// The check could not be made.
    Skip,
}

/// A result of a check, with its fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The result.
    pub level: Level,
    /// What was checked.
    pub check: String,
    /// What was found.
    pub message: String,
    /// What fixes it.
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, message, None)
    }

    fn warn(check: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Warn, check, message, Some(fix.into()))
    }

    fn fail(check: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Fail, check, message, Some(fix.into()))
    }

    fn skip(check: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Skip, check, message, None)
    }

    /// A call that failed: a check that is skipped, because the caller has no permission, or a failure.
    fn of_error(check: &str, error: &CallError) -> Self {
        match error.is_denied() {
            true => Self::skip(check, format!("not checked: {error}")),
            false => Self::fail(
                check,
                error.to_string(),
                "Repeat the command; if it fails again, see the message",
            ),
        }
    }

    fn new(level: Level, check: &str, message: impl Into<String>, fix: Option<String>) -> Self {
        Self {
            level,
            check: check.to_owned(),
            message: message.into(),
            fix,
        }
    }

    /// The finding as one line.
    pub fn line(&self, style: Style) -> String {
        let level = match self.level {
            Level::Ok => style.paint(Color::Green, "ok  "),
            Level::Warn => style.paint(Color::Yellow, "warn"),
            Level::Fail => style.paint(Color::Red, "fail"),
            Level::Skip => "skip".to_owned(),
        };
        let fix = self.fix.as_ref().map(|fix| format!(". {}.", fix.trim_end_matches('.')));
        let text = format!("{}: {}{}", self.check, self.message, fix.unwrap_or_default());
        format!("{level}  {}", printable(&text).replace('\n', " "))
    }
}

/// The results of all checks.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// Whether nothing fails.
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Fail)
    }

    /// One line for each finding, and a summary.
    pub fn text(&self, style: Style) -> String {
        let mut lines: Vec<String> = self.findings.iter().map(|finding| finding.line(style)).collect();
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let plural = |number, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        lines.push(format!(
            "\n{} ok, {}, {}, {} skipped.",
            count(Level::Ok),
            plural(count(Level::Warn), "warning"),
            plural(count(Level::Fail), "failure"),
            count(Level::Skip)
        ));
        lines.join("\n")
    }
}

/// Checks the hub and the accounts; without accounts, those of the last report.
pub async fn examine(credentials: &Credentials, hub: &Hub, accounts: &[String]) -> Findings {
    let mut findings = vec![stack(hub), version(hub)];
    findings.extend(machines::last_executions(hub).await);
    findings.push(alerts::subscription(hub).await);
    findings.push(alerts::trail(hub).await);
    findings.push(alerts::rules(hub).await);
    let (sources, targets) = match accounts {
        [] => match FleetReport::latest(hub).await {
            Ok(report) => {
                findings.push(Finding::ok("report", report.summary.text().replace('\n', ", ")));
                accounts_of(&report)
            }
            Err(error) => {
                let message = format!("{error:#}");
                findings.push(Finding::warn("report", message, "Name the accounts with --accounts"));
                (BTreeSet::new(), BTreeSet::new())
            }
        },
        all => (all.iter().cloned().collect(), BTreeSet::new()),
    };
    let mut of_accounts = Vec::new();
    for account in &sources {
        of_accounts.extend(accounts::source(credentials, hub, account).await);
    }
    for account in &targets {
        of_accounts.extend(accounts::target(credentials, hub, account).await);
    }
    findings.extend(accounts::merge_denied(of_accounts));
    Findings { findings }
}

/// The source and target accounts of a report.
fn accounts_of(report: &FleetReport) -> (BTreeSet<String>, BTreeSet<String>) {
    let sources = report
        .rows
        .iter()
        .map(|row| row.account.clone())
        .filter(|id| !id.is_empty());
    let workspaces = report.rows.iter().filter_map(|row| row.workspace_arn.as_deref());
    let targets = workspaces.filter_map(|arn| arn.split(':').nth(4)).map(str::to_owned);
    (sources.collect(), targets.collect())
}

fn stack(hub: &Hub) -> Finding {
    let check = format!("stack {}", hub.name);
    let missing: Vec<&str> = [
        "OnboardArn",
        "OffboardArn",
        "ReconcileArn",
        "BucketName",
        "AlertsTopicArn",
    ]
    .into_iter()
    .filter(|name| !hub.outputs.contains_key(*name))
    .collect();
    let status = hub.status.as_str();
    if !missing.is_empty() {
        let message = format!("{status}, without the outputs {}", missing.join(", "));
        return Finding::fail(&check, message, "Deploy the current infra/template.yaml");
    }
    if status.ends_with("_IN_PROGRESS") {
        return Finding::warn(&check, status, "Wait for the end of the deployment");
    }
    if status.contains("ROLLBACK") || status.ends_with("_FAILED") {
        return Finding::fail(
            &check,
            status,
            "Read the events of the stack, fix the cause, and deploy again",
        );
    }
    Finding::ok(
        &check,
        format!("{status} in {} of {}", hub.account.region, hub.account.id),
    )
}

/// Whether this command has the version of the hub.
fn version(hub: &Hub) -> Finding {
    match hub.outputs.get("Version") {
        Some(version) if version == VERSION => Finding::ok("version", format!("hub and command have {version}")),
        Some(version) => Finding::warn(
            "version",
            format!("the hub has {version}, and this command has {VERSION}"),
            format!("Install the command of the version {version}, or upgrade the hub"),
        ),
        None => Finding::warn(
            "version",
            format!("the hub has no version, and this command has {VERSION}"),
            "Deploy the current infra/template.yaml",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_its_fix() {
        let findings = Findings {
            findings: vec![
                Finding::ok("stack ampxa", "CREATE_COMPLETE"),
                Finding::warn("alerts", "the topic has\nno subscription", "Subscribe to it."),
                Finding::skip("trail", "not checked: denied"),
            ],
        };
        let expected = "\
ok    stack ampxa: CREATE_COMPLETE
warn  alerts: the topic has no subscription. Subscribe to it.
skip  trail: not checked: denied

1 ok, 1 warning, 0 failures, 1 skipped.";
        assert_eq!(findings.text(Style::plain()), expected);
        assert!(findings.is_fine());
    }

    #[test]
    fn a_denied_call_is_skipped() {
        let error = |code: &str| CallError {
            call: "sns:ListSubscriptionsByTopic".to_owned(),
            code: code.to_owned(),
            message: "no".to_owned(),
        };
        assert_eq!(
            Finding::of_error("alerts", &error("AuthorizationError")).level,
            Level::Skip
        );
        assert_eq!(Finding::of_error("alerts", &error("InternalError")).level, Level::Fail);
    }
}
