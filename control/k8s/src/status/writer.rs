//! Writes statuses and Events while this replica leads.

use super::{
    IngressRouteStatus,
    queue::{Observed, StatusQueue, Written},
    request::{Notice, StatusRequest},
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

/// The field manager of statuses, and the reporting controller of Events.
pub const MANAGER: &str = "switchyard";

/// The maximum number of concurrent writes.
const PARALLEL: usize = 32;

/// Counters of writes since the start, by result.
#[derive(Debug, Default)]
pub struct Stats {
    pub done: AtomicU64,
    /// The object was deleted meanwhile.
    pub gone: AtomicU64,
    pub failed: AtomicU64,
}

struct Writer {
    client: Client,
    reporter: Reporter,
    /// The pod of this replica.
    pod: ObjectReference,
    queue: StatusQueue,
    stats: Arc<Stats>,
}

/// Serves requests until all senders are dropped. Statuses that are desired while another replica leads are kept, and
/// written when this one leads, unless the object has them by then.
pub async fn run(
    client: Client,
    pod: ObjectReference,
    mut orders: mpsc::UnboundedReceiver<StatusRequest>,
    mut leading: watch::Receiver<bool>,
    stats: Arc<Stats>,
) {
    let reporter = Reporter {
        controller: MANAGER.to_owned(),
        instance: pod.name.clone(),
    };
    let mut writer = Writer {
        reporter,
        client,
        pod,
        queue: StatusQueue::default(),
        stats,
    };
    let mut writes = FuturesUnordered::new();
    loop {
        let leads = *leading.borrow_and_update();
        while leads && writes.len() < PARALLEL {
            let Some((name, status)) = writer.queue.take(Instant::now()) else {
                break;
            };
            if writer.queue.is_contended(&name) {
                warn!(ingressroute = %name, "Another field manager changed the status; writing it again with backoff");
            }
            writes.push(write(writer.client.clone(), name, status));
        }
        let next = writer.queue.next().filter(|_| leads && writes.len() < PARALLEL);
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

/// Sleeps until `at`, or forever without it.
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
            warn!(ingressroute = %name, %error, "Cannot write the status; retrying");
            Written::Failed
        }
    };
    (name, written)
}

/// Writes a status by server-side apply: our fields are taken back from other managers, and fields they added stay.
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
    fn follow(&mut self, order: StatusRequest, leads: bool) {
        let now = Instant::now();
        match order {
            StatusRequest::Desired(name, desired) => {
                self.queue.want(&name, desired.map(|desired| *desired), now)
            }
            StatusRequest::Observed(name, observed) => {
                self.queue.saw(&name, observed.map(|observed| *observed), now)
            }
            StatusRequest::Event(name, notice) if leads => self.tell(&name, notice),
            // The leader has seen it, too.
            StatusRequest::Event(..) => {}
            StatusRequest::Alert(notice) => self.publish(notice, self.pod.clone()),
        }
    }

    fn wrote(&mut self, name: &Name, written: Written) {
        let counter = match written {
            Written::Done => &self.stats.done,
            Written::Gone => &self.stats.gone,
            Written::Failed => &self.stats.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.queue.wrote(name, written, Instant::now());
    }

    fn tell(&self, name: &Name, notice: Notice) {
        let Some(Observed {
            uid,
            generation,
            manager,
            ..
        }) = self.queue.seen(name)
        else {
            return;
        };
        let manager = manager.as_ref().filter(|_| notice.by == Some(*generation));
        let by = manager.map(|manager| format!(", by {manager}"));
        let notice = Notice {
            note: notice.note + &by.unwrap_or_default(),
            ..notice
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

    /// Publishes an Event. An Event that cannot be written is lost: the log and the status have the same information.
    fn publish(&self, notice: Notice, regarding: ObjectReference) {
        // A new recorder for each Event: one that is reused counts Events of the same reason as one, whatever their
        // notes.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
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
            by: _,
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
