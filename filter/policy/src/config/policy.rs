//! The policy of one level of a delegation.
//!
//! ```json
//! {
//!   "source": "default/root virtualhost",
//!   "auth": [{"anyOf": [{"apiKey": {"header": "x-api-key", "keys": {"2bb8...": "alice"}}}]}],
//!   "rateLimits": [{"local": {"requests": 100, "perSeconds": 60, "burst": 100, "key": ["clientIP"]}}]
//! }
//! ```
//!
//! All references are resolved: durations are numbers, Secrets are hashes or keys, Services are names of clusters. A
//! request meets the policies of every level that it comes through, the outermost first.

use crate::json::unique_keys;
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value},
};
use std::{borrow::Cow, collections::BTreeMap};

/// The policy of a virtualhost, a delegating route or a route with services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The source of the policy, for logs, metrics and counters, which survive every other change. For example
    /// `namespace/name virtualhost` or `namespace/name route /shop`.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Requirements, all of which must be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<Requirement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<Mirror>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Milliseconds until the response is complete, for leaves below without a timeout of their own; 0: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Retries for leaves below without retries of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

// === Which requests ===

/// A condition on requests; all parts of it must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    /// Methods, of which the request has one; if empty, any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// A normalised prefix of the path as this level sees it, by whole segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Headers, all of which the request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// A header that a request must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// In lower case.
    pub name: String,
    /// The exact value; if absent, any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A part of a key that groups requests. Requests without it are a group of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeyPart {
    /// The client's address, as the proxy trusts it; for IPv6 its network of 64 bits.
    #[serde(rename = "clientIP")]
    ClientIp,
    /// All values of a header, by its name in lower case.
    Header(String),
    Cookie(String),
    /// A claim of a token that was verified on the way here.
    Claim(String),
    /// The path as the client sent it, without the query.
    Path,
    Method,
    #[serde(untagged)]
    ClientNetwork(ClientNetwork),
}

/// The network of the client's address, with other prefix lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientNetwork {
    #[serde(rename = "clientIP")]
    pub lengths: PrefixLengths,
}

/// Prefix lengths, which group the addresses of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrefixLengths {
    /// 1 to 32.
    #[serde(rename = "ipv4PrefixLength", default = "whole_ipv4_address")]
    pub ipv4: u8,
    /// 1 to 128.
    #[serde(rename = "ipv6PrefixLength", default = "ipv6_network")]
    pub ipv6: u8,
}

// === Limits ===

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// If true, requests over the limit are counted and reported, but not refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The status of a refusal, 400 to 599.
    #[serde(default = "too_many_requests", skip_serializing_if = "is_too_many_requests")]
    pub status: u16,
    /// Exactly one of the fields `local` and `global` must be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalLimit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalLimit>,
}

/// A limit that is counted in this proxy, exact across its workers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalLimit {
    /// At least 1.
    pub requests: u32,
    /// At least 1.
    pub per_seconds: u32,
    /// Requests that may come at once after a quiet time, at least 1.
    pub burst: u32,
    /// The parts of the key, each value of which has a bucket; if empty, one bucket for all requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

/// A limit that is counted by a service with Envoy's rate limit protocol (`envoy.service.ratelimit.v3`), for all
/// proxies together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalLimit {
    pub cluster: String,
    pub domain: String,
    /// Descriptors, each a list of entries. A descriptor with an entry that has no value in a request is left out.
    pub descriptors: Vec<Vec<DescriptorEntry>>,
    pub timeout_ms: u64,
    #[serde(default, skip_serializing_if = "OnFailure::is_deny")]
    pub on_failure: OnFailure,
}

/// One entry of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescriptorEntry {
    pub key: String,
    pub value: EntryValue,
}

/// The source of the value of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EntryValue {
    Literal(String),
    Of(KeyPart),
}

/// The decision for a request if a service fails to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    #[default]
    Deny,
    Allow,
}

/// A limit on requests in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// At least 1.
    pub max: u32,
    /// The parts of the key, each value of which is counted by itself; if empty, all requests together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

// === Authentication ===

/// A requirement that one of several checks passes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// Checks in the order in which they are tried, at least one.
    pub any_of: Vec<Check>,
}

/// A check of a request: of its credentials, of its client's address, or by a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Check {
    Basic(Basic),
    ApiKey(ApiKey),
    Jwt(Jwt),
    External(External),
    Ip(Ip),
}

/// HTTP basic authentication: a name and a password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    pub realm: String,
    /// Password hashes by name, as in a file of `htpasswd`: `$2y$...` (bcrypt), `$apr1$...` or `{SHA}...`.
    #[serde(deserialize_with = "unique_keys")]
    pub users: BTreeMap<String, String>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// The name of a header, in lower case. At least one of `header` and `query` must be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The name of a query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Client names by the SHA-256 of their keys, in lower-case hexadecimal.
    #[serde(deserialize_with = "unique_keys")]
    pub keys: BTreeMap<String, String>,
}

/// A signed token (JWT, RFC 7519), as `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Audiences, of which the token must have one; if empty, any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    pub keys: Vec<Key>,
    /// The time from which on the keys are too old to be trusted, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_expire: Option<u64>,
    pub clock_skew_seconds: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims_to_headers: Vec<ClaimToHeader>,
}

/// A public key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// The key ID; if absent, the key is tried for every token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The algorithms that tokens may use with this key, at least one; the token alone does not choose.
    pub algorithms: Vec<Algorithm>,
    /// `SubjectPublicKeyInfo` (RFC 5280), in base64.
    pub spki: String,
}

/// A signature algorithm of tokens (RFC 7518, 3.1; RFC 8037). Neither `none` nor algorithms with a shared secret are
/// supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// A claim that a token must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredClaim {
    pub claim: String,
    /// Values, of which the claim must have one, or contain one if it is a list; if empty, any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A claim that is sent to the upstream in a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    pub claim: String,
    /// The header's name in lower case. A header of that name from the client is always removed.
    pub header: String,
}

/// An external authorization service. It allows a request by a 2xx status, or by OK over gRPC, and by nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct External {
    pub cluster: String,
    pub protocol: ExternalProtocol,
    /// The path of an HTTP request to the service. The path of the client's request is in `x-forwarded-uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub timeout_ms: u64,
    #[serde(default, skip_serializing_if = "OnFailure::is_deny")]
    pub on_failure: OnFailure,
    /// Headers of the request that are sent to the service, in lower case; if empty, `authorization` and `cookie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Headers of the service's response that are sent to the upstream, in lower case. Headers of those names from the
    /// client are always removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
}

/// The protocol of an external service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ExternalProtocol {
    /// HTTP, as with nginx's `auth_request` and Traefik's ForwardAuth.
    Http,
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// A check of the client's address, as the proxy trusts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ip {
    /// Allowed networks in CIDR notation; if empty, all that are not denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Denied networks in CIDR notation, which take precedence over `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

// === What is done to requests ===

/// A mirror: copies of requests to another service, whose responses are discarded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    pub cluster: String,
    /// 0 to 100.
    pub percent: u8,
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// Edits of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Headers {
    /// Edits of the request, before the upstream sees it.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub request: HeaderEdits,
    /// Edits of the response, before the client sees it.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub response: HeaderEdits,
}

/// Edits of headers, in the order `remove`, `set`, `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderEdits {
    /// Headers that replace all of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Header>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Header>,
    /// Names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// In lower case.
    pub name: String,
    pub value: String,
}

/// The origins whose pages may read responses (the Fetch standard's CORS protocol). The innermost level with a CORS
/// policy also decides for those above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cors {
    /// Each is `*`, an origin, or an origin whose host starts with `*.`.
    pub allow_origins: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,
}

/// Retries of requests that the upstream answers with 5xx, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// At least 1.
    pub count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout_ms: Option<u64>,
}

// === impl Algorithm ===

impl Algorithm {
    /// Returns the algorithm of that name in tokens and keys.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name: value::StrDeserializer<'_, value::Error> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

// === impl OnFailure ===

impl OnFailure {
    // serde's skip_serializing_if hands a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_deny(&self) -> bool {
        *self == Self::Deny
    }
}

// === impl PrefixLengths ===

/// A whole IPv4 address, and the network that one IPv6 client has (RFC 6177).
impl Default for PrefixLengths {
    fn default() -> Self {
        Self {
            ipv4: whole_ipv4_address(),
            ipv6: ipv6_network(),
        }
    }
}

// === impl KeyPart ===

impl KeyPart {
    /// The client's network with those prefix lengths.
    #[must_use]
    pub fn of_client(lengths: PrefixLengths) -> Self {
        if lengths == PrefixLengths::default() {
            Self::ClientIp
        } else {
            Self::ClientNetwork(ClientNetwork { lengths })
        }
    }

    #[must_use]
    pub fn is_claim(&self) -> bool {
        matches!(self, Self::Claim(_))
    }

    /// The name of the part in a configuration, and its argument there; empty if it has none.
    pub(crate) fn kind_and_name(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::ClientIp => ("clientIP", "".into()),
            Self::ClientNetwork(ClientNetwork { lengths }) => {
                let PrefixLengths { ipv4, ipv6 } = lengths;
                ("clientIP", format!("{ipv4} {ipv6}").into())
            }
            Self::Header(name) => ("header", name.into()),
            Self::Cookie(name) => ("cookie", name.into()),
            Self::Claim(name) => ("claim", name.into()),
            Self::Path => ("path", "".into()),
            Self::Method => ("method", "".into()),
        }
    }
}

// === impl HeaderEdits ===

impl HeaderEdits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { set, add, remove } = self;
        set.is_empty() && add.is_empty() && remove.is_empty()
    }
}

fn whole_ipv4_address() -> u8 {
    32
}

fn ipv6_network() -> u8 {
    64
}

fn too_many_requests() -> u16 {
    429
}

// serde's skip_serializing_if hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_too_many_requests(status: &u16) -> bool {
    *status == 429
}
