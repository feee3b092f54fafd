//! Leader election: the replica that holds a Lease leads.
//!
//! Rules and timing are those of client-go's leader election: the holder renews the Lease, and loses it when another
//! replica observes no renewal for the whole duration. Only the local clock is trusted.

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tracing::{debug, info, warn};

/// The lifetime of a Lease without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// The renewal deadline. A leader that misses it stops leading before another replica can start.
const DEADLINE: Duration = Duration::from_secs(10);
/// The interval between attempts.
const RETRY: Duration = Duration::from_secs(2);

/// A Lease, and the replica that competes for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// The holder identity of this replica, unique among replicas.
    pub identity: String,
}

/// The observed state of a Lease.
#[derive(Debug, Default)]
struct Record {
    /// The spec that was last observed.
    spec: Option<LeaseSpec>,
    /// The time when this spec was first observed.
    since: Option<Instant>,
}

struct Election {
    api: Api<Lease>,
    candidate: Candidate,
    record: Record,
    /// The time when this replica last held the Lease.
    held: Option<Instant>,
    /// True if the last attempt failed; only the first failure is logged as a warning.
    failing: bool,
}

/// Competes for the Lease until `stop` is sent or dropped, then releases it. `leading` is true while this replica holds
/// it.
pub async fn run(
    client: Client,
    candidate: Candidate,
    leading: watch::Sender<bool>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut election = Election {
        api: Api::namespaced(client, &candidate.namespace),
        candidate,
        record: Record::default(),
        held: None,
        failing: false,
    };
    loop {
        election.round(&leading).await;
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            _ = &mut stop => break,
        }
    }
    if leading.send_replace(false) {
        election.release().await;
    }
}

// === impl Election ===

impl Election {
    async fn round(&mut self, leading: &watch::Sender<bool>) {
        let tried = tokio::time::timeout(DEADLINE, self.try_hold()).await;
        let now = Instant::now();
        if let Ok(Ok(_)) = tried {
            self.failing = false;
        }
        let leads = match tried {
            Ok(Ok(true)) => {
                self.held = Some(now);
                true
            }
            Ok(Ok(false)) => {
                self.held = None;
                false
            }
            Ok(Err(error)) => {
                self.failed(&error);
                self.is_held(now)
            }
            Err(_) => self.is_held(now),
        };
        let Candidate { identity, name, .. } = &self.candidate;
        if leading.send_replace(leads) != leads {
            if leads {
                info!(
                    lease = name,
                    identity, "Acquired the leader lease; writing statuses"
                );
            } else {
                warn!(lease = name, identity, "Lost the leader lease");
            }
        }
    }

    fn failed(&mut self, error: &kube::Error) {
        let Candidate { namespace, name, .. } = &self.candidate;
        if std::mem::replace(&mut self.failing, true) {
            debug!(namespace, lease = name, %error, "Still cannot hold the Lease");
        } else {
            warn!(
                namespace, lease = name, %error,
                "Cannot hold the Lease; this replica writes no statuses until it does"
            );
        }
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held.is_some_and(|held| now.duration_since(held) < DEADLINE)
    }

    /// Creates, acquires or renews the Lease. Returns false if another replica holds it.
    async fn try_hold(&mut self) -> kube::Result<bool> {
        let Candidate { name, identity, .. } = &self.candidate;
        let written = match self.api.get_opt(name).await? {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(name.clone()),
                        ..Default::default()
                    },
                    spec: Some(next(None, identity, Timestamp::now())),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(mut lease) => {
                self.record.see(lease.spec.as_ref(), Instant::now());
                if !self.record.is_free_for(identity, Instant::now()) {
                    return Ok(false);
                }
                lease.spec = Some(next(lease.spec.as_ref(), identity, Timestamp::now()));
                // The resourceVersion is included: the request conflicts if another replica was faster.
                self.api.replace(name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.record.see(lease.spec.as_ref(), Instant::now());
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Releases the Lease, so that another replica can acquire it at once.
    async fn release(&self) {
        let Candidate { name, identity, .. } = &self.candidate;
        let released = async {
            let mut lease = self.api.get(name).await?;
            let held = lease
                .spec
                .as_ref()
                .and_then(|spec| spec.holder_identity.as_deref());
            if held != Some(identity) {
                return Ok(());
            }
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
            }
            self.api
                .replace(name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match released.await {
            Ok(()) => info!(lease = name, "Released the Lease"),
            Err(error) => warn!(lease = name, %error, "Cannot release the Lease"),
        }
    }
}

// === impl Record ===

impl Record {
    fn see(&mut self, spec: Option<&LeaseSpec>, now: Instant) {
        if self.since.is_none() || self.spec.as_ref() != spec {
            self.spec = spec.cloned();
            self.since = Some(now);
        }
    }

    fn is_free_for(&self, identity: &str, now: Instant) -> bool {
        let Some(spec) = &self.spec else {
            return true;
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let duration = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration.map_or(DURATION, Duration::from_secs);
        let expired = self
            .since
            .is_some_and(|since| now.duration_since(since) >= duration);
        holder.is_empty() || holder == identity || expired
    }
}

/// The spec with which `identity` acquires or renews a Lease.
fn next(spec: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> LeaseSpec {
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
    let renewed = spec.filter(|_| holder == Some(identity));
    let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: renewed
            .and_then(|spec| spec.acquire_time.clone())
            .or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(match (spec, renewed) {
            (None, _) => 0,
            (_, Some(_)) => transitions,
            (Some(_), None) => transitions.saturating_add(1),
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn lease_is_free_for_holder_or_after_release_or_expiry() {
        let now = Instant::now();
        let held = next(None, "one", at(0));
        let given_back = LeaseSpec {
            holder_identity: None,
            ..held.clone()
        };
        for (spec, identity, after, want) in [
            (None, "two", 0, true),
            (Some(&held), "one", 0, true),
            (Some(&held), "two", 0, false),
            (Some(&held), "two", 14, false),
            (Some(&held), "two", 15, true),
            (Some(&given_back), "two", 0, true),
        ] {
            let mut record = Record::default();
            record.see(spec, now);
            let later = now + Duration::from_secs(after);
            assert_eq!(
                record.is_free_for(identity, later),
                want,
                "{identity} after {after}"
            );
        }
    }

    #[test]
    fn renewed_lease_does_not_expire() {
        let now = Instant::now();
        let mut record = Record::default();
        for second in 0..100_u32 {
            let later = now + Duration::from_secs(second.into());
            record.see(Some(&next(None, "one", at(second.into()))), later);
            assert!(!record.is_free_for("two", later));
        }
    }

    #[test]
    fn new_holder_counts_a_transition_renewal_keeps_acquire_time() {
        let first = next(None, "one", at(1));
        let renewed = next(Some(&first), "one", at(2));
        let other = next(Some(&renewed), "two", at(3));
        let seen = |spec: &LeaseSpec| {
            let second = |time: &Option<MicroTime>| time.as_ref().map(|time| time.0.as_second());
            (
                spec.lease_transitions,
                second(&spec.acquire_time),
                second(&spec.renew_time),
            )
        };
        assert_eq!(seen(&first), (Some(0), Some(1), Some(1)));
        assert_eq!(seen(&renewed), (Some(0), Some(1), Some(2)));
        assert_eq!(seen(&other), (Some(1), Some(3), Some(3)));
    }
}
