//! Reads JSON from people, field by field. Each error names the path of the field, what is wrong and what is expected.
//! Input from our own state machines is read by serde.

use crate::error::Error;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Deserializes input from one of our own state machines. An error names the path of the field.
pub(crate) fn of_machine<T: DeserializeOwned>(input: &Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(input).map_err(|error| match error.path().to_string().as_str() {
        // The path of the input itself.
        "." => Error::invalid("input", error.inner()),
        path => Error::invalid(path, error.inner()),
    })
}

/// Parses JSON that a person wrote. Unlike serde_json's `Value`, it rejects an object with two equal keys: which of them
/// counts would depend on the parser.
pub(crate) fn json_text(text: &str) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed: Result<UniqueKeys, _> = serde_path_to_error::deserialize(&mut deserializer);
    match parsed {
        Ok(value) => match deserializer.end() {
            Ok(()) => Ok(value.0),
            Err(reason) => Err(JsonError { path: None, reason }),
        },
        Err(error) => Err(JsonError {
            path: Some(error.path().to_string())
                .filter(|path| path != ".")
                .map(|path| short_path(&path)),
            reason: error.into_inner(),
        }),
    }
}

/// Why a text is not JSON, or not unambiguous JSON.
#[derive(Debug)]
pub(crate) struct JsonError {
    /// The path of the value, if it is known.
    path: Option<String>,
    reason: serde_json::Error,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        let path = error.path.as_deref().unwrap_or("input");
        Self::invalid(path, error.reason)
    }
}

/// A path for messages. A path that is long, or that contains a key with special characters, is quoted and cut.
fn short_path(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_graphic());
    if plain && path.len() <= 120 {
        path.to_owned()
    } else {
        shown(path)
    }
}

/// A JSON value without equal keys in an object.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor).map(Self)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                let key = shown(&key);
                return Err(A::Error::custom(format!("duplicate key {key}; remove one of them")));
            }
            let UniqueKeys(value) = members.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The fields of a JSON object. A field that is `null` counts as absent.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// A minimal example, for messages.
    minimal: &'static str,
    /// The path before the names of the fields in messages, such as `rules[2].`.
    prefix: String,
}

impl<'a> Fields<'a> {
    /// The fields of a request. An unknown field is an error. `minimal` is a minimal example, for messages.
    pub(crate) fn of(value: &'a Value, known: &[&'static str], minimal: &'static str) -> Result<Self, Error> {
        Self::at("request", "", value, known, minimal)
    }

    /// The fields of the object at `path`. The paths of its fields begin with `prefix`.
    pub(crate) fn at(
        path: &str,
        prefix: &str,
        value: &'a Value,
        known: &[&'static str],
        minimal: &'static str,
    ) -> Result<Self, Error> {
        let Value::Object(object) = value else {
            let hint = if value.is_string() {
                "; pass the JSON itself, not a string that contains it"
            } else {
                ""
            };
            let reason = format!("expected an object, at least {minimal}, not {}{hint}", json_type(value));
            return Err(Error::invalid(path, reason));
        };
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(unknown_field(prefix, name, known)),
            None => Ok(Self {
                object,
                minimal,
                prefix: prefix.to_owned(),
            }),
        }
    }

    /// The path of a field, for messages.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        self.get(name).map(|value| text(&self.path(name), value)).transpose()
    }

    /// An optional list of identifiers, such as account ids or Regions.
    pub(crate) fn identifiers<T: FromStr<Err = String> + PartialEq>(
        &self,
        name: &str,
        example: &str,
    ) -> Result<Option<Vec<T>>, Error> {
        self.list(name, &format!("\"{example}\""), |path, item| {
            text(path, item)?.parse().map_err(|error| Error::invalid(path, error))
        })
    }

    /// An optional list, without duplicates. If the field is given, the list has at least one item. `example` is an
    /// item, for messages.
    pub(crate) fn list<T: PartialEq>(
        &self,
        name: &str,
        example: &str,
        read: impl Fn(&str, &'a Value) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        let Value::Array(items) = value else {
            let reason = format!("expected an array such as [{example}], not {}", json_type(value));
            return Err(Error::invalid(&path, reason));
        };
        if items.is_empty() {
            let reason = format!("the array is empty; expected at least one item, such as [{example}], or no field");
            return Err(Error::invalid(&path, reason));
        }
        let mut all = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let item = read(&path, item)?;
            if let Some(first) = all.iter().position(|earlier| *earlier == item) {
                let reason = format!("duplicate of {}[{first}]; remove one of them", self.path(name));
                return Err(Error::invalid(&path, reason));
            }
            all.push(item);
        }
        Ok(Some(all))
    }

    /// A required ARN. `format` is its format, for messages.
    pub(crate) fn arn<T: FromStr<Err = String>>(&self, name: &str, format: &str) -> Result<T, Error> {
        self.optional_arn(name)?.ok_or_else(|| {
            let minimal = self.minimal;
            let reason = format!("missing; expected {format}; the minimal request is {minimal}");
            Error::invalid(&self.path(name), reason)
        })
    }

    pub(crate) fn optional_arn<T: FromStr<Err = String>>(&self, name: &str) -> Result<Option<T>, Error> {
        match self.text(name)? {
            Some(text) => match text.parse() {
                Ok(arn) => Ok(Some(arn)),
                Err(error) => Err(Error::invalid(&self.path(name), error)),
            },
            None => Ok(None),
        }
    }

    /// An optional list of 1 to 5 ids of EC2 resources, without duplicates.
    pub(crate) fn ec2_ids(&self, name: &str, prefix: &str) -> Result<Option<Vec<String>>, Error> {
        let example = format!("{prefix}0123456789abcdef0");
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let Value::Array(items) = value else {
            let reason = format!("expected an array such as [\"{example}\"], not {}", json_type(value));
            return Err(Error::invalid(name, reason));
        };
        if !(1..=5).contains(&items.len()) {
            let reason = format!("{} ids given; expected 1 to 5 ids, or no field", items.len());
            return Err(Error::invalid(name, reason));
        }
        let mut ids: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{name}[{index}]");
            let id = text(&path, item)?;
            let valid = id.strip_prefix(prefix).is_some_and(|hex| {
                (8..=17).contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            });
            if !valid {
                let reason = format!("{} is not a valid id; expected an id such as {example}", shown(id));
                return Err(Error::invalid(&path, reason));
            }
            if let Some(first) = ids.iter().position(|earlier| earlier == id) {
                let reason = format!("{id} is a duplicate of {name}[{first}]; remove one of them");
                return Err(Error::invalid(&path, reason));
            }
            ids.push(id.to_owned());
        }
        Ok(Some(ids))
    }

    /// An optional object whose values are strings.
    pub(crate) fn strings(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        self.strings_except(name, None)
    }

    /// An optional object whose values are strings, without one of its members.
    pub(crate) fn strings_except(&self, name: &str, except: Option<&str>) -> Result<BTreeMap<String, String>, Error> {
        let path = self.path(name);
        match self.get(name) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(object)) => object
                .iter()
                .filter(|(key, _)| Some(key.as_str()) != except)
                .map(|(key, value)| Ok((key.clone(), text(&member(&path, key), value)?.to_owned())))
                .collect(),
            Some(other) => {
                let reason = format!(
                    "expected an object such as {{\"team\": \"payments\"}}, not {}",
                    json_type(other)
                );
                Err(Error::invalid(&path, reason))
            }
        }
    }

    /// An optional word: one of `choices`. The default if the field is absent.
    pub(crate) fn choice<T: Copy + Default, const N: usize>(
        &self,
        name: &str,
        choices: [(&str, T); N],
    ) -> Result<T, Error> {
        match self.get(name) {
            Some(value) => one_of(&self.path(name), value, choices),
            None => Ok(T::default()),
        }
    }

    /// An optional list of different words, each one of `choices`. In the order of `choices`.
    pub(crate) fn choices<T: Copy + Ord, const N: usize>(
        &self,
        name: &str,
        choices: [(&str, T); N],
    ) -> Result<Vec<T>, Error> {
        let example = choices.first().map_or(String::new(), |(word, _)| format!("\"{word}\""));
        let mut all = self
            .list(name, &example, |path, item| one_of(path, item, choices))?
            .unwrap_or_default();
        all.sort_unstable();
        Ok(all)
    }

    /// An optional boolean. `false` if the field is absent.
    pub(crate) fn boolean(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => {
                let reason = format!("expected true or false, not {}", json_type(other));
                Err(Error::invalid(&self.path(name), reason))
            }
        }
    }

    /// An optional whole number from `min` to `max`.
    pub(crate) fn whole_number(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let expected = format!("expected a whole number from {min} to {max}");
        let Value::Number(number) = value else {
            let reason = format!("{expected}, not {}", json_type(value));
            return Err(Error::invalid(&self.path(name), reason));
        };
        // JSON has one type of numbers: 60.0 is 60.
        match (min..=max).find(|candidate| number.as_f64() == Some(f64::from(*candidate))) {
            Some(whole) => Ok(Some(whole)),
            None => Err(Error::invalid(
                &self.path(name),
                format!("{number} is not valid; {expected}"),
            )),
        }
    }
}

/// A word: one of `choices`.
fn one_of<T: Copy, const N: usize>(path: &str, value: &Value, choices: [(&str, T); N]) -> Result<T, Error> {
    let words = choices.each_ref().map(|(word, _)| format!("\"{word}\""));
    let expected = format!("expected {}", words.join(" or "));
    let Value::String(text) = value else {
        let reason = format!("{expected}, not {}", json_type(value));
        return Err(Error::invalid(path, reason));
    };
    match choices.iter().find(|(word, _)| word == text) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let reason = format!("{} is not valid; {expected}", shown(text));
            Err(Error::invalid(path, reason))
        }
    }
}

/// The string at a path.
pub(crate) fn text<'a>(path: &str, value: &'a Value) -> Result<&'a str, Error> {
    value
        .as_str()
        .ok_or_else(|| Error::invalid(path, format!("expected a string, not {}", json_type(value))))
}

/// The name of a value's JSON type, with its article.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The path of a member of an object: `tags.team`, or `tags["a key with spaces"]`.
pub(crate) fn member(field: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-:".contains(c));
    if plain && key.len() <= 128 {
        format!("{field}.{key}")
    } else {
        format!("{field}[{}]", shown(key))
    }
}

/// A given text for messages: in quotes, with escapes, and cut to 120 characters. An escape counts as up to ten.
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

fn unknown_field(prefix: &str, name: &str, known: &[&'static str]) -> Error {
    let shown_name = if name.chars().all(|c| c.is_ascii_alphanumeric()) && (1..=40).contains(&name.len()) {
        name.to_owned()
    } else {
        shown(name)
    };
    let nearest = known
        .iter()
        .map(|field| (distance(name, field), field))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let hint = match nearest {
        Some((_, field)) => format!("did you mean {field}?"),
        None => format!("the fields are {}", known.join(", ")),
    };
    Error::invalid(&format!("{prefix}{shown_name}"), format!("unknown field; {hint}"))
}

/// The Levenshtein distance of two names, without case and punctuation.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.take(64).map(|c| c.to_ascii_lowercase()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_serde_json_reads_it() {
        let text =
            r#" {"a": [null, true, -1, 18446744073709551615, 1.5e3, "x\n\ud83d\ude00"], "b": {"": {}}, "c": []} "#;
        assert_eq!(json_text(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for text in ["", "{", "[1,]", "{} {}", "nul", r#"{"a" 1}"#] {
            assert!(json_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_object_with_two_equal_keys_is_rejected_with_the_name_of_the_key() {
        for (text, path, key) in [
            (r#"{"a": 1, "b": 2, "a": 1}"#, "input", r#""a""#),
            (r#"{"a": 1, "\u0061": 2}"#, "input", r#""a""#),
            (
                r#"{"rules": [{}, {"match": {"b c": 1, "b c": 1}}]}"#,
                "rules[1].match",
                r#""b c""#,
            ),
        ] {
            let error = Error::from(json_text(text).unwrap_err());
            let expected = format!("{path}: duplicate key {key}; remove one of them at line 1");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn the_path_of_text_that_is_not_json_is_short() {
        let nested = |depth: usize| format!("{}{}", "{\"key\":".repeat(depth), "1".to_owned() + &"}".repeat(depth));
        assert!(json_text(&nested(100)).is_ok());
        for text in [
            nested(100_000),
            format!(r#"{{"a": {}"#, "[".repeat(100_000)),
            r#"{"a": 1e999}"#.to_owned(),
            r#"{"a": "\ud800"}"#.to_owned(),
            format!(r#"{{"{}\u0007": -1e999}}"#, "x".repeat(1000)),
        ] {
            let error = Error::from(json_text(&text).unwrap_err()).to_string();
            assert!(error.len() < 300 && !error.contains('\u{7}'), "{error}");
        }
    }
}
