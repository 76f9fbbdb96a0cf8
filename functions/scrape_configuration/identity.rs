//! The label that identifies a cluster: only ampxa sets it.
//!
//! External labels are added to a series when it is sent, unless the series already has a label of that name. So a
//! configuration could replace the label in two ways: with `external_labels`, and with a label of the series, which
//! comes from `static_configs` or from relabelling. `labeldrop` and `labelkeep` change the labels of the series only,
//! before the external labels are added.
//!
//! A label that a target exposes is not checked, even if a `labelmap` copies it.

use super::{
    IDENTITY_LABEL,
    field::Field,
    problems::{Problem, Problems},
    relabelling::{Rule, Template, has_alternatives},
};
use crate::input::shown;

const WHY: &str = "which ampxa sets, because it identifies the cluster";

/// Why a value of the label is not accepted.
pub(crate) fn not_the_cluster(value: &str) -> String {
    format!(
        "{} is not the ARN of the cluster; leave it out: ampxa sets this label, because it identifies the cluster",
        shown(value)
    )
}

/// Checks the value of the label in a mapping of labels: the ARN of the cluster, or absent. Null and an empty text
/// count as absent, as in Prometheus.
pub(super) fn check_labels(labels: &Field, cluster_arn: &str) -> Result<(), Problem> {
    let Some(label) = labels.get(IDENTITY_LABEL) else {
        return Ok(());
    };
    let value = label.text()?;
    if value.is_empty() || value == cluster_arn {
        return Ok(());
    }
    Err(label.invalid(not_the_cluster(value)))
}

/// Checks that a job cannot set the label to a value of its author's choice.
///
/// A `labelmap` with a reference can copy a label to any name that is a part of its own name. So, if the job has one,
/// nothing in the job may name a label that contains the name, and no template may compose one. Then the name can come
/// only from a label that the discovery or a target has.
pub(super) fn check_job(job: &Field, cluster_arn: &str, problems: &mut Problems) {
    let mut rules = Rule::list(job, "relabel_configs", problems);
    rules.extend(Rule::list(job, "metric_relabel_configs", problems));
    let mut copies = false;
    for rule in rules.iter().filter(|rule| rule.action == "labelmap") {
        copies |= problems.check(check_labelmap(rule)).unwrap_or(false);
    }
    for target in rules.iter().filter_map(Rule::target) {
        problems.check(check_target(&target, copies));
    }
    for group in job.list_or_empty("static_configs") {
        let Some(labels) = group.get("labels") else { continue };
        problems.check(check_labels(&labels, cluster_arn));
        let members = problems.check(labels.members()).unwrap_or_default();
        for (name, label) in members.iter().filter(|(name, _)| *name != IDENTITY_LABEL) {
            problems.check(check_name(name, label, copies));
        }
    }
    let params = job.get("params").and_then(|params| problems.check(params.members()));
    // Each becomes a label `__param_<name>`.
    for (name, values) in params.unwrap_or_default() {
        problems.check(check_name(name, &values, copies));
    }
}

/// Checks the name of a label that a job sets. `copies` is whether the job has a `labelmap` with a reference.
fn check_name(name: &str, field: &Field, copies: bool) -> Result<(), Problem> {
    if copies && name.contains(IDENTITY_LABEL) {
        let why = format!(
            "a labelmap of this job can copy it to {IDENTITY_LABEL}, {WHY}; use a name that does not contain \
             {IDENTITY_LABEL}"
        );
        return Err(field.invalid(why));
    }
    Ok(())
}

fn check_target(target: &Field, copies: bool) -> Result<(), Problem> {
    let name = target.text()?;
    if name == IDENTITY_LABEL {
        return Err(target.invalid(format!("leave this rule out: it sets {IDENTITY_LABEL}, {WHY}")));
    }
    if name.contains('$') {
        let why = format!(
            "{} can become any label, also {IDENTITY_LABEL}, {WHY}; write the name of one label",
            shown(name)
        );
        return Err(target.invalid(why));
    }
    check_name(name, target, copies)
}

/// Checks the rule, and returns whether it has a reference.
fn check_labelmap(rule: &Rule) -> Result<bool, Problem> {
    let regex = rule.regex()?;
    if has_alternatives(regex).is_none() {
        let why = format!(
            "its parentheses are not in pairs, or it contains \\Q, so it can set {IDENTITY_LABEL}, {WHY}; write it \
             without these"
        );
        return Err(rule.at("regex").invalid(why));
    }
    let replacement = rule.replacement()?;
    let template = Template::parse(replacement);
    let can_be_it = match template.has_references() {
        true => template.can_contain(IDENTITY_LABEL),
        false => replacement == IDENTITY_LABEL,
    };
    if can_be_it {
        let why = format!(
            "{} can become {IDENTITY_LABEL}, {WHY}; use a replacement such as $1 or label_$1",
            shown(replacement)
        );
        return Err(rule.at("replacement").invalid(why));
    }
    Ok(template.has_references())
}
