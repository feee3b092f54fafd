//! Checks that requests have to pass.

use super::{ServiceRef, most};
use crate::ingressroute::{NAME, NAME_LENGTH, PATH, TOKEN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A check that requests have to pass: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Checks of which one has to be passed.
    /// For example: `[{basic: {secretName: people}}, {apiKey: {secretName: machines, header: x-api-key}}]`.
    #[schemars(length(min = 1, max = most::ANY_OF))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Check>,
    /// A name and a password (RFC 7617). For example: `{secretName: people, realm: Admin}`.
    #[schemars(with = "Basic")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A key in a header, or in the query. For example: `{secretName: machines, header: x-api-key}`.
    #[schemars(with = "ApiKey")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A signed token (RFC 7519), as Authorization: Bearer.
    /// For example: `{issuer: "https://login.example.com/", audiences: [api], jwks: {secretName: issuer}}`.
    #[schemars(with = "Jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// A service that is asked whether the request may pass.
    /// For example: `{service: {name: authenticator, port: 4180}, path: /oauth2/auth}`.
    #[schemars(with = "External")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The address of the client. For example: `{allow: [10.0.0.0/8]}`.
    #[schemars(with = "Ip")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
}

/// A check of several: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase", default)]
pub struct Check {
    /// A name and a password (RFC 7617). For example: `{secretName: people, realm: Admin}`.
    #[schemars(with = "Basic")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A key in a header, or in the query. For example: `{secretName: machines, header: x-api-key}`.
    #[schemars(with = "ApiKey")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A signed token (RFC 7519), as Authorization: Bearer.
    /// For example: `{issuer: "https://login.example.com/", audiences: [api], jwks: {secretName: issuer}}`.
    #[schemars(with = "Jwt")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// A service that is asked whether the request may pass.
    /// For example: `{service: {name: authenticator, port: 4180}, path: /oauth2/auth}`.
    #[schemars(with = "External")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The address of the client. For example: `{allow: [10.0.0.0/8]}`.
    #[schemars(with = "Ip")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
}

/// Who may come with a name and a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Basic {
    /// A Secret in the namespace of this IngressRoute, with lines of htpasswd in its key auth: bcrypt, apr1 or SHA.
    /// For example: `people`.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    pub secret_name: String,
    /// The realm that browsers show when they ask for the password. For example: `Admin`.
    #[schemars(extend("default" = "Restricted"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub realm: String,
}

/// Who may come with a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 2))]
#[serde(rename_all = "camelCase", default)]
pub struct ApiKey {
    /// A Secret in the namespace of this IngressRoute: each of its keys is the name of a client, and its value the key that
    /// the client shows. For example: `machines`.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    pub secret_name: String,
    /// The header that the key is in. The upstream does not see it. For example: `x-api-key`.
    #[schemars(regex(pattern = TOKEN))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header: String,
    /// The parameter of the query that the key is in. The upstream does not see it. For example: `key`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
}

/// Whose tokens are taken, and what has to be in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Jwt {
    /// What the claim iss has to be. Anything if not given. For example: `https://login.example.com/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The claim aud has to name one of them. Anything if not given. For example: `[api]`.
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The keys that tokens are signed with (RFC 7517). For example: `{uri: "https://login.example.com/keys.json"}`.
    pub jwks: Jwks,
    /// How many seconds the clocks of issuers may be off. For example: `30`.
    #[schemars(range(min = 0, max = 3600), extend("default" = 60))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Claims that a token has to have. For example: `[{claim: scope, values: [orders]}]`.
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    /// Claims that the upstream gets as headers. For example: `[{claim: tenant, header: x-tenant}]`.
    #[schemars(length(max = most::HEADERS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims_to_headers: Vec<ClaimToHeader>,
}

/// Where a set of keys is: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [
    {"required": ["secretName"]},
    {"required": ["inline"]},
    {"required": ["uri"]},
]))]
#[serde(rename_all = "camelCase", default)]
pub struct Jwks {
    /// A Secret in the namespace of this IngressRoute, with the set in its key jwks. For example: `issuer`.
    #[schemars(regex(pattern = NAME), length(max = NAME_LENGTH))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    /// The set itself, as JSON.
    /// For example: `'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inline: String,
    /// Where control fetches the set from, over http or https. It is fetched again every few minutes.
    /// For example: `https://login.example.com/keys.json`.
    #[schemars(regex(pattern = r"^https?://[^\s]+$"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// How many seconds a set from a uri is trusted while it cannot be fetched again. For example: `3600`.
    #[schemars(range(min = 60), extend("default" = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stale_seconds: Option<i64>,
}

/// A claim that a token has to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequiredClaim {
    /// The claim's name. For example: `scope`.
    #[schemars(length(min = 1))]
    pub claim: String,
    /// What the claim has to be: one of these, or a list with one of these in it. Anything if not given.
    /// For example: `[orders, refunds]`.
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A claim that the upstream gets as a header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// The claim's name. For example: `tenant`.
    #[schemars(length(min = 1))]
    pub claim: String,
    /// The header. What a client sends under that name is not let through. For example: `x-tenant`.
    #[schemars(regex(pattern = TOKEN))]
    pub header: String,
}

/// A service that is asked whether a request may pass. Only a clear yes lets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct External {
    /// The service. For example: `{name: authenticator, port: 4180}`.
    pub service: ServiceRef,
    /// http: a GET with the headers of the request, as nginx's auth_request and Traefik's ForwardAuth have it; 2xx is a yes.
    /// grpc: Envoy's envoy.service.auth.v3.Authorization/Check; OK is a yes. For example: `grpc`.
    #[schemars(extend("enum" = ["http", "grpc"], "default" = "http"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Over http: the path that is asked for. For example: `/oauth2/auth`.
    #[schemars(regex(pattern = PATH), extend("default" = "/"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// A duration: how long to wait for the answer. For example: `500ms`.
    #[schemars(extend("default" = "200ms"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// Whether requests are refused or let through when there is no answer. For example: `allow`.
    #[schemars(extend("enum" = ["deny", "allow"], "default" = "deny"))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
    /// Headers of the request that the service gets. authorization and cookie if not given.
    /// For example: `[authorization, cookie]`.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Headers of the service's answer that the upstream gets. What a client sends under those names is not let through.
    /// For example: `[x-auth-request-user]`.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
}

/// Where clients may be. What is denied is not allowed by anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1))]
#[serde(rename_all = "camelCase", default)]
pub struct Ip {
    /// Addresses or CIDRs. All that are not denied if not given.
    /// For example: `[10.0.0.0/8, "fd00::/8"]`.
    #[schemars(length(max = most::CIDRS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Addresses or CIDRs. For example: `[203.0.113.7]`.
    #[schemars(length(max = most::CIDRS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// The fields of an [`Auth`] or a [`Check`] that are there: one of them, where it is right.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways<'a> {
    pub basic: Option<&'a Basic>,
    pub api_key: Option<&'a ApiKey>,
    pub jwt: Option<&'a Jwt>,
    pub external: Option<&'a External>,
    pub ip: Option<&'a Ip>,
}

// === impl Auth ===

impl Auth {
    /// Beside `anyOf`.
    #[must_use]
    pub fn ways(&self) -> Ways<'_> {
        let Self {
            any_of: _,
            basic,
            api_key,
            jwt,
            external,
            ip,
        } = self;
        Ways {
            basic: basic.as_ref(),
            api_key: api_key.as_ref(),
            jwt: jwt.as_ref(),
            external: external.as_ref(),
            ip: ip.as_ref(),
        }
    }

    /// With those in `anyOf`.
    pub fn all_ways(&self) -> impl Iterator<Item = Ways<'_>> {
        [self.ways()]
            .into_iter()
            .chain(self.any_of.iter().map(Check::ways))
    }
}

// === impl Check ===

impl Check {
    #[must_use]
    pub fn ways(&self) -> Ways<'_> {
        let Self {
            basic,
            api_key,
            jwt,
            external,
            ip,
        } = self;
        Ways {
            basic: basic.as_ref(),
            api_key: api_key.as_ref(),
            jwt: jwt.as_ref(),
            external: external.as_ref(),
            ip: ip.as_ref(),
        }
    }
}

// === impl Ways ===

impl<'a> Ways<'a> {
    #[must_use]
    pub fn count(self) -> usize {
        let Self {
            basic,
            api_key,
            jwt,
            external,
            ip,
        } = self;
        let given = [
            basic.is_some(),
            api_key.is_some(),
            jwt.is_some(),
            external.is_some(),
            ip.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }

    /// Where a set of keys is to be got from.
    #[must_use]
    pub fn jwks_uri(self) -> Option<&'a str> {
        self.jwt.map(|jwt| &*jwt.jwks.uri).filter(|uri| !uri.is_empty())
    }

    /// The Secrets that they name.
    pub fn secrets(self) -> impl Iterator<Item = &'a str> {
        let Self {
            basic,
            api_key,
            jwt,
            external: _,
            ip: _,
        } = self;
        let names = [
            basic.map(|basic| &*basic.secret_name),
            api_key.map(|api_key| &*api_key.secret_name),
            jwt.map(|jwt| &*jwt.jwks.secret_name),
        ];
        names.into_iter().flatten().filter(|name| !name.is_empty())
    }
}
