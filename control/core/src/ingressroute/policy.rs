//! What a virtualhost or a route asks of its requests, and of all that it delegates.
//!
//! What a level asks holds for everything below it. A level below adds to it, and cannot take it away.

mod auth;

pub use self::auth::{
    ApiKey, Auth, Basic, Check, ClaimToHeader, External, Ip, Jwks, Jwt, RequiredClaim, Ways,
};

use super::{HEADER_VALUE, LABEL, LABEL_LENGTH, PATH, TOKEN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use switchyard_policy::config::value::{COUNT, IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH, PERCENT, STATUS};

/// How many entries lists may have: each is work for every request, and tenants write them.
pub(crate) mod most {
    pub(crate) const RATE_LIMITS: u32 = 16;
    pub(crate) const KEY_PARTS: u32 = 8;
    pub(crate) const DESCRIPTORS: u32 = 16;
    pub(crate) const ENTRIES: u32 = 16;
    pub(crate) const AUTH: u32 = 16;
    pub(crate) const ANY_OF: u32 = 8;
    pub(crate) const MIRRORS: u32 = 8;
    /// Of anything that is a header, or is told in one.
    pub(crate) const HEADERS: u32 = 32;
    pub(crate) const METHODS: u32 = 16;
    /// Audiences, and values of a claim.
    pub(crate) const VALUES: u32 = 32;
    pub(crate) const CIDRS: u32 = 256;
    pub(crate) const ORIGINS: u32 = 64;
}

/// Which requests it is for: those that are all of this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct When {
    /// One of these methods. Any if not given. For example: `[POST, PUT]`.
    #[schemars(length(max = most::METHODS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// A path prefix, by whole segments, of paths as this IngressRoute sees them. For example: `/login`.
    #[schemars(regex(pattern = PATH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Headers that a request has to have, all of them. For example: `[{name: x-tenant, value: acme}]`.
    #[schemars(length(max = most::HEADERS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// A header that a request has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderMatch {
    /// The name of a header. For example: `x-tenant`.
    #[schemars(regex(pattern = TOKEN))]
    pub name: String,
    /// What it says. Anything if not given. For example: `acme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Nothing is to be said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// How many leading bits of a client's address tell it from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIp {
    /// How many bits of an IPv4 address. For example: `24`.
    #[schemars(range(min = IPV4_PREFIX_LENGTH.0, max = IPV4_PREFIX_LENGTH.1), extend("default" = 32))]
    #[serde(rename = "ipv4PrefixLength", skip_serializing_if = "Option::is_none")]
    pub ipv4_prefix_length: Option<i64>,
    /// How many bits of an IPv6 address. For example: `56`.
    #[schemars(range(min = IPV6_PREFIX_LENGTH.0, max = IPV6_PREFIX_LENGTH.1), extend("default" = 64))]
    #[serde(rename = "ipv6PrefixLength", skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix_length: Option<i64>,
}

/// What tells requests apart: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase", default)]
pub struct KeyPart {
    /// The address of the client, as far as the proxy trusts what it is told of it. An IPv6 client has a whole network, so its
    /// addresses count as one. For example: `{}`.
    #[schemars(with = "ClientIp")]
    #[serde(rename = "clientIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<ClientIp>,
    /// The name of a header. For example: `x-tenant`.
    #[schemars(with = "String", regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The name of a cookie. For example: `session`.
    #[schemars(with = "String", regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A claim of the token that the client showed to a jwt check, on this level or above. For example: `sub`.
    #[schemars(with = "String", length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The path that the client asked for, without the query. For example: `{}`.
    #[schemars(with = "Empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Empty>,
    /// The method. For example: `{}`.
    #[schemars(with = "Empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Empty>,
}

/// How often requests may come: so many in a unit of time, counted in each proxy; or as a rate limit service says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [
    {"required": ["requests", "unit"]},
    {"required": ["global"], "not": {"anyOf": [{"required": ["burst"]}, {"required": ["key"]}]}},
]))]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// Which requests it counts. All if not given. For example: `{methods: [POST], prefix: /login}`.
    #[schemars(with = "When")]
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<When>,
    /// How many requests there may be in a unit of time. For example: `100`.
    #[schemars(range(min = COUNT.0, max = COUNT.1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// The unit of time. For example: `minute`.
    #[schemars(extend("enum" = ["second", "minute", "hour", "day"]))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How many requests may come at once after a quiet time. As many as requests says if not given. For example: `20`.
    #[schemars(range(min = COUNT.0, max = COUNT.1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<i64>,
    /// What has a count of its own, such as each address, or each path for each address. All requests are counted
    /// together if not given. For example: `[{clientIP: {}}, {path: {}}]`.
    #[schemars(length(max = most::KEY_PARTS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
    /// The status of the answer to requests that are too many. For example: `503`.
    #[schemars(range(min = STATUS.0, max = STATUS.1), extend("default" = 429))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Counts and reports, and refuses nothing. For example: `true`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Asks a service that counts for all proxies together.
    /// For example: `{service: {name: ratelimit, port: 8081}, domain: shop, descriptors:
    /// [{entries: [{key: tenant, from: {header: x-tenant}}]}]}`.
    #[schemars(with = "GlobalLimit")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalLimit>,
}

/// A rate limit service that speaks Envoy's protocol (envoy.service.ratelimit.v3), and what it is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GlobalLimit {
    /// The service, which speaks gRPC. For example: `{name: ratelimit, port: 8081}`.
    pub service: ServiceRef,
    /// The domain of the limits in the service's own configuration. For example: `shop`.
    #[schemars(length(min = 1))]
    pub domain: String,
    /// What the request is, in the terms of the service's configuration.
    /// For example: `[{entries: [{key: tenant, from: {header: x-tenant}}]}]`.
    #[schemars(length(min = 1, max = most::DESCRIPTORS))]
    pub descriptors: Vec<Descriptor>,
    /// A duration: how long to wait for the answer. For example: `50ms`.
    #[schemars(extend("default" = "100ms"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// Whether requests are refused or let through when there is no answer. For example: `allow`.
    #[schemars(extend("enum" = ["deny", "allow"], "default" = "deny"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
}

/// A list of entries. It is not sent if the request has no value for one of its entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// At least one. For example: `[{key: plan, value: free}, {key: address, from: {clientIP: {}}}]`.
    #[schemars(length(min = 1, max = most::ENTRIES))]
    pub entries: Vec<DescriptorEntry>,
}

/// A key, and its value: what is said here, or something of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 2, "maxProperties" = 2))]
#[serde(rename_all = "camelCase", default)]
pub struct DescriptorEntry {
    /// The entry's key. For example: `tenant`.
    #[schemars(length(min = 1))]
    pub key: String,
    /// The entry's value. For example: `acme`.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What of the request is the value. For example: `{header: x-tenant}`.
    #[schemars(with = "KeyPart")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<KeyPart>,
}

/// A port of a Service in the namespace of this IngressRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceRef {
    /// The Service. For example: `authenticator`.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    pub name: String,
    /// The number of one of its ports. For example: `4180`.
    #[schemars(range(min = 1, max = u16::MAX))]
    pub port: i64,
}

/// How many requests may be under way at once in each proxy. Those above get 503.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Concurrency {
    /// How many. For example: `20`.
    #[schemars(range(min = COUNT.0, max = COUNT.1))]
    pub max: i64,
    /// What has a count of its own. All requests are counted together if not given.
    /// For example: `[{header: x-tenant}]`.
    #[schemars(length(max = most::KEY_PARTS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

/// A Service that gets copies of requests. It delays nothing, and nobody sees its answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirror {
    /// A Service in the namespace of this IngressRoute. For example: `green`.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    pub service: String,
    /// The number of one of its ports. For example: `80`.
    #[schemars(range(min = 1, max = u16::MAX))]
    pub port: i64,
    /// How many of a hundred requests it gets. For example: `10`.
    #[schemars(range(min = PERCENT.0, max = PERCENT.1), extend("default" = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,
    /// Which requests it gets. All if not given. For example: `{methods: [GET]}`.
    #[schemars(with = "When")]
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<When>,
}

/// Changes to headers. Where two levels disagree, the one above has the last word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Of requests, before the upstream sees them. For example: `{set: [{name: x-team, value: shop}]}`.
    #[schemars(with = "HeaderEdits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderEdits>,
    /// Of answers, before the client sees them. For example: `{remove: [server-timing]}`.
    #[schemars(with = "HeaderEdits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderEdits>,
}

/// First what is removed, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderEdits {
    /// Headers that replace all of the same name. For example: `[{name: x-team, value: shop}]`.
    #[schemars(length(max = most::HEADERS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Header>,
    /// Headers that are added to those of the same name. For example: `[{name: vary, value: accept-language}]`.
    #[schemars(length(max = most::HEADERS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Header>,
    /// Names of headers that are taken away. For example: `[server-timing]`.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Header {
    /// Its name. For example: `x-team`.
    #[schemars(regex(pattern = TOKEN))]
    pub name: String,
    /// Its value. For example: `shop`.
    #[schemars(regex(pattern = HEADER_VALUE))]
    pub value: String,
}

/// Which other sites' pages may read the answers (CORS). Preflight requests are answered by the proxy, and not asked for
/// credentials. Where several levels have one, the innermost counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    /// Origins, perhaps with a wildcard for subdomains, or * for all.
    /// For example: `["https://www.example.com", "https://*.example.org"]`.
    #[schemars(length(min = 1, max = most::ORIGINS))]
    pub allow_origins: Vec<String>,
    /// Methods beside GET, HEAD and POST. * for all, where credentials are not allowed. For example: `[PUT, DELETE]`.
    #[schemars(length(max = most::METHODS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers that pages may send. * for all, where credentials are not allowed.
    /// For example: `[content-type, x-request-id]`.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers of answers that pages may read. For example: `[x-request-id]`.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How many seconds browsers may remember the answer to a preflight request. For example: `600`.
    #[schemars(range(min = 0, max = 86400), extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<i64>,
    /// Lets pages send cookies and other credentials. Not with the origin *. For example: `true`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,
}
