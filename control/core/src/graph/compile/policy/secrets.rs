//! What policies read of Secrets. No text repeats what is secret.

use super::Resolver;
use crate::{
    graph::{
        digest::sha256,
        fault::{FieldPath, PolicyFault},
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
    fn secret(&mut self, at: &FieldPath<'_>, name: &str) -> Option<Secret> {
        if name.is_empty() {
            return self.or_refuse(at, Err(ValueError::Empty));
        }
        let name = Name::new(self.compiler.name.namespace.clone(), name);
        let found = self.compiler.objects.secret(&name).cloned();
        self.compiler.out.secrets.insert(name.clone());
        self.or_refuse(at, found.map(Some).ok_or(PolicyFault::SecretMissing(name)))
    }

    /// A key of a Secret.
    fn secret_key(&mut self, at: &FieldPath<'_>, name: &str, key: &'static str) -> Option<(Name, Vec<u8>)> {
        let Secret { name, mut data, .. } = self.secret(at, name)?;
        let value = data.remove(key).filter(|value| !value.is_empty());
        let fault = || PolicyFault::SecretKeyEmpty {
            secret: name.clone(),
            key,
        };
        let value = self.or_refuse(at, value.map(Some).ok_or_else(fault))?;
        Some((name, value))
    }

    /// The users of an htpasswd file, with their hashes.
    pub(super) fn users(&mut self, at: &FieldPath<'_>, secret: &str) -> BTreeMap<String, String> {
        let mut users = BTreeMap::new();
        let Some((secret, text)) = self.secret_key(at, secret, HTPASSWD_KEY) else {
            return users;
        };
        let Ok(text) = std::str::from_utf8(&text) else {
            let key = HTPASSWD_KEY;
            self.refuse(at, PolicyFault::SecretKeyText { secret, key });
            return users;
        };
        let is_user = |line: &str| !line.is_empty() && !line.starts_with('#');
        let lines = (1..).zip(text.lines().map(str::trim));
        if !text.lines().map(str::trim).any(is_user) {
            self.refuse(at, PolicyFault::NoUsers(secret.clone()));
        }
        for (line, text) in lines.filter(|(_, text)| is_user(text)) {
            let user =
                user(text).and_then(
                    |(name, hash)| match users.insert(name.to_owned(), hash.to_owned()) {
                        None => Ok(()),
                        Some(_) => Err("this user stands in an earlier line, too".to_owned()),
                    },
                );
            if let Err(reason) = user {
                let secret = secret.clone();
                self.refuse(at, PolicyFault::Htpasswd { secret, line, reason });
            }
        }
        users
    }

    /// Digests of keys, with the names of the clients that they are of.
    pub(super) fn api_keys(&mut self, at: &FieldPath<'_>, secret: &str) -> BTreeMap<String, String> {
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        let Some(Secret { name, data, .. }) = self.secret(at, secret) else {
            return keys;
        };
        if data.is_empty() {
            self.refuse(at, PolicyFault::NoApiKeys(name.clone()));
        }
        for (client, key) in &data {
            let (secret, client) = (name.clone(), client.clone());
            // The newline that many editors leave is no part of it, and no header could carry it.
            let key = key.trim_ascii();
            let reason = if !is_name(&client) {
                Some("the name must be printable")
            } else if key.is_empty() {
                Some("the key is empty")
            } else if !key.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
                Some("the key must be printable ASCII")
            } else {
                None
            };
            if let Some(reason) = reason {
                let fault = PolicyFault::ApiKey {
                    secret,
                    client,
                    reason,
                };
                self.refuse(at, fault);
            } else if let Some(one) = keys.insert(sha256(key), client.clone()) {
                let other = client;
                self.refuse(at, PolicyFault::ApiKeyShared { secret, one, other });
            }
        }
        keys
    }

    pub(super) fn keys_of_secret(&mut self, at: &FieldPath<'_>, secret: &str) -> KeySet {
        let Some((secret, text)) = self.secret_key(at, secret, JWKS_KEY) else {
            return KeySet::default();
        };
        let set = jwks::parse(&text);
        self.or_refuse(at, set.map_err(|error| PolicyFault::JwksSecret { secret, error }))
    }
}
