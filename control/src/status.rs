//! The statuses of IngressRoutes, from the findings of the graph and the progress of the proxies.
//!
//! ```text
//! Engine -- Judged ------------------> Reporter -- StatusRequest --> switchyard_k8s::status::writer
//! Server -- progress of its proxies ----^  |
//! other replicas' -----------------------+  +-- progress of its proxies --> other replicas
//! ```

mod fleet;

pub use self::fleet::{Fleet, Mark};

use self::fleet::{Programmed, Versions};
use crate::cache;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use switchyard_core::{Name, Status, status::State};
use switchyard_k8s::{
    replicas::Progress,
    status::{
        Condition, IngressRouteStatus, PROGRAMMED, REFUSED, SwitchStatus, VALID, condition,
        queue::Desired,
        request::{Notice, StatusRequest},
    },
};
use switchyard_xds::ads::{Proxy, Server};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// The time that a status waits until the proxies acknowledge its resources. They seldom need longer, and then one
/// write is enough.
const PATIENCE: Duration = Duration::from_millis(250);
/// The additional wait for each status that is due with it, about as long as a write takes, which is the cost of
/// writing it twice.
const PATIENCE_EACH: Duration = Duration::from_millis(1);
/// The minimum interval between rewrites of all statuses because proxies have connected or disconnected.
const RECOUNT: Duration = Duration::from_secs(5);
/// The maximum number of branches in `activeBranch`.
const MOST_NAMED: usize = 4;

/// The graph's status of an IngressRoute, and the mark that proxies have to reach for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub status: Status,
    /// `metadata.generation` of the judged IngressRoute.
    pub observed: i64,
    /// The mark that proxies have to reach for it.
    pub since: Mark,
    /// The switches of its delegating routes.
    pub switches: Vec<JudgedSwitch>,
}

/// A switch, and the mark that proxies have to reach for it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedSwitch {
    pub host: String,
    pub prefix: Arc<str>,
    pub active: Name,
    pub standby: Vec<Name>,
    pub previous: Option<Name>,
    pub since: Mark,
}

/// An event from the engine.
#[derive(Clone, Debug)]
pub enum StatusEvent {
    /// The new states of IngressRoutes; `None` for deleted ones.
    Judged(Vec<(Name, Option<Judged>)>),
    /// The version of the source, and the generation that proxies have to reach for it.
    Reached(Mark),
    /// An Event about an IngressRoute, for operators.
    Notice(Name, Notice),
}

/// A rejection by a proxy: node, type, name and reason.
type Refusal = (String, &'static str, String, String);

/// The channels for the progress of other replicas' proxies, and of this replica's own.
#[derive(Debug)]
pub struct Others {
    pub elsewhere: watch::Receiver<Progress>,
    pub own: watch::Sender<Progress>,
}

/// The state of the reporter, which follows the engine and the proxies, and requests statuses.
#[derive(Debug, Default)]
struct Reporter {
    judged: BTreeMap<Name, Judged>,
    /// The statuses to request, each with the end of its wait.
    due: BTreeMap<Name, Instant>,
    /// The statuses that were requested before all proxies had acknowledged, each with its state at that time.
    unsettled: BTreeMap<Name, Programmed>,
    fleet: Fleet,
    versions: Versions,
    /// The current rejections.
    refusals: BTreeSet<Refusal>,
    /// The time by which proxies should have connected; `None` before there was anything to send to them.
    connected_by: Option<Instant>,
    /// The number of proxies at the last count for all statuses, and the time of that count.
    counted: Option<(usize, Instant)>,
}

/// Requests statuses until the engine ends.
pub async fn run(
    server: Server,
    mut news: mpsc::UnboundedReceiver<StatusEvent>,
    orders: mpsc::UnboundedSender<StatusRequest>,
    Others { mut elsewhere, own }: Others,
) {
    let mut reporter = Reporter::default();
    let mut progress = server.changed();
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some(StatusEvent::Judged(judged)) => reporter.judge(judged, &orders),
                Some(StatusEvent::Reached(mark)) => reporter.versions.reached(mark),
                Some(StatusEvent::Notice(name, notice)) => drop(orders.send(StatusRequest::Event(name, notice))),
                None => return,
            },
            Ok(()) = progress.changed() => reporter.see(&server.proxies(), &orders),
            Ok(()) = elsewhere.changed() => reporter.fleet.hear(elsewhere.borrow_and_update().clone()),
            () = cache::until(reporter.next()) => {}
        }
        let told = reporter.versions.progress(&reporter.fleet);
        own.send_if_modified(|before| {
            *before != told && {
                *before = told;
                true
            }
        });
        let now = Instant::now();
        let counted = reporter.trusts_count(now);
        for (name, status) in reporter.due(now) {
            let desired = Box::new(Desired { status, counted });
            // A dropped receiver is not an error.
            drop(orders.send(StatusRequest::Desired(name, Some(desired))));
        }
    }
}

fn refusals(proxy: &Proxy) -> impl Iterator<Item = Refusal> {
    proxy.nacks.iter().map(|nack| {
        let (name, reason) = (nack.name.to_string(), nack.reason.to_string());
        (proxy.node_id.clone(), nack.resource_type.type_url(), name, reason)
    })
}

/// The Event about a rejection, for the pod of control.
fn notice((node, type_url, name, reason): &Refusal) -> Notice {
    Notice {
        warning: true,
        reason: REFUSED,
        note: format!(
            "proxy {node} rejected {type_url} {name} and keeps its last accepted version: {reason}"
        ),
        by: None,
    }
}

// === impl Reporter ===

impl Reporter {
    fn judge(&mut self, judged: Vec<(Name, Option<Judged>)>, orders: &mpsc::UnboundedSender<StatusRequest>) {
        let now = Instant::now();
        let many = u32::try_from(judged.len()).unwrap_or(u32::MAX);
        let until = now + PATIENCE + PATIENCE_EACH.saturating_mul(many);
        self.connected_by.get_or_insert(now + RECOUNT);
        for (name, judged) in judged {
            match judged {
                Some(judged) => {
                    self.judged.insert(name.clone(), judged);
                    self.due.insert(name, until);
                }
                None => {
                    self.judged.remove(&name);
                    self.due.remove(&name);
                    self.unsettled.remove(&name);
                    drop(orders.send(StatusRequest::Desired(name, None)));
                }
            }
        }
    }

    /// Updates the state of this replica's proxies.
    fn see(&mut self, proxies: &[Proxy], orders: &mpsc::UnboundedSender<StatusRequest>) {
        self.fleet.see(proxies);
        let refusals: BTreeSet<_> = proxies.iter().flat_map(refusals).collect();
        for refusal in refusals.difference(&self.refusals) {
            drop(orders.send(StatusRequest::Alert(notice(refusal))));
        }
        self.refusals = refusals;
    }

    /// Returns true if a proxy that is not connected is gone. After a restart, proxies have time to connect.
    fn trusts_count(&self, now: Instant) -> bool {
        self.connected_by.is_some_and(|at| at <= now)
    }

    /// The time of the next check, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let recount = match self.counted {
            None => self.connected_by,
            Some((_, at)) => self.is_to_recount().then(|| at + RECOUNT),
        };
        let due = self.due.values().filter(|_| self.has_count()).min().copied();
        due.into_iter().chain(recount).min()
    }

    /// Returns true if there is something to say about proxies: without one nothing is pending, but one may be about to
    /// connect.
    fn has_count(&self) -> bool {
        self.counted.is_some() || !self.fleet.is_empty()
    }

    fn is_to_recount(&self) -> bool {
        self.counted.is_some_and(|(of, _)| of != self.fleet.len())
    }

    /// The statuses to request now.
    fn due(&mut self, now: Instant) -> Vec<(Name, IngressRouteStatus)> {
        let recount = self
            .counted
            .is_none_or(|(of, at)| of != self.fleet.len() && now >= at + RECOUNT);
        if self.trusts_count(now) && recount {
            self.counted = Some((self.fleet.len(), now));
            for name in self.judged.keys() {
                self.due.entry(name.clone()).or_insert(now);
            }
        }
        let has_count = self.has_count();
        let Self {
            judged,
            due,
            unsettled,
            fleet,
            ..
        } = self;
        let programmed = |name: &Name| {
            let judged = judged.get(name);
            judged.map_or(Programmed::Live, |judged| fleet.programmed(judged.newest()))
        };
        let is_ripe = |name: &Name, until: Instant| {
            has_count && (until <= now || programmed(name) != Programmed::Pending)
        };
        let ripe = due.iter().filter(|(name, until)| is_ripe(name, **until));
        let moved = unsettled.iter().filter(|(name, was)| programmed(name) != **was);
        let names = ripe.map(|(name, _)| name).chain(moved.map(|(name, _)| name));
        let names: BTreeSet<_> = names.cloned().collect();
        for name in &names {
            due.remove(name);
            match programmed(name) {
                Programmed::Live => unsettled.remove(name),
                other => unsettled.insert(name.clone(), other),
            };
        }
        let status = |name: Name| Some((judged.get(&name)?.to_status(fleet), name));
        let statuses = names.into_iter().filter_map(status);
        statuses.map(|(status, name)| (name, status)).collect()
    }
}

// === impl Judged ===

impl Judged {
    /// The mark that proxies have to reach for the IngressRoute and its switches.
    fn newest(&self) -> Mark {
        let switches = self.switches.iter().map(|switch| switch.since);
        switches.max().unwrap_or_default().max(self.since)
    }

    /// Converts to the status that is written to Kubernetes.
    #[must_use]
    pub fn to_status(&self, fleet: &Fleet) -> IngressRouteStatus {
        let Self {
            status,
            observed,
            switches,
            ..
        } = self;
        let errors = status.errors.iter().map(|error| match &*error.field {
            "" => error.message.clone(),
            field => format!("{field}: {}", error.message),
        });
        IngressRouteStatus {
            current_status: status.state.as_str().to_owned(),
            description: status.description(),
            errors: errors.collect(),
            observed_generation: Some(*observed),
            conditions: vec![self.valid(), self.programmed(fleet)],
            switches: switches.iter().map(|switch| switch.to_status(fleet)).collect(),
            active_branch: self.active_branch(),
        }
    }

    fn valid(&self) -> Condition {
        let Self { status, observed, .. } = self;
        let (holds, reason) = match status.state {
            State::Valid => (true, "Valid"),
            State::Invalid => (false, "Invalid"),
            State::Orphaned => (false, "Orphaned"),
        };
        condition(VALID, holds, reason, &status.description(), *observed)
    }

    fn programmed(&self, fleet: &Fleet) -> Condition {
        let newest = self.newest();
        let (holds, reason) = match fleet.programmed(newest) {
            _ if fleet.is_empty() => (false, "NoProxies"),
            Programmed::Refused => (false, REFUSED),
            Programmed::Pending => (false, "Pending"),
            Programmed::Live => (true, "Programmed"),
        };
        condition(PROGRAMMED, holds, reason, &fleet.told(newest), self.observed)
    }

    /// The active branches in short, for a column.
    fn active_branch(&self) -> String {
        let one = |switch: &JudgedSwitch| switch.active.to_string();
        match &*self.switches {
            [] => String::new(),
            [switch] => one(switch),
            several => {
                let branches: BTreeSet<_> = several.iter().map(one).collect();
                let more = branches.len().saturating_sub(MOST_NAMED);
                let named: Vec<_> = branches.into_iter().take(MOST_NAMED).collect();
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                named.join(", ") + &more
            }
        }
    }
}

// === impl JudgedSwitch ===

impl JudgedSwitch {
    fn to_status(&self, fleet: &Fleet) -> SwitchStatus {
        let Self {
            host,
            prefix,
            active,
            standby,
            previous,
            since,
        } = self;
        SwitchStatus {
            host: host.clone(),
            match_: prefix.to_string(),
            active: active.to_string(),
            standby: standby.iter().map(ToString::to_string).collect(),
            previous: previous.as_ref().map(ToString::to_string).unwrap_or_default(),
            proxies: format!("{}/{}", fleet.with(*since), fleet.len()),
        }
    }
}

#[cfg(test)]
mod tests;
