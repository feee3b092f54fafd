//! The proxy-wasm shell around `switchyard_policy`: it asks the host for what a decision needs, and tells it what was
//! decided. It decides nothing itself.

#![deny(clippy::indexing_slicing)]

mod abi;
mod calls;
mod envoy;
mod exports;
mod filter;
mod host;
mod journey;
mod metrics;
mod stream;
