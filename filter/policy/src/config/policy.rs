//! What one level of a delegation asks of requests.
//!
//! ```json
//! {
//!   "source": "default/root virtualhost",
//!   "auth": [{"anyOf": [{"apiKey": {"header": "x-api-key", "keys": {"2bb8...": "alice"}}}]}],
//!   "rateLimits": [{"local": {"requests": 100, "perSeconds": 60, "burst": 100, "key": ["clientIP"]}}]
//! }
//! ```
//!
//! All is resolved: durations are numbers, Secrets are hashes or keys, Services are names of clusters. A request meets the
//! policies of every level that it comes through, the outermost first.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a virtualhost, a delegating route or a route with services asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Who asks, for logs and metrics, and what counters go by: they outlive every other change. Such as
    /// `namespace/name virtualhost` or `namespace/name route /shop`.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// All of them must be met.
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
    /// For leaves below that say none themselves: milliseconds until the answer is complete; 0: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// For leaves below that say none themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

// === Which requests ===

/// Which requests something is for: those that are all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct When {
    /// One of these methods; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// A normalised prefix of the path as this level sees it, by whole segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Each is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// A header that a request has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// In lower case.
    pub name: String,
    /// Absent: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What tells requests apart. What a request does not have is a value like any other: its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeyPart {
    /// The client's address, as the proxy trusts it.
    #[serde(rename = "clientIP")]
    ClientIp,
    /// All values of a header, by its name in lower case.
    Header(String),
    Cookie(String),
    /// Of a token that was verified on the way here.
    Claim(String),
    /// As the client asked for it, without the query.
    Path,
    Method,
}

// === Limits ===

/// How often requests may come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Counted and told, and nothing is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Of the answer, 400 to 599.
    #[serde(default = "too_many_requests", skip_serializing_if = "is_too_many_requests")]
    pub status: u16,
    /// Beside those, as one of the fields `local`, `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalLimit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalLimit>,
}

/// Counted in this proxy, exact across its workers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalLimit {
    /// At least 1.
    pub requests: u32,
    /// At least 1.
    pub per_seconds: u32,
    /// How many may come at once after a quiet time, at least 1.
    pub burst: u32,
    /// None: one bucket for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

/// Counted by a service that speaks Envoy's rate limit protocol (`envoy.service.ratelimit.v3`), for all proxies together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalLimit {
    pub cluster: String,
    pub domain: String,
    /// Each a list of entries; one of whose entries has no value in a request is left out.
    pub descriptors: Vec<Vec<DescriptorEntry>>,
    pub timeout_ms: u64,
    #[serde(default, skip_serializing_if = "OnFailure::is_deny")]
    pub on_failure: OnFailure,
}

/// One entry of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescriptorEntry {
    pub key: String,
    pub value: EntryValue,
}

/// Where the value of an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EntryValue {
    Literal(String),
    Of(KeyPart),
}

/// What happens to a request when a service cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    #[default]
    Deny,
    Allow,
}

/// How many requests may be under way at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// At least 1.
    pub max: u32,
    /// None: all together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

// === Authentication ===

/// One of several checks must pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// In the order in which they are tried, at least one.
    pub any_of: Vec<Check>,
}

/// A way to show who one is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Check {
    Basic(Basic),
    ApiKey(ApiKey),
    Jwt(Jwt),
    External(External),
    Ip(Ip),
}

/// A name and a password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    pub realm: String,
    /// By name: as in a file of `htpasswd`, `$2y$...` (bcrypt), `$apr1$...` or `{SHA}...`.
    pub users: BTreeMap<String, String>,
}

/// A secret word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// A name in lower case. Beside it or in its stead `query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The name of a parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// SHA-256 of a key, in lower-case hexadecimal, to the name of the client that it is of.
    pub keys: BTreeMap<String, String>,
}

/// A signed token (RFC 7519), as `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// One of them; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    pub keys: Vec<Key>,
    /// Seconds since 1970 from which on the keys are too old to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_expire: Option<u64>,
    pub clock_skew_seconds: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims_to_headers: Vec<ClaimToHeader>,
}

/// A key that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Absent: of any token that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What tokens may be signed with by it, at least one: never what a token alone says.
    pub algorithms: Vec<Algorithm>,
    /// `SubjectPublicKeyInfo` (RFC 5280), in base64.
    pub spki: String,
}

/// How a token is signed (RFC 7518, 3.1; RFC 8037). There is no `none`, and nothing with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredClaim {
    pub claim: String,
    /// It is one of them, or has one of them in it where it is a list. None: anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A claim that the upstream is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    pub claim: String,
    /// In lower case. What a client sends by that name never comes through.
    pub header: String,
}

/// A service that is asked. It allows by 2xx, or by OK, and by nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct External {
    pub cluster: String,
    pub protocol: ExternalProtocol,
    /// Over HTTP: what is asked for, before the path that the client asked for goes to it in `x-forwarded-uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub timeout_ms: u64,
    #[serde(default, skip_serializing_if = "OnFailure::is_deny")]
    pub on_failure: OnFailure,
    /// Headers of the request that it is told, in lower case. None: `authorization` and `cookie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Headers of its answer that the upstream is told, in lower case. What a client sends by those names never comes
    /// through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
}

/// How an external service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ExternalProtocol {
    /// As nginx's `auth_request` and Traefik's ForwardAuth do.
    Http,
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// Where a client is, by its address as the proxy trusts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ip {
    /// In CIDR notation. None: all that is not denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// In CIDR notation. Goes before `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

// === What is done to requests ===

/// A copy of requests for another service, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    pub cluster: String,
    /// 0 to 100.
    pub percent: u8,
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Headers {
    /// Before the upstream sees them.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub request: HeaderEdits,
    /// Before the client sees them.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub response: HeaderEdits,
}

/// First what is removed, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderEdits {
    /// Takes the place of all of its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Header>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Header>,
    /// Names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// In lower case.
    pub name: String,
    pub value: String,
}

/// Which other origins' pages may use the answers (the Fetch standard's CORS protocol). The innermost level that has one
/// says it for those above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cors {
    /// `*`, an origin, or one whose host starts with `*.`.
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

/// Tries again that a service answers with 5xx, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
    /// The one that tokens and keys call so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
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

// === impl KeyPart ===

impl KeyPart {
    #[must_use]
    pub fn is_claim(&self) -> bool {
        matches!(self, Self::Claim(_))
    }

    /// As a configuration calls it, and the name that it has there; empty where it has none.
    pub(crate) fn kind_and_name(&self) -> (&'static str, &str) {
        match self {
            Self::ClientIp => ("clientIP", ""),
            Self::Header(name) => ("header", name),
            Self::Cookie(name) => ("cookie", name),
            Self::Claim(name) => ("claim", name),
            Self::Path => ("path", ""),
            Self::Method => ("method", ""),
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

pub(super) fn too_many_requests() -> u16 {
    429
}

// serde's skip_serializing_if hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_too_many_requests(status: &u16) -> bool {
    *status == 429
}
