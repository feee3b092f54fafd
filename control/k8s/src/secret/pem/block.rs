//! PEM as BoringSSL parses it: stricter than most parsers, and for blocks of any label. A block that other parsers skip
//! makes Envoy reject the whole file.

use base64::{Engine as _, engine::general_purpose::STANDARD};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The content between `BEGIN` and `END`.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// True if its headers say so; an encrypted block is not decoded.
    pub(super) is_encrypted: bool,
    pub(super) der: Vec<u8>,
}

/// A block that begins and cannot be parsed.
#[derive(Debug)]
pub(super) struct Damaged;

/// The blocks of a text, up to and including the first damaged one.
pub(super) fn blocks(pem: &[u8]) -> impl Iterator<Item = Result<Block<'_>, Damaged>> {
    let mut lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut is_damaged = false;
    std::iter::from_fn(move || {
        if is_damaged {
            return None;
        }
        let label = lines.find_map(|line| line.strip_prefix(BEGIN)?.strip_suffix(DASHES))?;
        let block = block(label, &mut lines).ok_or(Damaged);
        is_damaged = block.is_err();
        Some(block)
    })
}

/// Parses a block after its `BEGIN` line. Returns `None` if `END` is missing or has another label, or the body is not
/// base64.
fn block<'a>(label: &'a [u8], lines: &mut impl Iterator<Item = &'a [u8]>) -> Option<Block<'a>> {
    let mut body = Vec::new();
    let end = loop {
        let line = lines.next()?;
        if let Some(end) = line.strip_prefix(END) {
            break end;
        }
        body.push(line);
    };
    (end.strip_suffix(DASHES)? == label).then_some(())?;
    let label = str::from_utf8(label).ok()?;
    let (headers, body) = match body.iter().position(|line| line.is_empty()) {
        Some(at) => (body.get(..at)?, body.get(at + 1..)?),
        None => (&[][..], body.as_slice()),
    };
    let is_encrypted = headers
        .first()
        .is_some_and(|header| header.starts_with(b"Proc-Type: 4,ENCRYPTED"));
    if is_encrypted {
        let der = Vec::new();
        return Some(Block {
            label,
            is_encrypted,
            der,
        });
    }
    headers.is_empty().then_some(())?;
    let der = STANDARD
        .decode(body.concat())
        .ok()
        .filter(|der| !der.is_empty())?;
    Some(Block {
        label,
        is_encrypted,
        der,
    })
}
