//! Routing and policy decisions for requests, independent of a host, and their configuration.
//!
//! ```text
//! bytes of ECDS -> Store -> decide(Request) -> Decision -> Forward -> PathMapping, for paths in the response
//!                  [ Packed | JSON ] -> Switch -> Branch -> Target
//! ```
//!
//! Nothing here can panic on input from a client, an upstream or a configuration: in the filter that would end the
//! worker's VM and every request in it.

#![deny(clippy::indexing_slicing)]

pub mod auth;
pub mod call;
pub mod concurrency;
pub mod config;
pub mod decide;
pub mod edit;
pub mod enforce;
pub mod hash;
pub mod header;
pub mod host;
mod json;
pub mod limit;
pub mod local_reply;
pub mod names;
mod network;
pub mod observer;
pub mod packed;
pub mod path;
pub mod path_mapping;
pub mod policy;
pub mod protected;
pub mod proxy;
mod query;
pub mod rate_limit_service;
pub mod request;
pub mod rng;
pub mod route;
pub mod runtime;
pub mod sample;
pub mod scope;
pub mod session;
mod shared;
pub mod store;
pub mod switch;
