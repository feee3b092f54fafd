//! The proxy-wasm shell around `switchyard_policy`: it asks the host for what a decision needs, and tells it what was
//! decided. It decides nothing itself.

#![deny(clippy::indexing_slicing)]

mod exports;
mod filter;
mod host;
mod stream;
