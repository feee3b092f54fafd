//! The flow of requests through a worker.
//!
//! ```text
//! request headers -> decide -> RequestContext -> Enforcement --Done--> forwarded, ResponseEdits are kept
//!                                   ^                |
//!                                   |   callout or slices of work
//!                                   +---- reply, or tick
//! ```

mod metrics;
mod request_context;
mod response_edits;

use crate::{
    auth::{Completion, Verification, Work},
    call::Reply,
    concurrency::{Permit, workers::HEARTBEAT_INTERVAL},
    decide::{Decision, decide},
    enforce::{
        Enforcement,
        context::{NextAction, WorkerState},
    },
    local_reply::LocalReply,
    proxy::{Flow, Proxy, Token},
    request::Request,
    rng::Rng,
    sample::Sample,
    scope::PolicyScopes,
    store::{SectionCache, Store, StoreError},
};
use metrics::Metrics;
use request_context::{ROUTE_STATE, RequestContext, RouteDecision};
use response_edits::ResponseEdits;
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

/// The period and the length of a slice of long work: other requests wait no longer than a slice.
const WORK_PERIOD: Duration = Duration::from_millis(1);
const WORK_SLICE: Duration = Duration::from_micros(400);

/// The state of a worker: configurations, requests that wait, and edits of responses that are yet to come.
pub struct Runtime<P> {
    /// Plugins by the ID of their context. Each configuration of a plugin has a context of its own; the previous one
    /// exists until the proxy deletes it.
    plugins: BTreeMap<u32, Plugin>,
    /// `None` until configured, like `worker`.
    rng: Option<Rng>,
    worker: Option<WorkerState>,
    metrics: Metrics,
    /// The live streams that have state.
    streams: BTreeMap<u32, Box<Stream<P>>>,
    /// The number of streams that hold permits.
    holders: usize,
    /// The stream that waits for each callout.
    calls: BTreeMap<Token, u32>,
    /// Work in progress, by the stream that waits for it.
    works: BTreeMap<u32, Work>,
    /// Finished work whose stream has yet to resume.
    finished: VecDeque<(u32, Verification)>,
    /// The time of the last heartbeat.
    last_heartbeat: Duration,
}

/// The state of a stream.
struct Stream<P> {
    /// `Some` while the request waits.
    waiting: Option<RequestContext<P>>,
    call: Option<Token>,
    edits: Option<ResponseEdits>,
    permits: Vec<Permit>,
}

/// A plugin with one of its configurations.
struct Plugin {
    root_id: Vec<u8>,
    store: Store,
    /// Decoded sections of this and earlier configurations.
    cache: Rc<RefCell<SectionCache>>,
}

// === impl Runtime ===

impl<P: Proxy> Runtime<P> {
    /// Loads a configuration of the plugin `root_id`. After an error, the previous one stays.
    ///
    /// # Errors
    /// The error of [`Store::new`].
    pub fn configure(
        &mut self,
        plugin: u32,
        root_id: Vec<u8>,
        configuration: Vec<u8>,
    ) -> Result<(), StoreError> {
        let known = self.plugins.values().find(|plugin| plugin.root_id == root_id);
        let cache = known.map_or_else(Rc::default, |known| Rc::clone(&known.cache));
        let store = Store::new(configuration, Rc::clone(&cache))?;
        let loaded = Plugin {
            root_id,
            store,
            cache,
        };
        self.plugins.insert(plugin, loaded);
        // Workers start within the same microsecond, each with its own VM.
        let seed = || Rng::new(clock(&P::default()) ^ u64::from(plugin).rotate_left(32));
        self.rng.get_or_insert_with(seed);
        Ok(())
    }

    /// Decides the request of a stream, with the configuration of that plugin.
    pub fn on_request_headers(&mut self, stream: u32, plugin: u32) -> Flow {
        let proxy = P::default();
        let Some(plugin) = self.plugins.get(&plugin) else {
            proxy.respond(&LocalReply::empty(503));
            return Flow::Pause;
        };
        let mut route_name = proxy.route_name();
        let sample = Sample::take_from(&mut route_name);
        if sample != Sample::ALL {
            proxy.set_filter_state(ROUTE_STATE, &route_name);
        }
        let request = Request {
            route_name: &route_name,
            headers: &proxy,
        };
        let rng = self.rng.get_or_insert_with(|| Rng::new(clock(&proxy)));
        let Decision {
            trail,
            scopes,
            outcome,
        } = decide(&plugin.store, request, rng);
        request_context::log(&proxy, &trail);
        let exposed = plugin.store.expose_branch().then(|| trail.branches.clone());
        let decision = RouteDecision { outcome, exposed };
        // A decision that failed early does not know all of its policies.
        let scopes = if decision.is_fault() {
            PolicyScopes::new()
        } else {
            scopes
        };
        let enforcement = Enforcement::new(scopes, decision.overrides()).of(sample);
        self.advance(RequestContext {
            stream,
            route_name,
            branches: trail.branches,
            proxy,
            enforcement,
            decision,
        })
    }

    /// Applies the stored edits to the response of a stream.
    pub fn on_response_headers(&mut self, stream: u32) {
        if let Some(edits) = self
            .streams
            .get_mut(&stream)
            .and_then(|stream| stream.edits.take())
        {
            edits.apply(&P::default());
        }
    }

    /// Resumes the request that waits for a reply. A reply to a stream that has ended is ignored.
    pub fn on_reply(&mut self, token: Token, reply: Reply) {
        if let Some(stream) = self.calls.remove(&token) {
            self.resume(stream, Completion::Reply(reply));
        }
    }

    /// Does a slice of the pending work, and sets the tick period that the rest needs.
    pub fn on_tick(&mut self) {
        let proxy = P::default();
        self.send_heartbeat(&proxy);
        let end = proxy.now() + WORK_SLICE;
        let is_over = || proxy.now() >= end;
        self.work(is_over);
        while let Some((stream, outcome)) = self.finished.pop_front() {
            self.resume(stream, Completion::Work(outcome));
            if is_over() {
                break;
            }
        }
        let period = self.tick_period();
        if period != WORK_PERIOD {
            proxy.set_tick_period(period);
        }
    }

    /// Drops the state of a stream that has ended.
    pub fn end_stream(&mut self, stream: u32) {
        self.works.remove(&stream);
        let Some(ended) = self.streams.remove(&stream) else {
            return;
        };
        if let Some(call) = ended.call {
            self.calls.remove(&call);
        }
        self.holders -= usize::from(!ended.permits.is_empty());
        for permit in ended.permits {
            permit.release(&P::default());
        }
    }

    /// Drops a configuration that the proxy has deleted. Another plugin gets the ticks, in case this one had them.
    pub fn end_plugin(&mut self, plugin: u32) {
        self.plugins.remove(&plugin);
        let proxy = P::default();
        let period = self.tick_period();
        let other = self.plugins.keys().next();
        if !period.is_zero() && other.is_some_and(|other| proxy.select(*other)) {
            proxy.set_tick_period(period);
        }
    }

    /// Advances a request until it waits or ends. Its stream must be selected.
    fn advance(&mut self, mut context: RequestContext<P>) -> Flow {
        loop {
            let worker = self
                .worker
                .get_or_insert_with(|| WorkerState::new(&context.proxy));
            match context.step(worker, &mut self.metrics) {
                NextAction::Done => return self.finish(context),
                NextAction::Refuse(refusal) => return context.refuse(refusal),
                NextAction::LocalReply(response) => return context.respond(response),
                NextAction::Call(call) => match context.proxy.call(&call) {
                    Some(token) => {
                        self.calls.insert(token, context.stream);
                        return self.wait(context, Some(token));
                    }
                    None => context.enforcement.complete(Completion::Reply(Reply::Failed)),
                },
                NextAction::Work(work) => {
                    self.works.insert(context.stream, work);
                    context.proxy.set_tick_period(WORK_PERIOD);
                    return self.wait(context, None);
                }
            }
        }
    }

    fn wait(&mut self, context: RequestContext<P>, call: Option<Token>) -> Flow {
        let stream = self.stream(context.stream);
        stream.call = call;
        stream.waiting = Some(context);
        Flow::Pause
    }

    /// Resumes a request that has waited, unless its stream has ended since.
    fn resume(&mut self, stream: u32, completion: Completion) {
        let waiting = self.streams.get_mut(&stream).and_then(|stream| {
            stream.call = None;
            stream.waiting.take()
        });
        let Some(mut context) = waiting.filter(|context| context.proxy.select(stream)) else {
            return;
        };
        context.enforcement.complete(completion);
        if self.advance(context) == Flow::Continue {
            P::default().resume_request();
        }
    }

    /// Forwards or refuses a request that has met its policies, and keeps what its response and its end need.
    fn finish(&mut self, mut context: RequestContext<P>) -> Flow {
        let stream = context.stream;
        let permits = context.enforcement.take_permits();
        if !permits.is_empty() {
            self.hold(stream, permits);
        }
        let Some(edits) = context.route() else {
            return Flow::Pause;
        };
        if !edits.is_empty() {
            self.stream(stream).edits = Some(edits);
        }
        Flow::Continue
    }

    /// Keeps the permits that a stream holds until it ends.
    fn hold(&mut self, stream: u32, permits: Vec<Permit>) {
        let is_first = self.holders == 0;
        self.holders += 1;
        self.stream(stream).permits = permits;
        if is_first && !self.has_work() {
            P::default().set_tick_period(HEARTBEAT_INTERVAL);
        }
    }

    fn stream(&mut self, stream: u32) -> &mut Stream<P> {
        self.streams.entry(stream).or_default()
    }

    /// Verifies passwords until `is_over`, and collects the streams that can resume.
    fn work(&mut self, is_over: impl Fn() -> bool) {
        let worker = self.worker.as_mut();
        if self.works.is_empty() || !worker.is_some_and(|worker| worker.auth_cache.verify(is_over)) {
            return;
        }
        let finished = &mut self.finished;
        self.works.retain(|stream, work| {
            let outcome = work.outcome();
            finished.extend(outcome.map(|outcome| (*stream, outcome)));
            outcome.is_none()
        });
    }

    fn has_work(&self) -> bool {
        !self.works.is_empty() || !self.finished.is_empty()
    }

    /// The tick period that the pending work needs; 0 if there is none.
    fn tick_period(&self) -> Duration {
        match (self.has_work(), self.holders) {
            (true, _) => WORK_PERIOD,
            (false, 0) => Duration::ZERO,
            (false, _) => HEARTBEAT_INTERVAL,
        }
    }

    /// Shows other workers that this one lives, while its streams hold permits.
    fn send_heartbeat(&mut self, proxy: &P) {
        let now = proxy.now();
        let is_due = self.holders > 0 && now >= self.last_heartbeat + HEARTBEAT_INTERVAL;
        if let Some(worker) = self.worker.as_mut().filter(|_| is_due) {
            self.last_heartbeat = now;
            worker.concurrency_limiter.heartbeat(proxy);
        }
    }
}

impl<P> Default for Runtime<P> {
    fn default() -> Self {
        Self {
            plugins: BTreeMap::new(),
            rng: None,
            worker: None,
            metrics: Metrics::default(),
            streams: BTreeMap::new(),
            holders: 0,
            calls: BTreeMap::new(),
            works: BTreeMap::new(),
            finished: VecDeque::new(),
            last_heartbeat: Duration::ZERO,
        }
    }
}

// === impl Stream ===

impl<P> Default for Stream<P> {
    fn default() -> Self {
        Self {
            waiting: None,
            call: None,
            edits: None,
            permits: Vec::new(),
        }
    }
}

/// Nanoseconds since 1970.
fn clock(proxy: &impl Proxy) -> u64 {
    u64::try_from(proxy.now().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
