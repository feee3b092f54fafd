//! Routing and policy decisions for requests, independent of a host, and their configuration.
//!
//! ```text
//! bytes of ECDS -> Store -> decide(Request) -> Decision -> Forward -> Mapping, for paths in the response
//!                  [ Packed | JSON ] -> Switch -> Branch -> Target
//! ```
//!
//! Nothing here can panic on input from a client, an upstream or a configuration: in the filter that would end the
//! worker's VM and every request in it.

#![deny(clippy::indexing_slicing)]

pub mod answer;
pub mod auth;
pub mod call;
pub mod config;
pub mod decide;
pub mod enforce;
pub mod hash;
pub mod header;
pub mod host;
mod json;
pub mod limit;
pub mod names;
mod network;
pub mod packed;
pub mod path;
pub mod places;
pub mod policy;
pub mod proxy;
pub mod rate_limit_service;
pub mod request;
pub mod rng;
pub mod runtime;
pub mod sample;
pub mod session;
mod shared;
pub mod store;
pub mod switch;
pub mod withheld;
