use std::fmt;

/// An error in a document, with the field that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FieldError {
    /// The path as kubectl writes it: `spec.ports[0].port`. Empty for the whole document.
    pub field: String,
    /// The reason; does not repeat the field.
    pub message: String,
}

// === impl FieldError ===

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        if field.is_empty() {
            return f.write_str(message);
        }
        write!(f, "{field}: {message}")
    }
}
