//! The report of a reconciliation: one line of JSON for each cluster, and for each pair, scraper, role and account that
//! needs attention. Each line has a verdict, a reason, and what to do.

use super::finding::{Cluster, Done, Failure, Finding, Location, Orphan, Plan, Removal};
use crate::{arn::ClusterArn, request::Mode};
use serde::Serialize;
use serde_json::Value;

/// The maximum length of a reason, in characters.
const MAX_REASON: usize = 2000;

/// The verdict on a cluster, pair, scraper, role or account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The cluster would be connected.
    WouldOnboard,
    /// The pair differs from the routing table and would be repaired.
    WouldRepair,
    /// The pair would be removed.
    WouldOffboard,
    /// The scrapers of a missing cluster would be tagged, or lose the tag because the cluster exists.
    WouldMarkOrphan,
    /// An onboarding would fail.
    WouldFail,
    /// The cluster was connected.
    Onboarded,
    /// The pair was repaired.
    Repaired,
    /// The pair matches the routing table, or there is nothing to disconnect.
    Unchanged,
    /// The cluster, or the pair, was disconnected.
    Offboarded,
    /// The cluster is missing for the first time. Its scrapers were tagged.
    OrphanSeen,
    /// The cluster exists again. Its scrapers lost the tag.
    OrphanRecovered,
    /// The routing table or the tags of the cluster leave it out.
    Skipped,
    /// It failed.
    Failed,
    /// The workspace does not accept the account of the cluster.
    NotAccepted,
    /// The workspace could not be read.
    ConsentUnknown,
    /// The routing table no longer names the pair.
    Unrouted,
    /// Others manage the scraper.
    Unmanaged,
    /// The role belongs to no pair.
    Ownerless,
    /// The account cannot be reached. It has no pairs.
    Unreachable,
    /// The account cannot be reached. It has pairs, or may have some.
    UnreachableWithPairs,
}

impl Verdict {
    /// The name, as in JSON.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).unwrap_or_default();
        name.as_str().unwrap_or_default().to_owned()
    }

    /// Whether an execution would change something.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::WouldOnboard | Self::WouldRepair | Self::WouldOffboard | Self::WouldMarkOrphan
        )
    }

    /// What to do about it. `None` if there is nothing to do.
    fn fix(self, error: Option<&str>) -> Option<&'static str> {
        Some(match self {
            Self::WouldFail | Self::Failed => match error.unwrap_or_default() {
                "NotReady" => "Fix what the reason names, with its commands; then reconcile again.",
                "NotAccepted" => return Self::NotAccepted.fix(None),
                "Conflict" => "Do what the reason says, or exclude the cluster; then reconcile again.",
                "AccessDenied" => {
                    "Deploy the stack that the reason names in the account, or allow the call; then reconcile again."
                }
                "QuotaExceeded" => "Have the quota raised; then reconcile again.",
                "PlanChanged" => "Plan again, read the new plan, then apply it.",
                "TooManyClusters" => "Onboard the others by events or requests.",
                _ => "See docs/errors.md for the error; then reconcile again.",
            },
            Self::NotAccepted => {
                "Have the owner of the workspace accept the account: the tag ampxa:accept of the workspace."
            }
            Self::ConsentUnknown => "Let the hub read the workspace: deploy infra/target-account.yaml in its account.",
            Self::Skipped => {
                "Nothing, if it should be excluded; otherwise add a rule to the routing table, or change the tag that the \
                 reason names."
            }
            Self::Unrouted => {
                "Offboard the pair, or reconcile with removeUnrouted; to keep it, set the tag ampxa:origin of its scraper \
                 to request."
            }
            Self::Unmanaged => {
                "Nothing, if others should manage it, or if a rule with adopt applies to its cluster; otherwise set adopt in \
                 that rule."
            }
            Self::Ownerless => "Find out who created or changed the role; delete it if no scraper needs it.",
            Self::Unreachable | Self::UnreachableWithPairs => {
                "Deploy infra/source-account.yaml in the account, or remove the account from ReconcileAccounts."
            }
            _ => return None,
        })
    }
}

/// A line of the report. Fields without a value are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The account of the cluster, scraper or role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Region. IAM is global, so a role has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_arn: Option<String>,
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_arn: Option<String>,
    /// The scraper, if others manage it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scraper_arn: Option<String>,
    /// The role, if it belongs to no pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// Whether a scraper of ampxa serves the cluster. Only the line of a cluster that exists has this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The name of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
    /// What would change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Value>,
    /// What was created, repaired or replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Differences that an execution does not change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether samples arrive: `RECEIVING`, `NONE`, `TARGETS_DOWN`, `NOT_CHECKED` or `SKIPPED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// Why no sample arrives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The fingerprint of the plan of the pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The execution that works on the cluster now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    /// The execution that changed the pair, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
}

/// The lines of a report that follow from a finding. A location that was read has none.
pub fn entries(finding: Finding, mode: Mode) -> Vec<Entry> {
    match finding {
        Finding::Location(location) => of_location(location).into_iter().collect(),
        Finding::Cluster(cluster) => of_cluster(*cluster, mode),
        Finding::Orphan(orphan) => of_orphan(*orphan, mode).into_iter().collect(),
        Finding::Pair(pair) => {
            let verdict = match pair.known {
                true => Verdict::NotAccepted,
                false => Verdict::ConsentUnknown,
            };
            vec![Entry {
                workspace_arn: Some(pair.workspace_arn.to_string()),
                reason: Some(pair.reason),
                ..Entry::about(&pair.cluster_arn, verdict)
            }]
        }
        Finding::Scraper(scraper) => vec![Entry {
            workspace_arn: scraper.workspace_arn,
            scraper_arn: Some(scraper.scraper_arn),
            reason: Some(scraper.reason),
            ..Entry::about(&scraper.cluster_arn, Verdict::Unmanaged)
        }],
        Finding::Role(role) => vec![Entry {
            account: role.role_arn.split(':').nth(4).map(str::to_owned),
            role_arn: Some(role.role_arn),
            ..Entry::of(Verdict::Ownerless)
        }],
    }
}

impl Entry {
    fn of(verdict: Verdict) -> Self {
        Self {
            verdict: Some(verdict),
            fix: verdict.fix(None),
            ..Self::default()
        }
    }

    fn about(cluster: &ClusterArn, verdict: Verdict) -> Self {
        Self {
            account: Some(cluster.account().to_string()),
            region: Some(cluster.region().to_string()),
            cluster_arn: Some(cluster.to_string()),
            ..Self::of(verdict)
        }
    }

    /// The same line with an error.
    fn failed(self, verdict: Verdict, failure: &Failure) -> Self {
        let explained = failure.explained();
        Self {
            verdict: Some(verdict),
            fix: verdict.fix(Some(&explained.error)),
            reason: Some(explained.cause.chars().take(MAX_REASON).collect()),
            error: Some(explained.error),
            execution_arn: explained.execution_arn,
            ..self
        }
    }

    /// The same line with what an execution did.
    fn done(self, done: Done) -> Self {
        let (samples, hints) = match done.ingestion {
            Some(ingestion) => (Some(ingestion.result), ingestion.hints),
            None => (None, Vec::new()),
        };
        Self {
            changed: [done.created, done.repaired, done.replaced].concat(),
            warnings: done.warnings,
            samples,
            hints,
            execution_arn: done.execution_arn,
            ..self
        }
    }

    /// What two plans of the same fleet have in common if they have the same fingerprint.
    pub fn identity(&self) -> Vec<Option<String>> {
        let verdict = self.verdict.map(Verdict::name);
        vec![
            verdict,
            self.cluster_arn.clone(),
            self.workspace_arn.clone(),
            self.plan.clone(),
        ]
    }
}

fn of_location(location: Location) -> Option<Entry> {
    let about = |verdict| Entry {
        account: Some(location.account.to_string()),
        region: Some(location.region.to_string()),
        ..Entry::of(verdict)
    };
    if let Some(failure) = &location.failure {
        return Some(about(Verdict::Failed).failed(Verdict::Failed, failure));
    }
    let reason = location.unreachable.as_ref()?;
    let verdict = match location.has_pairs {
        true => Verdict::UnreachableWithPairs,
        false => Verdict::Unreachable,
    };
    Some(Entry {
        region: None,
        reason: Some(reason.chars().take(MAX_REASON).collect()),
        ..about(verdict)
    })
}

fn of_cluster(cluster: Cluster, mode: Mode) -> Vec<Entry> {
    let arn = cluster.cluster_arn.clone();
    let pair = |verdict, removal: &Removal| Entry {
        workspace_arn: Some(removal.workspace_arn.clone()),
        execution_arn: removal.execution_arn.clone(),
        ..Entry::about(&arn, verdict)
    };
    let mut of_pairs: Vec<Entry> = cluster
        .unrouted
        .iter()
        .map(|removal| pair(Verdict::Unrouted, removal))
        .collect();
    match mode {
        Mode::Plan => of_pairs.extend(
            cluster
                .removals
                .iter()
                .map(|removal| pair(Verdict::WouldOffboard, removal)),
        ),
        Mode::Apply => of_pairs.extend(cluster.removed.iter().map(|removal| match &removal.failure {
            Some(failure) => pair(Verdict::Failed, removal).failed(Verdict::Failed, failure),
            None => pair(Verdict::Offboarded, removal),
        })),
    }
    let mut entry = Entry {
        workspace_arn: cluster.request.map(|request| request.workspace_arn),
        connected: Some(cluster.connected),
        ..Entry::about(&arn, Verdict::Skipped)
    };
    entry = match (cluster.failure, cluster.result, (cluster.plan, cluster.removal)) {
        (Some(failure), ..) => entry.failed(would_fail(mode, &failure.explained().error), &failure),
        (None, Some(done), _) => {
            let verdict = verdict_of(&done);
            Entry {
                verdict: Some(verdict),
                fix: verdict.fix(None),
                connected: Some(verdict != Verdict::Offboarded),
                ..entry.done(done)
            }
        }
        (None, None, (Some(plan), _)) => planned(entry, plan, Verdict::WouldRepair, mode),
        (None, None, (None, Some(plan))) => planned(entry, plan, Verdict::WouldOffboard, mode),
        // There is no pair to disconnect.
        (None, None, (None, None)) if cluster.action.is_none() => Entry {
            verdict: Some(Verdict::Unchanged),
            fix: None,
            reason: cluster.reason,
            ..entry
        },
        (None, None, (None, None)) => Entry {
            reason: cluster.reason.map(|reason| reason.chars().take(MAX_REASON).collect()),
            ..entry
        },
    };
    std::iter::once(entry).chain(of_pairs).collect()
}

/// The verdict on a cluster whose onboarding failed or would fail.
fn would_fail(mode: Mode, error: &str) -> Verdict {
    match (mode, error) {
        (Mode::Apply, _) => Verdict::Failed,
        (Mode::Plan, "NotAccepted") => Verdict::NotAccepted,
        (Mode::Plan, _) => Verdict::WouldFail,
    }
}

/// The line of a cluster whose onboarding or offboarding was planned. `change` is the verdict on changes that create no
/// scraper.
fn planned(entry: Entry, plan: Plan, change: Verdict, mode: Mode) -> Entry {
    let changes = || plan.changes.iter().filter(|change| change["action"] != "NONE");
    let error = plan.would_fail_as.clone();
    let verdict = match &error {
        // A reconciliation that keeps to a plan starts nothing that would fail.
        Some(error) => would_fail(mode, error),
        None if changes().next().is_none() => Verdict::Unchanged,
        // An execution that replaces a stale scraper repairs the pair.
        None if changes().any(|change| change["action"] == "DELETE") => change,
        None if changes().any(|change| change["action"] == "CREATE" && change["resource"] == "scraper") => {
            Verdict::WouldOnboard
        }
        None if changes().any(|change| change["action"] == "ADOPT") => Verdict::WouldOnboard,
        None => change,
    };
    let reason = plan.prerequisites.join("\n");
    Entry {
        verdict: Some(verdict),
        fix: verdict.fix(error.as_deref()),
        error,
        reason: match reason.is_empty() {
            true => entry.reason,
            false => Some(reason.chars().take(MAX_REASON).collect()),
        },
        changes: changes().cloned().collect(),
        warnings: plan.warnings,
        in_progress: plan.in_progress,
        plan: Some(plan.plan),
        ..entry
    }
}

/// The line of an orphan.
fn of_orphan(orphan: Orphan, mode: Mode) -> Option<Entry> {
    let about = |verdict| Entry::about(&orphan.cluster_arn, verdict);
    match (&orphan.failure, orphan.result.clone(), mode) {
        (Some(failure), ..) => Some(about(Verdict::Failed).failed(would_fail(mode, ""), failure)),
        (None, Some(done), _) => Some(about(verdict_of(&done)).done(done)),
        // The state machine marks or offboards each orphan.
        (None, None, Mode::Apply) if orphan.removal.is_none() => None,
        (None, None, _) => {
            let (verdict, reason) = match (orphan.missing, &orphan.orphan_since) {
                (true, Some(_)) => (
                    Verdict::WouldOffboard,
                    "it is missing, and was missing at an earlier reconciliation",
                ),
                (true, None) if orphan.removal.is_some() => (Verdict::WouldOffboard, "it is missing"),
                (true, None) => (Verdict::WouldMarkOrphan, "it is missing for the first time"),
                (false, _) => (Verdict::WouldMarkOrphan, "it exists again: the tag is removed"),
            };
            let entry = Entry {
                reason: Some(reason.to_owned()),
                ..about(verdict)
            };
            Some(match orphan.removal {
                Some(plan) => planned(entry, plan, Verdict::WouldOffboard, mode),
                None => entry,
            })
        }
    }
}

/// The verdict that the outcome of an execution names.
fn verdict_of(done: &Done) -> Verdict {
    match done.outcome.as_str() {
        "ONBOARDED" => Verdict::Onboarded,
        "REPAIRED" => Verdict::Repaired,
        "UNCHANGED" => Verdict::Unchanged,
        "OFFBOARDED" => Verdict::Offboarded,
        "ORPHAN_SEEN" => Verdict::OrphanSeen,
        "ORPHAN_RECOVERED" => Verdict::OrphanRecovered,
        _ => Verdict::Failed,
    }
}
