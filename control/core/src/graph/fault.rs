//! What can be wrong with an IngressRoute, in the words that its owner reads.
//!
//! The texts are Contour's where Contour had one (`internal/dag/builder.go` and `ingressroute_processor.go`, the
//! newest variant), for tools that look for them.

mod place;
mod policy;

pub(crate) use self::{
    place::{Place, RouteField},
    policy::PolicyFault,
};
pub(crate) use switchyard_policy::config::FieldPath;

use super::endpoints::EndpointError;
use crate::{
    object::{Name, PemFault},
    path::PathError,
    status::StatusError,
};
use std::{fmt, sync::Arc};

/// One thing that is wrong, and where. Ordered as the fields stand in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Fault {
    #[error("root IngressRoute cannot be defined in this namespace")]
    RootNamespace,
    #[error("Spec.VirtualHost.Fqdn must be specified")]
    FqdnMissing,
    #[error("Spec.VirtualHost.Fqdn {0:?} cannot use wildcards")]
    FqdnWildcard(String),
    #[error("Spec.VirtualHost.Fqdn {0:?} is not a host name")]
    FqdnInvalid(String),
    #[error(
        "host {fqdn} belongs to IngressRoute {owner}, which is older: nothing of this IngressRoute is served; choose \
         another fqdn, or have {owner} delegate to an IngressRoute without virtualhost"
    )]
    FqdnOwned { fqdn: Arc<str>, owner: Name },
    #[error("Spec.VirtualHost.TLS Secret {secret:?} is invalid: {reason}")]
    TlsSecret { secret: String, reason: SecretFault },
    #[error("Spec.VirtualHost.TLS Secret {0:?} certificate delegation not permitted")]
    TlsSecretNotDelegated(String),
    #[error(
        "Spec.VirtualHost.TLS minimumProtocolVersion {0:?} is not supported: use \"1.1\", \"1.2\" or \"1.3\""
    )]
    TlsVersion(String),
    #[error("Spec.VirtualHost.TLS cannot have both passthrough and secretName: remove one of them")]
    PassthroughWithSecret,
    #[error(
        "Spec.VirtualHost.TLS passthrough needs a tcpproxy: add one, or use a secretName in place of passthrough to serve routes"
    )]
    PassthroughWithoutTcp,
    #[error(
        "Spec.VirtualHost.TLS minimumProtocolVersion {0:?} has no effect beside passthrough, where the service decides on the \
         version: remove it"
    )]
    PassthroughVersion(String),

    #[error("route {match_:?}: match {error}")]
    MatchInvalid { match_: String, error: PathError },
    #[error("route {0:?}: an earlier route of this IngressRoute has the same match")]
    MatchRepeated(String),
    #[error("route {match_:?}: prefixRewrite {error}")]
    PrefixRewrite { match_: String, error: PathError },
    #[error("route {match_:?}: prefixRewrite {reason}")]
    PrefixRewriteRefused { match_: String, reason: String },
    #[error("route {0:?}: cannot specify services and delegate in the same route")]
    ServicesAndDelegate(String),
    #[error("route {0:?}: either services or delegate must be specified")]
    NeitherServicesNorDelegate(String),
    #[error("the path prefix {prefix:?} does not match the parent's path prefix {bound:?}")]
    OutOfBound { prefix: Arc<str>, bound: Arc<str> },

    #[error("{site}: service {service:?}: port must be in the range 1-65535")]
    Port { site: Site, service: String },
    #[error("{site}: service {service:?}: weight must be greater than or equal to zero")]
    Weight { site: Site, service: String },
    #[error("{site}: the weights of its services add up to more than 4294967295")]
    Weights { site: Site },
    #[error("Service [{service}:{port}] is invalid or missing")]
    ServiceMissing { service: String, port: i64 },
    #[error("tcpproxy: service {namespace}/{service}/{port}: not found")]
    TcpServiceMissing {
        namespace: Arc<str>,
        service: String,
        port: i64,
    },
    #[error("{site}: {error}")]
    Endpoints { site: Site, error: EndpointError },
    #[error("{site}: service {service:?}: healthCheck path must start with \"/\"")]
    HealthCheckPath { site: Site, service: String },
    #[error("{site}: service {service:?}: healthCheck {field} must not contain control characters")]
    HealthCheckText {
        site: Site,
        service: String,
        field: &'static str,
    },
    #[error("{site}: service {service:?}: healthCheck numbers must be in the range 0-4294967295")]
    HealthCheckNumber { site: Site, service: String },
    #[error(
        "Service [{service}:{port}] TLS upstream validation policy error: invalid CA Secret {secret:?}: {reason}"
    )]
    CaSecret {
        service: String,
        port: i64,
        secret: String,
        reason: SecretFault,
    },
    #[error(
        "Service [{service}:{port}] TLS upstream validation policy error: the port does not speak TLS: annotate the Service \
         with projectcontour.io/upstream-protocol.tls: \"{port}\", or remove validation"
    )]
    ValidationWithoutTls { service: String, port: i64 },
    #[error(
        "Service [{service}:{port}] TLS upstream validation policy error: missing subject alternative name"
    )]
    SubjectNameMissing { service: String, port: i64 },
    #[error(
        "Service [{service}:{port}] TLS upstream validation policy error: the subject alternative name must have at most \
         255 bytes and no control characters"
    )]
    SubjectName { service: String, port: i64 },

    #[error("route {0:?}: delegate name must be specified")]
    DelegateUnnamed(String),
    #[error("route {0:?}: names of branches must not contain control characters")]
    DelegateName(String),
    #[error("route {prefix:?}: delegate {target} not found")]
    DelegateMissing { prefix: Arc<str>, target: Name },
    #[error("root ingressroute cannot delegate to another root ingressroute")]
    DelegateIsRoot,
    #[error("route creates a delegation cycle: {0}")]
    Cycle(String),
    #[error("route {prefix:?}: delegation is deeper than {limit} levels")]
    TooDeep { prefix: Arc<str>, limit: usize },
    #[error("route {prefix:?}: this root already delegates to {limit} routes")]
    TooMany { prefix: Arc<str>, limit: usize },
    #[error(
        "route {prefix:?}: with the mirrors of all levels above and below there are more than {limit} copies of a \
         request: take some out"
    )]
    TooManyMirrors { prefix: Arc<str>, limit: usize },
    #[error("route {0:?}: standby name must be specified")]
    StandbyUnnamed(String),
    #[error("route {prefix:?}: {field} {branch:?} is not a branch of this route: add it to standby")]
    NotABranch {
        prefix: String,
        field: &'static str,
        branch: String,
    },
    #[error("route {0:?}: preview needs a standby")]
    PreviewWithoutStandby(String),
    #[error("route {prefix:?}: preview header {header:?} is not a header name")]
    PreviewHeader { prefix: String, header: String },
    #[error(
        "route {prefix:?}: preview header {header:?} is one that requests never have here: choose another header"
    )]
    PreviewHeaderInternal { prefix: String, header: String },
    #[error("route {0:?}: preview value must be printable and not empty")]
    PreviewValue(String),
    #[error("route {0:?}: canary needs a standby")]
    CanaryWithoutStandby(String),
    #[error("route {0:?}: canary percent must be in the range 0-100")]
    CanaryPercent(String),
    #[error("route {prefix:?}: sticky cookie {cookie:?} is not a cookie name")]
    StickyCookie { prefix: String, cookie: String },
    #[error("route {0:?}: sticky ttlSeconds must be greater than or equal to zero")]
    StickyTtl(String),

    #[error("tcpproxy: cannot specify services and delegate in the same tcpproxy")]
    TcpServicesAndDelegate,
    #[error("tcpproxy: either services or delegate must be specified")]
    TcpNeitherServicesNorDelegate,
    #[error("tcpproxy: missing tls.passthrough or tls.secretName")]
    TcpWithoutTls,
    #[error("tcpproxy: delegate name must be specified")]
    TcpDelegateUnnamed,
    #[error("tcpproxy: standby, preview, canary and sticky are for routes only")]
    TcpBranches,
    #[error(
        "tcpproxy: the virtualhost has auth, rateLimits or concurrency, which connections are not asked for: put them on \
         routes, or remove the tcpproxy"
    )]
    TcpPolicies,
    #[error("tcpproxy: delegate {0} not found")]
    TcpDelegateMissing(Name),
    #[error("tcpproxy: delegate {0} has no tcpproxy")]
    TcpDelegateWithout(Name),
    #[error("tcpproxy creates a delegation cycle: {0}")]
    TcpCycle(String),
    #[error("tcpproxy: delegation is deeper than {0} levels")]
    TcpTooDeep(usize),

    #[error("{site}: {message}")]
    Unknown { site: Site, message: String },
    #[error("{site}: {path}: {fault}")]
    Policy {
        site: Site,
        path: String,
        fault: Box<PolicyFault>,
    },
}

/// What is wrong with a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum SecretFault {
    #[error("Secret not found")]
    Missing,
    #[error("Secret type is not \"kubernetes.io/tls\"")]
    Type,
    #[error("empty {0:?} key")]
    Empty(&'static str),
    #[error(transparent)]
    Pem(PemFault),
}

/// What names services or has policies: a route, by its match, the tcpproxy, or the virtualhost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    Route(String),
    TcpProxy,
    VirtualHost,
}

/// How many names a list in a text tells before it leaves the middle out.
const LISTED: usize = 16;

/// Joins names, the middle left out where there are many: a text stays readable, and small in every status that
/// repeats it.
pub(crate) fn list<'a>(names: impl ExactSizeIterator<Item = &'a Name>, separator: &str) -> String {
    let count = names.len();
    let shown = |at: &usize| count <= LISTED || *at < LISTED / 2 || count - at <= LISTED / 2;
    let mut parts: Vec<_> = names
        .enumerate()
        .filter(|(at, _)| shown(at))
        .map(|(_, name)| name.to_string())
        .collect();
    if count > LISTED {
        parts.insert(LISTED / 2, format!("({} more)", count - LISTED));
    }
    parts.join(separator)
}

// === impl Problem ===

impl From<&Problem> for StatusError {
    fn from(Problem { place, fault }: &Problem) -> Self {
        Self {
            field: place.to_string(),
            message: fault.to_string(),
        }
    }
}

// === impl Site ===

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(match_) => write!(f, "route {match_:?}"),
            Self::TcpProxy => f.write_str("tcpproxy"),
            Self::VirtualHost => f.write_str("virtualhost"),
        }
    }
}
