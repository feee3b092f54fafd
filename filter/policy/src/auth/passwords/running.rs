//! The state of a verification.

use crate::auth::hash::HashTask;
use std::{cell::RefCell, time::Duration};

/// The result of a password that a request waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Right,
    Wrong,
    /// Its place in the queue went to another.
    Displaced,
}

/// The verification of a password, shared by the requests that wait for it.
pub(super) struct Running {
    task: HashTask,
    pub(super) is_known: bool,
    pub(super) since: Duration,
    pub(super) has_begun: bool,
    pub(super) outcome: Option<Verification>,
}

// === impl Running ===

impl Running {
    pub(super) fn new(task: HashTask, is_known: bool, since: Duration) -> Self {
        Self {
            task,
            is_known,
            since,
            has_begun: false,
            outcome: None,
        }
    }

    pub(super) fn step(running: &RefCell<Self>, until: impl FnMut() -> bool) -> Option<bool> {
        let mut running = running.borrow_mut();
        running.has_begun = true;
        running.task.step(until)
    }
}
