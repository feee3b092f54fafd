//! What is to be made of what there is.
//!
//! Nothing that connects may fail because of it. Each side has its files at its own time: a new certificate has to be
//! one that the other side takes with the files that it has still. So a CA is renewed long before it ends, and the run
//! that renews it only has it trusted, beside the one before: that one signs whatever is due then. From the next run on
//! the new one signs.

use super::{
    holding::{Holding, Holdings, Role},
    issue::{Authority, Issued},
};
use crate::x509;
use anyhow::{Context, Result, bail};
use pem::Pem;
use std::{fmt, time::Duration};
use time::OffsetDateTime;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// Of control's certificate: host names and addresses.
    pub(super) names: Vec<String>,
    /// Of leaves.
    pub(super) lifetime: Duration,
    pub(super) mode: Mode,
}

/// What becomes of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Keep,
    /// What ends sooner than that is renewed.
    Renew {
        before: Duration,
    },
    /// It is as if nothing were there.
    Overwrite,
}

/// What becomes of one role's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    pub(super) outcome: Outcome,
    pub(super) until: OffsetDateTime,
    /// What is to be written, if anything is.
    pub(super) holding: Option<Holding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Made,
    Renewed,
    Kept,
    /// It ended, and nothing asked for its renewal.
    KeptEnded,
    /// Kept, with a new CA to trust.
    Trusting,
}

/// What a plan is made from.
struct Planner<'p> {
    /// What counts of what is there.
    existing: &'p Holdings,
    /// What is there.
    replaced: &'p Holdings,
    wish: &'p Wish,
    now: OffsetDateTime,
}

/// The CA that was there, and the one that is made.
struct Authorities {
    old: Option<Authority>,
    new: Option<Authority>,
}

/// What becomes of each role's, in the order in which it is to be written.
///
/// # Errors
///
/// If what is there cannot be read, or cannot sign what is asked for.
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

    /// Whether a leaf is to be made.
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

    /// The CA that is there, and a new one if it is needed.
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

    /// Whether a CA is to be renewed: before it could end sooner than what it signs.
    fn ends_too_soon(&self, authority: &Authority, signs: bool) -> Result<bool> {
        match self.wish.mode {
            Mode::Renew { before } => Ok(authority.until <= self.now + self.wish.lifetime + before),
            _ if signs && authority.until <= self.now => {
                bail!(
                    "the CA ended on {}: --renew-before renews it",
                    authority.until.date()
                )
            }
            _ => Ok(false),
        }
    }

    /// All CAs that are to be trusted: the newest first, and those that were trusted and have not ended.
    fn trusted(&self, authorities: &Authorities) -> Result<Vec<Pem>> {
        let mut trusted = match authorities.newest() {
            Some(newest) => x509::certificates(&newest.certificate)?,
            None => Vec::new(),
        };
        for (role, Holding { ca, .. }) in self.existing {
            // A Secret of others may have none.
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
        let signer = signer.context("there is no CA")?;
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

    /// A leaf that stays. It is written nevertheless if the newest CA is not among those that it comes with.
    fn keep(&self, role: Role, authorities: &Authorities, trusted: &[Pem]) -> Result<Entry> {
        let holding = self.existing.get(&role).context("it is there")?;
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
        "what there is for {} cannot be used (--overwrite makes everything anew)",
        role.secret()
    )
}

// === impl Mode ===

impl Mode {
    /// How much longer than now a certificate has to be good not to be due.
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

    /// The one that everybody trusts already, unless what it signs would be due at once.
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
            Outcome::Made => write!(f, "made, good until {date}"),
            Outcome::Renewed => write!(f, "renewed, good until {date}"),
            Outcome::Kept => write!(f, "kept as it is, good until {date}"),
            Outcome::KeptEnded => write!(
                f,
                "kept as it is, but it ENDED on {date}: renew it with --renew-before"
            ),
            Outcome::Trusting => write!(f, "kept, and trusts the new CA too; good until {date}"),
        }
    }
}

#[cfg(test)]
mod tests;
