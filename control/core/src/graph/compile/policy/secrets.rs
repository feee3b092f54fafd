//! What policies read of Secrets. No text repeats what is secret.

use super::Resolver;
use crate::{
    graph::{
        compile::Refused,
        digest::sha256,
        fault::{At, PolicyFault},
    },
    jwks::{self, KeySet},
    object::{Name, Secret},
};
use std::collections::BTreeMap;
use switchyard_policy::{auth::check_hash, config::value::ValueError};

/// Where ingress-nginx and others have it.
const HTPASSWD_KEY: &str = "auth";
const JWKS_KEY: &str = "jwks";

/// What is told as the name of who asks.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(char::is_control)
}

/// A name and its hash.
fn user(line: &str) -> Result<(&str, &str), String> {
    let (name, hash) = line.split_once(':').ok_or("must be name:hash")?;
    if !is_name(name) {
        return Err("the name must be printable, and not empty".to_owned());
    }
    check_hash(hash).map_err(|fault| format!("user {name:?}: the hash {fault}"))?;
    Ok((name, hash))
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// A Secret that the level names. Whoever names it hears of its changes.
    fn secret(&mut self, at: &At<'_>, name: &str) -> Result<Secret, Refused> {
        if name.is_empty() {
            return Err(self.refuse(at, ValueError::Empty));
        }
        let name = Name::new(self.compiler.name.namespace.clone(), name);
        let found = self.compiler.objects.secret(&name).cloned();
        self.compiler.out.secrets.insert(name.clone());
        found.ok_or_else(|| self.refuse(at, PolicyFault::SecretMissing(name)))
    }

    /// A key of a Secret.
    fn secret_key(&mut self, at: &At<'_>, name: &str, key: &'static str) -> Result<(Name, Vec<u8>), Refused> {
        let Secret { name, data, .. } = self.secret(at, name)?;
        match data.get(key).filter(|value| !value.is_empty()) {
            Some(value) => Ok((name, value.clone())),
            None => {
                let secret = name;
                Err(self.refuse(at, PolicyFault::SecretKeyEmpty { secret, key }))
            }
        }
    }

    /// The users of an htpasswd file, with their hashes.
    pub(super) fn users(&mut self, at: &At<'_>, secret: &str) -> Result<BTreeMap<String, String>, Refused> {
        let (secret, text) = self.secret_key(at, secret, HTPASSWD_KEY)?;
        let Ok(text) = std::str::from_utf8(&text) else {
            let key = HTPASSWD_KEY;
            return Err(self.refuse(at, PolicyFault::SecretKeyText { secret, key }));
        };
        let mut users = BTreeMap::new();
        let mut refused = None;
        let lines = (1..).zip(text.lines().map(str::trim));
        for (line, text) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
            let user = user(text).and_then(|(name, hash)| {
                let before = users.insert(name.to_owned(), hash.to_owned());
                let is_new = before.is_none();
                is_new
                    .then_some(())
                    .ok_or_else(|| "this user stands in an earlier line, too".to_owned())
            });
            if let Err(reason) = user {
                let secret = secret.clone();
                let fault = PolicyFault::Htpasswd { secret, line, reason };
                refused = Some(self.refuse(at, fault));
            }
        }
        match refused {
            Some(refused) => Err(refused),
            None if users.is_empty() => Err(self.refuse(at, PolicyFault::NoUsers(secret))),
            None => Ok(users),
        }
    }

    /// Digests of keys, with the names of the clients that they are of.
    pub(super) fn api_keys(
        &mut self,
        at: &At<'_>,
        secret: &str,
    ) -> Result<BTreeMap<String, String>, Refused> {
        let Secret { name, data, .. } = self.secret(at, secret)?;
        if data.is_empty() {
            return Err(self.refuse(at, PolicyFault::NoApiKeys(name)));
        }
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        for (client, key) in &data {
            // The newline that many editors leave is no part of it, and no header could carry it.
            let key = key.trim_ascii();
            let reason = if !is_name(client) {
                Some("the name must be printable")
            } else if key.is_empty() {
                Some("the key is empty")
            } else if !key.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
                Some("the key must be printable ASCII")
            } else {
                None
            };
            if let Some(reason) = reason {
                let (secret, client) = (name, client.clone());
                let fault = PolicyFault::ApiKey {
                    secret,
                    client,
                    reason,
                };
                return Err(self.refuse(at, fault));
            }
            if let Some(one) = keys.insert(sha256(key), client.clone()) {
                let (secret, other) = (name, client.clone());
                return Err(self.refuse(at, PolicyFault::ApiKeyShared { secret, one, other }));
            }
        }
        Ok(keys)
    }

    pub(super) fn keys_of_secret(&mut self, at: &At<'_>, secret: &str) -> Result<KeySet, Refused> {
        let (secret, text) = self.secret_key(at, secret, JWKS_KEY)?;
        let set = jwks::parse(&text);
        set.map_err(|error| self.refuse(at, PolicyFault::JwksSecret { secret, error }))
    }
}
