//! The pods.

use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use switchyard_tests::{echo::Echo, ports};

/// Two pods, of which one takes the other's place.
pub(crate) const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 3));
pub(crate) const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 4));

/// Servers behind all EndpointSlices.
pub(crate) struct Backends {
    pub(crate) blue: Echo,
    pub(crate) green: Echo,
    /// On the same port as what takes its place.
    pub(crate) first: Echo,
    _second: Echo,
    /// Is any pod.
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

    /// A pod of its own for each number; they are one server.
    pub(crate) fn pod(&self, number: usize) -> SocketAddr {
        let [high, low] = [1 + number / 250, 1 + number % 250].map(|byte| byte as u8);
        (Ipv4Addr::new(10, 244, high, low), self.rest.address.port()).into()
    }
}
