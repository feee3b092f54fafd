//! The spec of an IngressRoute, as its owner wrote it.
//!
//! `contour.heptio.com/v1beta1`, with the optional fields that Switchyard adds to `delegate`. Field names and
//! defaults are Contour's (`apis/contour/v1beta1/ingressroute.go`); values are checked by the graph, which has a
//! status to say so in, not here. Unknown fields are let through: Kubernetes prunes them.
//!
//! The CustomResourceDefinition is made of these types: their comments are what `kubectl explain` says. What their
//! attributes let an API server refuse was refused by Contour 0.15's, too, or never worked, or is a field that Contour
//! did not have. All else is admitted, and has its error in the status. A field that is always serialised is required.

mod delegate;
pub mod policy;

pub use self::delegate::{Activation, CanaryEdit, StandbyEdit};

use self::policy::{Auth, Concurrency, Cors, Headers, Mirror, RateLimit, most};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a namespace or a Service.
const LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const LABEL_LENGTH: u32 = 63;
/// The name of most other objects.
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const NAME_LENGTH: u32 = 253;
/// [`NAME`], perhaps after a namespace and a slash.
const QUALIFIED_NAME: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Of a namespace, a slash and a name.
const QUALIFIED_NAME_LENGTH: u32 = 317;
/// What is more than this is no host name, though what matches may be none, either.
const HOST: &str = r"^[^\s/]*$";
const HOST_LENGTH: u32 = 253;
const PATH: &str = r"^/.*$";
/// A path, or nothing.
const OPTIONAL_PATH: &str = r"^(/.*)?$";
/// A token (RFC 9110), as names of headers and cookies are.
const TOKEN: &str = r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
/// What a header can carry and a client would send as it is.
const HEADER_VALUE: &str = r"^[!-~]([ -~]*[!-~])?$";

/// What an IngressRoute serves, and what it leaves to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Makes this IngressRoute a root: one that owns a host name. One that is no root serves only what a root delegates
    /// to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualhost: Option<VirtualHost>,
    /// What is served, by path prefix. The longest prefix that matches a request gets it, wherever in the list it
    /// stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Passes the bytes of TLS connections on, instead of serving the routes on the TLS port. A root needs
    /// virtualhost.tls for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcpproxy: Option<TcpProxy>,
}

/// A host name, and how it is served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHost {
    /// The host name, such as www.example.com, without wildcards. If several roots have it, it belongs to the oldest.
    #[schemars(regex(pattern = HOST), length(max = HOST_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fqdn: String,
    /// Serves the host over TLS. Requests over plain HTTP are then redirected, but for routes with permitInsecure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How often requests may come. All of them hold, and those above and below.
    /// For example: `[{requests: 100, unit: minute, key: [{clientIP: {}}]}]`.
    #[schemars(length(max = most::RATE_LIMITS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// How many requests may be under way at once. For example: `{max: 20, key: [{header: x-tenant}]}`.
    #[schemars(with = "Concurrency")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Checks that requests have to pass: all of them, and those above and below.
    /// For example: `[{basic: {secretName: people}}]`.
    #[schemars(length(max = most::AUTH))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<Auth>,
    /// Services that get copies of requests. For example: `[{service: green, port: 80, percent: 10}]`.
    #[schemars(length(max = most::MIRRORS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<Mirror>,
    /// Changes to headers of requests and answers.
    /// For example: `{response: {set: [{name: x-frame-options, value: DENY}]}}`.
    #[schemars(with = "Headers")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Which other sites' pages may read the answers (CORS).
    /// For example: `{allowOrigins: ["https://www.example.com"], allowMethods: [PUT]}`.
    #[schemars(with = "Cors")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// How long requests may take, for routes below that do not say it themselves. For example: `{request: 30s}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_policy: Option<TimeoutPolicy>,
    /// How requests are tried again, for routes below that do not say it themselves.
    /// For example: `{count: 2, perTryTimeout: 5s}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// How TLS connections to a host are handled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// The Secret with the host's certificate and key, of type kubernetes.io/tls: its name, or namespace/name if a
    /// TLSCertificateDelegation in that namespace permits it.
    #[schemars(regex(pattern = QUALIFIED_NAME), length(max = QUALIFIED_NAME_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    /// The lowest version of TLS that clients may use. 1.1 only counts where the operator permits it (`serve --minimum-tls 1.1`).
    #[schemars(extend("enum" = ["1.1", "1.2", "1.3"], "default" = "1.2"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub minimum_protocol_version: String,
    /// Passes connections on to the tcpproxy without decrypting them; the host is known by SNI. Needs a tcpproxy, and no
    /// secretName.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
}

/// A path prefix, and where its requests go: to services, or to what another IngressRoute says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// A path prefix. It matches whole segments: /blog is a prefix of /blog/new, not of /blogger. In an IngressRoute that
    /// /blog was delegated to, all of them begin with /blog, or with what its prefixRewrite says.
    #[schemars(regex(pattern = PATH))]
    #[serde(rename = "match")]
    pub match_: String,
    /// The Services that requests are spread over. Not beside a delegate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Leaves the prefix to the routes of another IngressRoute. Not beside services.
    #[schemars(with = "Delegate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
    /// Lets requests turn into WebSocket connections.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_websockets: bool,
    /// Serves the route over plain HTTP, too, where the host has TLS, instead of a redirect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permit_insecure: bool,
    /// Beside services: what replaces the prefix in the path before a request is sent on. Beside a delegate: what the
    /// prefix is called in the routes below, which then need not know where they hang.
    #[schemars(regex(pattern = OPTIONAL_PATH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix_rewrite: String,
    /// How long requests may take. Beside a delegate: for routes below that do not say it themselves.
    /// For example: `{request: 30s}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_policy: Option<TimeoutPolicy>,
    /// Tries requests again that a service answers with 5xx, or not at all. Beside a delegate: for routes below that do not
    /// say it themselves. For example: `{count: 2, perTryTimeout: 5s}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// How often requests may come. All of them hold, and those above and below.
    /// For example: `[{requests: 100, unit: minute, key: [{clientIP: {}}]}]`.
    #[schemars(length(max = most::RATE_LIMITS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// How many requests may be under way at once. For example: `{max: 20, key: [{header: x-tenant}]}`.
    #[schemars(with = "Concurrency")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Checks that requests have to pass: all of them, and those above and below.
    /// For example: `[{basic: {secretName: people}}]`.
    #[schemars(length(max = most::AUTH))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<Auth>,
    /// Services that get copies of requests. For example: `[{service: green, port: 80, percent: 10}]`.
    #[schemars(length(max = most::MIRRORS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<Mirror>,
    /// Changes to headers of requests and answers.
    /// For example: `{response: {set: [{name: x-frame-options, value: DENY}]}}`.
    #[schemars(with = "Headers")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Which other sites' pages may read the answers (CORS).
    /// For example: `{allowOrigins: ["https://www.example.com"], allowMethods: [PUT]}`.
    #[schemars(with = "Cors")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// Where TLS connections go: to services, or to what another IngressRoute says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.delegate) || !(has(self.delegate.standby) || has(self.delegate.preview) \
        || has(self.delegate.canary) || has(self.delegate.sticky))",
    "message": "standby, preview, canary and sticky are for routes only",
    "fieldPath": ".delegate",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct TcpProxy {
    /// The Services that connections are spread over. Not beside a delegate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Leaves the connections to the tcpproxy of another IngressRoute. Not beside services.
    #[schemars(with = "Delegate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
}

/// Another IngressRoute, and those that are ready to take its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.preview) || (has(self.standby) && self.standby.size() > 0)",
        "message": "preview needs a standby",
        "fieldPath": ".preview",
    },
    {
        "rule": "!has(self.canary) || (has(self.standby) && self.standby.size() > 0)",
        "message": "canary needs a standby",
        "fieldPath": ".canary",
    },
]))]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// The IngressRoute that gets the requests: the active branch. To switch to another one, change the name.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    pub name: String,
    /// Where all the branches live. The namespace of this IngressRoute if not given.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Branches that are kept ready, and that sticky sessions stay on. The active branch may be listed, too, so that the
    /// list stays as it is when the name changes; a repeated name counts once. For example: `[blue, green]`.
    #[schemars(inner(regex(pattern = NAME), length(max = NAME_LENGTH)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// Sends requests with a certain header to a standby, before anything else is asked.
    #[schemars(with = "Preview")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// Sends a share of the new sessions to a standby. Without sticky, each request is a new session.
    #[schemars(with = "Canary")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Keeps a session on the branch where it began, by a cookie, even after a switch: as long as that branch is named
    /// here.
    #[schemars(with = "Sticky")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// Which requests go to a branch before it is active.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Preview {
    /// The name of a header.
    #[schemars(regex(pattern = TOKEN))]
    pub header: String,
    /// What the header says in requests that are meant.
    #[schemars(regex(pattern = HEADER_VALUE))]
    pub value: String,
    /// The branch that is previewed: the name or one of standby. The first standby that is not active if not given. While
    /// it is the active branch, the preview has no effect. For example: `green`.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

/// The share of new sessions that a branch gets before it is active.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Canary {
    /// How many of a hundred.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i64,
    /// The branch that gets them: the name or one of standby. The first standby that is not active if not given. While it
    /// is the active branch, the canary has no effect. For example: `green`.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

/// How a session is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    /// The name of the cookie.
    #[schemars(regex(pattern = TOKEN))]
    pub cookie: String,
    /// How many seconds the client keeps the cookie. 0: until the browser closes.
    #[schemars(range(min = 0), extend("default" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// A port of a Service, its share, and how its endpoints are treated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// A Service in the namespace of this IngressRoute.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    pub name: String,
    /// The number of one of the Service's ports.
    pub port: i64,
    /// Its share, relative to the weights of the others in the list. If none of them has a weight, their shares are
    /// equal; else those without one get nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// How an endpoint is chosen: RoundRobin, in turn; WeightedLeastRequest, the one with fewer requests under way;
    /// Random; or Cookie, the one that the client had before. Anything else is RoundRobin, as it was with Contour.
    #[schemars(extend("default" = "RoundRobin"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strategy: String,
    /// Asks each endpoint regularly whether it is well; one that is not gets no requests. Not for a tcpproxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Verifies the certificates of the endpoints. For ports that speak TLS alone: those that the Service names in its
    /// annotation projectcontour.io/upstream-protocol.tls or projectcontour.io/upstream-protocol.h2. Elsewhere it is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// How endpoints are asked whether they are well. A number that is 0 stands for its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// The path to ask for. 200 is the answer of an endpoint that is well.
    #[schemars(regex(pattern = PATH))]
    pub path: String,
    /// The host name to ask for.
    #[schemars(extend("default" = "contour-envoy-healthcheck"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// How many seconds to wait before asking again.
    #[schemars(range(min = 0, max = u32::MAX), extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    /// How many seconds to wait for an answer.
    #[schemars(range(min = 0, max = u32::MAX), extend("default" = 2))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// How many bad answers in a row make an endpoint count as unwell.
    #[schemars(range(min = 0, max = u32::MAX), extend("default" = 3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold_count: Option<i64>,
    /// How many good answers in a row make an endpoint count as well again.
    #[schemars(range(min = 0, max = u32::MAX), extend("default" = 2))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold_count: Option<i64>,
}

/// What the certificate of an endpoint has to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Validation {
    /// The Secret in the namespace of this IngressRoute whose ca.crt has issued the certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_secret: String,
    /// A name that the certificate bears, as a subject alternative name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject_name: String,
}

/// How long requests may take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeoutPolicy {
    /// A duration, until the answer is complete. 15s if not given; 0s, infinity, and what is no duration set no limit.
    /// For example: `30s`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// How often requests are tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// How many more tries a request has, at least 1. For example: `2`.
    #[schemars(extend("default" = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// A duration, for each try. What the timeoutPolicy says if not given, or if it is no duration.
    /// For example: `500ms`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub per_try_timeout: String,
}
