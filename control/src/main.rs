//! Kubernetes ingress on Envoy: the control binary.

use clap::Parser;
use std::process::ExitCode;
use switchyard::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("switchyard: {error:#}");
            ExitCode::FAILURE
        }
    }
}
