//! Whether a root may present the certificate that it names.

use super::{
    compile::Tls,
    fault::{Fault, SecretFault},
    objects::Objects,
};
use crate::{
    object::{Name, PemFault, Secret},
    table::{Certificate, EdgeTls},
};
use std::sync::Arc;

/// How TLS of a host comes out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The root asks for none.
    Plain,
    Terminate(EdgeTls),
    Passthrough,
    /// A refusal that is reported already: nothing is served.
    Refused,
    /// It asks for a certificate that it cannot have: nothing is served, least of all without TLS.
    Down(Fault),
}

/// Resolves what a root in `namespace` asks for.
pub(crate) fn resolve(objects: &Objects, namespace: &Arc<str>, tls: Option<&Tls>) -> Outcome {
    let (written, secret, minimum) = match tls {
        None => return Outcome::Plain,
        Some(Tls::Passthrough) => return Outcome::Passthrough,
        Some(Tls::Refused) => return Outcome::Refused,
        Some(Tls::Terminate {
            written,
            secret,
            minimum,
        }) => (written.clone(), secret, *minimum),
    };
    if let Err(reason) = objects
        .secret(secret)
        .ok_or(SecretFault::Missing)
        .and_then(certificate)
    {
        return Outcome::Down(Fault::TlsSecret {
            secret: written,
            reason,
        });
    }
    if secret.namespace != *namespace && !delegated(objects, secret, namespace) {
        return Outcome::Down(Fault::TlsSecretNotDelegated(written));
    }
    Outcome::Terminate(EdgeTls {
        certificate: secret.clone(),
        minimum,
    })
}

/// The certificate in a Secret of type `kubernetes.io/tls`.
pub(crate) fn certificate(secret: &Secret) -> Result<Certificate, SecretFault> {
    if secret.type_ != "kubernetes.io/tls" {
        return Err(SecretFault::Type);
    }
    let value = |key: &'static str| {
        let value = secret.data.get(key).filter(|value| !value.is_empty());
        value.cloned().ok_or(SecretFault::Empty(key))
    };
    let (chain, key) = (value("tls.crt")?, value("tls.key")?);
    let mut faults = secret.faults.iter().copied();
    match faults.find(|fault| *fault != PemFault::Authority) {
        Some(fault) => Err(SecretFault::Pem(fault)),
        None => Ok(Certificate { chain, key }),
    }
}

/// The authorities in a Secret of any type.
pub(crate) fn authorities(secret: &Secret) -> Result<&[u8], SecretFault> {
    let value = secret.data.get("ca.crt").filter(|value| !value.is_empty());
    let value = value.ok_or(SecretFault::Empty("ca.crt"))?;
    if secret.faults.contains(&PemFault::Authority) {
        return Err(SecretFault::Pem(PemFault::Authority));
    }
    Ok(value)
}

/// Whether a TLSCertificateDelegation beside the Secret permits its use in `namespace`. `"*"` permits it everywhere,
/// wherever in the list it stands.
fn delegated(objects: &Objects, secret: &Name, namespace: &Arc<str>) -> bool {
    objects
        .certificate_delegations(&secret.namespace)
        .flat_map(|object| &object.delegations)
        .filter(|delegation| *delegation.secret_name == *secret.name)
        .flat_map(|delegation| &delegation.target_namespaces)
        .any(|target| target == "*" || **target == **namespace)
}
