//! Benchmark results as Markdown and as JSON.

use anyhow::Result;
use serde::Serialize;
use std::{fmt::Write, fs};

use crate::paths;

/// A measured figure with its bar, the bound that it must not exceed.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub figure: &'static str,
    /// The value, rounded to three decimals.
    pub value: f64,
    /// The upper bound; None if the figure is only informative.
    pub bar: Option<f64>,
    pub unit: &'static str,
    /// True if the value is within the bar. None without a bar.
    pub holds: Option<bool>,
    /// The method, with further observations.
    #[serde(skip)]
    pub method: String,
}

// === impl Figure ===

impl Figure {
    /// Creates a figure and prints it.
    pub fn new(figure: &'static str, value: f64, bar: f64, unit: &'static str, method: String) -> Self {
        Self::against(Some(bar), figure, value, unit, method)
    }

    /// Creates and prints a figure without a bar.
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

/// The median of the values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The smallest value that at least this share of the values does not exceed; 0 without values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Writes `bench/RESULTS{suffix}.md` and `bench/results{suffix}.json`, for `make bench{suffix}`. `common` is what several
/// methods have in common.
///
/// # Errors
/// If a file cannot be written.
pub fn write(suffix: &str, common: &str, figures: &[Figure]) -> Result<()> {
    let dir = paths::repository().join("bench");
    fs::write(
        dir.join(format!("results{suffix}.json")),
        serde_json::to_string_pretty(figures)? + "\n",
    )?;
    fs::write(
        dir.join(format!("RESULTS{suffix}.md")),
        page(suffix, common, figures)?,
    )?;
    Ok(())
}

fn page(suffix: &str, common: &str, figures: &[Figure]) -> Result<String> {
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
    if !common.is_empty() {
        write!(page, "\n{common}\n")?;
    }
    for alike in figures.chunk_by(|a, b| a.method == b.method) {
        let names: Vec<_> = alike.iter().map(|figure| figure.figure).collect();
        let method = alike.first().map_or("", |figure| &figure.method);
        write!(page, "\n**{}.** {method}\n", names.join("; "))?;
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
