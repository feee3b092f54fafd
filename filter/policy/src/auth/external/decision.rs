//! Decisions of external services.

use crate::{auth::failure::ServiceResponse, config::policy};

/// The decision of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServiceDecision {
    /// The request is allowed, with these edits.
    Allowed(policy::Headers),
    /// The request is denied, with this response.
    Denied(ServiceResponse),
    /// The service, or a hop on the way to it, has failed.
    NoResponse,
    /// A response that is none of those.
    Invalid,
}
