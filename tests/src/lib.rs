//! Building blocks of the end-to-end tests, the demo and the benchmarks: the real binary, real Envoys, and
//! purpose-built servers and clients at both ends.
//!
//! ```text
//! load, client, raw, tls  -->  envoy  -->  echo
//!                                ^
//!                    control (switchyard serve)  <--  manifests, or cluster
//! ```
//!
//! Everything listens on loopback. Each process is ended, by its id, by the one that started it.

pub mod acceptance;
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
pub mod tamper;
pub mod tls;
pub mod tokens;
pub mod twins;
pub mod wait;
pub mod world;
