//! Reads YAML into a tree, and writes it so that every parser reads the same meaning.
//!
//! Prometheus parses YAML with a Go library for YAML 1.1. It reads `yes` as a boolean, and `1.10` as a number or as a
//! string, depending on the field. So the tree assigns no types: a plain scalar that a parser may read as another type
//! than a string keeps its text.

use crate::input::shown;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

/// The maximum number of nodes of a tree after its aliases are expanded.
const MAX_NODES: usize = 100_000;
/// The maximum number of bytes of text of a tree after its aliases are expanded.
const MAX_BYTES: usize = 1024 * 1024;
/// The maximum depth of nesting.
const MAX_DEPTH: usize = 64;
/// The maximum length of a written key, in bytes. Parsers expect its `:` within 1,024 characters.
const MAX_KEY_BYTES: usize = 1_000;

/// A value. Anchors, aliases and merge keys are expanded; the keys of a mapping are scalars, and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Entries),
}

/// The keys and values of a mapping, in order.
pub(super) type Entries = Vec<(Scalar, Node)>;

/// A scalar: a string, or a text whose type depends on the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it is a plain scalar that a parser may read as another type than a string. It is written as it was.
    pub(super) untyped: bool,
}

impl Scalar {
    pub(super) fn string(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            untyped: false,
        }
    }

    /// Whether it is null.
    pub(super) fn is_null(&self) -> bool {
        self.untyped && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    fn null() -> Self {
        Self::Scalar(Scalar {
            text: String::new(),
            untyped: true,
        })
    }

    /// The same tree with the keys of every mapping sorted.
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

    /// The number of nodes, the bytes of text, and the depth.
    fn measure(&self) -> (usize, usize, usize) {
        let sum = |(nodes, bytes, depth): (usize, usize, usize), child: &Node| {
            let (child_nodes, child_bytes, child_depth) = child.measure();
            (nodes + child_nodes, bytes + child_bytes, depth.max(child_depth + 1))
        };
        match self {
            Self::Scalar(scalar) => (1, scalar.text.len(), 0),
            Self::Sequence(items) => items.iter().fold((1, 0, 1), sum),
            Self::Mapping(entries) => entries.iter().fold((1, 0, 1), |total, (key, value)| {
                let (nodes, bytes, depth) = sum(total, value);
                (nodes + 1, bytes + key.text.len(), depth)
            }),
        }
    }
}

/// Whether a parser of YAML 1.1 or 1.2 may read a plain scalar as another type than a string (YAML 1.1's type
/// repository: null, bool, int, float, timestamp, merge, value).
fn is_ambiguous(text: &str) -> bool {
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
/// Time and memory are bounded: an alias counts as much as its anchor's node.
///
/// # Errors
/// What is wrong. The message begins with line and column, if there are any.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_characters(text)?;
    let text = &*without_tabs_after_colons(text);
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader::default();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| with_position(error.marker().line(), error.marker().col(), error.info()))?;
        if matches!(event, Event::DocumentStart(_)) {
            document = Some(span.start);
        }
        if reader.root.is_some() && is_part_of_an_empty_document(&event) {
            continue;
        }
        if reader.root.is_some() {
            let start = document.unwrap_or(span.start);
            let why = "a second YAML document begins here; write everything into one document";
            return Err(with_position(start.line(), start.col(), why));
        }
        let has_anchor_name = matches!(
            event,
            Event::Alias(_) | Event::Scalar(_, _, 1.., _) | Event::SequenceStart(1.., _) | Event::MappingStart(1.., _)
        );
        let ends_without_line_break = span.end.index() >= chars.len() && !text.ends_with(['\n', '\r']);
        // The span of a collection's start ends after its bracket.
        let last = span.end.index().checked_sub(1).and_then(|index| chars.get(index));
        let in_brackets = matches!(last, Some('[' | '{'));
        let mut result = Ok(());
        if has_anchor_name {
            result = check_anchor_name(chars.get(span.start.index()..).unwrap_or_default());
        }
        if result.is_ok() && ends_without_line_break {
            result = check_last_node(&event);
        }
        if result.is_ok() {
            result = reader.take(event, in_brackets);
        }
        result.map_err(|why| with_position(span.start.line(), span.start.col(), &why))?;
    }
    match reader.root {
        Some(root) => Ok(root),
        None => Err("it is empty".to_owned()),
    }
}

/// Whether an event belongs to a document without content, such as after a `---` at the end of a file. Prometheus reads
/// only the first document.
fn is_part_of_an_empty_document(event: &Event<'_>) -> bool {
    match event {
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => true,
        Event::Scalar(text, ScalarStyle::Plain, 0, None) => text.is_empty(),
        _ => false,
    }
}

/// The text with spaces instead of tabs after the `:` of a key. YAML allows both. The parser refuses such tabs.
///
/// Tabs in comments also become spaces. In quotes and block scalars, they are content and stay: the parser finds them
/// in a copy of the text without tabs, in which everything is at the same place.
fn without_tabs_after_colons(text: &str) -> Cow<'_, str> {
    if !text.contains(":\t") {
        return Cow::Borrowed(text);
    }
    let is_content = vec![false; text.len()];
    let copy = replace_tabs(text, &is_content);
    let mut is_content: Vec<bool> = vec![false; copy.chars().count()];
    for event in Parser::new_from_str(&copy) {
        match event {
            Ok((Event::Scalar(_, style, ..), span)) if style != ScalarStyle::Plain => {
                let range = span.start.index()..span.end.index().min(is_content.len());
                if let Some(content) = is_content.get_mut(range) {
                    content.fill(true);
                }
            }
            Ok(_) => {}
            // It is found again in the text itself.
            Err(_) => break,
        }
    }
    Cow::Owned(replace_tabs(text, &is_content))
}

/// Replaces the tabs that follow a `:`, except in content. `is_content` has an entry for each character.
fn replace_tabs(text: &str, is_content: &[bool]) -> String {
    let mut after_colon = false;
    let replaced = text.chars().zip(is_content).map(|(c, is_content)| {
        after_colon = !is_content && (c == ':' || (after_colon && matches!(c, ' ' | '\t')));
        if after_colon && c == '\t' { ' ' } else { c }
    });
    replaced.collect()
}

/// Checks the name of the anchor or alias at the beginning of a node. YAML 1.1 and 1.2 disagree on where a name ends if
/// it contains other characters than letters, digits, `_` and `-`.
fn check_anchor_name(node: &[char]) -> Result<(), String> {
    let Some(indicator) = node.iter().position(|c| matches!(c, '&' | '*')) else {
        return Ok(());
    };
    let end = node[indicator + 1..]
        .iter()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
    match end {
        Some(c) if !c.is_whitespace() && !",[]{}".contains(*c) => {
            Err("the name of an anchor may contain only letters, digits, \"_\" and \"-\"".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks the last node of a text without a final line break. Parsers disagree on whether a block scalar then ends with
/// a line break.
fn check_last_node(event: &Event<'_>) -> Result<(), String> {
    match event {
        Event::Scalar(text, ScalarStyle::Literal | ScalarStyle::Folded, ..) if text.ends_with('\n') => Err(
            "the last line of this block scalar has no line break, and YAML parsers disagree on its value; add one"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn with_position(line: usize, column: usize, why: &str) -> String {
    format!("line {line}, column {}: {why}", column + 1)
}

/// Checks that a text has no characters that YAML forbids, and none that only some parsers treat as line breaks.
fn check_characters(text: &str) -> Result<(), String> {
    let forbidden = |c: char| {
        matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
            || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    for (number, line) in text.lines().enumerate() {
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| forbidden(*c)) {
            let why = format!(
                "the character U+{:04X} is not allowed in YAML; write it as an escape sequence in double quotes",
                c as u32
            );
            return Err(with_position(number + 1, column, &why));
        }
    }
    Ok(())
}

/// Builds the tree from the parser's events, with a stack on the heap instead of recursion.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

/// A collection that has not ended.
struct Open {
    anchor: usize,
    /// Whether it or a collection around it is written in brackets.
    in_brackets: bool,
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
    /// The position of each key in `entries`, and whether it was merged.
    index: HashMap<String, (usize, bool)>,
    /// Whether the mapping already has a merge key.
    merged: bool,
}

enum Key {
    Merge,
    Plain(Scalar),
}

impl Reader {
    /// Takes an event. `in_brackets` is whether a collection begins with a bracket.
    fn take(&mut self, event: Event<'_>, in_brackets: bool) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(anchor) => {
                let node = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias is inside the node that it refers to")?;
                let (nodes, bytes, depth) = node.measure();
                let node = node.clone();
                self.count(nodes, bytes, depth)?;
                self.put(node, false)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(text, style, tag.as_deref(), self.is_in_brackets())?;
                self.count(1, scalar.text.len(), 0)?;
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && scalar.text == "<<";
                let node = Node::Scalar(scalar);
                self.anchor(anchor, &node)?;
                self.put(node, is_merge)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.start(anchor, in_brackets, Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                self.start(anchor, in_brackets, Kind::Mapping(Mapping::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, kind, .. }) = self.open.pop() else {
                    return Err("a collection ends that did not begin".to_owned());
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

    fn start(&mut self, anchor: usize, in_brackets: bool, kind: Kind) -> Result<(), String> {
        self.count(1, 0, 1)?;
        let in_brackets = in_brackets || self.is_in_brackets();
        self.open.push(Open {
            anchor,
            in_brackets,
            kind,
        });
        Ok(())
    }

    fn is_in_brackets(&self) -> bool {
        self.open.last().is_some_and(|open| open.in_brackets)
    }

    /// Stores a node for its aliases. The copy counts too, because anchors may be nested.
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
        if self.nodes > MAX_NODES || self.bytes > MAX_BYTES {
            return Err("too large after its aliases are expanded".to_owned());
        }
        if self.open.len() + depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    /// Puts a complete node into its collection.
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
                return Err("\"<<\" is used twice in this mapping; merge a list of aliases instead".to_owned());
            }
            return Ok(Key::Merge);
        }
        let Node::Scalar(key) = node else {
            return Err("a key is a list or a mapping; expected a scalar".to_owned());
        };
        if key.is_null() {
            return Err("a key is missing or null".to_owned());
        }
        let mut written = String::new();
        write_scalar(&mut written, &key);
        if written.len() > MAX_KEY_BYTES {
            return Err(format!("a key has more than {MAX_KEY_BYTES} bytes"));
        }
        match self.index.get(&key.text) {
            Some((_, false)) => Err(format!("the key {} is used twice in this mapping", shown(&key.text))),
            _ => Ok(Key::Plain(key)),
        }
    }

    /// Sets a key. Its value overrides a merged one.
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

    /// Expands a merge key. Of several mappings with a key, the first one applies.
    fn merge(&mut self, node: Node) -> Result<(), String> {
        let sources = match node {
            Node::Sequence(items) => items,
            one => vec![one],
        };
        for source in sources {
            let Node::Mapping(entries) = source else {
                return Err("\"<<\" can only merge mappings".to_owned());
            };
            for (key, node) in entries {
                match self.index.get(&key.text) {
                    // In YAML, the mapping's own value applies, wherever it is. In Prometheus' parser, the later one
                    // applies.
                    Some((_, false)) => {
                        let why = format!(
                            "the key {} is before a \"<<\" that also sets it, and YAML parsers disagree on its value; put \
                             \"<<\" first",
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

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, in_brackets: bool) -> Result<Scalar, String> {
    let is_string = match tag {
        None => style != ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
        Some(tag) => return Err(foreign_tag(tag)),
    };
    // Within brackets, parsers of YAML 1.1 read these characters as key and value indicators.
    if in_brackets && style == ScalarStyle::Plain && text.starts_with(['?', ':']) {
        return Err(format!(
            "YAML parsers disagree on the meaning of {}; write it in quotes",
            shown(&text)
        ));
    }
    Ok(Scalar {
        untyped: !is_string && is_ambiguous(&text),
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
    format!("the tag {} is not supported; remove it", shown(&tag.to_string()))
}

/// Writes a tree as block-style YAML.
pub(super) fn write(node: &Node) -> String {
    let mut out = String::new();
    write_block(&mut out, node, 0);
    out
}

/// Writes a node, whose first line is already indented, and a line break.
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

/// Writes a scalar on one line: an untyped one as it was, a plain word without quotes, a text with quotes or
/// backslashes in single quotes if possible, and everything else in double quotes.
fn write_scalar(out: &mut String, scalar: &Scalar) {
    let text = &scalar.text;
    let printable =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if scalar.untyped || is_plain_word(text) {
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
                // All characters that are not printable are in the basic multilingual plane.
                c => out.push_str(&format!("\\u{:04X}", c as u32)),
            }
        }
        out.push('"');
    }
}

/// Whether every parser reads a text without quotes as the same string.
fn is_plain_word(text: &str) -> bool {
    let mut after = text.chars().skip(1).chain(std::iter::once(' '));
    !is_ambiguous(text)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.chars().all(|c| {
            let next = after.next().unwrap_or(' ');
            c.is_ascii_alphanumeric() || "_./-".contains(c) || (c == ':' && next.is_ascii_alphanumeric())
        })
}
