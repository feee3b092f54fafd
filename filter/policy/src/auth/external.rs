//! External authorization services.

mod grpc;
mod http;
mod told;

use super::{Failure, Fault, Pass, Reason, Refusal, Request, Response, Step, fields};
use crate::{
    call::{Call, Message, Reply},
    config::policy::{self, ExternalProtocol, OnFailure},
    header::Use,
};
use std::time::Duration;
use told::Told;

/// Passes requests that a service allows explicitly.
pub(super) struct External {
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

/// The decision of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// The request is allowed, with these edits.
    Yes(policy::Headers),
    /// The request is denied, with this response.
    No(Response),
    /// The service, or a hop on the way to it, has failed.
    Nothing,
    /// A response that is none of those.
    Nonsense,
}

// === impl External ===

impl External {
    pub(super) fn check(&self, request: Request<'_>) -> Step {
        let told = Told::of(request);
        let request = Request {
            headers: &told,
            ..request
        };
        let message = match self.protocol {
            ExternalProtocol::Http => Message::Http {
                headers: http::ask(&self.path, &self.request_headers, request),
            },
            ExternalProtocol::Grpc => Message::Grpc {
                service: "envoy.service.auth.v3.Authorization",
                method: "Check",
                body: grpc::ask(&self.request_headers, request),
            },
        };
        Step::Ask(Call {
            cluster: self.cluster.clone(),
            timeout: self.timeout,
            message,
        })
    }

    /// Resumes when the service has replied or failed.
    pub(super) fn resume(&self, reply: Reply, request: Request<'_>) -> Step {
        let said = match reply {
            Reply::Http {
                status,
                headers,
                body,
            } => http::read(status, headers, body, &self.response_headers),
            Reply::Grpc { body } => {
                grpc::read(&body, &self.response_headers, request).unwrap_or(Said::Nonsense)
            }
            Reply::Failed => Said::Nothing,
        };
        match (said, self.on_failure) {
            (Said::Yes(headers), _) => Step::Pass(Pass {
                identity: None,
                headers,
            }),
            (Said::No(response), _) => Step::Fail(Failure {
                reason: Reason::Denied(response.status),
                refusal: Refusal::Response(response),
            }),
            (Said::Nothing, OnFailure::Allow) => Step::Pass(Pass::default()),
            (Said::Nothing, OnFailure::Deny) => Step::Fail(Failure::unavailable(Reason::NoAnswer, None)),
            (Said::Nonsense, _) => Step::Fail(Failure::unavailable(Reason::Nonsense, None)),
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

impl TryFrom<policy::External> for External {
    type Error = Fault;

    fn try_from(external: policy::External) -> Result<Self, Fault> {
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
