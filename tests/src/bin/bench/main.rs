//! Measures the figures that Switchyard promises on this machine, with a real Envoy.
//!
//! Absolute times depend on the machine; the bars are ratios within one run wherever they can be. Writes
//! `bench/RESULTS.md` and `bench/results.json`.

mod asked;
mod awake;
mod buckets;
mod bystander;
mod compare;
mod credentials;
mod derive;
mod external;
mod installation;
mod mirror;
mod passwords;
mod propagation;
mod rate_limit;
mod request_cpu;
mod stall;
mod token;
mod turns;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use std::collections::BTreeSet;
use switchyard_tests::report::{self, Figure};

#[derive(Debug, Parser)]
struct Arguments {
    /// Measure only this part, print the method, and write nothing.
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    RequestCpu,
    Buckets,
    Stall,
    Propagation,
    Derive,
    RateLimit,
    Admitted,
    Token,
    NewToken,
    TokenStall,
    ApiKey,
    Basic,
    PasswordStall,
    External,
    Mirror,
    Bystander,
}

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(part) = Arguments::parse().part {
        for method in measure(part)
            .await?
            .iter()
            .map(|figure| &figure.method)
            .collect::<BTreeSet<_>>()
        {
            println!("{method}");
        }
        return Ok(());
    }
    let mut figures = Vec::new();
    for part in Part::value_variants() {
        figures.extend(measure(*part).await?);
    }
    report::write("", &compare::method(), &figures)
}

async fn measure(part: Part) -> Result<Vec<Figure>> {
    match part {
        Part::RequestCpu => request_cpu::measure().await,
        Part::Buckets => buckets::measure().await,
        Part::Stall => stall::measure().await,
        Part::Propagation => propagation::measure().await,
        Part::Derive => derive::measure().map(|figure| vec![figure]),
        Part::RateLimit => rate_limit::measure().await,
        Part::Admitted => rate_limit::measure_admitted().await,
        Part::Token => token::measure().await,
        Part::NewToken => token::measure_new().await,
        Part::TokenStall => token::measure_stall().await,
        Part::ApiKey => credentials::measure_api_key().await,
        Part::Basic => credentials::measure_basic().await,
        Part::PasswordStall => passwords::measure_stall().await,
        Part::External => external::measure().await,
        Part::Mirror => mirror::measure().await,
        Part::Bystander => bystander::measure().await,
    }
}
