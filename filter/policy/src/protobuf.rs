//! As much of Protocol Buffers' wire format (<https://protobuf.dev/programming-guides/encoding/>) as it takes to ask
//! services, and to read what they answer.
//!
//! A generated codec of the same messages, `prost`'s, would add thirty kilobytes to the filter.

/// A message that is being written, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer(Vec<u8>);

/// The fields of a message, in the order in which they were written.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer, a boolean or an enum.
    Varint(u64),
    /// Bytes, a string, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Something of a fixed size.
    Fixed,
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no protobuf message")]
pub struct Malformed;

const VARINT: u64 = 0;
const I64: u64 = 1;
const LEN: u64 = 2;
const I32: u64 = 5;

// === impl Writer ===

impl Writer {
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    #[must_use]
    pub fn varint(mut self, number: u32, value: u64) -> Self {
        self.write(u64::from(number) << 3 | VARINT);
        self.write(value);
        self
    }

    /// A string as well.
    #[must_use]
    pub fn bytes(mut self, number: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.write(u64::from(number) << 3 | LEN);
        self.write(u64::try_from(value.len()).unwrap_or_default());
        self.0.extend(value);
        self
    }

    #[must_use]
    pub fn message(self, number: u32, message: Self) -> Self {
        self.bytes(number, message.0)
    }

    fn write(&mut self, mut varint: u64) {
        while varint > 0x7f {
            self.0.push(low_byte(varint) | 0x80);
            varint >>= 7;
        }
        self.0.push(low_byte(varint));
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let value = match tag & 7 {
            VARINT => Value::Varint(self.varint()?),
            LEN => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            I64 => self.take(8).map(|_| Value::Fixed)?,
            I32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((number, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

fn low_byte(value: u64) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

#[cfg(test)]
pub(crate) mod vectors;

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
        Reader::new(bytes).collect()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_written_reads_back() {
        let inner = Writer::default().bytes(1, "x");
        let message = Writer::default()
            .varint(1, 150)
            .bytes(2, "testing")
            .message(16, inner)
            .varint(3, u64::MAX);
        let bytes = message.into_bytes();
        // The first two are the examples of the format's description.
        assert!(bytes.starts_with(b"\x08\x96\x01\x12\x07testing"));
        let want = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"testing")),
            (16, Value::Bytes(b"\x0a\x01x")),
            (3, Value::Varint(u64::MAX)),
        ];
        assert_eq!(read(&bytes), Ok(want.to_vec()));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_no_message_is_told() {
        for (bytes, want) in [
            (&b""[..], true),
            (b"\x09\0\0\0\0\0\0\0\0\x0d\0\0\0\0", true),
            (b"\x08", false),
            (b"\x08\x80", false),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false),
            (b"\0\0", false),
            (b"\x0a\x02x", false),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false),
            (b"\x0b\x0c", false),
            (b"\x0e", false),
            (b"\x09\0\0\0", false),
            (b"<html>", false),
        ] {
            assert_eq!(read(bytes).is_ok(), want, "{bytes:?}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn no_bytes_do_harm(bytes: Vec<u8>) {
                let _fields = read(&bytes);
            }
        }
    }
}
