//! What the kernel knows of this process, under the names that Prometheus' client libraries give it.

use super::family::{Exposition, Value};
use rustix::param::{clock_ticks_per_second, page_size};
use std::{fmt, fs};

/// As of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// User and system time, in seconds.
    cpu_seconds: f64,
    resident_bytes: u64,
    /// Since the epoch, in seconds.
    start_seconds: f64,
    open_fds: u64,
}

/// The kernel's units.
#[derive(Clone, Copy, Debug)]
struct Units {
    ticks_per_second: f64,
    page_bytes: u64,
}

// === impl Process ===

impl Process {
    /// None where there is no `/proc`, or it says something else.
    #[must_use]
    pub fn read() -> Option<Self> {
        let units = Units {
            ticks_per_second: clock_ticks_per_second() as f64,
            page_bytes: page_size() as u64,
        };
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        let machine = fs::read_to_string("/proc/stat").ok()?;
        // One of them is for the looking.
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        Self::parse(&own, &machine, open_fds as u64, units)
    }

    /// Of `/proc/self/stat` and `/proc/stat`: see proc_pid_stat(5) and proc_stat(5).
    fn parse(own: &str, machine: &str, open_fds: u64, units: Units) -> Option<Self> {
        // The program's name stands in brackets, and may have spaces and brackets in it.
        let (_, after_name) = own.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // As proc_pid_stat(5) numbers them: the first after the name is 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = boot.trim().parse().ok()?;
        let seconds = |ticks: u64| ticks as f64 / units.ticks_per_second;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?),
            resident_bytes: field(24)? * units.page_bytes,
            start_seconds: boot as f64 + seconds(field(22)?),
            open_fds,
        })
    }

    /// # Errors
    ///
    /// If it cannot be written.
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

    const UNITS: Units = Units {
        ticks_per_second: 100.0,
        page_bytes: 4096,
    };
    const MACHINE: &str = "cpu  1 2 3\nctxt 7\nbtime 1700000000\nprocesses 9\n";

    #[test]
    fn the_name_of_the_program_may_look_like_anything() {
        for name in ["switchyard", "a b", "x) R 1 (y", "))"] {
            let own = format!(
                "42 ({name}) S 1 42 42 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 4 0 1050 9000000 300 18446744073709551615"
            );
            let want = Process {
                cpu_seconds: 2.0,
                resident_bytes: 300 * 4096,
                start_seconds: 1_700_000_010.5,
                open_fds: 5,
            };
            assert_eq!(Process::parse(&own, MACHINE, 5, UNITS), Some(want), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_nothing() {
        for own in ["", "42 (a) S 1 2", "42 a S"] {
            assert_eq!(Process::parse(own, MACHINE, 0, UNITS), None, "{own}");
        }
    }

    #[test]
    fn this_process_has_run_for_a_while_in_some_memory() {
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
