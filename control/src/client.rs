//! Asking a running control, at its admin address.

use crate::http::Server;
use anyhow::{Context, Result};
use hyper::Method;
use serde::de::DeserializeOwned;

/// A running control.
#[derive(Debug)]
pub struct Control {
    server: Server,
}

// === impl Control ===

impl Control {
    /// Control at a URL; nothing is asked yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            server: Server::new(url),
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    ///
    /// If control cannot be reached, or answers with an error or what this program cannot read.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let query: Vec<_> = query
            .iter()
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        let target = format!("{path}?{}", query.join("&"));
        let body = self.server.ask(Method::GET, &target).await?;
        serde_json::from_slice(&body).context("control answered what this program cannot read")
    }
}

/// For a query: everything but letters, digits and `-._~` (RFC 3986, 2.3).
fn escape(value: &str) -> String {
    let escaped = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}
