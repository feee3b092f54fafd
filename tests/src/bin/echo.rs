//! A backend that says who it is and what it saw: `echo blue 127.0.0.1:9101`.

use anyhow::Result;
use clap::Parser;
use std::{future::pending, net::SocketAddr};
use switchyard_tests::echo::Echo;

#[derive(Debug, Parser)]
struct Arguments {
    /// What the answers call it.
    name: String,
    /// Where to listen.
    address: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { name, address } = Arguments::parse();
    let _echo = Echo::start_at(&name, address).await?;
    println!("{name} listens on {address}");
    pending().await
}
