//! The plan of a run: the certificates to create, renew or keep.
//!
//! No connection may fail because of a run. The sides get their files at different times: each new certificate has to
//! be accepted by the other side with its old files. So a CA is renewed long before it expires, and the run that renews
//! it only adds it to the trusted CAs: the old CA signs the certificates of that run. The new CA signs from the next
//! run on.

use super::{
    holding::{Holding, Holdings, Role},
    issue::{Authority, Issued},
};
use crate::x509;
use anyhow::{Context, Result, bail};
use pem::Pem;
use std::{fmt, time::Duration};
use time::OffsetDateTime;

/// The requested certificates.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The host names and addresses in control's certificate.
    pub(super) names: Vec<String>,
    /// The validity of leaf certificates.
    pub(super) lifetime: Duration,
    pub(super) mode: Mode,
}

/// The treatment of existing certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Keep,
    /// Renews certificates that expire within a period.
    Renew {
        before: Duration,
    },
    /// Ignores existing certificates.
    Overwrite,
}

/// The outcome for one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    pub(super) outcome: Outcome,
    pub(super) until: OffsetDateTime,
    /// The parts to write, if any.
    pub(super) holding: Option<Holding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Made,
    Renewed,
    Kept,
    /// Kept although it has expired, because renewal was not requested.
    KeptEnded,
    /// Kept, with a new trusted CA.
    Trusting,
}

/// The input of a plan.
struct Planner<'p> {
    /// The existing certificates that are considered: none in mode `Overwrite`.
    existing: &'p Holdings,
    /// All existing certificates.
    replaced: &'p Holdings,
    wish: &'p Wish,
    now: OffsetDateTime,
}

/// The existing CA, and the new one.
struct Authorities {
    old: Option<Authority>,
    new: Option<Authority>,
}

/// Plans the outcome for each role, in the order of writing.
///
/// # Errors
///
/// If existing certificates cannot be parsed, or the existing CA cannot sign the requested ones.
pub(super) fn plan(existing: &Holdings, wish: &Wish, now: OffsetDateTime) -> Result<Vec<Entry>> {
    let none = Holdings::new();
    let planner = Planner {
        existing: if wish.mode == Mode::Overwrite {
            &none
        } else {
            existing
        },
        replaced: existing,
        wish,
        now,
    };
    planner.entries()
}

// === impl Planner ===

impl Planner<'_> {
    fn entries(&self) -> Result<Vec<Entry>> {
        let mut due = Vec::new();
        for role in Role::LEAVES {
            if self.is_due(role)? {
                due.push(role);
            }
        }
        let authorities = self.authorities(!due.is_empty())?;
        let trusted = self.trusted(&authorities)?;
        let mut entries: Vec<_> = self.authority(&authorities, &trusted).into_iter().collect();
        for role in Role::LEAVES {
            entries.push(if due.contains(&role) {
                self.issue(role, &authorities, &trusted)?
            } else {
                self.keep(role, &authorities, &trusted)?
            });
        }
        Ok(entries)
    }

    /// Returns true if a leaf has to be issued.
    fn is_due(&self, role: Role) -> Result<bool> {
        let Some(holding) = self.existing.get(&role) else {
            return Ok(true);
        };
        let facts = facts(role, holding)?;
        let Mode::Renew { before } = self.wish.mode else {
            return Ok(false);
        };
        let lacks = |name: &String| role == Role::Server && !facts.names.contains(name);
        Ok(facts.until <= self.now + before || self.wish.names.iter().any(lacks))
    }

    /// The existing CA, and a new one if it is needed.
    fn authorities(&self, signs: bool) -> Result<Authorities> {
        let old = self.existing.get(&Role::Authority);
        let old = old.map(|Holding { certificate, key, .. }| Authority::read(certificate, key));
        let old = old.transpose().with_context(|| broken(Role::Authority))?;
        let makes = match &old {
            None => signs,
            Some(old) => self.ends_too_soon(old, signs)?,
        };
        let new = makes.then(|| Authority::new(self.now)).transpose()?;
        Ok(Authorities { old, new })
    }

    /// Returns true if a CA has to be renewed, so that it does not expire before its certificates.
    fn ends_too_soon(&self, authority: &Authority, signs: bool) -> Result<bool> {
        match self.wish.mode {
            Mode::Renew { before } => Ok(authority.until <= self.now + self.wish.lifetime + before),
            _ if signs && authority.until <= self.now => {
                bail!(
                    "the CA expired on {}: renew it with --renew-before",
                    authority.until.date()
                )
            }
            _ => Ok(false),
        }
    }

    /// The CAs to trust: the newest first, then those that were trusted and have not expired.
    fn trusted(&self, authorities: &Authorities) -> Result<Vec<Pem>> {
        let mut trusted = match authorities.newest() {
            Some(newest) => x509::certificates(&newest.certificate)?,
            None => Vec::new(),
        };
        for (role, Holding { ca, .. }) in self.existing {
            // A Secret that somebody else made may have none.
            for block in x509::certificates(ca).unwrap_or_default() {
                let ended = x509::facts_of(&block).with_context(|| broken(*role))?.until <= self.now;
                if !ended && !trusted.contains(&block) {
                    trusted.push(block);
                }
            }
        }
        Ok(trusted)
    }

    fn authority(&self, authorities: &Authorities, trusted: &[Pem]) -> Option<Entry> {
        let newest = authorities.newest()?;
        let holding = authorities.new.as_ref().map(|new| Holding {
            ca: x509::encode(trusted),
            certificate: new.certificate.clone(),
            key: new.key.clone(),
        });
        Some(Entry {
            role: Role::Authority,
            outcome: if holding.is_some() {
                self.made(Role::Authority)
            } else {
                self.kept(newest.until)
            },
            until: newest.until,
            holding,
        })
    }

    fn issue(&self, role: Role, authorities: &Authorities, trusted: &[Pem]) -> Result<Entry> {
        let names = match role {
            Role::Server => &self.wish.names[..],
            Role::Authority | Role::Client => &[],
        };
        let signer = authorities.signer(self.now + self.wish.mode.margin());
        let signer = signer.context("no CA to sign with")?;
        let Issued {
            certificate,
            key,
            until,
        } = signer.issue(role, names, self.now, self.wish.lifetime)?;
        Ok(Entry {
            role,
            outcome: self.made(role),
            until,
            holding: Some(Holding {
                ca: x509::encode(trusted),
                certificate,
                key,
            }),
        })
    }

    /// Keeps a leaf. It is written all the same if its trusted CAs lack the newest one.
    fn keep(&self, role: Role, authorities: &Authorities, trusted: &[Pem]) -> Result<Entry> {
        let holding = self.existing.get(&role).context("no certificate to keep")?;
        let until = facts(role, holding)?.until;
        let known = x509::certificates(&holding.ca).unwrap_or_default();
        let newest = authorities.newest().and_then(|_| trusted.first());
        let trusts = newest.is_none_or(|newest| known.contains(newest));
        let trusting = || Holding {
            ca: x509::encode(trusted),
            ..holding.clone()
        };
        Ok(Entry {
            role,
            outcome: if trusts {
                self.kept(until)
            } else {
                Outcome::Trusting
            },
            until,
            holding: (!trusts).then(trusting),
        })
    }

    fn made(&self, role: Role) -> Outcome {
        if self.replaced.contains_key(&role) {
            Outcome::Renewed
        } else {
            Outcome::Made
        }
    }

    fn kept(&self, until: OffsetDateTime) -> Outcome {
        if until > self.now {
            Outcome::Kept
        } else {
            Outcome::KeptEnded
        }
    }
}

fn facts(role: Role, Holding { certificate, .. }: &Holding) -> Result<x509::Facts> {
    x509::facts(certificate)
        .context("tls.crt")
        .with_context(|| broken(role))
}

fn broken(role: Role) -> String {
    format!(
        "the existing {} cannot be used (--overwrite replaces everything)",
        role.secret()
    )
}

// === impl Mode ===

impl Mode {
    /// The remaining validity below which a certificate is due.
    fn margin(self) -> Duration {
        match self {
            Self::Renew { before } => before,
            Self::Keep | Self::Overwrite => Duration::ZERO,
        }
    }
}

// === impl Authorities ===

impl Authorities {
    fn newest(&self) -> Option<&Authority> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// The CA that signs: the one that both sides trust already, unless its certificates would be due at once.
    fn signer(&self, due: OffsetDateTime) -> Option<&Authority> {
        let old = self.old.as_ref().filter(|old| old.until > due);
        old.or(self.new.as_ref())
    }
}

// === impl Entry ===

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.until.date();
        match self.outcome {
            Outcome::Made => write!(f, "created, valid until {date}"),
            Outcome::Renewed => write!(f, "renewed, valid until {date}"),
            Outcome::Kept => write!(f, "kept, valid until {date}"),
            Outcome::KeptEnded => write!(f, "kept, but EXPIRED on {date}: renew it with --renew-before"),
            Outcome::Trusting => write!(f, "kept, with the new CA in ca.crt; valid until {date}"),
        }
    }
}

#[cfg(test)]
mod tests;
