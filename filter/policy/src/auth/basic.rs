//! HTTP basic authentication (RFC 7617).

use super::{
    check::{AuthRequest, CheckOutcome},
    error::RequirementError,
    failure::{AuthFailure, FailureReason},
    fields,
    hash::PasswordHash,
    identity::{Pass, Scheme},
    passwords::{LoginAttempt, PasswordLookup, running::Verification},
};
use crate::{config::policy, header};
use base64ct::{Base64, Encoding};

/// The most bytes of decoded credentials. `htpasswd` takes passwords of up to 255.
const MAX_CREDENTIALS: usize = 512;
/// The `Retry-After` if too many passwords wait to be verified: a few are verified meanwhile.
const BUSY_FOR_SECONDS: u32 = 5;

/// Passes clients that have one of these names and its password.
pub(super) struct BasicAuth {
    challenge: String,
    /// Users, sorted by name.
    users: Vec<(String, PasswordHash)>,
}

/// The credentials of a client.
struct BasicCredentials {
    name: String,
    password: Vec<u8>,
}

// === impl BasicAuth ===

impl BasicAuth {
    pub(super) fn check(&self, request: AuthRequest<'_>) -> CheckOutcome {
        match BasicCredentials::of(request) {
            Ok(credentials) => self.verify(&credentials, request),
            Err(reason) => self.refuse(reason),
        }
    }

    /// Resumes when the password of the request was verified, or displaced from the queue.
    pub(super) fn resume(&self, verification: Verification, request: AuthRequest<'_>) -> CheckOutcome {
        let credentials = match BasicCredentials::of(request) {
            Ok(credentials) => credentials,
            Err(reason) => return self.refuse(reason),
        };
        match (verification, self.attempt(&credentials, request)) {
            (Verification::Right, Some(attempt)) => {
                let passwords = &request.cache.passwords;
                passwords.note_login(attempt, request.host.client_ip(), request.host.now());
                CheckOutcome::Pass(Pass::of(Scheme::Basic, attempt.name))
            }
            (Verification::Displaced, _) => busy(),
            (Verification::Wrong, _) | (Verification::Right, None) => self.refuse(FailureReason::Password),
        }
    }

    fn verify(&self, credentials: &BasicCredentials, request: AuthRequest<'_>) -> CheckOutcome {
        let Some(attempt) = self.attempt(credentials, request) else {
            return self.refuse(FailureReason::Password);
        };
        let client = || request.host.client_ip();
        match request.cache.passwords.find(attempt, client, request.host.now()) {
            PasswordLookup::Right => CheckOutcome::Pass(Pass::of(Scheme::Basic, attempt.name)),
            PasswordLookup::Wrong => self.refuse(FailureReason::Password),
            PasswordLookup::Pending(work) => CheckOutcome::Work(work),
            PasswordLookup::Busy => busy(),
        }
    }

    /// Pairs the credentials with a hash to verify. An unknown name gets the hash of a known one, always the same one,
    /// so that it takes as long as a known name may take. `None` if there are no names at all.
    fn attempt<'a>(
        &'a self,
        credentials: &'a BasicCredentials,
        request: AuthRequest<'_>,
    ) -> Option<LoginAttempt<'a>> {
        let BasicCredentials { name, password } = credentials;
        let known = self.users.binary_search_by(|(user, _)| user.as_str().cmp(name));
        let count = u64::try_from(self.users.len()).unwrap_or(u64::MAX);
        let number = request.cache.passwords.number_of(name).checked_rem(count)?;
        let any = usize::try_from(number).unwrap_or_default();
        let (_, hash) = self.users.get(known.unwrap_or(any))?;
        Some(LoginAttempt {
            hash,
            is_known: known.is_ok(),
            name,
            password,
        })
    }

    fn refuse(&self, reason: FailureReason) -> CheckOutcome {
        CheckOutcome::Fail(AuthFailure::challenge(reason, self.challenge.clone()))
    }
}

fn busy() -> CheckOutcome {
    CheckOutcome::Fail(AuthFailure::too_many(FailureReason::Busy, BUSY_FOR_SECONDS))
}

impl TryFrom<policy::Basic> for BasicAuth {
    type Error = RequirementError;

    fn try_from(basic: policy::Basic) -> Result<Self, RequirementError> {
        let policy::Basic { realm, users } = basic;
        fields::check_text("basic.realm", &realm)?;
        let users = users.into_iter().map(|(name, hash)| {
            fields::check_text("basic.users", &name)?;
            match hash.parse() {
                Ok(hash) => Ok((name, hash)),
                Err(error) => Err(RequirementError::Hash { name, error }),
            }
        });
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        Ok(Self {
            challenge: format!(r#"Basic realm="{quoted}", charset="UTF-8""#),
            users: users.collect::<Result<_, _>>()?,
        })
    }
}

// === impl Credentials ===

impl BasicCredentials {
    fn of(request: AuthRequest<'_>) -> Result<Self, FailureReason> {
        let encoded = fields::credentials(request.headers, "basic").ok_or(FailureReason::Missing)?;
        Self::decode(encoded).ok_or(FailureReason::Malformed)
    }

    /// Decodes credentials. A password with a NUL is rejected: no hash covers what follows it.
    fn decode(encoded: &str) -> Option<Self> {
        let mut bytes = [0; MAX_CREDENTIALS];
        let decoded = str::from_utf8(Base64::decode(encoded, &mut bytes).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let is_sound = !name.is_empty() && header::is_value(name) && !password.contains('\0');
        is_sound.then(|| Self {
            name: name.to_owned(),
            password: password.as_bytes().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
