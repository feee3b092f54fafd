//! A client, a proxy, and a driver that enforces policies on a request.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, time::Duration};
use switchyard_policy::{
    auth::{Completion, Verification},
    call::{Call, Reply},
    config::policy::Algorithm,
    enforce::{
        Enforcement,
        context::{NextAction, PolicyContext, WorkerState},
    },
    host::{Host, SharedValue},
    request::{Request, RequestHeaderMap},
    route::RouteOverrides,
    scope::PolicyScopes,
};

/// The number of slices in which a password is verified; a complete verification may take years.
const SLICES: usize = 4;

/// A request as the client sent it.
pub struct Client {
    pub target: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A proxy whose shared values only this request changes.
pub struct Proxy {
    values: RefCell<BTreeMap<String, SharedValue>>,
    /// Accepts every signature if true, and none otherwise.
    believes: bool,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Refused,
    Answered,
    SentOn,
}

// === impl Client ===

impl RequestHeaderMap for Client {
    fn target(&self) -> &[u8] {
        &self.target
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}

// === impl Proxy ===

impl Proxy {
    pub fn new(believes: bool) -> Self {
        Self {
            values: RefCell::default(),
            believes,
        }
    }
}

impl Host for Proxy {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some([192, 0, 2, 1].into())
    }

    fn shared(&self, key: &str) -> Option<SharedValue> {
        self.values.borrow().get(key).cloned()
    }

    fn random(&self) -> u64 {
        4
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut values = self.values.borrow_mut();
        let there = values.get(key).map(|shared| shared.version);
        let is_late = version.is_some() && there.is_some() && version != there;
        if !is_late {
            let version = there.unwrap_or(0) + 1;
            let value = value.to_vec();
            values.insert(key.to_owned(), SharedValue { value, version });
        }
        !is_late
    }

    fn verifies(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        self.believes
    }
}

/// Enforces the policies on a request and applies their edits.
pub fn meet(
    (scopes, overrides): (PolicyScopes, RouteOverrides),
    request: Request<'_>,
    proxy: &Proxy,
    mut reply: impl FnMut(&Call) -> Reply,
) -> End {
    let mut worker = WorkerState::new(proxy);
    let mut enforcement = Enforcement::new(scopes, overrides);
    loop {
        let action = enforcement.advance(&mut PolicyContext {
            request,
            host: proxy,
            worker: &mut worker,
            observer: &mut (),
        });
        match action {
            NextAction::Call(call) => enforcement.complete(Completion::Reply(reply(&call))),
            NextAction::Work(work) => {
                let mut slices = 0..SLICES;
                let _is_done = worker.auth_cache.verify(|| slices.next().is_none());
                let believed = if proxy.believes {
                    Verification::Right
                } else {
                    Verification::Wrong
                };
                enforcement.complete(Completion::Work(work.outcome().unwrap_or(believed)));
            }
            NextAction::Refuse(refusal) => {
                refusal.response(request).edit(&enforcement.response_edits());
                return End::Refused;
            }
            NextAction::LocalReply(mut reply) => {
                reply.edit(&enforcement.response_edits());
                return End::Answered;
            }
            NextAction::Done => break,
        }
    }
    let mut headers = request.headers.all().to_vec();
    for edit in enforcement.request_edits() {
        edit.apply(&mut headers);
    }
    let _target = enforcement.target(request);
    for permit in enforcement.take_permits() {
        permit.release(proxy);
    }
    End::SentOn
}
