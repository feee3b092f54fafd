//! Names and passwords (RFC 7617).

use super::{
    Failure, Fault, Pass, Reason, Request, Scheme, Step, fields,
    hash::Hash,
    passwords::{Claim, Finding},
};
use crate::{config::policy, header};
use base64ct::{Base64, Encoding};

/// Of credentials, once decoded. `htpasswd` takes passwords of up to 255.
const MAX_CREDENTIALS: usize = 512;
/// When to come again where too many passwords are being verified.
const BUSY_FOR_SECONDS: u32 = 1;

/// Who has one of these names, and its password, is let in.
pub(super) struct Basic {
    challenge: String,
    /// By name, in its order.
    users: Vec<(String, Hash)>,
}

/// What a client shows.
struct Credentials {
    name: String,
    password: Vec<u8>,
}

// === impl Basic ===

impl Basic {
    pub(super) fn check(&self, request: Request<'_>) -> Step {
        match Credentials::of(request) {
            Ok(credentials) => self.verify(&credentials, request),
            Err(reason) => self.refuse(reason),
        }
    }

    /// Goes on when the password that the request shows was verified.
    pub(super) fn resume(&self, is_right: bool, request: Request<'_>) -> Step {
        match Credentials::of(request) {
            Ok(Credentials { name, .. }) if is_right => Step::Pass(Pass::of(Scheme::Basic, &name)),
            Ok(_) => self.refuse(Reason::Password),
            Err(reason) => self.refuse(reason),
        }
    }

    fn verify(&self, credentials: &Credentials, request: Request<'_>) -> Step {
        let Some(claim) = self.claim(credentials, request) else {
            return self.refuse(Reason::Password);
        };
        match request.memory.passwords.find(claim, request.host.now()) {
            Finding::Right => Step::Pass(Pass::of(Scheme::Basic, claim.name)),
            Finding::Wrong => self.refuse(Reason::Password),
            Finding::Open(work) => Step::Work(work),
            Finding::Busy => Step::Fail(Failure::unavailable(Reason::Busy, Some(BUSY_FOR_SECONDS))),
        }
    }

    /// A name that is not here is held against the hash of one that is: always the same one, so that it takes neither
    /// less nor more than a name that is here may take. None where there are no names at all.
    fn claim<'a>(&'a self, credentials: &'a Credentials, request: Request<'_>) -> Option<Claim<'a>> {
        let Credentials { name, password } = credentials;
        let known = self.users.binary_search_by(|(user, _)| user.as_str().cmp(name));
        let count = u64::try_from(self.users.len()).unwrap_or(u64::MAX);
        let number = request.memory.passwords.number_of(name).checked_rem(count)?;
        let any = usize::try_from(number).unwrap_or_default();
        let (_, hash) = self.users.get(known.unwrap_or(any))?;
        Some(Claim {
            hash,
            is_known: known.is_ok(),
            name,
            password,
        })
    }

    fn refuse(&self, reason: Reason) -> Step {
        Step::Fail(Failure::challenge(reason, self.challenge.clone()))
    }
}

impl TryFrom<policy::Basic> for Basic {
    type Error = Fault;

    fn try_from(basic: policy::Basic) -> Result<Self, Fault> {
        let policy::Basic { realm, users } = basic;
        fields::check_text("basic.realm", &realm)?;
        let users = users.into_iter().map(|(name, hash)| {
            fields::check_text("basic.users", &name)?;
            match hash.parse() {
                Ok(hash) => Ok((name, hash)),
                Err(fault) => Err(Fault::Hash { name, fault }),
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

impl Credentials {
    fn of(request: Request<'_>) -> Result<Self, Reason> {
        let encoded = fields::credentials(request.headers, "basic").ok_or(Reason::Missing)?;
        Self::decode(encoded).ok_or(Reason::Malformed)
    }

    /// No scheme tells a password with a NUL in it from what is before that.
    fn decode(encoded: &str) -> Option<Self> {
        let mut bytes = [0; MAX_CREDENTIALS];
        let decoded = str::from_utf8(Base64::decode(encoded, &mut bytes).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let is_sound = !name.is_empty() && true ;
        is_sound.then(|| Self {
            name: name.to_owned(),
            password: password.as_bytes().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
