//! The proxy that the filter runs in, as the flow of a request needs it.

use crate::{call::Call, edit::Edit, host::Host, local_reply::LocalReply, request::RequestHeaderMap};
use std::time::Duration;

/// The proxy, for one request: what does not change meanwhile is fetched once.
///
/// Calls apply to the stream or the plugin that the proxy has called last, or that was selected since.
pub trait Proxy: Host + RequestHeaderMap + Default {
    /// Selects a stream or a plugin, and returns true if it still exists.
    fn select(&self, context: u32) -> bool;

    /// The name of the route that the request is on; empty if there is none.
    fn route_name(&self) -> String;

    /// All headers of the response, names in lower case.
    fn response_headers(&self) -> Vec<(String, Vec<u8>)>;

    fn edit_request(&self, edits: &[Edit<'_>]);

    fn edit_response(&self, edits: &[Edit<'_>]);

    /// Sets a value for the access log.
    fn set_filter_state(&self, name: &str, value: &str);

    /// Answers the request instead of the upstream.
    fn respond(&self, reply: &LocalReply);

    /// Continues a request that was paused.
    fn resume_request(&self);

    /// Sets the period of ticks for the plugin of the current context; zero stops them.
    fn set_tick_period(&self, period: Duration);

    /// Sends a callout, and returns the token of its reply; `None` if the proxy does not accept it.
    fn call(&self, call: &Call) -> Option<Token>;

    /// Defines a counter, and returns its ID.
    fn define_counter(&self, name: &str) -> Option<u32>;

    /// Adds 1 to a counter.
    fn increment_counter(&self, id: u32);

    fn log_error(&self, message: &str);
}

/// The token of the reply to a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    Http(u32),
    Grpc(u32),
}

/// The instruction to the proxy for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The request waits, or has been answered.
    Pause,
}
