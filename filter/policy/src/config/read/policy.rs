use crate::config::{
    Error,
    json::{Fields, Json, Read, object},
    policy::{
        Algorithm, ApiKey, Basic, Check, ClaimToHeader, Concurrency, Cors, DescriptorEntry, EntryValue,
        External, ExternalProtocol, GlobalLimit, Header, HeaderEdits, HeaderMatch, Headers, Ip, Jwt, Key,
        KeyPart, LocalLimit, Mirror, OnFailure, Policy, RateLimit, RequiredClaim, Requirement, Retry, When,
        too_many_requests,
    },
};

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
    fn read(json: Json<'_>) -> Result<Self, Error> {
        if let Json::Text(text) = &json {
            return match &**text {
                "clientIP" => Ok(Self::ClientIp),
                "path" => Ok(Self::Path),
                "method" => Ok(Self::Method),
                _ => Err(json.is_no("part of a key; there are `clientIP`, `path`, `method`")),
            };
        }
        let mut fields = Fields::of(json)?;
        let parts = (
            fields.take("header")?,
            fields.take("cookie")?,
            fields.take("claim")?,
        );
        fields.end()?;
        match parts {
            (Some(name), None, None) => Ok(Self::Header(name)),
            (None, Some(name), None) => Ok(Self::Cookie(name)),
            (None, None, Some(name)) => Ok(Self::Claim(name)),
            _ => Err(Error::new(
                "exactly one of `header`, `cookie` and `claim` is needed",
            )),
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
    fn read(json: Json<'_>) -> Result<Self, Error> {
        let mut fields = Fields::of(json)?;
        let values = (fields.take("literal")?, fields.take("of")?);
        fields.end()?;
        match values {
            (Some(text), None) => Ok(Self::Literal(text)),
            (None, Some(part)) => Ok(Self::Of(part)),
            _ => Err(Error::new("exactly one of `literal` and `of` is needed")),
        }
    }
}

impl Read for OnFailure {
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match &json {
            Json::Text(text) if text == "deny" => Ok(Self::Deny),
            Json::Text(text) if text == "allow" => Ok(Self::Allow),
            _ => Err(json.is_no("`deny` or `allow`")),
        }
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
    fn read(json: Json<'_>) -> Result<Self, Error> {
        let mut fields = Fields::of(json)?;
        let checks = [
            fields.take::<Option<_>>("basic")?.map(Self::Basic),
            fields.take::<Option<_>>("apiKey")?.map(Self::ApiKey),
            fields.take::<Option<_>>("jwt")?.map(Self::Jwt),
            fields.take::<Option<_>>("external")?.map(Self::External),
            fields.take::<Option<_>>("ip")?.map(Self::Ip),
        ];
        fields.end()?;
        let mut checks = checks.into_iter().flatten();
        match (checks.next(), checks.next()) {
            (Some(check), None) => Ok(check),
            _ => Err(Error::new(
                "exactly one of `basic`, `apiKey`, `jwt`, `external` and `ip` is needed",
            )),
        }
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
    fn read(json: Json<'_>) -> Result<Self, Error> {
        let Json::Text(text) = &json else {
            return Err(json.is_no("algorithm"));
        };
        Ok(match &**text {
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
            _ => return Err(json.is_no("algorithm")),
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
    fn read(json: Json<'_>) -> Result<Self, Error> {
        match &json {
            Json::Text(text) if text == "http" => Ok(Self::Http),
            Json::Text(text) if text == "grpc" => Ok(Self::Grpc),
            _ => Err(json.is_no("`http` or `grpc`")),
        }
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
