//! Ports for servers that cannot choose one themselves.

use anyhow::{Context, Result};
use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below 32768: from there on Linux takes ports for outgoing connections, of which tests make many.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A TCP port on 127.0.0.1 that nothing listens on, another one each time.
pub fn free() -> Result<u16> {
    (0..COUNT)
        .map(|_| candidate())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port on 127.0.0.1")
}

/// Processes that run side by side start at different ports.
fn candidate() -> u16 {
    let start = process::id().wrapping_mul(101);
    let step = NEXT.fetch_add(1, Ordering::Relaxed);
    (FIRST + start.wrapping_add(step) % COUNT) as u16
}
