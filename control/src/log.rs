//! The log: its format, and its level, which can be changed at run time.

use crate::paint::Paint;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{info, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// The directive that silences kube's log of each failed try; the watches log the outcome.
const ALWAYS: &str = "kube_client=off";

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The log level; a handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct LogLevel {
    /// The level as it was given.
    text: Arc<Mutex<String>>,
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts the log of this process.
///
/// # Errors
///
/// If the level is invalid, or a log was started before.
pub fn start(level: &str, format: LogFormat) -> Result<LogLevel> {
    let filter = filter(level).with_context(|| format!("--log-level: {level:?}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let layer = || {
        fmt::layer()
            .with_ansi(Paint::of(&io::stderr()).is_on())
            .with_writer(io::stderr)
    };
    let log = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => log.with(layer()).try_init()?,
        LogFormat::Json => log.with(layer().json()).try_init()?,
    }
    Ok(LogLevel::new(level, handle))
}

/// Parses a level, or levels by module. A bare word that is not a level is rejected as a likely typo: it would log only
/// that module.
fn filter(text: &str) -> Result<EnvFilter> {
    let text = text.trim();
    ensure!(!text.is_empty(), "empty log level");
    for directive in text.split(',') {
        let is_bare = !directive.contains(['=', '[']);
        ensure!(
            !is_bare || directive.trim().parse::<LevelFilter>().is_ok(),
            "{directive:?} is not a log level: use off, error, warn, info, debug or trace"
        );
    }
    EnvFilter::try_new(format!("{ALWAYS},{text}")).context("invalid log filter")
}

// === impl LogLevel ===

impl LogLevel {
    fn new(level: &str, filter: reload::Handle<EnvFilter, Registry>) -> Self {
        Self {
            text: Arc::new(Mutex::new(level.to_owned())),
            filter,
        }
    }

    /// The level that was given last.
    #[must_use]
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the level.
    ///
    /// # Errors
    ///
    /// If the level is invalid, in which case nothing changes.
    pub fn set(&self, level: &str) -> Result<()> {
        let new = filter(level)?;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // Logged before the change, because the new level may suppress this line.
        info!(from = *text, to = level.trim(), "Changing the log level");
        self.filter.reload(new)?;
        level.trim().clone_into(&mut text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_filter_is_a_level_or_levels_by_module() {
        for (text, is_filter) in [
            ("info", true),
            ("DEBUG\n", true),
            ("off", true),
            ("info,switchyard_xds=debug", true),
            ("warn,switchyard[switch]=trace", true),
            ("", false),
            (" ", false),
            ("debgu", false),
            ("info,", true),
            ("info,switchyard", false),
            ("switchyard=loud", false),
        ] {
            assert_eq!(filter(text).is_ok(), is_filter, "{text:?}");
        }
    }

    #[test]
    fn bad_log_level_changes_nothing() {
        let (layer, handle) = reload::Layer::new(filter("info").unwrap());
        let level = LogLevel::new("info", handle);
        let shown = || level.filter.with_current(ToString::to_string).unwrap();
        let before = shown();
        let wrong = level.set("debgu").unwrap_err();
        assert!(format!("{wrong:#}").contains("debgu"), "{wrong:#}");
        assert_eq!((level.get().as_str(), shown()), ("info", before));
        level.set("warn,switchyard=debug\n").unwrap();
        assert_eq!(level.get(), "warn,switchyard=debug");
        assert!(shown().contains("switchyard=debug"), "{}", shown());
        drop(layer);
    }
}
