//! The kernel's data about this process, under the names that Prometheus' client libraries use.

use super::family::{Exposition, Value};
use procfs::{ProcResult, boot_time_secs, page_size, process, ticks_per_second};
use std::fmt;

/// The data of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// User and system time, in seconds.
    cpu_seconds: f64,
    resident_bytes: u64,
    /// The start time since the epoch, in seconds.
    start_seconds: f64,
    open_fds: u64,
}

// === impl Process ===

impl Process {
    /// Reads the data; `None` without `/proc`.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::try_read().ok()
    }

    fn try_read() -> ProcResult<Self> {
        let own = process::Process::myself()?;
        let stat = own.stat()?;
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second() as f64;
        // One of the files is open for this count only.
        let open_fds = own.fd_count()?.saturating_sub(1);
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            resident_bytes: stat.rss * page_size(),
            start_seconds: boot_time_secs()? as f64 + seconds(stat.starttime),
            open_fds: open_fds as u64,
        })
    }

    /// # Errors
    ///
    /// If the text cannot be written.
    pub fn encode(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let Self {
            cpu_seconds,
            resident_bytes,
            start_seconds,
            open_fds,
        } = self;
        out.counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds",
            Value::Real(*cpu_seconds),
        )?;
        out.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            *resident_bytes,
        )?;
        out.gauge_of(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds",
            Value::Real(*start_seconds),
        )?;
        out.gauge("process_open_fds", "Number of open file descriptors", *open_fds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_stats_are_plausible() {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let process = Process::read().unwrap();
        let age = now.as_secs_f64() - process.start_seconds;
        assert!((-2.0..3600.0).contains(&age), "{age}");
        assert!(
            (1 << 20..1 << 34).contains(&process.resident_bytes),
            "{process:?}"
        );
        assert!(process.open_fds >= 3, "{process:?}");
    }
}
