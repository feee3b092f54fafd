//! A running Envoy and its admin interface.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};
use tokio::process::Command;

use crate::{
    client::{get, once},
    paths,
    process::Process,
};

/// The options of an Envoy, which can be started several times with them.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    pub bootstrap: PathBuf,
    /// The address of the admin interface in the bootstrap.
    pub admin: SocketAddr,
    /// The number of worker threads.
    pub concurrency: usize,
    pub log: PathBuf,
}

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    pub process: Process,
    pub options: EnvoyOptions,
}

// === impl Envoy ===

impl Envoy {
    pub fn start(options: &EnvoyOptions) -> Result<Self> {
        let mut command = Command::new(paths::envoy()?);
        command
            .arg("--config-path")
            .arg(&options.bootstrap)
            .args(["--use-dynamic-base-id", "--log-level", "info"])
            // Sets the flush interval of the access log; the default is 10 s.
            .args(["--file-flush-interval-msec", "100"])
            .args(["--concurrency", &options.concurrency.to_string()]);
        Ok(Self {
            process: Process::spawn(command, &options.log)?,
            options: options.clone(),
        })
    }

    /// Kills Envoy and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        *self = Self::start(&self.options)?;
        Ok(())
    }

    /// The response of the admin interface.
    pub async fn admin(&self, path: &str) -> Result<String> {
        let answer = once(self.options.admin, get("admin", path)).await?;
        Ok(String::from_utf8(answer.body.into())?)
    }

    /// The value of a counter or gauge by its full name; 0 while it does not exist.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let stats = self
            .admin(&format!("/stats?filter=^{}$", regex_escape(name)))
            .await?;
        let Some((_, value)) = stats.trim().rsplit_once(": ") else {
            return Ok(0);
        };
        value.parse().with_context(|| stats)
    }

    /// The number of requests for which a policy had this result, on all routes.
    pub async fn policy_count(&self, policy: &str, result: &str) -> Result<u64> {
        let start = format!("wasmcustom.switchyard.policy={}.route=", policy.replace(' ', "_"));
        let end = format!(".{result}");
        let stats = self.admin("/stats?filter=switchyard.policy").await?;
        let lines = stats.lines().filter_map(|line| line.rsplit_once(": "));
        lines
            .filter(|(name, _)| name.starts_with(&start) && name.ends_with(&end))
            .map(|(_, value)| value.parse::<u64>().with_context(|| stats.clone()))
            .sum()
    }

    /// The complete configuration, including endpoints.
    pub async fn config_dump(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.admin("/config_dump?include_eds").await?,
        )?)
    }

    /// The CPU time that a worker thread has used since it started.
    pub fn worker_cpu(&self, worker: usize) -> Result<Duration> {
        on_cpu(&fs::read_to_string(self.worker_task(worker)?.join("schedstat"))?)
    }

    /// The `/proc` folder of a worker thread.
    pub fn worker_task(&self, worker: usize) -> Result<PathBuf> {
        let name = format!("wrk:worker_{worker}\n");
        for task in fs::read_dir(format!("/proc/{}/task", self.process.pid()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))? == name {
                return Ok(task);
            }
        }
        bail!("no thread {name}")
    }
}

/// The first field of a `schedstat`: nanoseconds on a CPU.
fn on_cpu(schedstat: &str) -> Result<Duration> {
    let nanoseconds = schedstat.split(' ').next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn regex_escape(name: &str) -> String {
    name.replace('.', "\\.")
}

#[cfg(test)]
mod tests;
