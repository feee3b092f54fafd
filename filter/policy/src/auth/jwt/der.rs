//! As much of DER (X.690) as public keys and signatures need.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const SEQUENCE: u8 = 0x30;

/// The content of an element that `bytes` start with, and what follows it. There is one way to write its length.
pub(super) fn read(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (len, rest) = match short {
        ..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => rest
            .split_first_chunk()
            .map(|(len, rest)| (usize::from(u16::from_be_bytes(*len)), rest))?,
        _ => return None,
    };
    let is_shortest = match short {
        0x81 => len >= 0x80,
        0x82 => len >= 0x100,
        _ => true,
    };
    (first == tag && is_shortest).then_some(())?;
    rest.split_at_checked(len)
}

/// The content of the one element that `bytes` are.
pub(super) fn read_whole(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (content, rest) = read(tag, bytes)?;
    rest.is_empty().then_some(content)
}

/// A whole number above zero, without zeros before it, and what follows it.
pub(super) fn read_positive(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = read(INTEGER, bytes)?;
    let digits = match content {
        [0, digits @ ..] if digits.first()? >= &0x80 => digits,
        [1..0x80, ..] => content,
        _ => return None,
    };
    Some((digits, rest))
}

/// The content has less than 256 bytes.
pub(super) fn write(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(content.len()).ok()?;
    let mut bytes = vec![tag];
    if len >= 0x80 {
        bytes.push(0x81);
    }
    bytes.push(len);
    bytes.extend(content);
    Some(bytes)
}
