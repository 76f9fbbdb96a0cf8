//! Reading JSON that a person wrote, field by field: every error names the field's path, what is wrong and what would be
//! right. Input of our own state machines is read by serde instead.

use crate::error::Error;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, str::FromStr};

/// A request's object, read field by field; `null` is absent.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    least: &'static str,
    /// What stands before a field's name in messages, such as `rules[2].`.
    place: String,
}

impl<'a> Fields<'a> {
    /// The object, if it has none but the known fields; `least` is the least that works, for messages.
    pub(crate) fn of(value: &'a Value, known: &[&'static str], least: &'static str) -> Result<Self, Error> {
        Self::at("request", "", value, known, least)
    }

    /// The same, where the object stands at `path` of something larger, and its fields' paths begin with `place`.
    pub(crate) fn at(
        path: &str,
        place: &str,
        value: &'a Value,
        known: &[&'static str],
        least: &'static str,
    ) -> Result<Self, Error> {
        let Value::Object(object) = value else {
            let hint = match value {
                Value::String(_) => "; give the JSON itself, not a string that holds it",
                _ => "",
            };
            return Err(Error::invalid(
                path,
                format!("expected an object, at least {least}, not {}{hint}", kind(value)),
            ));
        };
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(unknown(place, name, known)),
            None => Ok(Self {
                object,
                least,
                place: place.to_owned(),
            }),
        }
    }

    /// Where a field stands, for messages.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        self.get(name).map(|value| text(&self.path(name), value)).transpose()
    }

    /// A list of things, none of them twice; where the field is given, it has at least one.
    pub(crate) fn list<T: PartialEq>(
        &self,
        name: &str,
        right: &str,
        read: impl Fn(&str, &'a Value) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        let Value::Array(items) = value else {
            let why = format!("expected an array such as [{right}], not {}", kind(value));
            return Err(Error::invalid(&path, why));
        };
        if items.is_empty() {
            let why = format!("it is empty; name at least one, such as [{right}], or leave the field out");
            return Err(Error::invalid(&path, why));
        }
        let mut all = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let item = read(&path, item)?;
            if let Some(first) = all.iter().position(|known| *known == item) {
                let why = format!("it is {}[{first}] already; name it once", self.path(name));
                return Err(Error::invalid(&path, why));
            }
            all.push(item);
        }
        Ok(Some(all))
    }

    pub(crate) fn arn<T: FromStr<Err = String>>(&self, name: &str, right: &str) -> Result<T, Error> {
        let least = self.least;
        let missing = || {
            let why = format!("missing; expected {right}; the least request is {least}");
            Error::invalid(&self.path(name), why)
        };
        self.optional_arn(name)?.ok_or_else(missing)
    }

    pub(crate) fn optional_arn<T: FromStr<Err = String>>(&self, name: &str) -> Result<Option<T>, Error> {
        let parse = |text: &str| text.parse().map_err(|why| Error::invalid(&self.path(name), why));
        self.text(name)?.map(parse).transpose()
    }

    /// 1 to 5 ids of EC2, none of them twice.
    pub(crate) fn ids(&self, name: &str, prefix: &str) -> Result<Option<Vec<String>>, Error> {
        let right = format!("{prefix}0123456789abcdef0");
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let Value::Array(items) = value else {
            let why = format!("expected an array such as [\"{right}\"], not {}", kind(value));
            return Err(Error::invalid(name, why));
        };
        if !(1..=5).contains(&items.len()) {
            let why = format!("{} given; 1 to 5 are possible, or leave the field out", items.len());
            return Err(Error::invalid(name, why));
        }
        let mut ids: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{name}[{index}]");
            let id = text(&path, item)?;
            let valid = id.strip_prefix(prefix).is_some_and(|hex| {
                (8..=17).contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            });
            if !valid {
                let why = format!("{} is no id; expected one such as {right}", shown(id));
                return Err(Error::invalid(&path, why));
            }
            if let Some(first) = ids.iter().position(|known| known == id) {
                let why = format!("{id} is {name}[{first}] already; name it once");
                return Err(Error::invalid(&path, why));
            }
            ids.push(id.to_owned());
        }
        Ok(Some(ids))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        let path = self.path(name);
        match self.get(name) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(object)) => object
                .iter()
                .map(|(key, value)| Ok((key.clone(), text(&member(&path, key), value)?.to_owned())))
                .collect(),
            Some(other) => {
                let why = format!(
                    "expected an object such as {{\"team\": \"payments\"}}, not {}",
                    kind(other)
                );
                Err(Error::invalid(&path, why))
            }
        }
    }

    pub(crate) fn choice<T: Copy + Default, const N: usize>(
        &self,
        name: &str,
        choices: [(&str, T); N],
    ) -> Result<T, Error> {
        let Some(value) = self.get(name) else {
            return Ok(T::default());
        };
        let words = choices.each_ref().map(|(word, _)| format!("\"{word}\""));
        let right = format!("expected {}", words.join(" or "));
        let Value::String(text) = value else {
            return Err(Error::invalid(
                &self.path(name),
                format!("{right}, not {}", kind(value)),
            ));
        };
        let found = choices.iter().find(|(word, _)| word == text);
        let (_, choice) =
            found.ok_or_else(|| Error::invalid(&self.path(name), format!("{} is unknown; {right}", shown(text))))?;
        Ok(*choice)
    }

    pub(crate) fn whole(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let right = format!("expected a whole number from {least} to {most}");
        let Value::Number(number) = value else {
            return Err(Error::invalid(
                &self.path(name),
                format!("{right}, not {}", kind(value)),
            ));
        };
        // JSON knows one kind of number: 60.0 is 60.
        let whole = (least..=most).find(|candidate| number.as_f64() == Some(f64::from(*candidate)));
        whole
            .map(Some)
            .ok_or_else(|| Error::invalid(&self.path(name), format!("{number} is out of range; {right}")))
    }
}

pub(crate) fn text<'a>(path: &str, value: &'a Value) -> Result<&'a str, Error> {
    value
        .as_str()
        .ok_or_else(|| Error::invalid(path, format!("expected a string, not {}", kind(value))))
}

/// A value's type, in JSON's words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `tags.team`, or `tags["a key that is no word"]`.
pub(crate) fn member(field: &str, key: &str) -> String {
    let word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-:".contains(c));
    if word && key.len() <= 128 {
        format!("{field}.{key}")
    } else {
        format!("{field}[{}]", shown(key))
    }
}

/// What was given, quoted, and cut when it is long: to 120 characters as they are shown, where one
/// that cannot be printed takes up to ten.
pub(crate) fn shown(text: &str) -> String {
    let fits = text.chars().scan(0, |length, c| {
        *length += c.escape_debug().len();
        (*length <= 120).then_some(c)
    });
    let mut cut: String = fits.collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

fn unknown(place: &str, name: &str, known: &[&'static str]) -> Error {
    let name_shown = if name.chars().all(|c| c.is_ascii_alphanumeric()) && (1..=40).contains(&name.len()) {
        name.to_owned()
    } else {
        shown(name)
    };
    let nearest = known
        .iter()
        .map(|field| (distance(name, field), field))
        .min()
        .filter(|(steps, _)| *steps <= 2);
    let hint = match nearest {
        Some((_, field)) => format!("did you mean {field}?"),
        None => format!("the fields are {}", known.join(", ")),
    };
    Error::invalid(&format!("{place}{name_shown}"), format!("unknown field; {hint}"))
}

/// How many letters must be typed anew (Levenshtein's distance), case and punctuation aside.
fn distance(left: &str, right: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let bare = text.chars().filter(|c| c.is_alphanumeric());
        bare.take(64).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (left, right) = (letters(left), letters(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
