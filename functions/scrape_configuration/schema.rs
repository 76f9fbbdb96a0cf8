//! Checks that keys and values of a configuration are those of Prometheus. A scraper refuses an unknown key, without
//! naming it.
//!
//! Source of the conversions: `decode.go` and `resolve.go` of Go's YAML library (go.yaml.in/yaml/v2), with which
//! Prometheus reads its configuration in the strict mode.

use super::{
    duration::duration,
    field::Field,
    is_label_name,
    keys::{DISCOVERIES, Key, Kind, ROOT},
    problems::{Problem, Problems},
    yaml::Scalar,
};
use crate::input::{distance, shown};

/// The keys of a configuration that only newer versions of Prometheus know, with the version.
pub(super) type Newer = Vec<(&'static str, &'static str)>;

/// Checks a document. Keys at its top level that are not in the schema are left to AMP's rules.
pub(super) fn check(root: &Field, problems: &mut Problems) -> Newer {
    let mut newer = Vec::new();
    for key in ROOT {
        if let Some(field) = root.entry(key.name) {
            value(&field, &key.kind, problems, &mut newer);
        }
    }
    newer
}

fn value(field: &Field, kind: &'static Kind, problems: &mut Problems, newer: &mut Newer) {
    if field.is_null() {
        return;
    }
    let result = match kind {
        Kind::Unchecked => Ok(()),
        Kind::Text => field.text().map(|_| ()),
        Kind::Word(words) => word(field, words),
        Kind::LabelName => field.text().and_then(|text| label_name(field, text)),
        Kind::Boolean => field.scalar().and_then(|scalar| boolean(field, scalar)),
        Kind::Number => field.scalar().and_then(|scalar| match number(scalar) {
            Some(_) => Ok(()),
            None => Err(field.invalid(format!(
                "{} is not a number; expected one such as 1000",
                described(scalar)
            ))),
        }),
        Kind::Size => size(field),
        Kind::Duration => duration(field).map(|_| ()),
        Kind::List(item) => field.items().map(|items| {
            // Prometheus refuses a null in a list of mappings. In a list of texts, it is an empty text.
            let is_section = matches!(item, Kind::Section(_));
            for field in items {
                match field.is_null() && is_section {
                    true => problems.add(field.invalid("expected a mapping, not null")),
                    false => value(&field, item, problems, newer),
                }
            }
        }),
        Kind::Map(kind) => field.members().map(|members| {
            for (_, field) in members {
                value(&field, kind, problems, newer);
            }
        }),
        Kind::Labels => field.members().map(|members| {
            for (name, field) in members {
                problems.check(label_name(&field, name));
                value(&field, &Kind::Text, problems, newer);
            }
        }),
        Kind::Section(tables) => field.members().map(|members| {
            for (name, field) in members {
                let known = tables.iter().copied().flatten().find(|key| key.name == name);
                match known {
                    Some(key) => {
                        if let Some(version) = key.since
                            && !field.is_null()
                        {
                            newer.push((key.name, version));
                        }
                        value(&field, &key.kind, problems, newer);
                    }
                    None if field.is_null() && is_discovery(name) => {}
                    None if problems.is_full() => {}
                    None => problems.add(unknown(&field, name, tables)),
                }
            }
        }),
    };
    problems.check(result);
}

/// Whether a key is that of a discovery that Prometheus has.
fn is_discovery(key: &str) -> bool {
    key.strip_suffix("_sd_configs")
        .is_some_and(|name| DISCOVERIES.contains(&name))
}

/// Why a key is refused.
fn unknown(field: &Field, name: &str, tables: &[&'static [Key]]) -> Problem {
    let known = || tables.iter().copied().flatten().map(|key| key.name);
    let nearest = nearest(name, known());
    let is_discovery = name.ends_with("_sd_configs") || name.ends_with("_sd_config");
    if is_discovery && nearest.is_none() && known().any(|key| key == "kubernetes_sd_configs") {
        return field.invalid("AMP supports only kubernetes_sd_configs and static_configs; use one of them");
    }
    let hint = match nearest {
        Some(key) => format!("did you mean {key}?"),
        None if known().count() <= 16 => format!("the keys are {}", known().collect::<Vec<_>>().join(", ")),
        None => "remove it".to_owned(),
    };
    field.invalid(format!("Prometheus has no such key here; {hint}"))
}

/// The name that a person probably meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // The distance is at least the difference of the lengths.
    let close = known.filter(|key| key.len().abs_diff(name.len()) <= 2);
    let candidates = close.map(|key| (distance(name, key), key));
    let (distance, key) = candidates.min()?;
    (distance <= 2 && distance < key.len()).then_some(key)
}

fn word(field: &Field, words: &'static [&'static str]) -> Result<(), Problem> {
    let text = field.text()?;
    if words.contains(&text) {
        return Ok(());
    }
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    Err(field.invalid(format!("{} is not valid; expected {}", shown(text), words.join(", "))))
}

/// Checks the name of a label (Prometheus, "Data model"). Prometheus 3 accepts others, Prometheus 2 does not.
fn label_name(field: &Field, name: &str) -> Result<(), Problem> {
    match is_label_name(name) {
        true => Ok(()),
        false => Err(field.invalid(format!(
            "{} is not a valid label name; expected letters, digits and \"_\", not beginning with a digit",
            shown(name)
        ))),
    }
}

fn boolean(field: &Field, scalar: &Scalar) -> Result<(), Problem> {
    const WORDS: [&str; 8] = ["y", "yes", "on", "true", "n", "no", "off", "false"];
    let text = scalar.text.as_str();
    let capitalized = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .is_some_and(|first| text.strip_prefix(first.to_ascii_uppercase()) == Some(chars.as_str()))
    };
    let is_word = |word: &&str| text == *word || text == word.to_ascii_uppercase() || capitalized(word);
    if scalar.untyped && WORDS.iter().any(is_word) {
        return Ok(());
    }
    Err(field.invalid(format!(
        "{} is not a boolean; expected true or false, without quotes",
        described(scalar)
    )))
}

/// The value of a number that is not negative. Go's YAML library also accepts other bases, `_`, and fractions, which it
/// cuts off.
pub(super) fn number(scalar: &Scalar) -> Option<f64> {
    if !scalar.untyped {
        return None;
    }
    let text = scalar.text.replace('_', "");
    let text = text.strip_prefix('+').unwrap_or(&text);
    let based = [("0x", 16), ("0o", 8), ("0b", 2)].iter().find_map(|(prefix, base)| {
        let digits = text.strip_prefix(prefix)?;
        u64::from_str_radix(digits, *base).ok()
    });
    if let Some(whole) = based {
        return Some(whole as f64);
    }
    let is_decimal = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    text.parse()
        .ok()
        .filter(|value: &f64| is_decimal && *value < u64::MAX as f64)
}

/// Checks a size (`ParseBase2Bytes` of github.com/alecthomas/units): numbers, each with a unit of the same family.
fn size(field: &Field) -> Result<(), Problem> {
    const FAMILIES: [[&str; 7]; 2] = [
        ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
        ["B", "KB", "MB", "GB", "TB", "PB", "EB"],
    ];
    let text = field.text()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" || FAMILIES.iter().any(|units| has_units(unsigned, units)) {
        return Ok(());
    }
    Err(field.invalid(format!("{} is not a size; expected one such as 10MB", shown(text))))
}

/// Whether a text is a sequence of numbers, each with one of the units.
fn has_units(text: &str, units: &[&str]) -> bool {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    while !rest.is_empty() {
        let after = rest.trim_start_matches(is_number);
        let end = after.find(is_number).unwrap_or(after.len());
        let number = &rest[..rest.len() - after.len()];
        if number.parse::<f64>().is_err() || !units.contains(&&after[..end]) {
            return false;
        }
        rest = &after[end..];
    }
    !text.is_empty()
}

/// A scalar for messages: with its quotes if they matter.
fn described(scalar: &Scalar) -> String {
    let quotes = if scalar.untyped { "" } else { ", a string," };
    format!("{}{quotes}", shown(&scalar.text))
}
