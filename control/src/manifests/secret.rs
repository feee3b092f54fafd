//! What Envoy would refuse of a Secret: a certificate or a key that is no PEM.
//!
//! Whether the key belongs to the certificate is not looked at.

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error, PemObject},
};
use switchyard_core::{Object, object::Secret};

/// What is wrong with a Secret of type `kubernetes.io/tls`: the key of `data`, and why. What is missing or empty is for
/// the status of the root that names the Secret.
pub(super) fn fault(object: &Object) -> Option<(&'static str, String)> {
    let Object::Secret(Secret { type_, data, .. }) = object else {
        return None;
    };
    let value = |key| data.get(key).filter(|value| !value.is_empty());
    let fault = |key, check: fn(&[u8]) -> Result<(), Error>, what| {
        let error = check(value(key)?).err()?;
        Some((
            key,
            format!("it holds no {what} in PEM, Envoy would refuse it: {error}"),
        ))
    };
    if type_ != "kubernetes.io/tls" {
        return None;
    }
    fault("tls.crt", chain, "certificate").or_else(|| fault("tls.key", key, "private key"))
}

/// At least one certificate, and none that is damaged.
fn chain(pem: &[u8]) -> Result<(), Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(Error::NoItemsFound);
    }
    Ok(())
}

fn key(pem: &[u8]) -> Result<(), Error> {
    PrivateKeyDer::from_pem_slice(pem).map(drop)
}
