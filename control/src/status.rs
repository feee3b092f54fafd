//! What the statuses of IngressRoutes say: what the graph found, and what of it the proxies have.
//!
//! ```text
//! Engine -- Judged ------------------> Reporter -- Order --> switchyard_k8s::status::writer
//! Server -- progress of its proxies ----^  |
//! other replicas' -----------------------+  +-- progress of its proxies --> other replicas
//! ```

mod fleet;

pub use self::fleet::{Fleet, Mark};

use self::fleet::Versions;
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
        ledger::Wanted,
        writer::{Notice, Order},
    },
};
use switchyard_xds::ads::{Proxy, Server};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// How long a status waits for the proxies to have what it is about: they seldom need longer, and then one write does.
const PATIENCE: Duration = Duration::from_millis(250);
/// At most so often every status is written anew because proxies came or went.
const RECOUNT: Duration = Duration::from_secs(5);
/// How many routes `activeBranch` names.
const MOST_NAMED: usize = 4;

/// What the graph found out about an IngressRoute, and since when the proxies are to have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub status: Status,
    /// `metadata.generation` of what was judged.
    pub observed: i64,
    /// What the proxies are to have for it.
    pub since: Mark,
    /// Of its routes that delegate.
    pub switches: Vec<JudgedSwitch>,
}

/// A switch, and since when the proxies are to have it so.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedSwitch {
    pub host: String,
    pub prefix: Arc<str>,
    pub active: Name,
    pub standby: Vec<Name>,
    pub previous: Option<Name>,
    pub since: Mark,
}

/// How what an IngressRoute comes to stands with the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Live,
    /// One has not answered.
    Pending,
    /// One has refused it.
    Refused,
}

/// What the engine tells.
#[derive(Clone, Debug)]
pub enum News {
    /// These are so from now on; none of what is gone.
    Judged(Vec<(Name, Option<Judged>)>),
    /// So far is the source, and so far the proxies have to be for it.
    Reached(Mark),
    /// Something that an operator should see in the IngressRoute's Events.
    Notice(Name, Notice),
}

/// What a proxy refused: node, type, name and reason.
type Refusal = (String, &'static str, String, String);

/// Where this replica hears of the others' proxies, and tells of its own.
#[derive(Debug)]
pub struct Others {
    pub elsewhere: watch::Receiver<Progress>,
    pub own: watch::Sender<Progress>,
}

/// Follows the engine and the proxies, and orders statuses.
#[derive(Debug, Default)]
struct Reporter {
    judged: BTreeMap<Name, Judged>,
    /// What is to be ordered, and how long it waits at most.
    due: BTreeMap<Name, Instant>,
    /// What was ordered before all proxies had it, and how it stood then.
    unsettled: BTreeMap<Name, Standing>,
    fleet: Fleet,
    versions: Versions,
    /// What is refused as it is.
    refusals: BTreeSet<Refusal>,
    /// Whether the proxies had time to connect.
    trusts_count: bool,
    /// How many proxies the statuses were counted for that are settled, and when.
    counted: Option<(usize, Instant)>,
}

/// Orders statuses until the engine ends.
pub async fn run(
    server: Server,
    mut news: mpsc::UnboundedReceiver<News>,
    orders: mpsc::UnboundedSender<Order>,
    Others { mut elsewhere, own }: Others,
) {
    let mut reporter = Reporter::default();
    let mut progress = server.changed();
    // Who restarts has no proxies for a while.
    let begun = Instant::now();
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some(News::Judged(judged)) => reporter.judge(judged, &orders),
                Some(News::Reached(mark)) => reporter.versions.reached(mark),
                Some(News::Notice(name, notice)) => orders.send(Order::Tell(name, notice)).unwrap_or_default(),
                None => return,
            },
            Ok(()) = progress.changed() => reporter.see(&server.proxies(), &orders),
            Ok(()) = elsewhere.changed() => reporter.fleet.hear(elsewhere.borrow_and_update().clone()),
            () = sleep_until(reporter.next()), if reporter.is_waiting() => {}
            () = sleep_until(begun + RECOUNT), if !reporter.trusts_count => reporter.trust_count(),
        }
        let told = reporter.versions.progress(&reporter.fleet);
        own.send_if_modified(|before| {
            *before != told && {
                *before = told;
                true
            }
        });
        let now = Instant::now();
        let counted = reporter.trusts_count;
        for (name, status) in reporter.due(now) {
            let wanted = Box::new(Wanted { status, counted });
            // Who no longer writes need not be told.
            orders.send(Order::Want(name, Some(wanted))).unwrap_or_default();
        }
    }
}

fn refusals(proxy: &Proxy) -> impl Iterator<Item = Refusal> {
    proxy.nacks.iter().map(|nack| {
        let (name, reason) = (nack.name.to_string(), nack.reason.to_string());
        (proxy.node_id.clone(), nack.resource_type.type_url(), name, reason)
    })
}

/// For those who look at the pod of control.
fn notice((node, type_url, name, reason): &Refusal) -> Notice {
    Notice {
        warning: true,
        reason: REFUSED,
        note: format!("proxy {node} refused {type_url} {name}, and goes on with what it had: {reason}"),
    }
}

// === impl Reporter ===

impl Reporter {
    fn judge(&mut self, judged: Vec<(Name, Option<Judged>)>, orders: &mpsc::UnboundedSender<Order>) {
        let until = Instant::now() + PATIENCE;
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
                    orders.send(Order::Want(name, None)).unwrap_or_default();
                }
            }
        }
    }

    /// What is new of this replica's proxies.
    fn see(&mut self, proxies: &[Proxy], orders: &mpsc::UnboundedSender<Order>) {
        self.fleet.see(proxies);
        let refusals: BTreeSet<_> = proxies.iter().flat_map(refusals).collect();
        for refusal in refusals.difference(&self.refusals) {
            orders.send(Order::Alert(notice(refusal))).unwrap_or_default();
        }
        self.refusals = refusals;
    }

    /// From now on, who is not connected is away.
    fn trust_count(&mut self) {
        self.trusts_count = true;
        self.counted = None;
    }

    fn is_waiting(&self) -> bool {
        !self.due.is_empty() || self.is_to_recount()
    }

    /// When to look again, if nothing happens before.
    fn next(&self) -> Instant {
        let recount = self.counted.filter(|_| self.is_to_recount());
        let recount = recount.map(|(_, at)| at + RECOUNT);
        let due = self.due.values().min().copied();
        due.into_iter().chain(recount).min().unwrap_or_else(Instant::now)
    }

    fn is_to_recount(&self) -> bool {
        self.counted.is_some_and(|(of, _)| of != self.fleet.len())
    }

    /// The statuses to order now.
    fn due(&mut self, now: Instant) -> Vec<(Name, IngressRouteStatus)> {
        let recount = self
            .counted
            .is_none_or(|(of, at)| of != self.fleet.len() && now >= at + RECOUNT);
        if recount {
            self.counted = Some((self.fleet.len(), now));
            self.due
                .extend(self.judged.keys().map(|name| (name.clone(), now)));
        }
        let Self {
            judged,
            due,
            unsettled,
            fleet,
            ..
        } = self;
        let standing = |name: &Name| {
            let judged = judged.get(name);
            judged.map_or(Standing::Live, |judged| fleet.standing(judged.newest()))
        };
        let ripe = due
            .iter()
            .filter(|(name, until)| **until <= now || standing(name) != Standing::Pending);
        let moved = unsettled.iter().filter(|(name, was)| standing(name) != **was);
        let names = ripe.map(|(name, _)| name).chain(moved.map(|(name, _)| name));
        let names: BTreeSet<_> = names.cloned().collect();
        for name in &names {
            due.remove(name);
            match standing(name) {
                Standing::Live => unsettled.remove(name),
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
    /// What the proxies are to have for all of it.
    fn newest(&self) -> Mark {
        let switches = self.switches.iter().map(|switch| switch.since);
        switches.max().unwrap_or_default().max(self.since)
    }

    /// As Kubernetes is told.
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
        let (holds, reason) = match fleet.standing(newest) {
            _ if fleet.is_empty() => (false, "NoProxies"),
            Standing::Refused => (false, REFUSED),
            Standing::Pending => (false, "Pending"),
            Standing::Live => (true, "Programmed"),
        };
        condition(PROGRAMMED, holds, reason, &fleet.told(newest), self.observed)
    }

    /// In short, for a column.
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
