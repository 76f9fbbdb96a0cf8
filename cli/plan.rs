//! The plan of an onboarding or offboarding: the output of an execution with `"mode": "PLAN"`, and its text.

mod text;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// `PLANNED`.
    pub outcome: String,
    /// The ARN of the cluster.
    pub cluster_arn: String,
    /// The ARN of the workspace; `None` for an offboarding from all workspaces.
    #[serde(default)]
    pub workspace_arn: Option<String>,
    /// The changes that an execution would make.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What is missing, each with the command that fixes it.
    #[serde(default)]
    pub prerequisites: Vec<String>,
    /// The name of the error that an execution would fail with.
    #[serde(default)]
    pub would_fail_as: Option<String>,
    /// The ARN of an execution that works on the cluster now.
    #[serde(default)]
    pub in_progress: Option<String>,
    /// Warnings.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why an offboarding would be skipped.
    #[serde(default)]
    pub reason: Option<String>,
    /// The fingerprint: the value of `expectedPlan` of the execution that applies this plan.
    #[serde(default)]
    pub plan: Option<String>,
}

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What happens to the resource.
    pub action: Action,
    /// The resource: `source role`, `target role` or `scraper`.
    pub resource: String,
    /// The account id.
    #[serde(default)]
    pub account_id: String,
    /// The ARN; `None` if AWS assigns it at the creation.
    #[serde(default)]
    pub arn: Option<String>,
    /// The differences between the resource and its desired state.
    #[serde(default)]
    pub differences: Vec<Difference>,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// It is created.
    Create,
    /// It is updated.
    Update,
    /// It is updated, and ampxa did not create it.
    Adopt,
    /// It is deleted.
    Delete,
    /// It is not changed.
    None,
}

/// A difference between a resource and its desired state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The attribute, such as `trust policy`.
    pub path: String,
    /// The current value.
    #[serde(default)]
    pub before: Value,
    /// The desired value.
    #[serde(default)]
    pub after: Value,
}

impl Change {
    /// The change in words: `create source role`.
    pub fn words(&self) -> String {
        let action = match self.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Adopt => "adopt",
            Action::Delete => "delete",
            Action::None => "keep",
        };
        let parts: Vec<&str> = self
            .differences
            .iter()
            .map(|difference| difference.path.as_str())
            .collect();
        match (self.action, parts.is_empty()) {
            (Action::Update | Action::Adopt, false) => format!("{action} {} ({})", self.resource, parts.join(", ")),
            _ => format!("{action} {}", self.resource),
        }
    }
}

impl Plan {
    /// Whether an execution would change a resource.
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| change.action != Action::None)
    }
}
