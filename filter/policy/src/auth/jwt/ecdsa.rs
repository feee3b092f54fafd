//! ECDSA signatures in the host's encoding.

use spki::der::{Encode, asn1::UintRef};

/// Converts a signature of a token (RFC 7518, 3.4), two numbers of `size` bytes, to ASN.1 (RFC 3279, 2.2.3).
pub(super) fn to_asn1(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, s) = signature
        .split_at_checked(size)
        .filter(|(_, s)| s.len() == size)?;
    let numbers = [UintRef::new(r).ok()?, UintRef::new(s).ok()?];
    numbers.to_der().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn integers_are_minimal_and_positive() {
        for (raw, want) in [
            (&[1, 2][..], Some(&[0x30, 6, 2, 1, 1, 2, 1, 2][..])),
            (&[0, 1, 0, 2], Some(&[0x30, 6, 2, 1, 1, 2, 1, 2])),
            (&[0x7f, 0x80], Some(&[0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80])),
            (
                &[0, 0x80, 0xff, 0],
                Some(&[0x30, 9, 2, 2, 0, 0x80, 2, 3, 0, 0xff, 0]),
            ),
            (&[0, 0, 0, 0], Some(&[0x30, 6, 2, 1, 0, 2, 1, 0])),
            (&[1, 2, 3], None),
        ] {
            let got = to_asn1(raw, raw.len() / 2);
            assert_eq!(got.as_deref(), want, "{raw:?}");
        }
        assert_eq!(to_asn1(&[], 32), None);
        assert_eq!(to_asn1(&[1; 63], 32), None);
        assert_eq!(to_asn1(&[1; 65], 32), None);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn longest_signature_has_two_length_bytes() {
        let got = to_asn1(&[0xff; 132], 66).unwrap();
        assert_eq!(got.get(..6), Some(&[0x30, 0x81, 138, 2, 67, 0][..]));
        assert_eq!(got.len(), 141);
    }
}
