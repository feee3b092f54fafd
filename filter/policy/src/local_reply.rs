//! Responses that the filter itself sends.

use crate::edit::Edit;

/// A local response of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The status for a gRPC client, which gets the body as its message. `None` for other clients; the proxy derives one
    /// from the HTTP status if the client is of gRPC nevertheless.
    pub grpc_status: Option<u32>,
}

// === impl LocalReply ===

impl LocalReply {
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            grpc_status: None,
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    pub fn edit(&mut self, edits: &[Edit<'_>]) {
        for edit in edits {
            edit.apply(&mut self.headers);
        }
    }
}
