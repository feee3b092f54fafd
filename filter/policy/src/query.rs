//! Query parameters in the target of a request.

use std::{borrow::Cow, collections::BTreeSet};

/// Removes the parameters of these names from a target; `None` if it has none of them.
pub(crate) fn without_parameters(target: &[u8], names: &BTreeSet<String>) -> Option<Vec<u8>> {
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

/// The values of a query parameter, decoded.
pub(crate) fn parameter<'a>(target: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
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

/// Decodes two hexadecimal digits.
pub(crate) fn byte_of(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests;
