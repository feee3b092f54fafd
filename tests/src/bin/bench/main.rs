//! The figures that Switchyard promises, measured on this machine with a real Envoy.
//!
//! Absolute times depend on the machine; the bars are ratios within one run wherever they can be. Writes
//! `bench/RESULTS.md` and `bench/results.json`.

mod awake;
mod derive;
mod installation;
mod propagation;
mod request_cpu;
mod stall;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use switchyard_tests::report::{self, Figure};

#[derive(Debug, Parser)]
struct Arguments {
    /// Measure this alone, and write nothing.
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    RequestCpu,
    Stall,
    Propagation,
    Derive,
}

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(part) = Arguments::parse().part {
        return measure(part).await.map(drop);
    }
    let mut figures = Vec::new();
    for part in Part::value_variants() {
        figures.extend(measure(*part).await?);
    }
    report::write("", &figures)
}

async fn measure(part: Part) -> Result<Vec<Figure>> {
    match part {
        Part::RequestCpu => request_cpu::measure().await,
        Part::Stall => stall::measure().await,
        Part::Propagation => propagation::measure().await,
        Part::Derive => derive::measure().map(|figure| vec![figure]),
    }
}
