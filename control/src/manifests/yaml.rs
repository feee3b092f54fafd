//! Parses YAML and JSON into nodes, within limits: a manifest may come from anyone who may write one.

use super::{
    node::{Content, Key, Node, Position, Span},
    scalar,
    unique::Unique,
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// The maximum nesting depth of values.
const DEEPEST: usize = 100;
/// The maximum number of nodes that aliases add to a file: enough for any real use, and a limit for exponential
/// expansion.
const MOST_ALIASED: usize = 100_000;

/// The documents of a file, up to the first syntax error.
#[derive(Debug, Default)]
pub struct Documents {
    pub documents: Vec<Node>,
    pub error: Option<SyntaxError>,
}

/// A syntax error, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub position: Position,
    pub message: String,
}

struct Composer<'i> {
    parser: Parser<'i, StrInput<'i>>,
    anchors: BTreeMap<usize, Node>,
    /// The number of nodes that aliases have added.
    aliased: usize,
    /// The depth of the current node.
    depth: usize,
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// Parses a file. `json` is true if it has to be JSON: YAML parsers reject some JSON, and accept other syntax.
#[must_use]
pub fn documents(text: &str, json: bool) -> Documents {
    if !json {
        return Composer::new(text).read();
    }
    let read = json_documents(text);
    // Only the YAML parser has positions. It rejects tabs as indentation, and JSON strings contain no tabs.
    let placed = Composer::new(&text.replace('\t', " ")).read();
    let same = placed.error.is_none() && placed.documents.len() == read.documents.len();
    if same && read.error.is_none() {
        placed
    } else {
        read
    }
}

/// Parses consecutive values, each with the position of its start only.
fn json_documents(text: &str) -> Documents {
    let mut read = Documents::default();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Unique>();
    let mut start = 0;
    while let Some(value) = values.next() {
        match value {
            Ok(Unique(value)) => read.documents.push(Node::at(position(text, start), value)),
            Err(error) => {
                read.error = Some(SyntaxError::from_json(&error));
                break;
            }
        }
        start = values.byte_offset();
    }
    read
}

/// The position of the first character at or after `start` that is not a space.
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
                format!("values are nested more than {DEEPEST} deep"),
            ));
        }
        let node = match event {
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::Scalar(text, style, anchor, tag) => {
                self.anchored(anchor, scalar_node(&text, style, tag, span))
            }
            Event::SequenceStart(anchor, _) => self.sequence(span).map(|node| self.anchored(anchor, node))?,
            Event::MappingStart(anchor, _) => self.mapping(span).map(|node| self.anchored(anchor, node))?,
            _ => return Err(SyntaxError::at(span, "expected a value".to_owned())),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        // 0 means no anchor.
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node> {
        let anchored = self.anchors.get(&anchor);
        let unknown = || SyntaxError::at(span, "an alias must come after its anchor".to_owned());
        let mut node = anchored.ok_or_else(unknown)?.clone();
        self.aliased = self.aliased.saturating_add(mark_aliased(&mut node));
        if self.aliased > MOST_ALIASED {
            let message = format!("aliases expand to more than {MOST_ALIASED} values: write the values out");
            return Err(SyntaxError::at(span, message));
        }
        if self.depth + depth(&node) > DEEPEST {
            return Err(SyntaxError::at(
                span,
                format!("values are nested more than {DEEPEST} deep"),
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
                    message: format!("duplicate key {:?}", key.text),
                });
            }
        }
    }
}

/// The entries that `<<` merges: those of a mapping, or of several, of which the first with a key wins.
fn mergeable(node: Node) -> Result<Vec<(Key, Node)>> {
    let Node { span, content, .. } = node;
    let mut entries = match content {
        Content::Mapping(entries) => entries,
        Content::Sequence(items) => {
            let merged: Vec<Vec<_>> = items.into_iter().map(mergeable).collect::<Result<_>>()?;
            merged.into_iter().flatten().collect()
        }
        Content::Scalar(_) => return Err(SyntaxError::at(span, "<< must refer to a mapping".to_owned())),
    };
    for (key, _) in &mut entries {
        key.position = span.position;
    }
    Ok(entries)
}

/// Marks a node and its descendants, and returns their number.
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
        // The text of serde_json has the position, too.
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
