//! Messages that another implementation made: see `vectors.py`.

use std::collections::BTreeMap;

/// The message of that name.
pub(crate) fn message(name: &str) -> Vec<u8> {
    let all: BTreeMap<String, String> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let (pairs, _) = all.get(name).expect(name).as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}
