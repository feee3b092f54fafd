//! A client of a running control's admin interface.

use crate::http::Server;
use anyhow::{Context, Result};
use hyper::Method;
use serde::de::DeserializeOwned;

/// A client of a running control.
#[derive(Debug)]
pub struct Control {
    server: Server,
}

// === impl Control ===

impl Control {
    /// Creates a client for a URL, without a request.
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

    /// Sends a GET request, and parses the answer.
    ///
    /// # Errors
    ///
    /// If control cannot be reached, or answers with an error or an unknown document.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let target = format!("{path}?{query}");
        let body = self.server.ask(Method::GET, &target).await?;
        serde_json::from_slice(&body).context("unexpected response from control; is it the same version?")
    }
}
