//! A worker's turns. A turn lasts from when something wakes the worker until it has nothing left to do; whatever
//! arrives meanwhile waits as long.
//!
//! Turns are measured in the worker's CPU time, because wall time on a busy machine includes the time of other threads.
//! The watch reads the worker's CPU time and its number of voluntary context switches while it sleeps; between two such
//! readings with one more switch lies exactly one turn, to the nanosecond. Two kinds of readings are discarded: those
//! with several turns in between, because the watching thread was delayed; and those in which the worker was preempted,
//! because the next event is then due at once and extends the turn.

use anyhow::{Context, Result};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};
use switchyard_tests::envoy::Envoy;

/// The interval between two readings, much shorter than a worker's sleep between two slices.
const PAUSE: std::time::Duration = std::time::Duration::from_micros(30);

/// A thread that watches a worker until it is stopped.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Result<Turns>>,
}

/// The turns that were observed.
#[derive(Default)]
pub(crate) struct Turns {
    /// CPU milliseconds of each turn.
    pub(crate) single: Vec<f64>,
    /// The number of turns that could not be told apart or in which the worker was preempted.
    pub(crate) left_out: u64,
}

struct Thread {
    status: File,
    schedstat: File,
    text: [u8; 4096],
}

/// A reading of a sleeping thread.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asleep {
    switches: Switches,
    nanoseconds: u64,
}

/// The numbers of a thread's context switches, voluntary and involuntary.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Switches {
    to_sleep: u64,
    for_others: u64,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn start(envoy: &Envoy, worker: usize) -> Result<Self> {
        let task = envoy.worker_task(worker)?;
        let thread = Thread {
            status: File::open(task.join("status"))?,
            schedstat: File::open(task.join("schedstat"))?,
            text: [0; 4096],
        };
        let over = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&over);
        let watching = thread::Builder::new().spawn(move || thread.watch(&is_over))?;
        Ok(Self { over, watching })
    }

    pub(crate) fn stop(self) -> Result<Turns> {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().ok().context("the watch has panicked")?
    }
}

// === impl Thread ===

impl Thread {
    #[expect(
        clippy::disallowed_methods,
        reason = "on a thread of its own: no runtime wakes so soon"
    )]
    fn watch(mut self, over: &AtomicBool) -> Result<Turns> {
        let mut turns = Turns::default();
        let mut last: Option<Asleep> = None;
        while !over.load(Ordering::Relaxed) {
            if let Some(now) = self.asleep()? {
                if let Some(last) = last {
                    turns.add(last, now);
                }
                last = Some(now);
            }
            thread::sleep(PAUSE);
        }
        Ok(turns)
    }

    /// Returns None if the thread runs, or ran during the reading.
    fn asleep(&mut self) -> Result<Option<Asleep>> {
        let Some(switches) = self.sleeps()? else {
            return Ok(None);
        };
        let len = self.schedstat.read_at(&mut self.text, 0)?;
        let text = str::from_utf8(self.text.get(..len).unwrap_or_default())?;
        let nanoseconds = text.split(' ').next().context("an empty schedstat")?.parse()?;
        let is_same = self.sleeps()? == Some(switches);
        Ok(is_same.then_some(Asleep {
            switches,
            nanoseconds,
        }))
    }

    /// Returns None if the thread is not asleep.
    fn sleeps(&mut self) -> Result<Option<Switches>> {
        let len = self.status.read_at(&mut self.text, 0)?;
        let text = str::from_utf8(self.text.get(..len).unwrap_or_default())?;
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let state = field("State").context("no state")?;
        let count = |name| anyhow::Ok(field(name).context("no switches")?.parse()?);
        let switches = Switches {
            to_sleep: count("voluntary_ctxt_switches")?,
            for_others: count("nonvoluntary_ctxt_switches")?,
        };
        Ok(state.starts_with('S').then_some(switches))
    }
}

// === impl Turns ===

impl Turns {
    fn add(&mut self, before: Asleep, after: Asleep) {
        let turns = after.switches.to_sleep - before.switches.to_sleep;
        let is_whole = after.switches.for_others == before.switches.for_others;
        match turns {
            0 => {}
            1 if is_whole => {
                let nanoseconds = after.nanoseconds - before.nanoseconds;
                self.single.push(nanoseconds as f64 / 1e6);
            }
            _ => self.left_out += turns,
        }
    }
}
