//! A child process, with a log of its own.

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
    /// Starts `command`; what it writes goes to `log`, after what is there.
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

    /// What it wrote so far.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// CPU time that it has used since it started, in all its threads.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        on_cpu(&stat).with_context(|| stat.clone())
    }

    /// Memory that is resident, in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    /// An error with the end of the log, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended: {status}\n{}", self.log.display(), self.log_end()?),
            None => Ok(()),
        }
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        timeout(PATIENCE, self.child.wait())
            .await
            .context("it does not end on SIGTERM")??;
        Ok(())
    }

    /// Ends it with no warning.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn log_end(&self) -> Result<String> {
        let log = self.log()?;
        let lines: Vec<_> = log.lines().collect();
        Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

/// The 14th and the 15th field of a `stat`, as proc(5) counts: in user mode, and in the kernel. The second is a name in
/// parentheses, which may contain anything.
fn on_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let used = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_secs_f64(
        used as f64 / clock_ticks_per_second() as f64,
    ))
}

/// Processes that are one group, as what a shell starts. Dropping it kills those that still run.
#[derive(Debug)]
pub struct Group(Pid);

// === impl Group ===

impl Group {
    /// That of a program which was started to lead one.
    pub fn of(leader: &std::process::Child) -> Result<Self> {
        let pid = Pid::from_raw(leader.id().cast_signed());
        Ok(Self(pid.context("it has a number")?))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // There may be none left.
        kill_process_group(self.0, Signal::KILL).ok();
    }
}
