//! What a request gets, decided without a host; and the configuration that says it.
//!
//! ```text
//! bytes of ECDS -> Store -> decide(Request) -> Decision -> Forward -> Mapping, for what the answer says of paths
//!                  [ Packed | JSON ] -> Switch -> Branch -> Target
//! ```
//!
//! Nothing here can panic on what a client, an upstream or a configuration says: in the filter that would end the
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
pub mod maps;
pub mod names;
pub mod packed;
pub mod path;
pub mod places;
pub mod policy;
pub mod protobuf;
pub mod rate_limit_service;
pub mod request;
pub mod rng;
pub mod sample;
pub mod session;
mod shared;
pub mod store;
pub mod switch;
pub mod withheld;
