//! Control's Prometheus metrics.

use anyhow::{Context, Result, ensure};
use std::{env, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    client::{get, once},
    control::Control,
};

/// All metrics at one moment.
#[derive(Clone, Debug)]
pub struct Scrape(String);

// === impl Scrape ===

impl Scrape {
    pub async fn of(control: &Control) -> Result<Self> {
        let answer = once(control.options.metrics, get("metrics", "/metrics")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let content_type = answer.header("content-type");
        ensure!(
            content_type == "text/plain; version=0.0.4; charset=utf-8",
            "{content_type}"
        );
        Ok(Self(String::from_utf8(answer.body.into())?))
    }

    /// The value of a sample, given as its name with any labels in braces.
    pub fn value(&self, sample: &str) -> Result<f64> {
        let mut samples = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let value = samples.find_map(|(name, value)| (name == sample).then_some(value));
        let value = value.with_context(|| format!("no {sample}:\n{}", self.0))?;
        Ok(value.parse()?)
    }

    /// Runs `promtool check metrics`; `$PROMTOOL` is the path that `scripts/promtool.sh` prints.
    pub async fn check(&self) -> Result<()> {
        let promtool =
            env::var_os("PROMTOOL").context("PROMTOOL is not set: PROMTOOL=$(scripts/promtool.sh)")?;
        let mut child = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(self.0.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        ensure!(output.status.success(), "{output:?}\n{}", self.0);
        Ok(())
    }
}
