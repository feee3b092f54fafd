//! Identities that checks establish.

use super::jwt::claims::Claims;
use crate::config::policy;
use std::rc::Rc;

/// The result of a check that has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The client; `None` if the check does not identify it.
    pub identity: Option<Identity>,
    /// The check's edits of the headers to the upstream and to the client, made after the protected fields are removed.
    pub headers: policy::Headers,
}

/// The identity of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub scheme: Scheme,
    /// A valid header value; `None` if the token has no name.
    pub name: Option<String>,
    /// The claims of a token.
    pub claims: Option<Rc<Claims>>,
}

/// The authentication scheme of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    ApiKey,
    Jwt,
}

// === impl Pass ===

impl Pass {
    pub(super) fn of(scheme: Scheme, name: &str) -> Self {
        Self {
            identity: Some(Identity {
                scheme,
                name: Some(name.to_owned()),
                claims: None,
            }),
            headers: policy::Headers::default(),
        }
    }
}

// === impl Scheme ===

impl Scheme {
    /// The name of the scheme, as sent to the upstream.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::ApiKey => "apiKey",
            Self::Jwt => "jwt",
        }
    }
}
