//! External authorization services.

mod decision;
mod grpc;
mod http;
mod service_headers;

use super::{
    check::{AuthRequest, CheckOutcome},
    error::RequirementError,
    failure::{AuthFailure, FailureReason, FailureResponse},
    fields,
    identity::Pass,
};
use crate::{
    call::{Call, Message, Reply},
    config::policy::{self, ExternalProtocol, OnFailure},
    header::Use,
};
use decision::ServiceDecision;
use service_headers::ServiceHeaders;
use std::time::Duration;

/// Passes requests that a service allows explicitly.
pub(super) struct ExternalAuthz {
    cluster: String,
    protocol: ExternalProtocol,
    path: String,
    timeout: Duration,
    on_failure: OnFailure,
    /// Headers of the request that are sent to the service.
    request_headers: Vec<String>,
    /// Headers of the service's response that are sent to the upstream.
    response_headers: Vec<String>,
}

// === impl ExternalAuthz ===

impl ExternalAuthz {
    pub(super) fn check(&self, request: AuthRequest<'_>) -> CheckOutcome {
        let headers = ServiceHeaders::of(request);
        let request = AuthRequest {
            headers: &headers,
            ..request
        };
        let message = match self.protocol {
            ExternalProtocol::Http => Message::Http {
                headers: http::request_headers(&self.path, &self.request_headers, request),
            },
            ExternalProtocol::Grpc => Message::Grpc {
                service: "envoy.service.auth.v3.Authorization",
                method: "Check",
                body: grpc::check_request(&self.request_headers, request),
            },
        };
        CheckOutcome::Call(Call {
            cluster: self.cluster.clone(),
            timeout: self.timeout,
            message,
        })
    }

    /// Resumes when the service has replied or failed.
    pub(super) fn resume(&self, reply: Reply, request: AuthRequest<'_>) -> CheckOutcome {
        let decision = match reply {
            Reply::Http {
                status,
                headers,
                body,
            } => http::parse_response(status, headers, body, &self.response_headers),
            Reply::Grpc { body } => grpc::parse_response(&body, &self.response_headers, request)
                .unwrap_or(ServiceDecision::Invalid),
            Reply::Failed => ServiceDecision::NoResponse,
        };
        match (decision, self.on_failure) {
            (ServiceDecision::Allowed(headers), _) => CheckOutcome::Pass(Pass {
                identity: None,
                headers,
            }),
            (ServiceDecision::Denied(response), _) => CheckOutcome::Fail(AuthFailure {
                reason: FailureReason::Denied(response.status),
                response: FailureResponse::Response(response),
            }),
            (ServiceDecision::NoResponse, OnFailure::Allow) => CheckOutcome::Pass(Pass::default()),
            (ServiceDecision::NoResponse, OnFailure::Deny) => {
                CheckOutcome::Fail(AuthFailure::unavailable(FailureReason::NoAnswer, None))
            }
            (ServiceDecision::Invalid, _) => {
                CheckOutcome::Fail(AuthFailure::unavailable(FailureReason::InvalidResponse, None))
            }
        }
    }

    /// The header with credentials, if it is sent to the service: of two values, the service could judge one, and the
    /// upstream take the other.
    pub(super) fn credentials(&self) -> Option<&str> {
        let is_authorization = |name: &&String| *name == "authorization";
        self.request_headers
            .iter()
            .find(is_authorization)
            .map(String::as_str)
    }

    /// Names of headers that only the service may set.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.response_headers.iter().map(String::as_str)
    }
}

impl TryFrom<policy::External> for ExternalAuthz {
    type Error = RequirementError;

    fn try_from(external: policy::External) -> Result<Self, RequirementError> {
        let policy::External {
            cluster,
            protocol,
            path,
            timeout_ms,
            on_failure,
            mut request_headers,
            response_headers,
        } = external;
        for (field, names, uses) in [
            ("external.requestHeaders", &request_headers, &[Use::Set][..]),
            (
                "external.responseHeaders",
                &response_headers,
                &[Use::Set, Use::Remove],
            ),
        ] {
            names
                .iter()
                .try_for_each(|name| fields::check_name(field, name, uses))?;
        }
        if request_headers.is_empty() {
            request_headers = ["authorization", "cookie"].map(str::to_owned).into();
        }
        let path = path.unwrap_or_else(|| "/".to_owned());
        fields::check_text("external.path", &path)?;
        Ok(Self {
            cluster,
            protocol,
            path,
            timeout: Duration::from_millis(timeout_ms),
            on_failure,
            request_headers,
            response_headers,
        })
    }
}

#[cfg(test)]
mod tests;
