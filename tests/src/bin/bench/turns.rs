//! What a worker does at a stretch: from when something wakes it until it has nothing left to do. Whatever comes meanwhile
//! waits for as long.
//!
//! It is told in CPU time, which is the worker's own: on a busy machine wall time also counts what others took. A thread
//! that sleeps has gone to sleep so many times, and has used so much CPU; between two such moments with one more sleep lies one
//! turn, to the nanosecond. Left out is what says nothing: where the one who looks was kept from looking, and several turns lie
//! between; and where the worker was kept from going on by others, for then what comes next is due at once, and runs into it.

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

/// Between two looks: much less than a worker sleeps between two slices.
const PAUSE: std::time::Duration = std::time::Duration::from_micros(30);

/// What looks, until it is asked what it saw.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Result<Turns>>,
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Turns {
    /// Milliseconds of CPU of each turn.
    pub(crate) single: Vec<f64>,
    /// Turns that are not told apart, or that others broke in on.
    pub(crate) left_out: u64,
}

struct Thread {
    status: File,
    schedstat: File,
    text: [u8; 4096],
}

/// A thread that sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asleep {
    switches: Switches,
    nanoseconds: u64,
}

/// How often a thread has gone off the CPU.
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

    /// None: it runs, or has run while this looked.
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

    /// None: it does not sleep.
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
