//! Keeps the CPUs of the machine from going idle.
//!
//! A hypervisor gives an idle virtual CPU to others. It comes back late and with cold caches, and that time counts as
//! CPU time of the thread that runs next: up to some milliseconds, now and then. A measurement that looks for a single
//! maximum would find this.

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

/// The lowest priority: every other thread goes first.
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
    // Both calls affect this thread only.
    let placed = sched_setaffinity(None, &only).and_then(|()| setpriority_process(None, NICE));
    if let Err(error) = placed {
        eprintln!("CPU {cpu} is not kept awake: {error}");
        return;
    }
    while !over.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}
