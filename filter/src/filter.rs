//! What the filter keeps in a worker: configurations, requests that wait, and what is to be said on answers that have not
//! come yet.

use crate::{calls::Token, envoy::Envoy, host, journey::Journey, metrics::Metrics, stream::Answer};
use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};
use switchyard_policy::{
    auth::{self, Work},
    call::Reply,
    enforce::Worker,
    maps::Map,
    places::{self, Place},
    rng::Rng,
    store::{Cache, Store},
};

/// How often work that takes long has a turn, and how long: requests beside it wait no longer for it.
const WORK_PERIOD: Duration = Duration::from_millis(1);
const WORK_SLICE: Duration = Duration::from_micros(400);

thread_local! {
    /// One in each VM, and a worker has one VM: filters with one code and one `vm_id` share it. An update that changes
    /// no code keeps it.
    static FILTER: RefCell<Filter> = RefCell::default();
}

#[derive(Default)]
struct Filter {
    /// By root context. A plugin has another with each configuration, and the one before until Envoy lets go of it.
    plugins: Map<u32, Plugin>,
    /// The stream that began last, and its root context.
    begun: (u32, u32),
    /// None until configured, as is the worker.
    rng: Option<Rng>,
    worker: Option<Worker>,
    metrics: Metrics,
    /// Of streams that have not ended, those of which there is anything.
    streams: Map<u32, Box<Stream>>,
    /// How many of them hold places.
    holders: usize,
    /// Whose question it is that was asked.
    calls: Map<Token, u32>,
    /// What is done bit by bit, for whom, in the order of whose turn it is.
    works: VecDeque<(u32, Work)>,
    /// When places were last looked after.
    looked_after: Duration,
}

/// What is kept of a stream.
#[derive(Default)]
struct Stream {
    /// It waits.
    journey: Option<Journey>,
    answer: Option<Answer>,
    places: Vec<Place>,
}

/// A plugin, in one of its configurations.
struct Plugin {
    root_id: Vec<u8>,
    store: Rc<Store>,
    /// What was decoded of it, and of those before.
    cache: Rc<RefCell<Cache>>,
}

/// Takes the configuration of the plugin that is being configured. Says whether it is one; if not, the last stays.
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

/// A stream of the plugin whose root context that is.
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

/// Lends the random numbers of this worker.
pub(crate) fn with_rng<T>(f: impl FnOnce(&mut Rng) -> T) -> T {
    FILTER.with_borrow_mut(|filter| f(filter.rng.get_or_insert_with(|| Rng::new(host::clock()))))
}

/// Lends what this worker knows, and what it counts.
pub(crate) fn with_worker<T>(f: impl FnOnce(&mut Worker, &mut Metrics) -> T) -> T {
    FILTER.with_borrow_mut(|filter| {
        let Filter { worker, metrics, .. } = filter;
        f(started(worker), metrics)
    })
}

fn started(worker: &mut Option<Worker>) -> &mut Worker {
    worker.get_or_insert_with(|| Worker::new(&Envoy::default()))
}

/// What is to be said on the answer to a stream.
pub(crate) fn expect_answer(stream: u32, answer: Answer) {
    FILTER.with_borrow_mut(|filter| {
        filter
            .streams
            .update(stream, |stream| stream.answer = Some(answer))
    });
}

pub(crate) fn take_answer(stream: u32) -> Option<Answer> {
    FILTER.with_borrow_mut(|filter| filter.streams.get_mut(&stream)?.answer.take())
}

/// What a stream holds until it ends.
pub(crate) fn hold(stream: u32, places: Vec<Place>) {
    if places.is_empty() {
        return;
    }
    let is_first = FILTER.with_borrow_mut(|filter| {
        let is_first = filter.holders == 0;
        filter.holders += 1;
        filter.streams.update(stream, |stream| stream.places = places);
        is_first && filter.works.is_empty()
    });
    if is_first {
        host::set_tick_period(places::TICK);
    }
}

/// A stream whose request waits for the answer to a question.
pub(crate) fn wait_for_reply(stream: u32, token: Token, journey: Journey) {
    FILTER.with_borrow_mut(|filter| {
        filter.calls.insert(token, stream);
        filter
            .streams
            .update(stream, |stream| stream.journey = Some(journey));
    });
}

/// A stream whose request waits until something is done.
pub(crate) fn wait_for_work(stream: u32, work: Work, journey: Journey) {
    FILTER.with_borrow_mut(|filter| {
        filter.works.push_back((stream, work));
        filter
            .streams
            .update(stream, |stream| stream.journey = Some(journey));
    });
    host::set_tick_period(WORK_PERIOD);
}

pub(crate) fn on_reply(token: Token, reply: Reply) {
    if let Some(stream) = FILTER.with_borrow_mut(|filter| filter.calls.remove(&token)) {
        resume(stream, auth::Answer::Reply(reply));
    }
}

/// Does a bit of what is to be done, and asks for another turn if there is more.
pub(crate) fn on_tick() {
    FILTER.with_borrow_mut(Filter::look_after_places);
    let end = host::now() + WORK_SLICE;
    let is_over = || host::now() >= end;
    while let Some((stream, mut work)) = FILTER.with_borrow_mut(|filter| filter.works.pop_front()) {
        match work.step(is_over) {
            Some(is_right) => resume(stream, auth::Answer::Work(is_right)),
            None => FILTER.with_borrow_mut(|filter| filter.works.push_back((stream, work))),
        }
        if is_over() {
            break;
        }
    }
    let period = FILTER.with_borrow(Filter::tick_period);
    if period != WORK_PERIOD {
        host::set_tick_period(period);
    }
}

/// Lets a request go on that has waited. Its stream may have ended since.
fn resume(stream: u32, answer: auth::Answer) {
    let journey = FILTER.with_borrow_mut(|filter| filter.streams.get_mut(&stream)?.journey.take());
    if let Some(journey) = journey.filter(|_| host::is_live(stream)) {
        journey.resume(stream, answer);
    }
}

/// Lets go of what is left of a stream that has ended, or of a plugin in a configuration that it no longer has.
pub(crate) fn end(context: u32) {
    if let Some(ended) = FILTER.with_borrow_mut(|filter| filter.end(context)) {
        for place in ended.places {
            places::leave(&Envoy::default(), place);
        }
    } else if FILTER
        .with_borrow_mut(|filter| filter.plugins.remove(&context))
        .is_some()
    {
        pass_ticks_on();
    }
}

/// A plugin that is no more had the ticks, perhaps: another has them then.
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
        let ended = self.streams.remove(&stream)?;
        self.holders -= usize::from(!ended.places.is_empty());
        Some(ended)
    }

    /// How often what is to be done has a turn. 0: nothing is.
    fn tick_period(&self) -> Duration {
        match (self.works.is_empty(), self.holders) {
            (false, _) => WORK_PERIOD,
            (true, 0) => Duration::ZERO,
            (true, _) => places::TICK,
        }
    }

    /// Other workers are to see that those which have places live.
    fn look_after_places(&mut self) {
        let now = host::now();
        if self.holders > 0 && now >= self.looked_after + places::TICK {
            self.looked_after = now;
            started(&mut self.worker).places.tick(&Envoy::default());
        }
    }

    fn cache(&self, root_id: &[u8]) -> Rc<RefCell<Cache>> {
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
