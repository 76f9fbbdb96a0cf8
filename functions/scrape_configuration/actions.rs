//! Checks that a relabelling rule has the fields that its action needs, and no others.
//!
//! Source: `Config.Validate` in `model/relabel/relabel.go` of Prometheus 3.14, with the names of labels that Prometheus
//! 2 accepts too.

use super::{
    field::Field,
    go_regex, is_label_name,
    problems::{Problem, Problems},
    relabelling::Rule,
    schema,
};
use crate::input::shown;

const ACTIONS: [&str; 11] = [
    "dropequal",
    "drop",
    "hashmod",
    "keepequal",
    "keep",
    "labeldrop",
    "labelkeep",
    "labelmap",
    "lowercase",
    "replace",
    "uppercase",
];

/// Checks the relabelling rules of a job.
pub(super) fn check_job(job: &Field, problems: &mut Problems) {
    for list in ["relabel_configs", "metric_relabel_configs"] {
        for rule in Rule::list(job, list, problems) {
            check(&rule, problems);
        }
    }
}

fn check(rule: &Rule, problems: &mut Problems) {
    if let Some(regex) = problems.check(rule.regex())
        && let Err(why) = go_regex::check(regex)
    {
        problems.add(rule.at("regex").invalid(format!(
            "{} is not a regular expression of RE2, which Prometheus uses: {why}",
            shown(regex)
        )));
    }
    if !ACTIONS.contains(&rule.action.as_str()) {
        return problems.add(unknown_action(rule));
    }
    if rule.sets_or_compares_target() {
        problems.check(check_target(rule));
    }
    if rule.action == "hashmod" {
        problems.check(check_modulus(rule));
    }
    if rule.action == "labelmap"
        && let Some(replacement) = problems.check(rule.replacement())
        && !is_template_of_a_name(replacement)
    {
        problems.add(rule.at("replacement").invalid(format!(
            "{} cannot become the name of a label; expected one such as $1 or label_$1",
            shown(replacement)
        )));
    }
    check_unused(rule, problems);
}

fn unknown_action(rule: &Rule) -> Problem {
    let hint = match schema::nearest(&rule.action, ACTIONS.into_iter()) {
        Some(action) => format!("did you mean {action}?"),
        None => format!("expected {}", ACTIONS.join(", ")),
    };
    rule.at("action")
        .invalid(format!("{} is not an action; {hint}", shown(&rule.action)))
}

/// Checks the field `target_label` of an action that needs it.
fn check_target(rule: &Rule) -> Result<(), Problem> {
    let action = &rule.action;
    let Some(target) = rule.field.get("target_label") else {
        let why = format!("it is missing; the action {action} needs the name of a label");
        return Err(rule.field.missing("target_label", why));
    };
    let name = target.text()?;
    let valid = match action.as_str() {
        "hashmod" => is_label_name(name),
        _ => is_template_of_a_name(name),
    };
    match valid {
        true => Ok(()),
        false => Err(target.invalid(format!(
            "{} is not a valid label name; expected letters, digits and \"_\", not beginning with a digit",
            shown(name)
        ))),
    }
}

fn check_modulus(rule: &Rule) -> Result<(), Problem> {
    let why = "the action hashmod needs a number of 1 or more";
    let Some(modulus) = rule.field.get("modulus") else {
        return Err(rule.field.missing("modulus", format!("it is missing; {why}")));
    };
    // What is no number is refused by the schema.
    match schema::number(modulus.scalar()?) {
        Some(value) if value < 1.0 => Err(modulus.invalid(format!("it is 0; {why}"))),
        _ => Ok(()),
    }
}

/// Checks that the fields that an action does not use are not set. A default counts as not set, but not that of
/// `regex`.
fn check_unused(rule: &Rule, problems: &mut Problems) {
    let unused: &[&str] = match rule.action.as_str() {
        "lowercase" | "uppercase" => &["replacement"],
        "keepequal" | "dropequal" => &["regex", "modulus", "separator", "replacement"],
        "labeldrop" | "labelkeep" => &["source_labels", "target_label", "modulus", "separator", "replacement"],
        _ => &[],
    };
    for name in unused {
        let Some(field) = rule.field.entry(name) else { continue };
        let is_default = match *name {
            "replacement" => !field.is_null() && field.text().is_ok_and(|text| text == "$1"),
            "separator" => !field.is_null() && field.text().is_ok_and(|text| text == ";"),
            "modulus" => field.is_null() || field.scalar().is_ok_and(|scalar| schema::number(scalar) == Some(0.0)),
            "target_label" => field.is_unset(),
            "source_labels" => field.is_null(),
            _ => false,
        };
        if !is_default {
            problems.add(field.invalid(format!("the action {} does not use it; remove it", rule.action)));
        }
    }
}

/// Whether a template, such as `label_$1` or `a_${1}`, can become the name of a label (`relabelTargetLegacy`).
fn is_template_of_a_name(template: &str) -> bool {
    let mut rest = template;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some((before, after)) = rest.split_once('$') {
        let end = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
        let after_reference = match after.strip_prefix('{') {
            Some(braced) => braced[end(braced)..].strip_prefix('}').filter(|_| end(braced) > 0),
            None => Some(&after[end(after)..]).filter(|_| end(after) > 0),
        };
        match after_reference {
            Some(after) if before.chars().all(is_word) => rest = after,
            _ => return false,
        }
    }
    !template.is_empty() && !template.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each verdict is that of promtool.
    #[test]
    fn a_template_of_a_name_has_only_letters_digits_underscores_and_references() {
        for template in [
            "a",
            "_1",
            "$1",
            "${1}",
            "a_$1",
            "a${b}c",
            "${1}2",
            "$1$2",
            "__x_${1}_$2",
        ] {
            assert!(is_template_of_a_name(template), "{template}");
        }
        for template in [
            "", "1", "1$1", "a-b", "$", "a$", "$$1", "${}", "${1", "${a-b}", "a b", "$-", "é",
        ] {
            assert!(!is_template_of_a_name(template), "{template}");
        }
    }
}
