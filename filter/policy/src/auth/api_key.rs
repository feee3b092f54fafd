//! API keys.

use super::{
    check::{AuthRequest, CheckOutcome},
    error::RequirementError,
    failure::{AuthFailure, FailureReason},
    fields,
    identity::{Pass, Scheme},
};
use crate::{
    config::policy,
    header::Use,
    query::{byte_of, parameter},
};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeMap};

/// Passes clients that have one of these keys. Keys are looked up by their hash, so the time that it takes reveals
/// nothing of them.
pub(super) struct ApiKeyAuth {
    header: Option<String>,
    parameter: Option<String>,
    clients: BTreeMap<[u8; 32], String>,
}

// === impl ApiKeyAuth ===

impl ApiKeyAuth {
    pub(super) fn check(&self, request: AuthRequest<'_>) -> CheckOutcome {
        let mut keys = self.keys(request);
        let Some(key) = keys.next() else {
            return CheckOutcome::Fail(AuthFailure::unauthorized(FailureReason::Missing));
        };
        if keys.next().is_some() {
            return CheckOutcome::Fail(AuthFailure::repeated("API key"));
        }
        match self.clients.get(&<[u8; 32]>::from(Sha256::digest(key))) {
            Some(client) => CheckOutcome::Pass(Pass::of(Scheme::ApiKey, client)),
            None => CheckOutcome::Fail(AuthFailure::unauthorized(FailureReason::UnknownKey)),
        }
    }

    pub(super) fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    pub(super) fn parameter(&self) -> Option<&str> {
        self.parameter.as_deref()
    }

    /// The keys of the request, in the header and in the query. Empty ones are ignored.
    fn keys<'a>(&'a self, request: AuthRequest<'a>) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let headers = self.header().into_iter();
        let in_headers = headers.flat_map(move |name| fields::values(request.headers, name));
        let parameters = self.parameter().into_iter();
        let in_query = parameters.flat_map(move |name| parameter(request.headers.target(), name));
        let keys = in_headers.map(Cow::Borrowed).chain(in_query);
        keys.filter(|key| !key.is_empty())
    }
}

impl TryFrom<policy::ApiKey> for ApiKeyAuth {
    type Error = RequirementError;

    fn try_from(api_key: policy::ApiKey) -> Result<Self, RequirementError> {
        let policy::ApiKey { header, query, keys } = api_key;
        if let Some(header) = &header {
            fields::check_name("apiKey.header", header, &[Use::Remove, Use::Trust])?;
        }
        if header.is_none() && query.is_none() {
            return Err(RequirementError::NoKeySource);
        }
        let clients = keys.into_iter().map(|(digest, client)| {
            fields::check_text("apiKey.keys", &client)?;
            match digest_of(&digest) {
                Some(digest) => Ok((digest, client)),
                None => Err(RequirementError::Digest(client)),
            }
        });
        Ok(Self {
            header,
            parameter: query,
            clients: clients.collect::<Result<_, _>>()?,
        })
    }
}

/// Decodes a SHA-256 digest of 64 digits of lower-case hexadecimal.
fn digest_of(hexadecimal: &str) -> Option<[u8; 32]> {
    let is_lower = !hexadecimal.bytes().any(|byte| byte.is_ascii_uppercase());
    let (pairs, rest) = hexadecimal.as_bytes().as_chunks();
    let bytes: Vec<u8> = pairs.iter().copied().map(byte_of).collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty() && is_lower)
}

#[cfg(test)]
mod tests;
