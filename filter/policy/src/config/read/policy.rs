use crate::config::{
    at::At,
    json::{Fields, Read, is_no, object},
    policy::{
        Algorithm, ApiKey, Basic, Check, ClaimToHeader, Concurrency, Cors, DescriptorEntry, EntryValue,
        External, ExternalProtocol, GlobalLimit, Header, HeaderEdits, HeaderMatch, Headers, Ip, Jwt, Key,
        KeyPart, LocalLimit, Mirror, OnFailure, Policy, RateLimit, RequiredClaim, Requirement, Retry, When,
        too_many_requests,
    },
};
use crate::json::Json;

// === impl Policy ===

object!(Policy {
    source: take("source"),
    cors: take("cors"),
    auth: take_or_default("auth"),
    rate_limits: take_or_default("rateLimits"),
    concurrency: take("concurrency"),
    mirror: take_or_default("mirror"),
    headers: take("headers"),
    timeout_ms: take("timeoutMs"),
    retry: take("retry"),
});

// === Which requests ===

object!(When {
    methods: take_or_default("methods"),
    prefix: take("prefix"),
    headers: take_or_default("headers"),
});

object!(HeaderMatch {
    name: take("name"),
    value: take("value"),
});

impl Read for KeyPart {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        if let Some(Json::Text(text)) = json {
            match &**text {
                "clientIP" => return Self::ClientIp,
                "path" => return Self::Path,
                "method" => return Self::Method,
                _ => is_no(json, "part of a key; there are `clientIP`, `path`, `method`", at),
            }
        }
        let mut fields = Fields::of(json, at);
        let parts: (Option<_>, Option<_>, Option<_>) =
            (fields.take("header"), fields.take("cookie"), fields.take("claim"));
        fields.end();
        match parts {
            (Some(name), None, None) => Self::Header(name),
            (None, Some(name), None) => Self::Cookie(name),
            (None, None, Some(name)) => Self::Claim(name),
            _ => {
                at.note(format_args!(
                    "exactly one of `header`, `cookie` and `claim` is needed"
                ));
                Self::ClientIp
            }
        }
    }
}

// === Limits ===

object!(RateLimit {
    when: take("match"),
    dry_run: take_or_default("dryRun"),
    status: take_or("status", too_many_requests()),
    local: take("local"),
    global: take("global"),
});

object!(LocalLimit {
    requests: take("requests"),
    per_seconds: take("perSeconds"),
    burst: take("burst"),
    key: take_or_default("key"),
});

object!(GlobalLimit {
    cluster: take("cluster"),
    domain: take("domain"),
    descriptors: take("descriptors"),
    timeout_ms: take("timeoutMs"),
    on_failure: take_or_default("onFailure"),
});

object!(DescriptorEntry {
    key: take("key"),
    value: take("value"),
});

impl Read for EntryValue {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let mut fields = Fields::of(json, at);
        let values: (Option<_>, Option<_>) = (fields.take("literal"), fields.take("of"));
        fields.end();
        match values {
            (Some(text), None) => Self::Literal(text),
            (None, Some(part)) => Self::Of(part),
            _ => {
                at.note(format_args!("exactly one of `literal` and `of` is needed"));
                Self::Literal(String::new())
            }
        }
    }
}

impl Read for OnFailure {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        match json {
            Some(Json::Text(text)) if text == "deny" => return Self::Deny,
            Some(Json::Text(text)) if text == "allow" => return Self::Allow,
            _ => is_no(json, "`deny` or `allow`", at),
        }
        Self::Deny
    }
}

object!(Concurrency {
    max: take("max"),
    key: take_or_default("key"),
});

// === Authentication ===

object!(Requirement {
    any_of: take("anyOf"),
});

impl Read for Check {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let mut fields = Fields::of(json, at);
        let mut checks = Vec::new();
        checks.extend(fields.take::<Option<_>>("basic").map(Self::Basic));
        checks.extend(fields.take::<Option<_>>("apiKey").map(Self::ApiKey));
        checks.extend(fields.take::<Option<_>>("jwt").map(Self::Jwt));
        checks.extend(fields.take::<Option<_>>("external").map(Self::External));
        checks.extend(fields.take::<Option<_>>("ip").map(Self::Ip));
        fields.end();
        at.ensure(
            checks.len() == 1,
            format_args!("exactly one of `basic`, `apiKey`, `jwt`, `external` and `ip` is needed"),
        );
        checks.pop().unwrap_or_else(|| Self::Ip(Ip::default()))
    }
}

object!(Basic {
    realm: take("realm"),
    users: take("users"),
});

object!(ApiKey {
    header: take("header"),
    query: take("query"),
    keys: take("keys"),
});

object!(Jwt {
    issuer: take("issuer"),
    audiences: take_or_default("audiences"),
    keys: take("keys"),
    keys_expire: take("keysExpire"),
    clock_skew_seconds: take("clockSkewSeconds"),
    required_claims: take_or_default("requiredClaims"),
    claims_to_headers: take_or_default("claimsToHeaders"),
});

object!(Key {
    kid: take("kid"),
    algorithms: take("algorithms"),
    spki: take("spki"),
});

impl Read for Algorithm {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        let named = match json {
            Some(Json::Text(name)) => Self::named(name),
            _ => None,
        };
        named.unwrap_or_else(|| {
            is_no(json, "algorithm", at);
            Self::EdDSA
        })
    }
}

object!(RequiredClaim {
    claim: take("claim"),
    values: take_or_default("values"),
});

object!(ClaimToHeader {
    claim: take("claim"),
    header: take("header"),
});

object!(External {
    cluster: take("cluster"),
    protocol: take("protocol"),
    path: take("path"),
    timeout_ms: take("timeoutMs"),
    on_failure: take_or_default("onFailure"),
    request_headers: take_or_default("requestHeaders"),
    response_headers: take_or_default("responseHeaders"),
});

impl Read for ExternalProtocol {
    fn read(json: Option<&Json<'_>>, at: &At<'_>) -> Self {
        match json {
            Some(Json::Text(text)) if text == "http" => return Self::Http,
            Some(Json::Text(text)) if text == "grpc" => return Self::Grpc,
            _ => is_no(json, "`http` or `grpc`", at),
        }
        Self::Http
    }
}

object!(Ip {
    allow: take_or_default("allow"),
    deny: take_or_default("deny"),
});

// === What is done to requests ===

object!(Mirror {
    cluster: take("cluster"),
    percent: take("percent"),
    when: take("match"),
});

object!(Headers {
    request: take_or_default("request"),
    response: take_or_default("response"),
});

object!(HeaderEdits {
    set: take_or_default("set"),
    add: take_or_default("add"),
    remove: take_or_default("remove"),
});

object!(Header {
    name: take("name"),
    value: take("value"),
});

object!(Cors {
    allow_origins: take("allowOrigins"),
    allow_methods: take_or_default("allowMethods"),
    allow_headers: take_or_default("allowHeaders"),
    expose_headers: take_or_default("exposeHeaders"),
    max_age_seconds: take("maxAgeSeconds"),
    allow_credentials: take_or_default("allowCredentials"),
});

object!(Retry {
    count: take("count"),
    per_try_timeout_ms: take("perTryTimeoutMs"),
});
