//! Attributes of requests that policies use, in conditions and in the keys that group requests.

use crate::{
    config::policy::{ClientNetwork, DescriptorEntry, EntryValue, HeaderMatch, KeyPart, PrefixLengths, When},
    host::Host,
    path,
    rate_limit_service::Descriptor,
    request::Request,
    session,
};
use std::borrow::Cow;

/// The source of attributes: a request, its client and its tokens.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    pub host: &'a dyn Host,
    pub request: Request<'a>,
    /// Claims of tokens that were verified.
    pub claims: &'a dyn ClaimSource,
}

/// The claims of tokens that were verified for a request.
pub trait ClaimSource {
    /// The text of a claim, as [`crate::auth::Claims::text`] returns it.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// The claims of a request without a verified token.
impl ClaimSource for () {
    fn claim(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
}

// === impl When ===

impl When {
    /// Returns true if the request matches. The path is as the scope has it, without the query.
    #[must_use]
    pub fn applies(&self, request: Request<'_>, path: Option<&str>) -> bool {
        let Self {
            methods,
            prefix,
            headers,
        } = self;
        let is_in = |prefix: &String| path.is_some_and(|path| path::contains(prefix, path));
        (methods.is_empty() || methods.iter().any(|method| method.as_bytes() == request.method()))
            && prefix.as_ref().is_none_or(is_in)
            && headers.iter().all(|header| header.applies(request))
    }
}

impl HeaderMatch {
    fn applies(&self, request: Request<'_>) -> bool {
        let Self { name, value } = self;
        let is_equal = |found: &[u8]| value.as_ref().is_none_or(|value| value.as_bytes() == found);
        request.values(name).any(is_equal)
    }
}

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// Encodes these parts of a request as bytes: if any part differs, so do the bytes.
    #[must_use]
    pub fn key(self, parts: &[KeyPart]) -> Vec<u8> {
        let mut key = Vec::new();
        for part in parts {
            match self.value(part) {
                None => key.push(0),
                Some(value) => {
                    key.push(1);
                    key.extend(u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
                    key.extend(&*value);
                }
            }
        }
        key
    }

    /// The descriptors for a rate limit service. A descriptor with an entry that has no value in the request is left
    /// out.
    #[must_use]
    pub fn descriptors<'d>(
        self,
        descriptors: impl IntoIterator<Item = &'d Vec<DescriptorEntry>>,
    ) -> Vec<Descriptor> {
        let entry = |DescriptorEntry { key, value }: &DescriptorEntry| {
            let value = match value {
                EntryValue::Literal(text) => text.clone(),
                EntryValue::Of(part) => String::from_utf8_lossy(&self.value(part)?).into_owned(),
            };
            Some((key.clone(), value))
        };
        let descriptor = |entries: &Vec<DescriptorEntry>| entries.iter().map(entry).collect();
        descriptors.into_iter().filter_map(descriptor).collect()
    }

    /// The value of a part for the request; `None` if the request does not have it.
    #[must_use]
    pub fn value(self, part: &KeyPart) -> Option<Cow<'a, [u8]>> {
        let Self {
            host,
            request,
            claims,
        } = self;
        match part {
            KeyPart::ClientIp => client(host, PrefixLengths::default()),
            KeyPart::ClientNetwork(ClientNetwork { lengths }) => client(host, *lengths),
            KeyPart::Header(name) => joined(request.values(name), b","),
            KeyPart::Cookie(name) => joined(session::cookies(request.headers.all(), name), b";"),
            KeyPart::Claim(name) => claims.claim(name).map(|claim| match claim {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            KeyPart::Path => Some(Cow::Borrowed(request.raw_path())),
            KeyPart::Method => Some(Cow::Borrowed(request.method())),
        }
    }
}

/// One text for all addresses that count as one client.
fn client<'a>(host: &dyn Host, lengths: PrefixLengths) -> Option<Cow<'a, [u8]>> {
    let network = lengths.network_text(host.client_ip()?);
    Some(Cow::Owned(network.into_bytes()))
}

/// Joins the values of a header, which has the same meaning as to repeat it (RFC 9110, 5.3).
fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>, separator: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut all = Cow::Borrowed(values.next()?);
    for value in values {
        let all = all.to_mut();
        all.extend(separator);
        all.extend(value);
    }
    Some(all)
}

#[cfg(test)]
mod tests;
