//! What the end-to-end tests, the demo and the benchmarks are made of: the real binary, real Envoys, and servers and
//! clients of their own at both ends.
//!
//! ```text
//! load, client, raw, tls  -->  envoy  -->  echo
//!                                ^
//!                    control (switchyard serve)  <--  manifests, or cluster
//! ```
//!
//! Everything listens on loopback. A process is ended by the one that started it, by its id.

pub mod client;
pub mod cluster;
pub mod clusters;
pub mod control;
mod counted;
pub mod echo;
pub mod envoy;
pub mod forwarder;
pub mod frames;
pub mod gatekeeper;
pub mod load;
pub mod manifests;
pub mod metrics;
pub mod paths;
pub mod ports;
pub mod probe;
pub mod process;
pub mod ratelimit;
pub mod raw;
pub mod report;
pub mod rogue;
pub mod server;
pub mod statics;
pub mod tls;
pub mod tokens;
pub mod twins;
pub mod wait;
pub mod world;
