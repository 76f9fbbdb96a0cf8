//! The text of a plan.

use super::{Action, Change, Difference, Plan};
use crate::style::{Color, Style, printable};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// The number of lines that do not differ around those that do.
const CONTEXT_LINES: usize = 3;
/// A value with at most this many characters is printed in one line.
const SHORT: usize = 60;

impl Plan {
    /// The plan as text: changes, prerequisites, warnings, a summary and the fingerprint.
    pub fn text(&self, style: Style) -> String {
        let mut lines = vec![format!("Cluster    {}", printable(&self.cluster_arn))];
        let workspace = self.workspace_arn.as_deref().unwrap_or("all of its pairs");
        lines.push(format!("Workspace  {}\n", printable(workspace)));
        for change in self.changes.iter().filter(|change| change.action != Action::None) {
            lines.push(change.text(style));
        }
        if let Some(reason) = &self.reason {
            lines.push(format!("Skipped: {}\n", printable(reason)));
        }
        if let Some(execution) = &self.in_progress {
            lines.push(format!(
                "This execution works on the cluster now, and can change what this plan shows:\n  {}\n",
                printable(execution)
            ));
        }
        lines.extend(list("Missing prerequisites:", &self.prerequisites));
        lines.extend(list("Warnings:", &self.warnings));
        if let Some(error) = &self.would_fail_as {
            let text = format!("The execution would fail as {}.", printable(error));
            lines.push(style.paint(Color::Red, &text) + "\n");
        }
        lines.push(self.summary());
        if let Some(fingerprint) = &self.plan {
            lines.push(format!("Fingerprint: {}", printable(fingerprint)));
        }
        lines.join("\n")
    }

    /// The summary line: `Plan: 3 to create, 1 to update, 0 to delete.`, or `No changes.`
    pub fn summary(&self) -> String {
        let count = |action| self.changes.iter().filter(|change| change.action == action).count();
        if !self.has_changes() {
            return "No changes.".to_owned();
        }
        let adopt = match count(Action::Adopt) {
            0 => String::new(),
            number => format!("{number} to adopt, "),
        };
        format!(
            "Plan: {} to create, {adopt}{} to update, {} to delete.",
            count(Action::Create),
            count(Action::Update),
            count(Action::Delete)
        )
    }
}

impl Action {
    fn symbol(self) -> (&'static str, &'static str, Color) {
        match self {
            Self::Create => ("+", "create", Color::Green),
            Self::Update => ("~", "update", Color::Yellow),
            Self::Adopt => ("~", "adopt", Color::Yellow),
            Self::Delete => ("-", "delete", Color::Red),
            Self::None => (" ", "keep", Color::Green),
        }
    }
}

impl Change {
    fn text(&self, style: Style) -> String {
        let (symbol, verb, color) = self.action.symbol();
        let head = format!("{symbol:>3} {verb} {}", printable(&self.resource));
        let mut text = style.paint(color, &head);
        text += &format!(" in account {}\n", printable(&self.account_id));
        if let Some(arn) = &self.arn {
            text += &format!("      {}\n", printable(arn));
        }
        for difference in &self.differences {
            text += &difference.text(style);
        }
        text
    }
}

impl Difference {
    fn text(&self, style: Style) -> String {
        let path = printable(&self.path);
        if let (Some(before), Some(after)) = (short(&self.before), short(&self.after)) {
            return format!("      {path}: {before} → {after}\n");
        }
        let mut text = format!("      {path}:\n");
        let [before, after] = [document(&self.before), document(&self.after)];
        let diff = TextDiff::from_lines(&before, &after);
        for (nth, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
            if nth > 0 {
                text += "          …\n";
            }
            for line in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
                let content = line.to_string_lossy();
                let content = format!("{} {}", line.tag(), printable(content.trim_end()));
                let content = match line.tag() {
                    ChangeTag::Delete => style.paint(Color::Red, &content),
                    ChangeTag::Insert => style.paint(Color::Green, &content),
                    ChangeTag::Equal => content,
                };
                text += &format!("        {}\n", content.trim_end());
            }
        }
        text
    }
}

/// A value in one line, if it is short.
fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return Some("(none)".to_owned()),
        Value::String(text) if text.contains('\n') => return None,
        Value::Object(_) | Value::Array(_) if value.to_string().len() > SHORT => return None,
        value => value.to_string(),
    };
    Some(printable(&text))
}

/// A value as the lines of a document.
fn document(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{}\n", text.trim_end()),
        value => format!("{value:#}\n"),
    }
}

/// A list below a title, with an empty line after it. The further lines of an item are indented.
fn list(title: &str, items: &[String]) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    let mut text = format!("{title}\n");
    for item in items {
        text += &format!("  - {}\n", printable(item.trim_end()).replace('\n', "\n    "));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(output: Value) -> Plan {
        serde_json::from_value(output).unwrap()
    }

    #[test]
    fn a_plan_is_printed_with_each_difference() {
        let trust = |id: &str| {
            json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": { "AWS": "arn:aws:iam::222222222222:role/ampxa-source-demo-8c16ae21" },
                "Action": "sts:AssumeRole",
                "Condition": { "StringEquals": { "sts:ExternalId": id } },
            }] })
        };
        let plan = plan(json!({
            "outcome": "PLANNED",
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "workspaceArn": "arn:aws:aps:us-west-2:333333333333:workspace/ws-1",
            "changes": [
                { "action": "CREATE", "resource": "source role", "accountId": "222222222222",
                  "arn": "arn:aws:iam::222222222222:role/ampxa-source-demo-8c16ae21", "differences": [] },
                { "action": "UPDATE", "resource": "target role", "accountId": "333333333333",
                  "arn": "arn:aws:iam::333333333333:role/ampxa-target-demo-8c16ae21", "differences": [
                    { "path": "trust policy", "before": trust("a"), "after": trust("b") },
                    { "path": "tags.team", "before": null, "after": "payments" },
                ] },
                { "action": "UPDATE", "resource": "scraper", "accountId": "222222222222", "arn": null,
                  "differences": [{ "path": "subnets", "before": ["subnet-1"], "after": ["subnet-2"] }] },
                { "action": "NONE", "resource": "scraper", "accountId": "222222222222", "arn": null },
            ],
            "prerequisites": ["The workspace does not accept the account 222222222222. Run:\n  aws amp tag-resource"],
            "wouldFailAs": "NotAccepted",
            "inProgress": "arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:a",
            "warnings": ["The quota is 90 % used."],
            "reason": null,
            "plan": "0f1e2d",
        }));
        let expected = r#"Cluster    arn:aws:eks:us-west-2:222222222222:cluster/demo
Workspace  arn:aws:aps:us-west-2:333333333333:workspace/ws-1

  + create source role in account 222222222222
      arn:aws:iam::222222222222:role/ampxa-source-demo-8c16ae21

  ~ update target role in account 333333333333
      arn:aws:iam::333333333333:role/ampxa-target-demo-8c16ae21
      trust policy:
                "Action": "sts:AssumeRole",
                "Condition": {
                  "StringEquals": {
        -           "sts:ExternalId": "a"
        +           "sts:ExternalId": "b"
                  }
                }
              }
      tags.team: (none) → "payments"

  ~ update scraper in account 222222222222
      subnets: ["subnet-1"] → ["subnet-2"]

This execution works on the cluster now, and can change what this plan shows:
  arn:aws:states:us-west-2:111111111111:execution:ampxa-onboard:a

Missing prerequisites:
  - The workspace does not accept the account 222222222222. Run:
      aws amp tag-resource

Warnings:
  - The quota is 90 % used.

The execution would fail as NotAccepted.

Plan: 1 to create, 2 to update, 0 to delete.
Fingerprint: 0f1e2d"#;
        assert_eq!(plan.text(Style::plain()), expected);
    }

    #[test]
    fn a_plan_without_changes_says_so() {
        let plan = plan(json!({
            "outcome": "PLANNED",
            "clusterArn": "arn:aws:eks:us-west-2:222222222222:cluster/demo",
            "changes": [{ "action": "NONE", "resource": "scraper", "accountId": "222222222222", "arn": null }],
            "reason": "the cluster has no pairs",
            "plan": "0f",
        }));
        let expected = "Cluster    arn:aws:eks:us-west-2:222222222222:cluster/demo\nWorkspace  all of its pairs\n\n\
                        Skipped: the cluster has no pairs\n\nNo changes.\nFingerprint: 0f";
        assert_eq!(plan.text(Style::plain()), expected);
        assert!(!plan.has_changes());
    }

    #[test]
    fn a_new_document_is_printed_with_plus_signs_and_distant_changes_with_an_ellipsis() {
        let difference = |before: Value, after: Value| Difference {
            path: "scrape configuration".to_owned(),
            before,
            after,
        };
        let created = difference(Value::Null, json!("a: 1\nb: 2\n"));
        assert_eq!(
            created.text(Style::plain()),
            "      scrape configuration:\n        + a: 1\n        + b: 2\n"
        );
        let lines: Vec<String> = (0..20).map(|nth| format!("line {nth}")).collect();
        let before = lines.join("\n");
        let after = before.replace("line 0\n", "first\n").replace("line 19", "last");
        let text = difference(json!(before), json!(after)).text(Style::plain());
        assert_eq!(text.matches("          …\n").count(), 1, "{text}");
        assert!(!text.contains("line 10"), "{text}");
    }
}
