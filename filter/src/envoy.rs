//! Envoy, as the policies ask it.

use crate::{abi, host};
use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use switchyard_policy::{
    config::policy::Algorithm,
    host::{Host, Shared},
};

/// As it is to one request: what does not change in between is asked once.
#[derive(Debug, Default)]
pub(crate) struct Envoy {
    client_ip: OnceCell<Option<IpAddr>>,
}

// === impl Envoy ===

impl Host for Envoy {
    fn now(&self) -> Duration {
        host::now()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        *self.client_ip.get_or_init(client_ip)
    }

    fn shared(&self, key: &str) -> Option<Shared> {
        let (value, version) = abi::shared_data(key)?;
        Some(Shared { value, version })
    }

    fn random(&self) -> u64 {
        abi::random().unwrap_or_else(host::clock)
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        abi::set_shared_data(key, value, version)
    }

    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        let Some(hash) = hash_of(algorithm) else {
            return false;
        };
        let arguments = verification(hash, spki, text, signature);
        let result = abi::call_foreign_function("verify_signature", &arguments);
        // The first field of the answer, a truth value, by itself: there is an error where it is not true.
        result.as_deref() == Some(&[0x08, 0x01])
    }
}

/// The address of the client, which Envoy has from where it trusts to have it.
fn client_ip() -> Option<IpAddr> {
    let address = abi::header(abi::MapType::Request, "x-real-ip").or_else(|| abi::property("source\0address"))?;
    let address = str::from_utf8(&address).ok()?;
    let with_port = address.parse().map(|address: SocketAddr| address.ip());
    with_port.or_else(|_| address.parse()).ok()
}

/// What the host calls the hash that a signature is of. None: it does not verify those.
fn hash_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 => Some("sha256"),
        Algorithm::RS384 | Algorithm::ES384 => Some("sha384"),
        Algorithm::RS512 | Algorithm::ES512 => Some("sha512"),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => None,
    }
}

/// `VerifySignatureArguments` of Envoy's source/extensions/common/wasm/ext/verify_signature.proto.
fn verification(hash: &str, spki: &[u8], text: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, bytes) in [(1, hash.as_bytes()), (2, spki), (3, signature), (4, text)] {
        message.push(number << 3 | 2);
        message.extend(length(bytes.len()));
        message.extend(bytes);
    }
    message
}

/// As protobuf has numbers: seven bits a byte, the lowest first, and a bit that says whether more follow.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
