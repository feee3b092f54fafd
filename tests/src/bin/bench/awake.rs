//! A machine that does not doze.
//!
//! A virtual CPU that goes idle is given to others. It comes back late, to cold caches, and what that costs is counted
//! as CPU time of whoever runs next: up to some milliseconds, now and then. Where a single longest value is looked for,
//! that is what would be found.

use anyhow::{Context, Result};
use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The lowest: every other thread goes first.
const NICE: i32 = 19;

/// Keeps each CPU busy with the lowest priority, until dropped.
pub(crate) struct Awake {
    over: Arc<AtomicBool>,
}

// === impl Awake ===

impl Awake {
    pub(crate) fn start() -> Result<Self> {
        let awake = Self { over: Arc::default() };
        let ours = sched_getaffinity(None).context("the CPUs of this process")?;
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| ours.is_set(*cpu)) {
            let over = awake.over.clone();
            thread::Builder::new().spawn(move || spin(cpu, &over))?;
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn spin(cpu: usize, over: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(cpu);
    // Of this thread alone, both.
    let placed = sched_setaffinity(None, &only).and_then(|()| setpriority_process(None, NICE));
    if let Err(error) = placed {
        eprintln!("CPU {cpu} is not kept awake: {error}");
        return;
    }
    while !over.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}
