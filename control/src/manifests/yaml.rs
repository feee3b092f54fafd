//! YAML and JSON into nodes, within bounds: a manifest may come from anyone who may write one.

use super::{
    node::{Content, Key, Node, Position, Span},
    scalar,
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// How deep values may lie in each other.
const DEEPEST: usize = 100;
/// How many nodes aliases may add to a file: enough for any real use, and the end of a file that doubles itself.
const MOST_ALIASED: usize = 100_000;

/// The documents of a file, up to where it cannot be read.
#[derive(Debug, Default)]
pub struct Documents {
    pub documents: Vec<Node>,
    pub error: Option<SyntaxError>,
}

/// Where and why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub position: Position,
    pub message: String,
}

struct Composer<'i> {
    parser: Parser<'i, StrInput<'i>>,
    anchors: BTreeMap<usize, Node>,
    /// Nodes that aliases have added.
    aliased: usize,
    /// How deep the node at hand lies.
    depth: usize,
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads a file. `json` says that it is to be JSON, which YAML does not read in every case, and reads too much of.
#[must_use]
pub fn documents(text: &str, json: bool) -> Documents {
    if !json {
        return Composer::new(text).read();
    }
    let read = json_documents(text);
    // Only YAML's reader tells places. It takes no tab for indentation, and in JSON none means itself.
    let placed = Composer::new(&text.replace('\t', " ")).read();
    let same = placed.error.is_none() && placed.documents.len() == read.documents.len();
    if same && read.error.is_none() {
        placed
    } else {
        read
    }
}

/// Values one after the other, with no more places than where each begins.
fn json_documents(text: &str) -> Documents {
    let mut read = Documents::default();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut start = 0;
    while let Some(value) = values.next() {
        match value {
            Ok(value) => read.documents.push(Node::at(position(text, start), value)),
            Err(error) => {
                read.error = Some(SyntaxError::from_json(&error));
                break;
            }
        }
        start = values.byte_offset();
    }
    read
}

/// Where the first character at or after `start` stands that is no space.
fn position(text: &str, start: usize) -> Position {
    let rest = text.get(start..).unwrap_or_default();
    let start = start + (rest.len() - rest.trim_start().len());
    let before = text.get(..start).unwrap_or_default();
    Position {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1,
    }
}

// === impl Composer ===

impl<'i> Composer<'i> {
    fn new(text: &'i str) -> Self {
        Self {
            parser: Parser::new_from_str(text),
            anchors: BTreeMap::new(),
            aliased: 0,
            depth: 0,
        }
    }

    fn read(mut self) -> Documents {
        let mut read = Documents::default();
        loop {
            match self.document() {
                Ok(Some(document)) => read.documents.push(document),
                Ok(None) => return read,
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), _) => {
                    self.anchors.clear();
                    return self.next_node().map(Some);
                }
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'i>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.into())),
            Some(Err(error)) => Err(error.into()),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn next_node(&mut self) -> Result<Node> {
        let (event, span) = self.event()?;
        self.node(event, span)
    }

    fn node(&mut self, event: Event<'i>, span: Span) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(SyntaxError::at(
                span,
                format!("values lie more than {DEEPEST} deep in each other"),
            ));
        }
        let node = match event {
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::Scalar(text, style, anchor, tag) => {
                self.anchored(anchor, scalar_node(&text, style, tag, span))
            }
            Event::SequenceStart(anchor, _) => self.sequence(span).map(|node| self.anchored(anchor, node))?,
            Event::MappingStart(anchor, _) => self.mapping(span).map(|node| self.anchored(anchor, node))?,
            _ => return Err(SyntaxError::at(span, "a value is expected here".to_owned())),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        // 0 is no anchor.
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node> {
        let anchored = self.anchors.get(&anchor);
        let unknown = || SyntaxError::at(span, "an alias must come after what it stands for".to_owned());
        let mut node = anchored.ok_or_else(unknown)?.clone();
        self.aliased = self.aliased.saturating_add(mark_aliased(&mut node));
        if self.aliased > MOST_ALIASED {
            let message = format!("aliases add more than {MOST_ALIASED} values: write them out");
            return Err(SyntaxError::at(span, message));
        }
        if self.depth + depth(&node) > DEEPEST {
            return Err(SyntaxError::at(
                span,
                format!("values lie more than {DEEPEST} deep in each other"),
            ));
        }
        node.span = span;
        Ok(node)
    }

    fn sequence(&mut self, span: Span) -> Result<Node> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(node(span, Content::Sequence(items))),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn mapping(&mut self, span: Span) -> Result<Node> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        loop {
            let (key, merge) = match self.event()? {
                (Event::MappingEnd, _) => {
                    let inherited = merged
                        .into_iter()
                        .filter(|(key, _): &(Key, Node)| known.insert(key.text.clone()));
                    entries.extend(inherited.collect::<Vec<_>>());
                    return Ok(node(span, Content::Mapping(entries)));
                }
                (Event::Scalar(text, style, ..), span) => {
                    let merge = text == "<<" && style == ScalarStyle::Plain;
                    let position = span.position;
                    (
                        Key {
                            text: text.into_owned(),
                            position,
                        },
                        merge,
                    )
                }
                (_, span) => return Err(SyntaxError::at(span, "a key must be a scalar".to_owned())),
            };
            let value = self.next_node()?;
            if merge {
                merged.extend(mergeable(value)?);
            } else if known.insert(key.text.clone()) {
                entries.push((key, value));
            } else {
                return Err(SyntaxError {
                    position: key.position,
                    message: format!("the key {:?} stands here twice", key.text),
                });
            }
        }
    }
}

/// What `<<` brings in: the entries of a mapping, or of several, where the first that has a key wins.
fn mergeable(node: Node) -> Result<Vec<(Key, Node)>> {
    let Node { span, content, .. } = node;
    let mut entries = match content {
        Content::Mapping(entries) => entries,
        Content::Sequence(items) => {
            let merged: Vec<Vec<_>> = items.into_iter().map(mergeable).collect::<Result<_>>()?;
            merged.into_iter().flatten().collect()
        }
        Content::Scalar(_) => return Err(SyntaxError::at(span, "<< must name a mapping".to_owned())),
    };
    for (key, _) in &mut entries {
        key.position = span.position;
    }
    Ok(entries)
}

/// Marks a node and all in it. Answers how many they are.
fn mark_aliased(node: &mut Node) -> usize {
    node.aliased = true;
    1 + match &mut node.content {
        Content::Scalar(_) => 0,
        Content::Sequence(items) => items.iter_mut().map(mark_aliased).sum::<usize>(),
        Content::Mapping(entries) => entries.iter_mut().map(|(_, value)| mark_aliased(value)).sum(),
    }
}

fn depth(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 0,
        Content::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Content::Mapping(entries) => {
            1 + entries
                .iter()
                .map(|(_, value)| depth(value))
                .max()
                .unwrap_or_default()
        }
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, span: Span) -> Node {
    let string = style != ScalarStyle::Plain
        || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let value = if string {
        Value::String(text.to_owned())
    } else {
        scalar::resolve(text)
    };
    node(span, Content::Scalar(value))
}

fn node(span: Span, content: Content) -> Node {
    Node {
        span,
        content,
        aliased: false,
    }
}

// === impl Span ===

impl From<saphyr_parser::Span> for Span {
    fn from(saphyr_parser::Span { start, end: _ }: saphyr_parser::Span) -> Self {
        Self {
            start: start.index(),
            position: Position {
                line: start.line(),
                column: start.col() + 1,
            },
        }
    }
}

// === impl SyntaxError ===

impl SyntaxError {
    fn at(span: Span, message: String) -> Self {
        Self {
            position: span.position,
            message,
        }
    }

    fn from_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        // serde_json says the place in its text, too.
        let message = text.split(" at line ").next().unwrap_or(&text);
        Self {
            position: Position {
                line: error.line(),
                column: error.column(),
            },
            message: format!("not JSON: {message}"),
        }
    }
}

impl From<ScanError> for SyntaxError {
    fn from(error: ScanError) -> Self {
        let marker = error.marker();
        Self {
            position: Position {
                line: marker.line(),
                column: marker.col() + 1,
            },
            message: format!("not YAML: {}", error.info()),
        }
    }
}

#[cfg(test)]
mod tests;
