//! The input and the outcome of checks.

use super::{cache::AuthCache, failure::AuthFailure, identity::Pass, passwords::Work};
use crate::{call::Call, host::Host, protected::ProtectedFields, request::RequestHeaderMap};

/// A request to check, and its context.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    pub headers: &'a dyn RequestHeaderMap,
    pub host: &'a dyn Host,
    /// The cache of the worker.
    pub cache: &'a AuthCache,
    /// The protected fields of this level and those above: services do not get these.
    pub protected: &'a [&'a ProtectedFields],
}

/// The outcome of a single check.
pub(super) enum CheckOutcome {
    Pass(Pass),
    Fail(AuthFailure),
    Call(Call),
    Work(Work),
}
