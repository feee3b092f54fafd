//! What a benchmark measured, as a page and as JSON.

use anyhow::Result;
use serde::Serialize;
use std::{fmt::Write, fs};

use crate::paths;

/// One measured figure, and the bar that it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub figure: &'static str,
    /// To three digits after the point.
    pub value: f64,
    /// The most that it may be. None: it is told for what it is.
    pub bar: Option<f64>,
    pub unit: &'static str,
    /// Whether the value reaches the bar, if there is one.
    pub holds: Option<bool>,
    /// How it was measured, and what else was seen.
    #[serde(skip)]
    pub method: String,
}

// === impl Figure ===

impl Figure {
    /// Says at once what was measured.
    pub fn new(figure: &'static str, value: f64, bar: f64, unit: &'static str, method: String) -> Self {
        Self::against(Some(bar), figure, value, unit, method)
    }

    /// One without a bar.
    pub fn told(figure: &'static str, value: f64, unit: &'static str, method: String) -> Self {
        Self::against(None, figure, value, unit, method)
    }

    fn against(
        bar: Option<f64>,
        figure: &'static str,
        value: f64,
        unit: &'static str,
        method: String,
    ) -> Self {
        let value = (value * 1000.0).round() / 1000.0;
        let holds = bar.map(|bar| value <= bar);
        let verdict = match holds {
            Some(true) => "ok  ",
            Some(false) => "MISS",
            None => "told",
        };
        let held = bar.map_or_else(String::new, |bar| format!(" (bar {bar})"));
        println!("{verdict} {figure}: {value} {unit}{held}");
        Self {
            figure,
            value,
            bar,
            unit,
            holds,
            method,
        }
    }
}

/// The middle of some values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of the values does not exceed; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Writes `bench/RESULTS{suffix}.md` and `bench/results{suffix}.json`, for `make bench{suffix}`.
///
/// # Errors
/// If that cannot be done.
pub fn write(suffix: &str, figures: &[Figure]) -> Result<()> {
    let dir = paths::repository().join("bench");
    fs::write(
        dir.join(format!("results{suffix}.json")),
        serde_json::to_string_pretty(figures)? + "\n",
    )?;
    fs::write(dir.join(format!("RESULTS{suffix}.md")), page(suffix, figures)?)?;
    Ok(())
}

fn page(suffix: &str, figures: &[Figure]) -> Result<String> {
    let mut page = format!(
        "# What was measured\n\nWritten by `make bench{suffix}`, on {} ({} cores).\n\n",
        processor()?,
        std::thread::available_parallelism()?
    );
    page += "| figure | value | bar | holds |\n|---|---|---|---|\n";
    for Figure {
        figure,
        value,
        bar,
        unit,
        holds,
        ..
    } in figures
    {
        let bar = bar.map_or_else(String::new, |bar| format!("{bar} {unit}"));
        let holds = match holds {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        writeln!(page, "| {figure} | {value} {unit} | {bar} | {holds} |")?;
    }
    page += "\n## How\n";
    for Figure { figure, method, .. } in figures {
        write!(page, "\n**{figure}.** {method}\n")?;
    }
    Ok(page)
}

fn processor() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    Ok(model.trim_start_matches([' ', '\t', ':']).to_owned())
}
