//! The filter's state in a worker: configurations, requests that wait, and edits of responses that are yet to come.

use crate::{calls::Token, envoy::Envoy, host, journey::Journey, metrics::Metrics, stream::Answer};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};
use switchyard_policy::{
    auth::{self, Verification, Work},
    call::Reply,
    concurrency::{Permit, workers::HEARTBEAT_INTERVAL},
    enforce::context::WorkerState,
    rng::Rng,
    store::{SectionCache, Store},
};

/// The period and the length of a slice of long work: other requests wait no longer than a slice.
const WORK_PERIOD: Duration = Duration::from_millis(1);
const WORK_SLICE: Duration = Duration::from_micros(400);

thread_local! {
    /// One for each VM, and a worker has one VM: filters with the same code and `vm_id` share it. An update that does
    /// not change the code keeps it.
    static FILTER: RefCell<Filter> = RefCell::default();
}

#[derive(Default)]
struct Filter {
    /// Plugins by root context. Each configuration of a plugin has a root context of its own; the previous one exists
    /// until Envoy deletes it.
    plugins: BTreeMap<u32, Plugin>,
    /// The stream that began last, and its root context.
    begun: (u32, u32),
    /// `None` until configured, like `worker`.
    rng: Option<Rng>,
    worker: Option<WorkerState>,
    metrics: Metrics,
    /// The live streams that have state.
    streams: BTreeMap<u32, Box<Stream>>,
    /// The number of streams that hold places.
    holders: usize,
    /// The stream that waits for each callout.
    calls: BTreeMap<Token, u32>,
    /// Work in progress, by the stream that waits for it.
    works: BTreeMap<u32, Work>,
    /// Finished work whose stream has yet to resume.
    finished: VecDeque<(u32, Verification)>,
    /// The time of the last tick of places.
    looked_after: Duration,
}

/// The state of a stream.
#[derive(Default)]
struct Stream {
    /// `Some` while the request waits.
    journey: Option<Journey>,
    answer: Option<Answer>,
    places: Vec<Permit>,
}

/// A plugin with one of its configurations.
struct Plugin {
    root_id: Vec<u8>,
    store: Rc<Store>,
    /// Decoded sections of this and earlier configurations.
    cache: Rc<RefCell<SectionCache>>,
}

/// Loads the configuration of the plugin that is being configured. Returns true if it is valid; if not, the previous
/// one stays.
pub(crate) fn configure(root_context: u32, len: usize) -> bool {
    let root_id = host::root_id();
    let cache = FILTER.with_borrow(|filter| filter.cache(&root_id));
    match Store::new(host::plugin_configuration(len), Rc::clone(&cache)) {
        Ok(store) => {
            let plugin = Plugin {
                root_id,
                store: Rc::new(store),
                cache,
            };
            FILTER.with_borrow_mut(|filter| filter.keep(root_context, plugin));
            true
        }
        Err(error) => {
            host::log_error(&format!("switchyard: configuration refused: {error}"));
            false
        }
    }
}

/// Notes a new stream of the plugin with that root context.
pub(crate) fn begin(stream: u32, root_context: u32) {
    FILTER.with_borrow_mut(|filter| filter.begun = (stream, root_context));
}

/// The configuration of the stream that has just begun.
pub(crate) fn store(stream: u32) -> Option<Rc<Store>> {
    FILTER.with_borrow(|filter| {
        let (begun, root_context) = filter.begun;
        let plugin = filter.plugins.get(&root_context).filter(|_| begun == stream);
        Some(Rc::clone(&plugin?.store))
    })
}

/// Calls `f` with the random number generator of this worker.
pub(crate) fn with_rng<T>(f: impl FnOnce(&mut Rng) -> T) -> T {
    FILTER.with_borrow_mut(|filter| f(filter.rng.get_or_insert_with(|| Rng::new(host::clock()))))
}

/// Calls `f` with the state and the metrics of this worker.
pub(crate) fn with_worker<T>(f: impl FnOnce(&mut WorkerState, &mut Metrics) -> T) -> T {
    FILTER.with_borrow_mut(|filter| {
        let Filter { worker, metrics, .. } = filter;
        f(started(worker), metrics)
    })
}

fn started(worker: &mut Option<WorkerState>) -> &mut WorkerState {
    worker.get_or_insert_with(|| WorkerState::new(&Envoy::default()))
}

/// Stores the edits of a stream's response.
pub(crate) fn expect_answer(stream: u32, answer: Answer) {
    FILTER.with_borrow_mut(|filter| {
        filter.streams.entry(stream).or_default().answer = Some(answer);
    });
}

pub(crate) fn take_answer(stream: u32) -> Option<Answer> {
    FILTER.with_borrow_mut(|filter| filter.streams.get_mut(&stream)?.answer.take())
}

/// Stores the places that a stream holds until it ends.
pub(crate) fn hold(stream: u32, places: Vec<Permit>) {
    if places.is_empty() {
        return;
    }
    let is_first = FILTER.with_borrow_mut(|filter| {
        let is_first = filter.holders == 0;
        filter.holders += 1;
        filter.streams.entry(stream).or_default().places = places;
        is_first && !filter.has_work()
    });
    if is_first {
        host::set_tick_period(HEARTBEAT_INTERVAL);
    }
}

/// Suspends the request of a stream until the reply to a callout.
pub(crate) fn wait_for_reply(stream: u32, token: Token, journey: Journey) {
    FILTER.with_borrow_mut(|filter| {
        filter.calls.insert(token, stream);
        filter.streams.entry(stream).or_default().journey = Some(journey);
    });
}

/// Suspends the request of a stream until work is done.
pub(crate) fn wait_for_work(stream: u32, work: Work, journey: Journey) {
    FILTER.with_borrow_mut(|filter| {
        filter.works.insert(stream, work);
        filter.streams.entry(stream).or_default().journey = Some(journey);
    });
    host::set_tick_period(WORK_PERIOD);
}

pub(crate) fn on_reply(token: Token, reply: Reply) {
    if let Some(stream) = FILTER.with_borrow_mut(|filter| filter.calls.remove(&token)) {
        resume(stream, auth::Completion::Reply(reply));
    }
}

/// Does a slice of the pending work, and sets the tick period that the rest needs.
pub(crate) fn on_tick() {
    FILTER.with_borrow_mut(Filter::look_after_places);
    let end = host::now() + WORK_SLICE;
    let is_over = || host::now() >= end;
    FILTER.with_borrow_mut(|filter| filter.do_work(is_over));
    while let Some((stream, outcome)) = FILTER.with_borrow_mut(|filter| filter.finished.pop_front()) {
        resume(stream, auth::Completion::Work(outcome));
        if is_over() {
            break;
        }
    }
    let period = FILTER.with_borrow(Filter::tick_period);
    if period != WORK_PERIOD {
        host::set_tick_period(period);
    }
}

/// Resumes a request that has waited, unless its stream has ended since.
fn resume(stream: u32, answer: auth::Completion) {
    let journey = FILTER.with_borrow_mut(|filter| filter.streams.get_mut(&stream)?.journey.take());
    if let Some(journey) = journey.filter(|_| host::is_live(stream)) {
        journey.resume(stream, answer);
    }
}

/// Drops the state of a stream that has ended, or of a plugin's configuration that Envoy has deleted.
pub(crate) fn end(context: u32) {
    if let Some(ended) = FILTER.with_borrow_mut(|filter| filter.end(context)) {
        for place in ended.places {
            place.release(&Envoy::default());
        }
    } else if FILTER
        .with_borrow_mut(|filter| filter.plugins.remove(&context))
        .is_some()
    {
        pass_ticks_on();
    }
}

/// Sets the tick period for another plugin, in case the deleted one had it.
fn pass_ticks_on() {
    let (period, plugin) =
        FILTER.with_borrow(|filter| (filter.tick_period(), filter.plugins.keys().next().copied()));
    if !period.is_zero() && plugin.is_some_and(host::is_live) {
        host::set_tick_period(period);
    }
}

// === impl Filter ===

impl Filter {
    fn end(&mut self, stream: u32) -> Option<Box<Stream>> {
        self.works.remove(&stream);
        let ended = self.streams.remove(&stream)?;
        self.holders -= usize::from(!ended.places.is_empty());
        Some(ended)
    }

    /// Verifies passwords until `is_over`, and collects the streams that can resume.
    fn do_work(&mut self, is_over: impl Fn() -> bool) {
        if self.works.is_empty() || !started(&mut self.worker).auth_cache.verify(is_over) {
            return;
        }
        let outcome = |(stream, work): (&u32, &Work)| Some((*stream, work.outcome()?));
        let finished: Vec<_> = self.works.iter().filter_map(outcome).collect();
        for (stream, _) in &finished {
            self.works.remove(stream);
        }
        self.finished.extend(finished);
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

    /// Shows other workers that this one lives, while its streams hold places.
    fn look_after_places(&mut self) {
        let now = host::now();
        if self.holders > 0 && now >= self.looked_after + HEARTBEAT_INTERVAL {
            self.looked_after = now;
            started(&mut self.worker)
                .concurrency_limiter
                .heartbeat(&Envoy::default());
        }
    }

    fn cache(&self, root_id: &[u8]) -> Rc<RefCell<SectionCache>> {
        let plugin = self.plugins.values().find(|plugin| plugin.root_id == root_id);
        plugin.map_or_else(Rc::default, |plugin| Rc::clone(&plugin.cache))
    }

    fn keep(&mut self, root_context: u32, plugin: Plugin) {
        self.plugins.insert(root_context, plugin);
        // Workers start within the same microsecond, each with its own VM.
        let seed = || Rng::new(host::clock() ^ u64::from(root_context).rotate_left(32));
        self.rng.get_or_insert_with(seed);
    }
}
