//! Reads relabelling rules (Prometheus configuration reference, `relabel_config`).

use super::{
    field::Field,
    problems::{Problem, Problems},
};

/// A relabelling rule.
pub(super) struct Rule<'a> {
    pub(super) field: Field<'a>,
    /// The action, in lower case. Prometheus ignores the case.
    pub(super) action: String,
}

impl<'a> Rule<'a> {
    /// The rules in a field of a job.
    pub(super) fn list(job: &Field<'a>, name: &str, problems: &mut Problems) -> Vec<Self> {
        let rules = problems.check(job.list(name)).unwrap_or_default();
        rules
            .into_iter()
            .filter_map(|rule| problems.check(Self::read(rule)))
            .collect()
    }

    fn read(field: Field<'a>) -> Result<Self, Problem> {
        field.members()?;
        let action = match field.entry("action") {
            // Prometheus then has no action.
            Some(action) if action.is_null() => String::new(),
            Some(action) => action.text()?.to_lowercase(),
            None => "replace".to_owned(),
        };
        Ok(Self { field, action })
    }

    /// The field `target_label`, if the rule sets this label. An unknown action counts as one that does.
    pub(super) fn target(&self) -> Option<Field<'a>> {
        match self.action.as_str() {
            "keep" | "drop" | "keepequal" | "dropequal" | "labelmap" | "labeldrop" | "labelkeep" => None,
            _ => self.field.get("target_label"),
        }
    }

    /// Whether the action writes the label `target_label`, or compares with it.
    pub(super) fn sets_or_compares_target(&self) -> bool {
        let actions = ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"];
        actions.contains(&self.action.as_str())
    }

    /// The field with this name, or the rule itself, for messages about a default.
    pub(super) fn at(&self, name: &str) -> Field<'a> {
        self.field.entry(name).unwrap_or_else(|| self.field.clone())
    }

    /// The field `replacement`, or its default.
    pub(super) fn replacement(&self) -> Result<&'a str, Problem> {
        self.text("replacement", "$1")
    }

    /// The field `regex`, or its default.
    pub(super) fn regex(&self) -> Result<&'a str, Problem> {
        self.text("regex", "(.*)")
    }

    /// The field `separator`, or its default.
    pub(super) fn separator(&self) -> Result<&'a str, Problem> {
        self.text("separator", ";")
    }

    /// The field `source_labels`.
    pub(super) fn sources(&self) -> Result<Vec<&'a str>, Problem> {
        let labels = self.field.list("source_labels")?;
        labels
            .iter()
            .map(|label| if label.is_null() { Ok("") } else { label.text() })
            .collect()
    }

    /// A field, or its default. Null is an empty text, as in Prometheus.
    fn text(&self, name: &str, default: &'a str) -> Result<&'a str, Problem> {
        match self.field.entry(name) {
            None => Ok(default),
            Some(field) if field.is_null() => Ok(""),
            Some(field) => field.text(),
        }
    }
}

/// A template such as `$1:${port}`: its literal texts. Between each two of them is a reference to a group of the regex.
pub(super) struct Template(Vec<String>);

impl Template {
    /// Parses a template (Go, `Regexp.Expand`).
    pub(super) fn parse(text: &str) -> Self {
        let (mut literals, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            match after_reference(after) {
                Some(after) => {
                    literals.push(std::mem::take(&mut literal));
                    rest = after;
                }
                None => {
                    literal.push('$');
                    rest = after.strip_prefix('$').unwrap_or(after);
                }
            }
        }
        literal.push_str(rest);
        literals.push(literal);
        Self(literals)
    }

    /// The literal texts.
    pub(super) fn literals(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    pub(super) fn has_references(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether the template can become a text that contains a name, although no group contains the name.
    ///
    /// Then the name is in a literal, or extends over the boundary of a literal and a group.
    pub(super) fn can_contain(&self, name: &str) -> bool {
        let last = self.0.len() - 1;
        self.0.iter().enumerate().any(|(index, literal)| {
            let mut splits = (1..name.len()).map(|at| name.split_at(at));
            let begins_in_it = index < last && splits.clone().any(|(start, _)| literal.ends_with(start));
            let ends_in_it = index > 0 && splits.any(|(_, end)| literal.starts_with(end));
            let is_inside = index > 0 && index < last && name.contains(literal);
            literal.contains(name) || begins_in_it || ends_in_it || is_inside
        })
    }
}

/// The text after a reference: `1:b` becomes `:b`, and so does `{name}:b`. `None` if the text begins with no reference.
fn after_reference(text: &str) -> Option<&str> {
    let name = |text: &str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    match text.strip_prefix('{') {
        Some(braced) => {
            let end = name(braced);
            braced[end..].strip_prefix('}').filter(|_| end > 0)
        }
        None => Some(&text[name(text)..]).filter(|after| after.len() < text.len()),
    }
}

/// Whether a regex has alternatives outside of parentheses. `None` if a `)` closes no group of the regex itself, or if
/// it contains `\Q`, after which parentheses are literals.
///
/// Prometheus compiles `^(?:` + regex + `)$`. With the regex `a)|(?:b`, that is not anchored at both ends any more.
pub(super) fn has_alternatives(regex: &str) -> Option<bool> {
    let mut chars = regex.chars().peekable();
    let (mut depth, mut alternatives) = (0, false);
    while let Some(c) = chars.next() {
        match c {
            // This takes the character after the backslash.
            '\\' if chars.next() == Some('Q') => return None,
            '[' => skip_class(&mut chars),
            '(' => depth += 1,
            ')' if depth == 0 => return None,
            ')' => depth -= 1,
            '|' if depth == 0 => alternatives = true,
            _ => {}
        }
    }
    (depth == 0).then_some(alternatives)
}

/// Skips the rest of a character class, after its `[` (Go, `regexp/syntax`).
fn skip_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    chars.next_if_eq(&'^');
    chars.next_if_eq(&']');
    while let Some(c) = chars.next() {
        match c {
            ']' => return,
            '\\' => {
                chars.next();
            }
            // A name such as `[:alpha:]`. It contains no special character.
            '[' if chars.peek() == Some(&':') => {
                let name: String = chars
                    .clone()
                    .skip(1)
                    .take_while(|c| c.is_ascii_alphabetic() || *c == '^')
                    .collect();
                let end: String = chars.clone().skip(1 + name.len()).take(2).collect();
                if end == ":]" {
                    chars.nth(name.len() + 2);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_split_at_its_references() {
        for (text, literals) in [
            ("", &[""][..]),
            ("a", &["a"]),
            ("$1", &["", ""]),
            ("$1:${port}", &["", ":", ""]),
            ("a$1b", &["a", ""]),
            ("a${1}b", &["a", "b"]),
            ("$$1", &["$1"]),
            ("a$", &["a$"]),
            ("${}$-${a", &["${}$-${a"]),
        ] {
            assert_eq!(Template::parse(text).literals(), literals, "{text}");
        }
    }

    #[test]
    fn a_template_can_contain_a_name_only_over_its_literals() {
        for (text, expected) in [
            ("$1", false),
            ("label_$1", false),
            ("__param_$1", false),
            ("k8s_${1}_total", false),
            ("${1}_${2}", false),
            ("$1_$2", true),
            ("clusterArn", true),
            ("x_clusterArn_$1", true),
            ("cluster$1", true),
            ("x_c$1", true),
            ("${1}Arn", true),
            ("${1}n_x", true),
            ("$1$2", true),
            ("${1}terA${2}", true),
        ] {
            assert_eq!(Template::parse(text).can_contain("clusterArn"), expected, "{text}");
        }
    }

    #[test]
    fn alternatives_are_found_outside_of_groups_and_classes() {
        for (regex, expected) in [
            ("", Some(false)),
            ("a(b|c)", Some(false)),
            ("a|b", Some(true)),
            (r"a\|b", Some(false)),
            ("[a|b]", Some(false)),
            ("[]|]", Some(false)),
            ("[^]|]", Some(false)),
            ("[[:alpha:]|]", Some(false)),
            ("[[:]|b", Some(true)),
            (r"[\]|]", Some(false)),
            (r"\((a)\)", Some(false)),
            ("[(]a", Some(false)),
            ("a)|(b", None),
            ("[(]a)|(b[)]", None),
            (r"\(a)|(b", None),
            (r"\Q(\Ea)|(b", None),
            ("(a", None),
        ] {
            assert_eq!(has_alternatives(regex), expected, "{regex}");
        }
    }
}
