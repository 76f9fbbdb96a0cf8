//! Reads the tree of a configuration, with the path of each node for messages.

use super::{
    FIELD,
    problems::Problem,
    yaml::{Node, Scalar},
};
use crate::input::shown;

/// A node of the tree, with its path for messages.
#[derive(Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    pub(super) path: String,
    position: Vec<usize>,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: FIELD.to_owned(),
            position: Vec::new(),
        }
    }

    /// The value of the key with this index in a mapping.
    fn child(&self, key: &str, index: usize, node: &'a Node) -> Field<'a> {
        let path = self.path_of(key);
        self.at(index, path, node)
    }

    fn at(&self, index: usize, path: String, node: &'a Node) -> Field<'a> {
        let mut position = self.position.clone();
        position.push(index);
        Field { node, path, position }
    }

    fn path_of(&self, key: &str) -> String {
        let plain =
            !key.is_empty() && key.len() <= 80 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if plain {
            format!("{}.{key}", self.path)
        } else {
            format!("{}[{}]", self.path, shown(key))
        }
    }

    pub(super) fn invalid(&self, why: impl std::fmt::Display) -> Problem {
        Problem {
            position: self.position.clone(),
            missing: "",
            message: format!("{}: {why}", self.path),
        }
    }

    /// A problem of a field that is missing in this mapping. Its path is that of the mapping.
    pub(super) fn lacks(&self, key: &'static str, why: impl std::fmt::Display) -> Problem {
        self.absent(key, format!("{}: {key} is missing; {why}", self.path))
    }

    /// A problem of a field that is missing in this mapping. Its path is that of the missing field.
    pub(super) fn missing(&self, key: &'static str, why: impl std::fmt::Display) -> Problem {
        self.absent(key, format!("{}: {why}", self.path_of(key)))
    }

    /// The problem of a missing field. Its position is the end of the mapping.
    fn absent(&self, missing: &'static str, message: String) -> Problem {
        let mut position = self.position.clone();
        position.push(usize::MAX);
        Problem {
            position,
            missing,
            message,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node, Node::Scalar(scalar) if scalar.is_null())
    }

    /// Whether it is null or an empty string, which Prometheus reads as an absent text.
    pub(super) fn is_unset(&self) -> bool {
        matches!(self.node, Node::Scalar(scalar) if scalar.is_null() || scalar.text.is_empty())
    }

    /// The value of a key in a mapping, also null.
    pub(super) fn entry(&self, key: &str) -> Option<Field<'a>> {
        let Node::Mapping(entries) = self.node else {
            return None;
        };
        let index = entries.iter().position(|(name, _)| name.text == key)?;
        Some(self.child(key, index, &entries[index].1))
    }

    /// The value of a key in a mapping. Null counts as absent, as in Prometheus.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        self.entry(key).filter(|field| !field.is_null())
    }

    /// The text at a key in a mapping. Null and `""` count as absent.
    pub(super) fn get_text(&self, key: &str) -> Option<Field<'a>> {
        self.entry(key).filter(|field| !field.is_unset())
    }

    pub(super) fn members(&self) -> Result<Vec<(&'a str, Field<'a>)>, Problem> {
        let Node::Mapping(entries) = self.node else {
            return Err(self.invalid(format!("expected a mapping, not {}", self.kind())));
        };
        let member =
            |(index, (key, node)): (usize, &'a (Scalar, Node))| (key.text.as_str(), self.child(&key.text, index, node));
        Ok(entries.iter().enumerate().map(member).collect())
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>, Problem> {
        let Node::Sequence(items) = self.node else {
            return Err(self.invalid(format!("expected a list, not {}", self.kind())));
        };
        let item = |(index, node)| self.at(index, format!("{}[{index}]", self.path), node);
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of the list under a key. Empty if the key is absent.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Field<'a>>, Problem> {
        match self.get(key) {
            Some(field) => field.items(),
            None => Ok(Vec::new()),
        }
    }

    /// The items of the list under a key. Empty if it is no list, which another check refuses.
    pub(super) fn list_or_empty(&self, key: &str) -> Vec<Field<'a>> {
        self.list(key).unwrap_or_default()
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    pub(super) fn scalar(&self) -> Result<&'a Scalar, Problem> {
        match self.node {
            Node::Scalar(scalar) if !scalar.is_null() => Ok(scalar),
            _ => Err(self.invalid(format!("expected a scalar, not {}", self.kind()))),
        }
    }

    fn kind(&self) -> &'static str {
        match self.node {
            Node::Scalar(scalar) if scalar.is_null() => "null",
            Node::Scalar(_) => "a scalar",
            Node::Sequence(_) => "a list",
            Node::Mapping(_) => "a mapping",
        }
    }
}
