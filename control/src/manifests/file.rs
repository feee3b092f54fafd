//! One file of manifests.

use super::{Content, Diagnostic, Node, Position, Positions, Severity, yaml};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use switchyard_core::{Object, ObjectId, object::Secret};
use switchyard_k8s::{FieldError, Header, Reading, object};

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub entries: BTreeMap<ObjectId, Entry>,
    pub diagnostics: Vec<Diagnostic>,
    /// The number of objects of kinds that routing does not depend on.
    pub others: usize,
}

/// An object, and the positions of its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub object: Object,
    pub positions: Arc<Positions>,
}

struct Reader<'f> {
    name: &'f Arc<str>,
    file: File,
}

/// Parses a file, as far as possible.
#[must_use]
pub fn read(name: &Arc<str>, text: &str) -> File {
    let mut reader = Reader {
        name,
        file: File::default(),
    };
    let yaml::Documents { documents, error } = yaml::documents(text, name.ends_with(".json"));
    for document in documents.iter().filter(|document| !document.is_null()) {
        reader.document(document);
    }
    if let Some(yaml::SyntaxError { position, message }) = error {
        reader.tell(
            position,
            Severity::Error,
            "",
            FieldError {
                field: String::new(),
                message,
            },
        );
    }
    reader.file
}

/// The objects of a document: the items of a `List`, or itself.
#[must_use]
pub fn objects(document: &Node) -> Vec<&Node> {
    let kind = document.get("kind").and_then(Node::text);
    match document.get("items").map(|items| &items.content) {
        Some(Content::Sequence(items)) if kind == Some("List") => items.iter().collect(),
        _ => vec![document],
    }
}

// === impl File ===

impl File {
    /// Returns true if the whole file could be read.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn document(&mut self, document: &Node) {
        for item in objects(document) {
            self.object(item);
        }
    }

    fn object(&mut self, node: &Node) {
        let value = node.to_value();
        let label = label(&value);
        let positions = Arc::new(Positions::of(node));
        match object(value) {
            Ok(None) => self.file.others += 1,
            Ok(Some(Reading { object, warnings })) => {
                for warning in warnings {
                    self.tell(positions.find(&warning.field), Severity::Warning, &label, warning);
                }
                if let Object::Secret(secret) = &object {
                    self.secret(secret, node, &positions, &label);
                }
                self.add(Entry { object, positions }, &label);
            }
            Err(error) => self.tell(positions.find(&error.field), Severity::Error, &label, error),
        }
    }

    /// Reports the errors in a Secret with their lines. The IngressRoutes that reference it report them, too.
    fn secret(&mut self, secret: &Secret, node: &Node, positions: &Positions, label: &str) {
        for fault in &secret.faults {
            let error = FieldError {
                field: data_field(node, fault.key()),
                message: fault.to_string(),
            };
            self.tell(positions.find(&error.field), Severity::Error, label, error);
        }
    }

    /// Adds an object. The first of two objects with the same name wins.
    fn add(&mut self, entry: Entry, label: &str) {
        let id = entry.object.id();
        if let Some(first) = self.file.entries.get(&id) {
            let line = first.positions.find("").line;
            let message = format!("also defined in line {line}, which takes precedence: remove one");
            let error = FieldError {
                field: "metadata.name".to_owned(),
                message,
            };
            return self.tell(entry.positions.find(&error.field), Severity::Error, label, error);
        }
        self.file.entries.insert(id, entry);
    }

    fn tell(&mut self, position: Position, severity: Severity, object: &str, error: FieldError) {
        let FieldError { field, message } = error;
        self.file.diagnostics.push(Diagnostic {
            file: self.name.clone(),
            position,
            severity,
            object: object.to_owned(),
            field,
            message: hint(message),
        });
    }
}

/// The field with a value of a Secret: `stringData` wins.
fn data_field(secret: &Node, key: &str) -> String {
    let written = secret.get("stringData").and_then(|data| data.get(key));
    let data = if written.is_some() { "stringData" } else { "data" };
    format!("{data}.{key}")
}

/// The label `Kind namespace/name`, as far as the document has it.
fn label(document: &Value) -> String {
    let Ok(Header {
        kind,
        namespace,
        name,
        ..
    }) = Header::read(document)
    else {
        return String::new();
    };
    match (namespace, name) {
        (_, "") => kind.to_owned(),
        ("", name) => format!("{kind} default/{name}"),
        (namespace, name) => format!("{kind} {namespace}/{name}"),
    }
}

/// Adds advice if YAML has read a value as another type than its writer meant.
fn hint(message: String) -> String {
    let lost = [
        "invalid type: boolean",
        "invalid type: integer",
        "invalid type: floating",
    ];
    let expected_text = message.ends_with("expected a string");
    if expected_text && lost.iter().any(|start| message.starts_with(start)) {
        return message + ": put it in quotes";
    }
    message
}

#[cfg(test)]
mod tests;
