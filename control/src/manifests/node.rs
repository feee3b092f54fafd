//! YAML as a tree that knows where in its file everything stands.

use serde_json::{Map, Value};
use std::hash::{DefaultHasher, Hash, Hasher};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub content: Content,
    /// It stands elsewhere, and an alias (`*name`, `<<`) brings it here.
    pub aliased: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    /// In the order of the file; no key twice.
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

/// Where something begins, with its tag and its anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// In characters of the file, from 0.
    pub start: usize,
    pub position: Position,
}

/// Where each field of an object stands. Fields are kept as hashes: they are looked up, never listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    whole: Position,
    /// In order.
    fields: Box<[(u64, Position)]>,
}

// === impl Node ===

impl Node {
    /// A value of which no more is known than where it begins.
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

    /// The value without its places.
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

    /// The items of a sequence; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar that is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it holds nothing: what is between two `---`, or a comment alone.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }
}

// === impl Positions ===

impl Positions {
    /// Those of an object. Where an alias brings a value in, the alias counts.
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

    /// Where a field stands, or else the nearest that encloses it and does.
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

/// Lists fields by hash and position. As deep as nodes are, which is bounded where they are made.
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
