//! Envoy as the host of policies.

use crate::{abi, host};
use prost::Message;
use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use switchyard_policy::{
    call::encode,
    config::policy::Algorithm,
    host::{Host, SharedValue},
};

/// `envoy.source.extensions.common.wasm.VerifySignatureArguments`.
#[derive(Clone, PartialEq, Message)]
struct VerifySignatureArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// `envoy.source.extensions.common.wasm.VerifySignatureResult`.
#[derive(Clone, PartialEq, Message)]
struct VerifySignatureResult {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

/// Envoy for one request: values that do not change meanwhile are fetched once.
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

    fn shared(&self, key: &str) -> Option<SharedValue> {
        let (value, version) = abi::shared_data(key)?;
        Some(SharedValue { value, version })
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
        let arguments = encode(&VerifySignatureArguments {
            hash_function: hash.to_owned(),
            public_key: spki.to_vec(),
            signature: signature.to_vec(),
            text: text.to_vec(),
        });
        let result = abi::call_foreign_function("verify_signature", &arguments);
        result.is_some_and(|result| {
            VerifySignatureResult::decode(result.as_slice())
                .is_ok_and(|VerifySignatureResult { result, error }| result && error.is_empty())
        })
    }
}

/// The address of the client, as Envoy trusts it.
fn client_ip() -> Option<IpAddr> {
    let address = abi::property("source\0address")?;
    let address = str::from_utf8(&address).ok()?;
    let with_port = address.parse().map(|address: SocketAddr| address.ip());
    with_port.or_else(|_| address.parse()).ok()
}

/// The host's name for the hash of a signature; `None` if the host does not verify that algorithm.
fn hash_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 => Some("sha256"),
        Algorithm::RS384 | Algorithm::ES384 => Some("sha384"),
        Algorithm::RS512 | Algorithm::ES512 => Some("sha512"),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => None,
    }
}
