//! `SubjectPublicKeyInfo` in DER (RFC 5280, 4.1; RFC 3279, 2.3; RFC 5480; RFC 8410).

use yasna::{DERWriter, DERWriterSeq, construct_der, models::ObjectIdentifier};

/// An object identifier.
pub(super) type Oid = &'static [u64];

const RSA_ENCRYPTION: Oid = &[1, 2, 840, 113_549, 1, 1, 1];
const EC_PUBLIC_KEY: Oid = &[1, 2, 840, 10045, 2, 1];
const ED25519: Oid = &[1, 3, 101, 112];
pub(super) const P256: Oid = &[1, 2, 840, 10045, 3, 1, 7];
pub(super) const P384: Oid = &[1, 3, 132, 0, 34];
pub(super) const P521: Oid = &[1, 3, 132, 0, 35];

/// Of a modulus and an exponent, both big-endian.
pub(super) fn rsa(n: &[u8], e: &[u8]) -> Vec<u8> {
    let key = construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_bigint_bytes(n, true);
            parts.next().write_bigint_bytes(e, true);
        });
    });
    info(&key, RSA_ENCRYPTION, |parts| parts.next().write_null())
}

/// Of a point on a curve.
pub(super) fn ec(curve: Oid, x: &[u8], y: &[u8]) -> Vec<u8> {
    // SEC 1, 2.3.3: not compressed.
    let point = [&[4], x, y].concat();
    info(&point, EC_PUBLIC_KEY, |parts| write(parts.next(), curve))
}

pub(super) fn ed25519(point: &[u8]) -> Vec<u8> {
    info(point, ED25519, |_| {})
}

fn info(key: &[u8], algorithm: Oid, parameters: impl FnOnce(&mut DERWriterSeq<'_>)) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_sequence(|parts| {
                write(parts.next(), algorithm);
                parameters(parts);
            });
            parts.next().write_bitvec_bytes(key, key.len() * 8);
        });
    })
}

fn write(writer: DERWriter<'_>, oid: Oid) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}
