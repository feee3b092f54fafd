//! What a virtualhost or a route asks of its requests, and of all that it delegates.
//!
//! What a level asks holds for everything below it. A level below adds to it, and cannot take it away.

use super::{HEADER_VALUE, LABEL, LABEL_LENGTH, NAME, NAME_LENGTH, PATH, TOKEN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests it is for: those that are all of this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct When {
    /// One of these methods, such as GET. Any if not given.
    #[schemars(inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// A path prefix, by whole segments, of paths as this IngressRoute sees them.
    #[schemars(regex(pattern = PATH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Headers that are all there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// A header that a request has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderMatch {
    /// The name of a header.
    #[schemars(regex(pattern = TOKEN))]
    pub name: String,
    /// What it says. Anything if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Nothing is to be said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// What tells requests apart: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.clientIP), has(self.header), has(self.cookie), has(self.claim), has(self.path), has(self.method)]\
        .filter(is, is).size() == 1",
    "message": "exactly one of clientIP, header, cookie, claim, path and method",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct KeyPart {
    /// The address of the client, as far as the proxy trusts what it is told of it.
    #[schemars(with = "Empty")]
    #[serde(rename = "clientIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<Empty>,
    /// The name of a header.
    #[schemars(with = "String", regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The name of a cookie.
    #[schemars(with = "String", regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A claim of the token that the client showed to a jwt check, on this level or above.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The path that the client asked for, without the query.
    #[schemars(with = "Empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Empty>,
    /// The method.
    #[schemars(with = "Empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Empty>,
}

/// How often requests may come: so many in a unit of time, counted in each proxy; or as a rate limit service says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.global) != has(self.requests)",
        "message": "either requests and unit, or global",
    },
    {
        "rule": "has(self.requests) == has(self.unit)",
        "message": "requests and unit go together",
    },
    {
        "rule": "!has(self.global) || !(has(self.burst) || has(self.key))",
        "message": "burst and key are for limits with requests and unit",
    },
]))]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// Which requests it counts. All if not given.
    #[schemars(with = "When")]
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<When>,
    /// How many requests there may be in a unit of time.
    #[schemars(range(min = 1, max = u32::MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<i64>,
    /// The unit of time.
    #[schemars(extend("enum" = ["second", "minute", "hour", "day"]))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How many requests may come at once after a quiet time. As many as requests says if not given.
    #[schemars(range(min = 1, max = u32::MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<i64>,
    /// What has a count of its own: such as each address, or each address and path. All requests are counted together if not
    /// given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
    /// The status of the answer to requests that are too many.
    #[schemars(range(min = 400, max = 599), extend("default" = 429))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Counts and reports, and refuses nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Asks a service that counts for all proxies together.
    #[schemars(with = "GlobalLimit")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalLimit>,
}

/// A rate limit service that speaks Envoy's protocol (envoy.service.ratelimit.v3), and what it is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GlobalLimit {
    /// The service, which speaks gRPC.
    pub service: ServiceRef,
    /// The domain of the limits in the service's own configuration.
    pub domain: String,
    /// What the request is, in the terms of the service's configuration.
    pub descriptors: Vec<Descriptor>,
    /// A duration such as 50ms: how long to wait for the answer.
    #[schemars(extend("default" = "100ms"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// What becomes of requests when there is no answer.
    #[schemars(extend("enum" = ["deny", "allow"], "default" = "deny"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
}

/// A list of entries. One of which an entry has no value in a request is not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// At least one.
    pub entries: Vec<DescriptorEntry>,
}

/// A key, and its value: what is said here, or something of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.value) != has(self.from)",
    "message": "either value or from",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct DescriptorEntry {
    /// The entry's key.
    pub key: String,
    /// The entry's value.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What of the request is the value.
    #[schemars(with = "KeyPart")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<KeyPart>,
}

/// A port of a Service in the namespace of this IngressRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceRef {
    /// The Service.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    pub name: String,
    /// The number of one of its ports.
    #[schemars(range(min = 1, max = u16::MAX))]
    pub port: i64,
}

/// How many requests may be under way at once in each proxy. Those above get 503.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Concurrency {
    /// How many.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub max: i64,
    /// What has a count of its own. All requests are counted together if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPart>,
}

/// A check that requests have to pass: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.anyOf), has(self.basic), has(self.apiKey), has(self.jwt), has(self.external), has(self.ip)]\
        .filter(is, is).size() == 1",
    "message": "exactly one of anyOf, basic, apiKey, jwt, external and ip",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Checks of which one has to be passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Check>,
    /// A name and a password (RFC 7617).
    #[schemars(with = "Basic")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A secret word in a header, or in the query.
    #[schemars(with = "ApiKey")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A signed token (RFC 7519), as Authorization: Bearer.
    #[schemars(with = "Jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// What a service says that is asked.
    #[schemars(with = "External")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The address of the client.
    #[schemars(with = "Ip")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
}

/// A check of several: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.basic), has(self.apiKey), has(self.jwt), has(self.external), has(self.ip)]\
        .filter(is, is).size() == 1",
    "message": "exactly one of basic, apiKey, jwt, external and ip",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct Check {
    /// A name and a password (RFC 7617).
    #[schemars(with = "Basic")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A secret word in a header, or in the query.
    #[schemars(with = "ApiKey")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A signed token (RFC 7519), as Authorization: Bearer.
    #[schemars(with = "Jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// What a service says that is asked.
    #[schemars(with = "External")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The address of the client.
    #[schemars(with = "Ip")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
}

/// Who may come with a name and a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Basic {
    /// A Secret in the namespace of this IngressRoute, with lines of htpasswd in its key auth: bcrypt, apr1 or SHA.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    pub secret_name: String,
    /// What the client is told that it is asked for.
    #[schemars(extend("default" = "Restricted"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub realm: String,
}

/// Who may come with a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.header) || has(self.query)",
    "message": "header or query",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct ApiKey {
    /// A Secret in the namespace of this IngressRoute: each of its keys is the name of a client, and its value the key that
    /// the client shows.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    pub secret_name: String,
    /// The header that the key is in. The upstream does not see it.
    #[schemars(regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header: String,
    /// The parameter of the query that the key is in. The upstream does not see it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
}

/// Whose tokens are taken, and what has to be in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Jwt {
    /// What the claim iss has to be. Anything if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The claim aud has to name one of them. Anything if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The keys that tokens are signed with (RFC 7517).
    pub jwks: Jwks,
    /// How many seconds the clocks of issuers may be off.
    #[schemars(range(min = 0, max = 3600), extend("default" = 60))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Claims that a token has to have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    /// Claims that the upstream is told, in headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims_to_headers: Vec<ClaimToHeader>,
}

/// Where a set of keys is: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.secretName), has(self.inline), has(self.uri)].filter(is, is).size() == 1",
    "message": "exactly one of secretName, inline and uri",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct Jwks {
    /// A Secret in the namespace of this IngressRoute, with the set in its key jwks.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    /// The set itself, as JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inline: String,
    /// Where the set is got from, over http or https, and again every so often.
    #[schemars(regex(pattern = r"^https?://[^\s]+$"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// How many seconds a set that was got from a uri is trusted when it cannot be got again.
    #[schemars(range(min = 60), extend("default" = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stale_seconds: Option<i64>,
}

/// A claim that a token has to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequiredClaim {
    /// The claim's name.
    pub claim: String,
    /// It is one of them, or a list that has one of them. Anything if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A claim that the upstream is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// The claim's name.
    pub claim: String,
    /// The header. What a client sends by that name is not let through.
    #[schemars(regex(pattern = TOKEN))]
    pub header: String,
}

/// A service that is asked whether a request may pass. Only a clear yes lets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct External {
    /// The service.
    pub service: ServiceRef,
    /// http: a GET with the headers of the request, as nginx's auth_request and Traefik's ForwardAuth have it; 2xx is a yes.
    /// grpc: Envoy's envoy.service.auth.v3.Authorization/Check; OK is a yes.
    #[schemars(extend("enum" = ["http", "grpc"], "default" = "http"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Over http: the path that is asked for.
    #[schemars(regex(pattern = PATH), extend("default" = "/"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// A duration such as 200ms: how long to wait for the answer.
    #[schemars(extend("default" = "200ms"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// What becomes of requests when there is no answer.
    #[schemars(extend("enum" = ["deny", "allow"], "default" = "deny"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
    /// Headers of the request that the service is told. authorization and cookie if not given.
    #[schemars(inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Headers of the service's answer that the upstream is told. What a client sends by those names is not let through.
    #[schemars(inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
}

/// Where clients may be. What is denied is not allowed by anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.allow) || has(self.deny)",
    "message": "allow or deny",
}]))]
#[serde(rename_all = "camelCase", default)]
pub struct Ip {
    /// Addresses or CIDRs, such as 10.0.0.0/8. All that are not denied if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Addresses or CIDRs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// A Service that gets copies of requests. It delays nothing, and nobody sees its answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirror {
    /// A Service in the namespace of this IngressRoute.
    #[schemars(regex(pattern = LABEL), length(max = LABEL_LENGTH))]
    pub service: String,
    /// The number of one of its ports.
    #[schemars(range(min = 1, max = u16::MAX))]
    pub port: i64,
    /// How many of a hundred requests it gets.
    #[schemars(range(min = 0, max = 100), extend("default" = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,
    /// Which requests it gets. All if not given.
    #[schemars(with = "When")]
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<When>,
}

/// Changes of headers. Where two levels disagree, the one above has the last word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Of requests, before the upstream sees them.
    #[schemars(with = "HeaderEdits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderEdits>,
    /// Of answers, before the client sees them.
    #[schemars(with = "HeaderEdits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderEdits>,
}

/// First what is removed, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderEdits {
    /// Headers that take the place of all of their name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Header>,
    /// Headers that come beside those of their name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Header>,
    /// Names of headers.
    #[schemars(inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Header {
    /// Its name.
    #[schemars(regex(pattern = TOKEN))]
    pub name: String,
    /// Its value.
    #[schemars(regex(pattern = HEADER_VALUE))]
    pub value: String,
}

/// Which other sites' pages may use the answers (CORS). Preflight requests are answered by the proxy, and not asked for
/// credentials. Where several levels have one, the innermost counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    /// Origins such as https://www.example.com or https://*.example.com, or * for all.
    #[schemars(length(min = 1))]
    pub allow_origins: Vec<String>,
    /// Methods beside GET, HEAD and POST. * for all, where credentials are not allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers that pages may send. * for all, where credentials are not allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers of answers that pages may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How many seconds browsers may remember the answer to a preflight request.
    #[schemars(range(min = 0, max = 86400), extend("default" = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<i64>,
    /// Lets pages send cookies and other credentials. Not with the origin *.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,
}
