//! Writes statuses and Events, while it leads.

use super::{
    IngressRouteStatus,
    ledger::{Ledger, Sighting, Wanted, Written},
};
use crate::watch::resource;
use futures_util::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use switchyard_core::{Name, object::Kind};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

/// Who owns the fields of a status, to the API server, and who reports Events.
pub const MANAGER: &str = "switchyard";

/// How many statuses are written at a time.
const PARALLEL: usize = 32;

/// What the writer is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// What a status is to say from now on. None: nothing more.
    Want(Name, Option<Box<Wanted>>),
    /// What a watch saw of an IngressRoute. None: it is gone.
    Saw(Name, Option<Box<Sighting>>),
    /// Something that an operator should see.
    Tell(Name, Notice),
    /// Something that this replica alone knows, for its own Events.
    Alert(Notice),
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// Why, in one word for programs.
    pub reason: &'static str,
    /// For people, 1 KiB at most.
    pub note: String,
}

/// What came of the writes since the start.
#[derive(Debug, Default)]
pub struct Stats {
    pub done: AtomicU64,
    /// The object was deleted meanwhile.
    pub gone: AtomicU64,
    pub failed: AtomicU64,
}

struct Writer {
    client: Client,
    recorder: Recorder,
    /// The pod of this replica.
    pod: ObjectReference,
    ledger: Ledger,
    stats: Arc<Stats>,
}

/// Writes until nobody orders any longer. What is ordered while another replica leads is kept, and written if it is not
/// there when this one does.
pub async fn run(
    client: Client,
    pod: ObjectReference,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut leading: watch::Receiver<bool>,
    stats: Arc<Stats>,
) {
    let reporter = Reporter {
        controller: MANAGER.to_owned(),
        instance: pod.name.clone(),
    };
    let mut writer = Writer {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        pod,
        ledger: Ledger::default(),
        stats,
    };
    let mut writes = FuturesUnordered::new();
    loop {
        let leads = *leading.borrow_and_update();
        while leads && writes.len() < PARALLEL {
            let Some((name, status)) = writer.ledger.take(Instant::now()) else {
                break;
            };
            if writer.ledger.is_contended(&name) {
                warn!(ingressroute = %name, "Somebody else changed the status; it is written again, ever more seldom");
            }
            writes.push(write(writer.client.clone(), name, status));
        }
        let next = writer.ledger.next().filter(|_| leads && writes.len() < PARALLEL);
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => writer.follow(order, leads),
                None => return,
            },
            Some((name, written)) = writes.next() => writer.wrote(&name, written),
            () = sleep_until(next) => {}
            Ok(()) = leading.changed() => {}
        }
    }
}

/// None: for ever.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn write(client: Client, name: Name, status: IngressRouteStatus) -> (Name, Written) {
    let written = match apply(client, &name, &status).await {
        Ok(()) => Written::Done,
        Err(kube::Error::Api(status)) if status.is_not_found() => Written::Gone,
        Err(error) => {
            warn!(ingressroute = %name, %error, "Cannot write the status, and try again");
            Written::Failed
        }
    };
    (name, written)
}

/// By server-side apply: what others have written to our fields is ours again, what they have added stays.
async fn apply(client: Client, name: &Name, status: &IngressRouteStatus) -> kube::Result<()> {
    let Some(resource) = resource(Kind::IngressRoute) else {
        return Ok(());
    };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": &*name.name},
        "status": status,
    });
    let api: Api<DynamicObject> = Api::namespaced_with(client, &name.namespace, &resource);
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch_status(&name.name, &parameters, &Patch::Apply(&patch))
        .await
        .map(drop)
}

// === impl Writer ===

impl Writer {
    fn follow(&mut self, order: Order, leads: bool) {
        let now = Instant::now();
        match order {
            Order::Want(name, wanted) => self.ledger.want(&name, wanted.map(|wanted| *wanted), now),
            Order::Saw(name, sighting) => self.ledger.saw(&name, sighting.map(|sighting| *sighting), now),
            Order::Tell(name, notice) if leads => self.tell(&name, notice),
            // The replica that leads has seen it, too.
            Order::Tell(..) => {}
            Order::Alert(notice) => self.publish(notice, self.pod.clone()),
        }
    }

    fn wrote(&mut self, name: &Name, written: Written) {
        let counter = match written {
            Written::Done => &self.stats.done,
            Written::Gone => &self.stats.gone,
            Written::Failed => &self.stats.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.ledger.wrote(name, written, Instant::now());
    }

    fn tell(&self, name: &Name, notice: Notice) {
        let Some(Sighting { uid, .. }) = self.ledger.seen(name) else {
            return;
        };
        let Some(resource) = resource(Kind::IngressRoute) else {
            return;
        };
        let regarding = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            namespace: Some(name.namespace.to_string()),
            name: Some(name.name.to_string()),
            uid: Some(uid.clone()),
            ..Default::default()
        };
        self.publish(notice, regarding);
    }

    /// An Event that cannot be written is lost: the log and the status have it.
    fn publish(&self, notice: Notice, regarding: ObjectReference) {
        let recorder = self.recorder.clone();
        let event = notice.event();
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &regarding).await {
                debug!(%error, "Cannot write an Event");
            }
        });
    }
}

// === impl Notice ===

impl Notice {
    fn event(self) -> Event {
        let Self {
            warning,
            reason,
            note,
        } = self;
        Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: reason.to_owned(),
            secondary: None,
        }
    }
}
