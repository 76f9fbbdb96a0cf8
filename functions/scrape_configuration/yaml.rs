//! YAML as a tree that keeps what a scalar says and whether it was quoted.
//!
//! A scalar is never given a type here: Prometheus reads `1.10` as text where it wants text and as
//! a number where it wants a number, so what was plain stays plain, letter by letter, and what was
//! quoted stays quoted.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, SpannedEventReceiver, Tag};
use std::{borrow::Cow, collections::HashMap, fmt::Write};

/// How deep a document may be nested.
const DEEPEST: usize = 64;
/// How many nodes it may have, aliases written out.
const MOST_NODES: usize = 100_000;

/// A node of a document, aliases written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Text, and whether it stood without quotes.
    Scalar {
        /// What it says.
        text: String,
        /// Whether it stood without quotes and YAML may give it another type than text.
        plain: bool,
        /// Its tag, as written out.
        tag: Option<String>,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in order.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// Text that stays text.
    pub fn text(text: &str) -> Self {
        Self::Scalar {
            text: text.to_owned(),
            plain: false,
            tag: None,
        }
    }

    /// What a scalar says.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it says nothing: `~`, `null`, or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, plain: true, .. } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match self {
            Self::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The entries of a mapping, those that a merge key brings included; none of anything else.
    pub fn entries(&self) -> Vec<(&str, &Node)> {
        let Self::Mapping(entries) = self else {
            return Vec::new();
        };
        let mut all: Vec<(&str, &Node)> = Vec::new();
        for (key, value) in entries {
            if is_merge(key) {
                let merged = if let Self::Sequence(list) = value {
                    list.as_slice()
                } else {
                    std::slice::from_ref(value)
                };
                all.extend(merged.iter().flat_map(Node::entries));
            } else if let Some(key) = key.as_text() {
                all.insert(0, (key, value));
            }
        }
        all
    }

    /// The value of a key, its own before a merged one.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .into_iter()
            .find(|(its, _)| *its == key)
            .map(|(_, value)| value)
    }

    /// The value of a key of the mapping itself, to change.
    pub fn own_mut(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Self::Mapping(entries) => {
                let entry = entries
                    .iter_mut()
                    .find(|(its, _)| its.as_text() == Some(key) && !is_merge(its));
                entry.map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(key, Node::Scalar { text, plain: true, .. } if text == "<<")
}

/// Reads one document.
///
/// # Errors
/// A sentence with the line: not YAML, more than one document, a key twice, or too much of it.
pub fn read(text: &str) -> Result<Node, String> {
    let mut builder = Builder::default();
    // Each event is looked at before the next one is parsed: a bomb does not go off.
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        builder.on_event(event, span);
        if let Some(error) = builder.error {
            return Err(error);
        }
    }
    match builder.documents.len() {
        1 => builder.documents.pop().ok_or_else(|| "it is empty".to_owned()),
        0 => Err("it is empty".to_owned()),
        _ => Err("it holds more than one document".to_owned()),
    }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<(usize, Node, Option<Node>)>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    error: Option<String>,
}

impl Builder {
    fn fail(&mut self, line: usize, why: &str) {
        self.error.get_or_insert_with(|| format!("line {line}: {why}"));
    }

    fn begin(&mut self, anchor: usize, node: Node, line: usize) {
        if self.open.len() >= DEEPEST {
            return self.fail(line, &format!("it is nested more than {DEEPEST} deep"));
        }
        self.open.push((anchor, node, None));
    }

    fn end(&mut self, line: usize) {
        if let Some((anchor, node, _)) = self.open.pop() {
            self.add(anchor, node, line);
        }
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, anchor: usize, node: Node, line: usize) {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return self.fail(line, &format!("it has more than {MOST_NODES} nodes"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let twice = match self.open.last_mut() {
            None => {
                self.documents.push(node);
                None
            }
            Some((_, Node::Sequence(items), _)) => {
                items.push(node);
                None
            }
            Some((_, Node::Mapping(entries), key @ None)) => {
                let twice = entries.iter().any(|(other, _)| *other == node && !is_merge(other));
                let shown = node.as_text().unwrap_or("a complex key").to_owned();
                *key = Some(node);
                twice.then_some(shown)
            }
            Some((_, Node::Mapping(entries), key)) => {
                entries.extend(key.take().map(|key| (key, node)));
                None
            }
            Some((_, Node::Scalar { .. }, _)) => None,
        };
        if let Some(key) = twice {
            self.fail(line, &format!("the key {key:?} stands there twice"));
        }
    }
}

impl<'input> SpannedEventReceiver<'input> for Builder {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = Node::Scalar {
                    plain: style == ScalarStyle::Plain && may_be_typed(&text),
                    text: text.into_owned(),
                    tag: tag.map(written),
                };
                self.add(anchor, node, line);
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Node::Sequence(Vec::new()), line),
            Event::MappingStart(anchor, _) => self.begin(anchor, Node::Mapping(Vec::new()), line),
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.nodes += size(&node);
                    self.add(0, node, line);
                }
                None => self.fail(line, "an alias stands inside its own anchor"),
            },
            _ => {}
        }
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::Scalar { .. } => 1,
        Node::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Node::Mapping(entries) => {
            1 + entries
                .iter()
                .map(|(key, value)| size(key) + size(value))
                .sum::<usize>()
        }
    }
}

fn written(tag: Cow<'_, Tag>) -> String {
    format!("!<{}{}>", tag.handle, tag.suffix)
}

/// Writes a document in block style.
pub fn write(node: &Node) -> String {
    let mut out = String::new();
    block(node, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// A node at the beginning of a line, whose lines all begin at `indent`.
fn block(node: &Node, indent: usize, out: &mut String) {
    match node {
        Node::Scalar { .. } => out.push_str(&inline(node)),
        Node::Sequence(items) if items.is_empty() => out.push_str("[]"),
        Node::Mapping(entries) if entries.is_empty() => out.push_str("{}"),
        Node::Sequence(items) => {
            for (i, item) in items.iter().enumerate() {
                begin_line(i, indent, out);
                out.push_str("- ");
                block(item, indent + 2, out);
                end_line(out);
            }
        }
        Node::Mapping(entries) => {
            for (i, (key, value)) in entries.iter().enumerate() {
                begin_line(i, indent, out);
                if key.as_text().is_some() {
                    let _ = write!(out, "{}:", inline(key));
                } else {
                    out.push_str("? ");
                    block(key, indent + 2, out);
                    end_line(out);
                    let _ = write!(out, "{:indent$}:", "");
                }
                let nested = match value {
                    Node::Scalar { .. } => false,
                    Node::Sequence(items) => !items.is_empty(),
                    Node::Mapping(entries) => !entries.is_empty(),
                };
                if nested {
                    let _ = write!(out, "\n{:1$}", "", indent + 2);
                    block(value, indent + 2, out);
                } else {
                    out.push(' ');
                    block(value, indent + 2, out);
                }
                end_line(out);
            }
        }
    }
}

fn begin_line(i: usize, indent: usize, out: &mut String) {
    if i > 0 {
        let _ = write!(out, "{:indent$}", "");
    }
}

fn end_line(out: &mut String) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Whether a plain scalar may be a number, a truth, a time, nothing or a merge key in some YAML.
///
/// Whatever holds another character has no type but text in any of them.
fn may_be_typed(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.+-/:~<=".contains(c);
    text.chars().all(word) && !text.ends_with(':') && !matches!(text, "-" | "---" | "...")
}

/// A scalar on one line: plain where it has to be, else quoted.
fn inline(node: &Node) -> String {
    let Node::Scalar { text, plain, tag } = node else {
        return String::new();
    };
    let tag = tag.as_ref().map(|tag| format!("{tag} ")).unwrap_or_default();
    if *plain {
        format!("{tag}{text}")
    } else {
        format!("{tag}{}", quoted(text))
    }
}

/// Double quotes, with YAML's escapes (YAML 1.2, 5.7).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let node = read(text).unwrap();
        let out = write(&node);
        assert_eq!(read(&out).as_ref(), Ok(&node), "{out}");
        out
    }

    #[test]
    fn scalars_keep_their_letters_and_their_quotes() {
        let out = again("{a: 1.10, b: 0123, c: yes, d: 1e3, e: ~, f: '123', g: \"x\\ty\", h: -1, i: 10:30, j: }");
        assert_eq!(
            out,
            "a: 1.10\nb: 0123\nc: yes\nd: 1e3\ne: ~\nf: \"123\"\ng: \"x\\ty\"\nh: -1\ni: 10:30\nj: \n"
        );
    }

    #[test]
    fn blocks_lists_and_empty_things_come_back() {
        again(
            "a: |\n  one\n  two\nb: >-\n  folded\n  text\nc: []\nd: {}\ne:\n- - x\n  - y\n- k: v\n  l: [1, 'a, b']\n? [x, y]\n: z\n",
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_seen_through() {
        let node = read("a: &d {x: 1, y: 2}\nb: {<<: *d, y: 3}\n").unwrap();
        let b = node.get("b").unwrap();
        assert_eq!(b.get("x").and_then(Node::as_text), Some("1"));
        assert_eq!(b.get("y").and_then(Node::as_text), Some("3"));
        again("a: &d {x: 1, y: 2}\nb: {<<: *d, y: 3}\n");
    }

    #[test]
    fn a_document_that_is_too_much_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 10].join(", "));
        }
        assert!(read(&bomb).unwrap_err().contains("nodes"));
        assert!(read(&"[".repeat(60_000)).is_err());
        assert!(
            read(&format!("{}1{}", "[".repeat(65), "]".repeat(65)))
                .unwrap_err()
                .contains("deep")
        );
        assert!(read(&"- ".repeat(30_000)).is_err());
        assert!(read("a: 1\na: 2").unwrap_err().contains("twice"));
        assert!(read("a: 1\n---\nb: 2").unwrap_err().contains("more than one"));
        assert!(read("").unwrap_err().contains("empty"));
        assert!(read("a: [").is_err());
        assert!(read("a: &a [*a]").is_err());
    }
}
