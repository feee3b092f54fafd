//! What a request gets, decided without a host; and the configuration that says it.

pub mod config;
