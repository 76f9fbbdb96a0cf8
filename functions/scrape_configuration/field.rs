//! Reads the tree of a configuration, with the path of each node for messages.

use super::{
    FIELD,
    yaml::{Node, Scalar},
};
use crate::{error::Error, input::shown};

/// A node of the tree, with its path for messages.
#[derive(Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    pub(super) path: String,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: FIELD.to_owned(),
        }
    }

    pub(super) fn child(&self, key: &str, node: &'a Node) -> Field<'a> {
        let plain =
            !key.is_empty() && key.len() <= 80 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let path = if plain {
            format!("{}.{key}", self.path)
        } else {
            format!("{}[{}]", self.path, shown(key))
        };
        Field { node, path }
    }

    pub(super) fn invalid(&self, why: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, why)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node, Node::Scalar(scalar) if scalar.is_null())
    }

    /// The value of a key in a mapping. Null counts as absent, as in Prometheus.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let Node::Mapping(entries) = self.node else {
            return None;
        };
        let (_, node) = entries.iter().find(|(name, _)| name.text == key)?;
        Some(self.child(key, node)).filter(|field| !field.is_null())
    }

    pub(super) fn members(&self) -> Result<Vec<(&'a str, Field<'a>)>, Error> {
        let Node::Mapping(entries) = self.node else {
            return Err(self.invalid(format!("expected a mapping, not {}", self.kind())));
        };
        let member = |(key, node): &'a (Scalar, Node)| (key.text.as_str(), self.child(&key.text, node));
        Ok(entries.iter().map(member).collect())
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>, Error> {
        let Node::Sequence(items) = self.node else {
            return Err(self.invalid(format!("expected a list, not {}", self.kind())));
        };
        let item = |(index, node)| Field {
            node,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of the list under a key. Empty if the key is absent.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Field<'a>>, Error> {
        match self.get(key) {
            Some(field) => field.items(),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, Error> {
        match self.node {
            Node::Scalar(scalar) if !scalar.is_null() => Ok(&scalar.text),
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
