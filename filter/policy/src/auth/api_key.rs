//! API keys.

use super::{Failure, Fault, Pass, Reason, Request, Scheme, Step, fields};
use crate::{config::policy, header::Use};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Passes clients that have one of these keys. Keys are looked up by their hash, so the time that it takes reveals
/// nothing of them.
pub(super) struct ApiKey {
    header: Option<String>,
    parameter: Option<String>,
    clients: BTreeMap<[u8; 32], String>,
}

// === impl ApiKey ===

impl ApiKey {
    pub(super) fn check(&self, request: Request<'_>) -> Step {
        let mut keys = self.keys(request);
        let Some(key) = keys.next() else {
            return Step::Fail(Failure::unauthorized(Reason::Missing));
        };
        if keys.next().is_some() {
            return Step::Fail(Failure::repeated("API key"));
        }
        match self.clients.get(&<[u8; 32]>::from(Sha256::digest(key))) {
            Some(client) => Step::Pass(Pass::of(Scheme::ApiKey, client)),
            None => Step::Fail(Failure::unauthorized(Reason::UnknownKey)),
        }
    }

    pub(super) fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    pub(super) fn parameter(&self) -> Option<&str> {
        self.parameter.as_deref()
    }

    /// The keys of the request, in the header and in the query. Empty ones are ignored.
    fn keys<'a>(&'a self, request: Request<'a>) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let headers = self.header().into_iter();
        let in_headers = headers.flat_map(move |name| fields::values(request.headers, name));
        let parameters = self.parameter().into_iter();
        let in_query = parameters.flat_map(move |name| parameter(request.headers.target(), name));
        let keys = in_headers.map(Cow::Borrowed).chain(in_query);
        keys.filter(|key| !key.is_empty())
    }
}

impl TryFrom<policy::ApiKey> for ApiKey {
    type Error = Fault;

    fn try_from(api_key: policy::ApiKey) -> Result<Self, Fault> {
        let policy::ApiKey { header, query, keys } = api_key;
        if let Some(header) = &header {
            fields::check_name("apiKey.header", header, &[Use::Remove, Use::Trust])?;
        }
        if header.is_none() && query.is_none() {
            return Err(Fault::NoPlace);
        }
        let clients = keys.into_iter().map(|(digest, client)| {
            fields::check_text("apiKey.keys", &client)?;
            match digest_of(&digest) {
                Some(digest) => Ok((digest, client)),
                None => Err(Fault::Digest(client)),
            }
        });
        Ok(Self {
            header,
            parameter: query,
            clients: clients.collect::<Result<_, _>>()?,
        })
    }
}

/// Removes the parameters of these names from a target; `None` if it has none of them.
#[must_use]
pub fn without_parameters(target: &[u8], names: &BTreeSet<String>) -> Option<Vec<u8>> {
    let (path, query) = split_query(target)?;
    let is_named = |pair: &[u8]| {
        names
            .iter()
            .any(|name| *decoded(split_pair(pair).0) == *name.as_bytes())
    };
    let pairs = || query.split(|byte| *byte == b'&');
    if !pairs().any(is_named) {
        return None;
    }
    let kept: Vec<_> = pairs().filter(|pair| !is_named(pair)).collect();
    let mut target = path.to_vec();
    if !kept.is_empty() {
        target.push(b'?');
        target.extend(kept.join(&b'&'));
    }
    Some(target)
}

/// The values of a query parameter.
fn parameter<'a>(target: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let query = split_query(target).map_or(&[][..], |(_, query)| query);
    let pairs = query.split(|byte| *byte == b'&').map(split_pair);
    let named = pairs.filter(move |(key, _)| *decoded(key) == *name.as_bytes());
    named.map(|(_, value)| decoded(value))
}

fn split_query(target: &[u8]) -> Option<(&[u8], &[u8])> {
    split_once(target, b'?')
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    split_once(pair, b'=').unwrap_or((pair, &[]))
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..index)?, bytes.get(index + 1..)?))
}

/// Decodes percent-encoding; malformed escapes stay as they are.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let encoded = after
            .first_chunk()
            .filter(|_| first == b'%')
            .copied()
            .and_then(byte_of);
        plain.push(encoded.unwrap_or(first));
        rest = encoded.and(after.get(2..)).unwrap_or(after);
    }
    Cow::Owned(plain)
}

/// Decodes a SHA-256 digest of 64 digits of lower-case hexadecimal.
fn digest_of(hexadecimal: &str) -> Option<[u8; 32]> {
    let is_lower = !hexadecimal.bytes().any(|byte| byte.is_ascii_uppercase());
    let (pairs, rest) = hexadecimal.as_bytes().as_chunks();
    let bytes: Vec<u8> = pairs.iter().copied().map(byte_of).collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty() && is_lower)
}

fn byte_of(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests;
