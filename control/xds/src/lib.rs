//! Routing table to Envoy resources, and the delta ADS server.

pub mod ads;
mod constraints;
mod descriptors;
pub mod explain;
pub mod json;
mod pack;
pub mod resource;
pub mod sections;
pub mod translate;
