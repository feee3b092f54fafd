//! YAML as a tree with the position of every node.

use serde_json::{Map, Value};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A value, with its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub content: Content,
    /// True if it is written elsewhere, and an alias (`*name`, `<<`) brings it here.
    pub aliased: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    /// Entries in the order of the file, without duplicate keys.
    Mapping(Vec<(Key, Node)>),
}

/// The key of a mapping's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub text: String,
    pub position: Position,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The start of a node, including its tag and its anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The offset in characters of the file, from 0.
    pub start: usize,
    pub position: Position,
}

/// The positions of an object's fields. Fields are kept as hashes: they are looked up, never listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    whole: Position,
    /// Hashes of fields in order, each with its position.
    fields: Box<[(u64, Position)]>,
}

// === impl Node ===

impl Node {
    /// Creates a node from a value of which only the start is known.
    #[must_use]
    pub fn at(position: Position, value: Value) -> Self {
        let content = match value {
            Value::Array(items) => {
                Content::Sequence(items.into_iter().map(|item| Self::at(position, item)).collect())
            }
            Value::Object(entries) => {
                let entry = |(text, value)| (Key { text, position }, Self::at(position, value));
                Content::Mapping(entries.into_iter().map(entry).collect())
            }
            scalar => Content::Scalar(scalar),
        };
        let span = Span {
            position,
            ..Span::default()
        };
        Self {
            span,
            content,
            aliased: false,
        }
    }

    /// The value without its positions.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => items.iter().map(Self::to_value).collect(),
            Content::Mapping(entries) => {
                let entry = |(key, node): &(Key, Self)| (key.text.clone(), node.to_value());
                Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
            }
        }
    }

    /// The entry of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Content::Mapping(entries) = &self.content else {
            return None;
        };
        entries
            .iter()
            .find(|(of, _)| of.text == key)
            .map(|(_, node)| node)
    }

    /// The items of a sequence; empty for other nodes.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The text of a string scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns true for null, such as the space between two `---`, or a mere comment.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }
}

// === impl Positions ===

impl Positions {
    /// The positions of an object's fields. A value from an alias has the position of the alias.
    #[must_use]
    pub fn of(object: &Node) -> Self {
        let mut fields = Vec::new();
        collect(object, "", &mut fields);
        fields.sort_unstable();
        Self {
            whole: object.span.position,
            fields: fields.into(),
        }
    }

    /// The position of a field, or else of the nearest known field around it.
    #[must_use]
    pub fn find(&self, field: &str) -> Position {
        let mut field = field;
        while !field.is_empty() {
            let hash = hash(field);
            if let Ok(at) = self.fields.binary_search_by_key(&hash, |(hash, _)| *hash)
                && let Some((_, position)) = self.fields.get(at)
            {
                return *position;
            }
            field = field
                .rfind(['.', '['])
                .and_then(|at| field.get(..at))
                .unwrap_or_default();
        }
        self.whole
    }
}

/// Lists fields by hash and position. Recurses as deep as nodes are nested, which the parser limits.
fn collect(node: &Node, path: &str, fields: &mut Vec<(u64, Position)>) {
    match &node.content {
        Content::Scalar(_) => {}
        Content::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                fields.push((hash(&path), item.span.position));
                collect(item, &path, fields);
            }
        }
        Content::Mapping(entries) => {
            for (Key { text, position }, value) in entries {
                let path = if path.is_empty() {
                    text.clone()
                } else {
                    format!("{path}.{text}")
                };
                fields.push((hash(&path), *position));
                collect(value, &path, fields);
            }
        }
    }
}

fn hash(field: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    field.hash(&mut hasher);
    hasher.finish()
}
