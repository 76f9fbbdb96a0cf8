//! YAML read into a tree and written again so that it means the same, to any reader.
//!
//! Prometheus reads YAML with a Go library of YAML 1.1, which sees in `yes` a boolean and in `1.10`
//! a number or the text `1.10`, as the place asks. So the tree never guesses: of a plain scalar
//! that some reader might take for something else than a string, it keeps the text.

use crate::input::shown;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

/// The most nodes a tree may have once aliases are written out.
const MOST_NODES: usize = 100_000;
/// The most bytes of text a tree may have once aliases are written out.
const MOST_BYTES: usize = 1024 * 1024;
/// How deep it may be nested.
const DEEPEST: usize = 64;
/// The most bytes of a key as it is written: readers look for its `:` within 1,024 characters.
const LONGEST_KEY: usize = 1_000;

/// A value. Anchors, aliases and merge keys are already resolved; keys are scalars, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Entries),
}

/// A mapping's keys and values, in their order.
pub(super) type Entries = Vec<(Scalar, Node)>;

/// A scalar: a string, or a text whose type is the reader's to guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Plain, and to some reader no string: to be written exactly as it stands.
    bare: bool,
}

impl Scalar {
    pub(super) fn string(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            bare: false,
        }
    }

    /// Whether it says that there is nothing.
    pub(super) fn is_null(&self) -> bool {
        self.bare && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    fn null() -> Self {
        Self::Scalar(Scalar {
            text: String::new(),
            bare: true,
        })
    }

    /// The same with the keys of every mapping in order.
    pub(super) fn sorted(self) -> Self {
        match self {
            Self::Scalar(scalar) => Self::Scalar(scalar),
            Self::Sequence(items) => Self::Sequence(items.into_iter().map(Self::sorted).collect()),
            Self::Mapping(entries) => {
                let mut entries: Entries = entries.into_iter().map(|(key, value)| (key, value.sorted())).collect();
                entries.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
                Self::Mapping(entries)
            }
        }
    }

    /// Nodes, bytes of text, and depth.
    fn measure(&self) -> (usize, usize, usize) {
        let sum = |(nodes, bytes, depth): (usize, usize, usize), child: &Node| {
            let (its_nodes, its_bytes, its_depth) = child.measure();
            (nodes + its_nodes, bytes + its_bytes, depth.max(its_depth + 1))
        };
        match self {
            Self::Scalar(scalar) => (1, scalar.text.len(), 0),
            Self::Sequence(items) => items.iter().fold((1, 0, 1), sum),
            Self::Mapping(entries) => entries.iter().fold((1, 0, 1), |so_far, (key, value)| {
                let (nodes, bytes, depth) = sum(so_far, value);
                (nodes + 1, bytes + key.text.len(), depth)
            }),
        }
    }
}

/// Whether some reader of YAML 1.1 or 1.2 might take a plain scalar for something else than a
/// string (YAML 1.1's type repository: null, bool, int, float, timestamp, merge, value).
fn is_guessed(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    match text.chars().next() {
        None => true,
        Some('0'..='9' | '+' | '-' | '.' | '~' | '<' | '=') => text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.:_~<=, ".contains(c)),
        Some(_) => WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)),
    }
}

/// Reads one YAML document.
///
/// Time and memory are bounded: aliases are counted as what they stand for.
///
/// # Errors
/// What is wrong, beginning with line and column where there is one.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    characters(text)?;
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| at(error.marker().line(), error.marker().col(), error.info()))?;
        let is_named = matches!(
            event,
            Event::Alias(_) | Event::Scalar(_, _, 1.., _) | Event::SequenceStart(1.., _) | Event::MappingStart(1.., _)
        );
        let name = match is_named {
            true => anchor_name(chars.get(span.start.index()..).unwrap_or_default()),
            false => Ok(()),
        };
        let is_cut = span.end.index() >= chars.len() && !text.ends_with(['\n', '\r']);
        name.and_then(|()| if is_cut { last(&event) } else { Ok(()) })
            .and_then(|()| reader.take(event))
            .map_err(|why| at(span.start.line(), span.start.col(), &why))?;
    }
    reader.root.ok_or_else(|| "it is empty".to_owned())
}

/// Checks the name of an anchor or alias at the beginning of a node: beyond letters, digits, `_` and
/// `-`, YAML 1.1 and 1.2 differ on where a name ends.
fn anchor_name(node: &[char]) -> Result<(), String> {
    let sign = node.iter().position(|c| matches!(c, '&' | '*'));
    let name = sign.map_or(&node[..0], |sign| &node[sign + 1..]);
    let end = name
        .iter()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
    match end {
        Some(c) if !c.is_whitespace() && !",[]{}".contains(*c) => {
            Err("an anchor's name may have letters, digits, \"_\" and \"-\" only".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks a node that ends with the text, in the middle of its line: there, readers differ on
/// whether a block of text ends with a line break.
fn last(event: &Event<'_>) -> Result<(), String> {
    match event {
        Event::Scalar(text, ScalarStyle::Literal | ScalarStyle::Folded, ..) if text.ends_with('\n') => Err(
            "the last line of this text has no line break, and readers differ on what that means; add one".to_owned(),
        ),
        _ => Ok(()),
    }
}

fn at(line: usize, column: usize, why: &str) -> String {
    format!("line {line}, column {}: {why}", column + 1)
}

/// Characters that YAML forbids, and those that some readers take for a line break and others not.
fn characters(text: &str) -> Result<(), String> {
    let wrong = |c: char| {
        matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
            || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    for (number, line) in text.lines().enumerate() {
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| wrong(*c)) {
            let why = format!(
                "the character U+{:04X} may not stand in YAML; write it as an escape in double quotes",
                c as u32
            );
            return Err(at(number + 1, column, &why));
        }
    }
    Ok(())
}

/// Builds the tree from the parser's events, on a stack of its own, so that depth costs no stack.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    documents: usize,
    root: Option<Node>,
}

/// A collection that has not ended.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// A mapping that has not ended.
#[derive(Default)]
struct Mapping {
    entries: Entries,
    /// The key whose value comes next.
    key: Option<Key>,
    /// Where a key stands, and whether it was merged in.
    index: HashMap<String, (usize, bool)>,
    merged: bool,
}

enum Key {
    Merge,
    Plain(Scalar),
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second YAML document begins here; put everything into one".to_owned());
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let node = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias stands inside of what it names")?;
                let (nodes, bytes, depth) = node.measure();
                let node = node.clone();
                self.count(nodes, bytes, depth)?;
                self.put(node, false)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(text, style, tag.as_deref())?;
                self.count(1, scalar.text.len(), 0)?;
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && scalar.text == "<<";
                let node = Node::Scalar(scalar);
                self.anchor(anchor, &node)?;
                self.put(node, is_merge)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.start(anchor, Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                self.start(anchor, Kind::Mapping(Mapping::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, kind }) = self.open.pop() else {
                    return Err("a collection ends that never began".to_owned());
                };
                let node = match kind {
                    Kind::Sequence(items) => Node::Sequence(items),
                    Kind::Mapping(mapping) => Node::Mapping(mapping.entries),
                };
                self.anchor(anchor, &node)?;
                self.put(node, false)
            }
        }
    }

    fn start(&mut self, anchor: usize, kind: Kind) -> Result<(), String> {
        self.count(1, 0, 1)?;
        self.open.push(Open { anchor, kind });
        Ok(())
    }

    /// Keeps a node for its aliases. The copy counts as well: anchors may be nested.
    fn anchor(&mut self, anchor: usize, node: &Node) -> Result<(), String> {
        if anchor > 0 {
            let (nodes, bytes, _) = node.measure();
            self.count(nodes, bytes, 0)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, bytes: usize, depth: usize) -> Result<(), String> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MOST_NODES || self.bytes > MOST_BYTES {
            return Err("too much, with its aliases written out".to_owned());
        }
        if self.open.len() + depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST} levels"));
        }
        Ok(())
    }

    /// Puts a node that is complete into the collection it belongs to.
    fn put(&mut self, node: Node, is_merge: bool) -> Result<(), String> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::Sequence(items)) => items.push(node),
            Some(Kind::Mapping(mapping)) => match mapping.key.take() {
                None => mapping.key = Some(mapping.key_of(node, is_merge)?),
                Some(Key::Merge) => mapping.merge(node)?,
                Some(Key::Plain(key)) => mapping.set(key, node),
            },
        }
        Ok(())
    }
}

impl Mapping {
    fn key_of(&mut self, node: Node, is_merge: bool) -> Result<Key, String> {
        if is_merge {
            if std::mem::replace(&mut self.merged, true) {
                return Err("\"<<\" stands here twice; merge a list of aliases instead".to_owned());
            }
            return Ok(Key::Merge);
        }
        let Node::Scalar(key) = node else {
            return Err("a key is a list or a mapping; expected a word".to_owned());
        };
        if key.is_null() {
            return Err("a key is missing or null".to_owned());
        }
        let mut written = String::new();
        write_scalar(&mut written, &key);
        if written.len() > LONGEST_KEY {
            return Err(format!("a key has more than {LONGEST_KEY} bytes"));
        }
        match self.index.get(&key.text) {
            Some((_, false)) => Err(format!("the key {} stands here twice", shown(&key.text))),
            _ => Ok(Key::Plain(key)),
        }
    }

    /// Sets a key's own value, which wins over one that was merged in.
    fn set(&mut self, key: Scalar, node: Node) {
        match self.index.entry(key.text.clone()) {
            Entry::Occupied(mut entry) => {
                let (position, _) = *entry.get();
                self.entries[position] = (key, node);
                entry.insert((position, false));
            }
            Entry::Vacant(entry) => {
                entry.insert((self.entries.len(), false));
                self.entries.push((key, node));
            }
        }
    }

    /// Writes out a merge key: of several mappings the first that has a key wins.
    fn merge(&mut self, node: Node) -> Result<(), String> {
        let sources = match node {
            Node::Sequence(items) => items,
            one => vec![one],
        };
        for source in sources {
            let Node::Mapping(entries) = source else {
                return Err("\"<<\" merges mappings only".to_owned());
            };
            for (key, node) in entries {
                match self.index.get(&key.text) {
                    // YAML says that the key's own value wins, wherever it stands; Prometheus' reader
                    // lets the later one win.
                    Some((_, false)) => {
                        let why = format!(
                            "{} stands before a \"<<\" that sets it too, and readers differ on which wins; put \"<<\" first",
                            shown(&key.text)
                        );
                        return Err(why);
                    }
                    Some((_, true)) => {}
                    None => {
                        self.index.insert(key.text.clone(), (self.entries.len(), true));
                        self.entries.push((key, node));
                    }
                }
            }
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let is_string = match tag {
        None => style != ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
        Some(tag) => return Err(foreign_tag(tag)),
    };
    // In brackets, readers of YAML 1.1 take these for the signs of a key and of a value.
    if style == ScalarStyle::Plain && text.starts_with(['?', ':']) {
        return Err(format!("readers differ on {}; write it in quotes", shown(&text)));
    }
    Ok(Scalar {
        bare: !is_string && is_guessed(&text),
        text: text.into_owned(),
    })
}

fn collection_tag(tag: Option<&Tag>, own: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == own) => Err(foreign_tag(tag)),
        _ => Ok(()),
    }
}

fn foreign_tag(tag: &Tag) -> String {
    format!("the tag {} is not supported; leave it out", shown(&tag.to_string()))
}

/// Writes a tree as block-style YAML.
pub(super) fn write(node: &Node) -> String {
    let mut out = String::new();
    write_block(&mut out, node, 0);
    out
}

/// Writes a node whose first line is indented already, and ends the line.
fn write_block(out: &mut String, node: &Node, indent: usize) {
    match node {
        Node::Scalar(scalar) => {
            write_scalar(out, scalar);
            out.push('\n');
        }
        Node::Sequence(items) if items.is_empty() => out.push_str("[]\n"),
        Node::Mapping(entries) if entries.is_empty() => out.push_str("{}\n"),
        Node::Sequence(items) => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    margin(out, indent);
                }
                out.push('-');
                if *item != Node::null() {
                    out.push(' ');
                }
                write_block(out, item, indent + 2);
            }
        }
        Node::Mapping(entries) => {
            for (position, (key, value)) in entries.iter().enumerate() {
                if position > 0 {
                    margin(out, indent);
                }
                write_scalar(out, key);
                out.push(':');
                let nested = match value {
                    Node::Scalar(_) => false,
                    Node::Sequence(items) => !items.is_empty(),
                    Node::Mapping(entries) => !entries.is_empty(),
                };
                if nested {
                    out.push('\n');
                    margin(out, indent + 2);
                } else if *value != Node::null() {
                    out.push(' ');
                }
                write_block(out, value, indent + 2);
            }
        }
    }
}

fn margin(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Writes a scalar on one line: as it stood if its type is the reader's to guess, else plain if it
/// is a plain word, else in single quotes if that spares escapes, else in double quotes.
fn write_scalar(out: &mut String, scalar: &Scalar) {
    let text = &scalar.text;
    let printable =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if scalar.bare || is_word(text) {
        out.push_str(text);
    } else if text.contains(['\\', '"']) && text.chars().all(printable) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if printable(c) => out.push(c),
                // None of them lies beyond the basic plane.
                c => out.push_str(&format!("\\u{:04X}", c as u32)),
            }
        }
        out.push('"');
    }
}

/// A string that every reader takes for the same string without quotes.
fn is_word(text: &str) -> bool {
    let mut after = text.chars().skip(1).chain(std::iter::once(' '));
    !is_guessed(text)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.chars().all(|c| {
            let next = after.next().unwrap_or(' ');
            c.is_ascii_alphanumeric() || "_./-".contains(c) || (c == ':' && next.is_ascii_alphanumeric())
        })
}
