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
    #[schemars(length(min = 1, max = most::ANY_OF))]
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
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
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
#[schemars(extend("minProperties" = 2))]
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
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// The keys that tokens are signed with (RFC 7517).
    pub jwks: Jwks,
    /// How many seconds the clocks of issuers may be off.
    #[schemars(range(min = 0, max = 3600), extend("default" = 60))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Claims that a token has to have.
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_claims: Vec<RequiredClaim>,
    /// Claims that the upstream is told, in headers.
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
    #[schemars(length(min = 1))]
    pub claim: String,
    /// It is one of them, or a list that has one of them. Anything if not given.
    #[schemars(length(max = most::VALUES))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A claim that the upstream is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// The claim's name.
    #[schemars(length(min = 1))]
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
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<String>,
    /// Headers of the service's answer that the upstream is told. What a client sends by those names is not let through.
    #[schemars(length(max = most::HEADERS), inner(regex(pattern = TOKEN)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<String>,
}

/// Where clients may be. What is denied is not allowed by anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1))]
#[serde(rename_all = "camelCase", default)]
pub struct Ip {
    /// Addresses or CIDRs, such as 10.0.0.0/8. All that are not denied if not given.
    #[schemars(length(max = most::CIDRS))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Addresses or CIDRs.
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
