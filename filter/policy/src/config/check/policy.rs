//! What the types of a policy do not say by themselves.

use super::{
    At, Error, check_each, check_header_name, check_name, check_outgoing, check_percent, check_prefix,
    check_text, is_token, look,
};
use crate::config::policy::{
    ApiKey, Basic, Check, ClaimToHeader, Concurrency, Cors, DescriptorEntry, EntryValue, External,
    GlobalLimit, Header, HeaderEdits, HeaderMatch, Headers, Ip, Jwt, Key, KeyPart, LocalLimit, Mirror,
    Policy, RateLimit, RequiredClaim, Requirement, Retry, When,
};
use crate::policy;
use std::ops::RangeInclusive;

/// Of refusals.
const ERROR_STATUS: RangeInclusive<u16> = 400..=599;

/// What an edit cannot touch without changing what the message is, or where it goes.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that steer the proxy start so.
const STEERING: [&str; 2] = ["x-switchyard-", "x-envoy-"];

// === impl Policy ===

impl Policy {
    /// Checks all that a policy can be wrong in.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        look(|at| {
            check_policy(self, at);
            // What is still wrong keeps it from being made ready.
            if let Err(unfit) = policy::Policy::try_from(self.clone()) {
                at.note(format_args!("{unfit}"));
            }
        })
    }
}

pub(super) fn check_policy(policy: &Policy, at: &At<'_>) {
    let Policy {
        source,
        cors,
        auth,
        rate_limits,
        concurrency,
        mirror,
        headers,
        timeout_ms: _,
        retry,
    } = policy;
    check_name(source, &at.field("source"));
    if let Some(cors) = cors {
        check_cors(cors, &at.field("cors"));
    }
    check_each(auth, "auth", at, check_requirement);
    check_each(rate_limits, "rateLimits", at, check_rate_limit);
    if let Some(concurrency) = concurrency {
        check_concurrency(concurrency, &at.field("concurrency"));
    }
    check_each(mirror, "mirror", at, check_mirror);
    if let Some(headers) = headers {
        check_headers(headers, &at.field("headers"));
    }
    if let Some(retry) = retry {
        check_retry(*retry, &at.field("retry"));
    }
}

// === Which requests ===

fn check_when(when: Option<&When>, at: &At<'_>) {
    let Some(When {
        methods,
        prefix,
        headers,
    }) = when
    else {
        return;
    };
    let at = at.field("match");
    check_each(methods, "methods", &at, |method, at| check_token(method, at));
    if let Some(prefix) = prefix {
        check_prefix(prefix, &at.field("prefix"));
    }
    check_each(headers, "headers", &at, |HeaderMatch { name, value }, at| {
        check_header_name(name, &at.field("name"));
        if let Some(value) = value {
            check_text(value, &at.field("value"));
        }
    });
}

fn check_key(key: &[KeyPart], at: &At<'_>) {
    check_each(key, "key", at, check_key_part);
}

fn check_key_part(part: &KeyPart, at: &At<'_>) {
    match part {
        KeyPart::ClientIp | KeyPart::Path | KeyPart::Method => {}
        KeyPart::Header(name) => check_header_name(name, &at.field("header")),
        KeyPart::Cookie(name) => check_token(name, &at.field("cookie")),
        KeyPart::Claim(name) => check_name(name, &at.field("claim")),
    }
}

// === Limits ===

fn check_rate_limit(limit: &RateLimit, at: &At<'_>) {
    let RateLimit {
        when,
        dry_run: _,
        status,
        local,
        global,
    } = limit;
    check_when(when.as_ref(), at);
    at.field("status").ensure(
        ERROR_STATUS.contains(status),
        format_args!("{status} is no status of an error: 400 to 599"),
    );
    match (local, global) {
        (Some(local), None) => check_local(local, &at.field("local")),
        (None, Some(global)) => check_global(global, &at.field("global")),
        _ => at.note(format_args!("exactly one of `local` and `global` is needed")),
    }
}

fn check_local(limit: &LocalLimit, at: &At<'_>) {
    let LocalLimit {
        requests,
        per_seconds,
        burst,
        key,
    } = limit;
    for (name, number) in [
        ("requests", requests),
        ("perSeconds", per_seconds),
        ("burst", burst),
    ] {
        check_positive(u64::from(*number), &at.field(name));
    }
    check_key(key, at);
}

fn check_global(limit: &GlobalLimit, at: &At<'_>) {
    let GlobalLimit {
        cluster,
        domain,
        descriptors,
        timeout_ms,
        on_failure: _,
    } = limit;
    check_name(cluster, &at.field("cluster"));
    check_name(domain, &at.field("domain"));
    check_some(descriptors, &at.field("descriptors"));
    check_each(descriptors, "descriptors", at, |entries, at| {
        check_some(entries, at);
        for (index, entry) in entries.iter().enumerate() {
            check_entry(entry, &at.item(index));
        }
    });
    check_positive(*timeout_ms, &at.field("timeoutMs"));
}

fn check_entry(DescriptorEntry { key, value }: &DescriptorEntry, at: &At<'_>) {
    check_name(key, &at.field("key"));
    let at = at.field("value");
    match value {
        EntryValue::Literal(text) => check_name(text, &at.field("literal")),
        EntryValue::Of(part) => check_key_part(part, &at.field("of")),
    }
}

fn check_concurrency(Concurrency { max, key }: &Concurrency, at: &At<'_>) {
    check_positive(u64::from(*max), &at.field("max"));
    check_key(key, at);
}

// === Authentication ===

fn check_requirement(Requirement { any_of }: &Requirement, at: &At<'_>) {
    check_some(any_of, &at.field("anyOf"));
    check_each(any_of, "anyOf", at, |check, at| match check {
        Check::Basic(basic) => check_basic(basic, &at.field("basic")),
        Check::ApiKey(api_key) => check_api_key(api_key, &at.field("apiKey")),
        Check::Jwt(jwt) => check_jwt(jwt, &at.field("jwt")),
        Check::External(external) => check_external(external, &at.field("external")),
        Check::Ip(ip) => check_ip(ip, &at.field("ip")),
    });
}

fn check_basic(Basic { realm, users }: &Basic, at: &At<'_>) {
    check_text(realm, &at.field("realm"));
    let at = at.field("users");
    for user in users.keys() {
        let at = at.field(user);
        // RFC 7617, 2: what follows the first colon is the password.
        at.ensure(!user.contains(':'), format_args!("has a colon"));
        check_text(user, &at);
    }
}

fn check_api_key(ApiKey { header, query, keys }: &ApiKey, at: &At<'_>) {
    at.ensure(
        header.is_some() || query.is_some(),
        format_args!("needs `header`, `query` or both"),
    );
    if let Some(name) = header {
        check_editable(name, &at.field("header"));
    }
    if let Some(name) = query {
        check_name(name, &at.field("query"));
    }
    let at = at.field("keys");
    for (digest, client) in keys {
        let at = at.field(digest);
        at.ensure(
            is_sha256(digest),
            format_args!("is no SHA-256 in lower-case hexadecimal"),
        );
        check_name(client, &at);
    }
}

fn check_jwt(jwt: &Jwt, at: &At<'_>) {
    let Jwt {
        issuer: _,
        audiences: _,
        keys,
        keys_expire: _,
        clock_skew_seconds: _,
        required_claims,
        claims_to_headers,
    } = jwt;
    check_each(keys, "keys", at, check_jwt_key);
    check_each(
        required_claims,
        "requiredClaims",
        at,
        |RequiredClaim { claim, values: _ }, at| check_name(claim, &at.field("claim")),
    );
    check_each(
        claims_to_headers,
        "claimsToHeaders",
        at,
        |ClaimToHeader { claim, header }, at| {
            check_name(claim, &at.field("claim"));
            check_editable(header, &at.field("header"));
        },
    );
}

fn check_jwt_key(
    Key {
        kid: _,
        algorithms,
        spki,
    }: &Key,
    at: &At<'_>,
) {
    check_some(algorithms, &at.field("algorithms"));
    check_name(spki, &at.field("spki"));
}

fn check_external(external: &External, at: &At<'_>) {
    let External {
        cluster,
        protocol: _,
        path,
        timeout_ms,
        on_failure: _,
        request_headers,
        response_headers,
    } = external;
    check_name(cluster, &at.field("cluster"));
    if let Some(path) = path {
        check_outgoing(path, &at.field("path"));
    }
    check_positive(*timeout_ms, &at.field("timeoutMs"));
    check_each(request_headers, "requestHeaders", at, |name, at| {
        check_header_name(name, at);
    });
    check_each(response_headers, "responseHeaders", at, |name, at| {
        check_editable(name, at);
    });
}

fn check_ip(Ip { allow, deny }: &Ip, at: &At<'_>) {
    at.ensure(
        !(allow.is_empty() && deny.is_empty()),
        format_args!("needs `allow`, `deny` or both"),
    );
}

// === What is done to requests ===

fn check_mirror(
    Mirror {
        cluster,
        percent,
        when,
    }: &Mirror,
    at: &At<'_>,
) {
    check_name(cluster, &at.field("cluster"));
    check_percent(*percent, &at.field("percent"));
    check_when(when.as_ref(), at);
}

fn check_headers(Headers { request, response }: &Headers, at: &At<'_>) {
    check_edits(request, &at.field("request"));
    check_edits(response, &at.field("response"));
}

fn check_edits(HeaderEdits { set, add, remove }: &HeaderEdits, at: &At<'_>) {
    for (field, headers) in [("set", set), ("add", add)] {
        check_each(headers, field, at, |Header { name, value }, at| {
            check_editable(name, &at.field("name"));
            check_text(value, &at.field("value"));
        });
    }
    check_each(remove, "remove", at, |name, at| check_editable(name, at));
}

/// `null` is an origin, too: that of pages without one.
fn check_cors(cors: &Cors, at: &At<'_>) {
    let Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age_seconds: _,
        allow_credentials,
    } = cors;
    check_some(allow_origins, &at.field("allowOrigins"));
    check_each(allow_origins, "allowOrigins", at, |origin, at| {
        let is_origin = origin == "*" || origin == "null" || is_origin(origin);
        at.ensure(
            is_origin,
            format_args!("{origin:?} is no origin such as https://www.example.com or https://*.example.com"),
        );
        check_credentials(origin, *allow_credentials, at);
    });
    for (field, names) in [
        ("allowMethods", allow_methods),
        ("allowHeaders", allow_headers),
        ("exposeHeaders", expose_headers),
    ] {
        check_each(names, field, at, |name, at| {
            check_token(name, at);
            check_credentials(name, *allow_credentials, at);
        });
    }
}

/// The Fetch standard takes a `*` for itself alone where credentials are sent.
fn check_credentials(value: &str, allow_credentials: bool, at: &At<'_>) {
    at.ensure(
        !(value == "*" && allow_credentials),
        format_args!("* does not go together with credentials"),
    );
}

fn check_retry(
    Retry {
        count,
        per_try_timeout_ms,
    }: Retry,
    at: &At<'_>,
) {
    check_positive(u64::from(count), &at.field("count"));
    if let Some(milliseconds) = per_try_timeout_ms {
        check_positive(milliseconds, &at.field("perTryTimeoutMs"));
    }
}

// === Of texts and numbers ===

fn check_some<T>(list: &[T], at: &At<'_>) {
    at.ensure(!list.is_empty(), format_args!("is empty"));
}

fn check_positive(number: u64, at: &At<'_>) {
    at.ensure(number > 0, format_args!("0 is too few"));
}

fn check_token(text: &str, at: &At<'_>) {
    at.ensure(is_token(text), format_args!("{text:?} is no token"));
}

/// Of a header that the filter sets or removes.
fn check_editable(name: &str, at: &At<'_>) {
    check_header_name(name, at);
    let is_kept = FRAMING.contains(&name) || STEERING.iter().any(|start| name.starts_with(start));
    at.ensure(!is_kept, format_args!("{name:?} is the proxy's own to say"));
}

/// `scheme://host` or `scheme://host:port`, and `*.` for a first label.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let with_port = authority
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'));
    let (host, port) = with_port.unwrap_or((authority, "0"));
    let is_name = |text: &str, others: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte))
    };
    is_name(scheme, b"+-.")
        && is_name(host.strip_prefix("*.").unwrap_or(host), b"-._[]:")
        && port.parse::<u16>().is_ok()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
