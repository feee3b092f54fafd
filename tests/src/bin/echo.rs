//! A backend that answers with its name and the request it received: `echo blue 127.0.0.1:9101`.

use anyhow::Result;
use clap::Parser;
use std::{future::pending, net::SocketAddr};
use switchyard_tests::echo::Echo;

#[derive(Debug, Parser)]
struct Arguments {
    /// The backend's name in answers.
    name: String,
    /// The address to listen on.
    address: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { name, address } = Arguments::parse();
    let _echo = Echo::start_at(&name, address).await?;
    println!("{name} listens on {address}");
    pending().await
}
