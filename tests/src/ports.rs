//! Ports for servers that cannot choose one themselves.

use anyhow::{Context, Result};
use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// The range of ports, below 32768: Linux uses higher ones for outgoing connections, of which tests make many.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A TCP port on 127.0.0.1 that nothing listens on, different for each call.
pub fn free() -> Result<u16> {
    (0..COUNT)
        .map(|_| candidate())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port on 127.0.0.1")
}

/// The next port to try. Concurrent processes start at different ports.
fn candidate() -> u16 {
    let start = process::id().wrapping_mul(101);
    let step = NEXT.fetch_add(1, Ordering::Relaxed);
    (FIRST + start.wrapping_add(step) % COUNT) as u16
}
