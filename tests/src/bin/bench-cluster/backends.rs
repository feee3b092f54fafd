//! The servers that act as pods.

use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use switchyard_tests::{echo::Echo, ports};

/// The addresses of two pods, of which the second replaces the first.
pub(crate) const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 3));
pub(crate) const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 4));

/// The servers behind all EndpointSlices.
pub(crate) struct Backends {
    pub(crate) blue: Echo,
    pub(crate) green: Echo,
    /// The first pod, on the same port as its replacement.
    pub(crate) first: Echo,
    _second: Echo,
    /// Serves the addresses of all other pods.
    rest: Echo,
}

// === impl Backends ===

impl Backends {
    pub(crate) async fn start() -> Result<Self> {
        let pod = |last| IpAddr::V4(Ipv4Addr::new(10, 244, 0, last));
        let port = ports::free()?;
        Ok(Self {
            blue: Echo::start_at("blue", (pod(1), 0).into()).await?,
            green: Echo::start_at("green", (pod(2), 0).into()).await?,
            first: Echo::start_at("first", (FIRST, port).into()).await?,
            _second: Echo::start_at("second", (SECOND, port).into()).await?,
            rest: Echo::start_at("rest", (Ipv4Addr::UNSPECIFIED, 0).into()).await?,
        })
    }

    /// The address of a pod, different for each number; one server answers them all.
    pub(crate) fn pod(&self, number: usize) -> SocketAddr {
        let [high, low] = [1 + number / 250, 1 + number % 250].map(|byte| byte as u8);
        (Ipv4Addr::new(10, 244, high, low), self.rest.address.port()).into()
    }
}
