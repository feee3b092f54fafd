//! The next step while an Envoy drains, and the end of draining. Does no I/O.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// The number of unanswered requests after which an Envoy has ended.
const MOST_UNANSWERED: u32 = 10;

/// The limits of draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The time that load balancers need until they send nothing new.
    pub(super) min_wait: Duration,
    pub(super) max_wait: Duration,
    /// The number of connections that may be left.
    pub(super) min_open_connections: u64,
}

/// The state of a draining Envoy.
#[derive(Debug)]
pub(super) struct Drain {
    limits: Limits,
    begun: Instant,
    /// True once Envoy fails health checks, which removes it from load balancers.
    is_told: bool,
    /// The number of connections at the last count.
    open: Option<u64>,
    /// The number of unanswered requests since the last answer.
    unanswered: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make Envoy answer health checks with 503, and ask clients to disconnect.
    Fail,
    /// Count Envoy's connections.
    Count,
    Done(End),
}

/// The result of draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Drained,
    /// The maximum time is over; `None` if connections were never counted.
    Overdue {
        open: Option<u64>,
    },
    /// Envoy does not answer any more.
    Gone,
}

// === impl Drain ===

impl Drain {
    pub(super) fn new(limits: Limits, begun: Instant) -> Self {
        Self {
            limits,
            begun,
            is_told: false,
            open: None,
            unanswered: 0,
        }
    }

    pub(super) fn next(&self, now: Instant) -> Step {
        let Limits {
            min_wait,
            max_wait,
            min_open_connections,
        } = self.limits;
        let waited = now.duration_since(self.begun);
        let is_empty = self.open.is_some_and(|open| open <= min_open_connections);
        match () {
            () if self.unanswered >= MOST_UNANSWERED => Step::Done(End::Gone),
            () if waited >= max_wait => Step::Done(End::Overdue { open: self.open }),
            () if !self.is_told => Step::Fail,
            () if is_empty && waited >= min_wait => Step::Done(End::Drained),
            () => Step::Count,
        }
    }

    pub(super) fn told(&mut self) {
        self.is_told = true;
        self.unanswered = 0;
    }

    pub(super) fn counted(&mut self, open: u64) {
        self.open = Some(open);
        self.unanswered = 0;
    }

    pub(super) fn unanswered(&mut self) {
        self.unanswered += 1;
    }

    pub(super) fn open(&self) -> Option<u64> {
        self.open
    }
}

// === impl End ===

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained"),
            Self::Overdue { open: Some(open) } => {
                write!(f, "timed out with {open} open connections")
            }
            Self::Overdue { open: None } => f.write_str("timed out without an answer from Envoy"),
            Self::Gone => f.write_str("Envoy does not answer any more"),
        }
    }
}

/// Sums the connections of clients in the text of `/stats`: those of all listeners but the one of the admin interface
/// and `except`. Returns `None` if there is no such statistic.
pub(super) fn connections(stats: &str, except: &str) -> Option<u64> {
    let of_listener = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        let listener = name
            .strip_prefix("listener.")?
            .strip_suffix(".downstream_cx_active")?;
        // The total includes those of each thread.
        let is_of_thread = listener.contains(".worker_") || listener.ends_with(".main_thread");
        let is_whole = !is_of_thread && listener != "admin" && listener != except;
        is_whole.then(|| value.trim().parse::<u64>().ok())?
    };
    stats.lines().filter_map(of_listener).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            min_wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(60),
            min_open_connections: 1,
        }
    }

    #[test]
    fn drain_waits_for_balancers_then_for_connections() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let mut drain = Drain::new(limits(), begun);
        assert_eq!(drain.next(at(0)), Step::Fail);
        drain.told();
        for (second, open, want) in [
            (1, 0, Step::Count),
            (4, 1, Step::Count),
            (5, 2, Step::Count),
            (6, 1, Step::Done(End::Drained)),
        ] {
            drain.counted(open);
            assert_eq!(drain.next(at(second)), want, "{second}");
        }
    }

    #[test]
    fn drain_ends_at_its_deadline() {
        let begun = Instant::now();
        let late = begun + Duration::from_secs(60);
        let mut drain = Drain::new(limits(), begun);
        assert_eq!(drain.next(late), Step::Done(End::Overdue { open: None }));
        drain.told();
        drain.counted(9);
        assert_eq!(drain.next(late), Step::Done(End::Overdue { open: Some(9) }));
    }

    #[test]
    fn unresponsive_envoy_counts_as_gone() {
        let begun = Instant::now();
        let mut drain = Drain::new(limits(), begun);
        for _ in 1..MOST_UNANSWERED {
            drain.unanswered();
        }
        assert_eq!(drain.next(begun), Step::Fail);
        drain.told();
        drain.unanswered();
        assert_eq!(drain.next(begun), Step::Count, "it did answer");
        for _ in 1..MOST_UNANSWERED {
            drain.unanswered();
        }
        assert_eq!(drain.next(begun), Step::Done(End::Gone));
    }

    #[test]
    fn client_connections_are_summed_over_listeners() {
        let name = |listener: &str| format!("listener.{listener}.downstream_cx_active");
        for (stats, want) in [
            (String::new(), None),
            (
                format!("{}: 3\n{}: 3\n", name("admin"), name("admin.main_thread")),
                None,
            ),
            (format!("{}: 3\n", name("0.0.0.0_8080")), Some(3)),
            (
                format!(
                    "{}: 3\n{}: 1\r\n{}: 7\n{}: 2\n",
                    name("0.0.0.0_8080"),
                    name("[__]_8443"),
                    name("0.0.0.0_8080.worker_0"),
                    name("status"),
                ),
                Some(4),
            ),
            (format!("{}: -3\n{}: x\n", name("a"), name("b")), None),
            (
                format!("{0}: {1}\n{0}: {1}\n", name("a"), u64::MAX),
                Some(u64::MAX),
            ),
            ("listener.downstream_cx_active\n: \n:\n".to_owned(), None),
        ] {
            assert_eq!(connections(&stats, "status"), want, "{stats}");
        }
    }
}
