//! Child processes, each with its own log.

use anyhow::{Context, Result, bail};
use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Signal, kill_process, kill_process_group},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::wait::PATIENCE;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

// === impl Process ===

impl Process {
    /// Starts `command`, with its output appended to `log`.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{:?}", command.as_std()))?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .context("it ended at once")?;
        Ok(Self {
            child,
            pid,
            log: log.to_owned(),
        })
    }

    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The path of the log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The output so far.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// The CPU time that all threads have used since the start.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        on_cpu(&stat).with_context(|| stat.clone())
    }

    /// The resident memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    /// Returns an error with the end of the log if the process has exited.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended: {status}\n{}", self.log.display(), self.log_end()?),
            None => Ok(()),
        }
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Sends SIGTERM, and waits until the process has exited.
    pub async fn terminate(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        timeout(PATIENCE, self.child.wait())
            .await
            .context("it does not end on SIGTERM")??;
        Ok(())
    }

    /// Kills the process.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn log_end(&self) -> Result<String> {
        let log = self.log()?;
        let lines: Vec<_> = log.lines().collect();
        Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

/// The sum of the 14th and 15th field of a `stat` as numbered in proc(5), the times in user and kernel mode. The second
/// field is a name in parentheses, which may contain anything.
fn on_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let used = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_secs_f64(
        used as f64 / clock_ticks_per_second() as f64,
    ))
}

/// A process group, such as that of a shell. Dropping it kills the processes that still run.
#[derive(Debug)]
pub struct Group(Pid);

// === impl Group ===

impl Group {
    /// The group of a program that was started as its leader.
    pub fn of(leader: &std::process::Child) -> Result<Self> {
        let pid = Pid::from_raw(leader.id().cast_signed());
        Ok(Self(pid.context("it has a number")?))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // All processes may have exited already.
        kill_process_group(self.0, Signal::KILL).ok();
    }
}
