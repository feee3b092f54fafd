//! The figures that Switchyard promises, measured on this machine with a real Envoy.
//!
//! Absolute times depend on the machine; the bars are ratios within one run wherever they can be. Writes
//! `bench/RESULTS.md` and `bench/results.json`.

mod derive;
mod installation;
mod probe;
mod propagation;
mod report;
mod request_cpu;
mod stall;

use anyhow::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let mut figures = request_cpu::measure().await?;
    figures.extend(stall::measure().await?);
    figures.extend(propagation::measure().await?);
    figures.push(derive::measure()?);
    report::write(&figures)
}
