//! Services that are asked whether a request may pass.

mod grpc;
mod http;
mod told;

use super::{Failure, Fault, Pass, Reason, Refusal, Request, Response, Step, fields};
use crate::{
    call::{Call, Message, Reply},
    config::policy::{self, ExternalProtocol, OnFailure},
};
use std::time::Duration;
use told::Told;

/// Lets in whom a service lets in: by a clear yes, and by nothing else.
pub(super) struct External {
    cluster: String,
    protocol: ExternalProtocol,
    path: String,
    timeout: Duration,
    on_failure: OnFailure,
    /// Headers of the request that the service is told.
    request_headers: Vec<String>,
    /// Headers of its answer that the upstream is told.
    response_headers: Vec<String>,
}

/// What a service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// Yes, and this as well.
    Yes(policy::Headers),
    /// No, in these words.
    No(Response),
    /// It, or whatever is on the way to it, has failed.
    Nothing,
    /// Neither of those.
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

    /// Goes on when the service has answered, or has not.
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

    /// The header of the request that holds credentials, if the service is told it: it may judge by another than the
    /// upstream believes.
    pub(super) fn credentials(&self) -> Option<&str> {
        let is_authorization = |name: &&String| *name == "authorization";
        self.request_headers
            .iter()
            .find(is_authorization)
            .map(String::as_str)
    }

    /// Names of headers that only the service may say.
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
        for (field, names) in [
            ("external.requestHeaders", &request_headers),
            ("external.responseHeaders", &response_headers),
        ] {
            names
                .iter()
                .try_for_each(|name| fields::check_name(field, name))?;
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
