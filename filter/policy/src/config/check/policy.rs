//! What the types of a policy do not say by themselves.

use super::{
    Checked, Error, check_name, check_option, check_outgoing, check_prefix, check_text, ensure, is_token,
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
        let Self {
            source,
            cors,
            auth,
            rate_limits,
            concurrency,
            mirror,
            headers,
            timeout_ms: _,
            retry,
        } = self;
        check_name(source).map_err(|error| error.within("source"))?;
        check_option(cors.as_ref(), "cors", check_cors)?;
        check_each(auth, "auth", check_requirement)?;
        check_each(rate_limits, "rateLimits", check_rate_limit)?;
        check_option(concurrency.as_ref(), "concurrency", check_concurrency)?;
        check_each(mirror, "mirror", check_mirror)?;
        check_option(headers.as_ref(), "headers", check_headers)?;
        check_option(retry.as_ref(), "retry", check_retry)?;
        // What is still wrong keeps it from being made ready.
        let ready = policy::Policy::try_from(self.clone());
        ready.map(drop).map_err(|unfit| Error::new(unfit.to_string()))
    }
}

// === Which requests ===

fn check_when(
    When {
        methods,
        prefix,
        headers,
    }: &When,
) -> Checked {
    check_each(methods, "methods", |method| check_token(method))?;
    check_option(prefix.as_ref(), "prefix", |prefix| check_prefix(prefix))?;
    check_each(headers, "headers", |HeaderMatch { name, value }| {
        check_header_name(name).map_err(|error| error.within("name"))?;
        check_option(value.as_ref(), "value", |value| check_text(value))
    })
}

fn check_key(key: &[KeyPart]) -> Checked {
    check_each(key, "key", check_key_part)
}

fn check_key_part(part: &KeyPart) -> Checked {
    match part {
        KeyPart::ClientIp | KeyPart::Path | KeyPart::Method => Ok(()),
        KeyPart::Header(name) => check_header_name(name).map_err(|error| error.within("header")),
        KeyPart::Cookie(name) => check_token(name).map_err(|error| error.within("cookie")),
        KeyPart::Claim(name) => check_name(name).map_err(|error| error.within("claim")),
    }
}

// === Limits ===

fn check_rate_limit(limit: &RateLimit) -> Checked {
    let RateLimit {
        when,
        dry_run: _,
        status,
        local,
        global,
    } = limit;
    check_option(when.as_ref(), "match", check_when)?;
    ensure(ERROR_STATUS.contains(status), || {
        format!("{status} is no status of an error: 400 to 599")
    })
    .map_err(|error| error.within("status"))?;
    match (local, global) {
        (Some(local), None) => check_local(local).map_err(|error| error.within("local")),
        (None, Some(global)) => check_global(global).map_err(|error| error.within("global")),
        _ => Err(Error::new("exactly one of `local` and `global` is needed")),
    }
}

fn check_local(limit: &LocalLimit) -> Checked {
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
        check_positive(u64::from(*number)).map_err(|error| error.within(name))?;
    }
    check_key(key)
}

fn check_global(limit: &GlobalLimit) -> Checked {
    let GlobalLimit {
        cluster,
        domain,
        descriptors,
        timeout_ms,
        on_failure: _,
    } = limit;
    check_name(cluster).map_err(|error| error.within("cluster"))?;
    check_name(domain).map_err(|error| error.within("domain"))?;
    check_some(descriptors, "descriptors")?;
    check_each(descriptors, "descriptors", |entries| {
        ensure(!entries.is_empty(), || "is empty".to_owned())?;
        entries
            .iter()
            .enumerate()
            .try_for_each(|(at, entry)| check_entry(entry).map_err(|error| error.within_index(at)))
    })?;
    check_positive(*timeout_ms).map_err(|error| error.within("timeoutMs"))
}

fn check_entry(DescriptorEntry { key, value }: &DescriptorEntry) -> Checked {
    check_name(key).map_err(|error| error.within("key"))?;
    match value {
        EntryValue::Literal(text) => check_name(text).map_err(|error| error.within("literal")),
        EntryValue::Of(part) => check_key_part(part).map_err(|error| error.within("of")),
    }
    .map_err(|error| error.within("value"))
}

fn check_concurrency(Concurrency { max, key }: &Concurrency) -> Checked {
    check_positive(u64::from(*max)).map_err(|error| error.within("max"))?;
    check_key(key)
}

// === Authentication ===

fn check_requirement(Requirement { any_of }: &Requirement) -> Checked {
    check_some(any_of, "anyOf")?;
    check_each(any_of, "anyOf", |check| match check {
        Check::Basic(basic) => check_basic(basic).map_err(|error| error.within("basic")),
        Check::ApiKey(api_key) => check_api_key(api_key).map_err(|error| error.within("apiKey")),
        Check::Jwt(jwt) => check_jwt(jwt).map_err(|error| error.within("jwt")),
        Check::External(external) => check_external(external).map_err(|error| error.within("external")),
        Check::Ip(ip) => check_ip(ip).map_err(|error| error.within("ip")),
    })
}

fn check_basic(Basic { realm, users }: &Basic) -> Checked {
    check_text(realm).map_err(|error| error.within("realm"))?;
    for user in users.keys() {
        // RFC 7617, 2: what follows the first colon is the password.
        ensure(!user.contains(':'), || "has a colon".to_owned())
            .and_then(|()| check_text(user))
            .map_err(|error| error.within(user).within("users"))?;
    }
    Ok(())
}

fn check_api_key(ApiKey { header, query, keys }: &ApiKey) -> Checked {
    ensure(header.is_some() || query.is_some(), || {
        "needs `header`, `query` or both".to_owned()
    })?;
    check_option(header.as_ref(), "header", |name| check_editable(name))?;
    check_option(query.as_ref(), "query", |name| check_name(name))?;
    for (digest, client) in keys {
        ensure(is_sha256(digest), || {
            "is no SHA-256 in lower-case hexadecimal".to_owned()
        })
        .and_then(|()| check_name(client))
        .map_err(|error| error.within(digest).within("keys"))?;
    }
    Ok(())
}

fn check_jwt(jwt: &Jwt) -> Checked {
    let Jwt {
        issuer: _,
        audiences: _,
        keys,
        keys_expire: _,
        clock_skew_seconds: _,
        required_claims,
        claims_to_headers,
    } = jwt;
    check_each(keys, "keys", check_jwt_key)?;
    check_each(
        required_claims,
        "requiredClaims",
        |RequiredClaim { claim, values: _ }| check_name(claim).map_err(|error| error.within("claim")),
    )?;
    check_each(
        claims_to_headers,
        "claimsToHeaders",
        |ClaimToHeader { claim, header }| {
            check_name(claim).map_err(|error| error.within("claim"))?;
            check_editable(header).map_err(|error| error.within("header"))
        },
    )
}

fn check_jwt_key(
    Key {
        kid: _,
        algorithms,
        spki,
    }: &Key,
) -> Checked {
    check_some(algorithms, "algorithms")?;
    check_name(spki).map_err(|error| error.within("spki"))
}

fn check_external(external: &External) -> Checked {
    let External {
        cluster,
        protocol: _,
        path,
        timeout_ms,
        on_failure: _,
        request_headers,
        response_headers,
    } = external;
    check_name(cluster).map_err(|error| error.within("cluster"))?;
    check_option(path.as_ref(), "path", |path| check_outgoing(path))?;
    check_positive(*timeout_ms).map_err(|error| error.within("timeoutMs"))?;
    check_each(request_headers, "requestHeaders", |name| check_header_name(name))?;
    check_each(response_headers, "responseHeaders", |name| check_editable(name))
}

fn check_ip(Ip { allow, deny }: &Ip) -> Checked {
    ensure(!(allow.is_empty() && deny.is_empty()), || {
        "needs `allow`, `deny` or both".to_owned()
    })
}

// === What is done to requests ===

fn check_mirror(
    Mirror {
        cluster,
        percent,
        when,
    }: &Mirror,
) -> Checked {
    check_name(cluster).map_err(|error| error.within("cluster"))?;
    ensure(*percent <= 100, || format!("{percent} is more than 100"))
        .map_err(|error| error.within("percent"))?;
    check_option(when.as_ref(), "match", check_when)
}

fn check_headers(Headers { request, response }: &Headers) -> Checked {
    check_edits(request).map_err(|error| error.within("request"))?;
    check_edits(response).map_err(|error| error.within("response"))
}

fn check_edits(HeaderEdits { set, add, remove }: &HeaderEdits) -> Checked {
    for (field, headers) in [("set", set), ("add", add)] {
        check_each(headers, field, |Header { name, value }| {
            check_editable(name).map_err(|error| error.within("name"))?;
            check_text(value).map_err(|error| error.within("value"))
        })?;
    }
    check_each(remove, "remove", |name| check_editable(name))
}

/// `null` is an origin, too: that of pages without one.
fn check_cors(cors: &Cors) -> Checked {
    let Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age_seconds: _,
        allow_credentials,
    } = cors;
    check_some(allow_origins, "allowOrigins")?;
    check_each(allow_origins, "allowOrigins", |origin| {
        let is_origin = origin == "*" || origin == "null" || is_origin(origin);
        ensure(is_origin, || {
            format!("{origin:?} is no origin such as https://www.example.com or https://*.example.com")
        })?;
        check_credentials(origin, *allow_credentials)
    })?;
    for (field, names) in [
        ("allowMethods", allow_methods),
        ("allowHeaders", allow_headers),
        ("exposeHeaders", expose_headers),
    ] {
        check_each(names, field, |name| {
            check_token(name)?;
            check_credentials(name, *allow_credentials)
        })?;
    }
    Ok(())
}

/// The Fetch standard takes a `*` for itself alone where credentials are sent.
fn check_credentials(value: &str, allow_credentials: bool) -> Checked {
    ensure(!(value == "*" && allow_credentials), || {
        "* does not go together with credentials".to_owned()
    })
}

fn check_retry(
    Retry {
        count,
        per_try_timeout_ms,
    }: &Retry,
) -> Checked {
    check_positive(u64::from(*count)).map_err(|error| error.within("count"))?;
    check_option(per_try_timeout_ms.as_ref(), "perTryTimeoutMs", |milliseconds| {
        check_positive(*milliseconds)
    })
}

// === Of texts and numbers ===

fn check_each<T>(list: &[T], field: &str, check: impl Fn(&T) -> Checked) -> Checked {
    list.iter()
        .enumerate()
        .try_for_each(|(at, item)| check(item).map_err(|error| error.within_index(at).within(field)))
}

fn check_some<T>(list: &[T], field: &str) -> Checked {
    ensure(!list.is_empty(), || "is empty".to_owned()).map_err(|error| error.within(field))
}

fn check_positive(number: u64) -> Checked {
    ensure(number > 0, || "0 is too few".to_owned())
}

fn check_token(text: &str) -> Checked {
    ensure(is_token(text), || format!("{text:?} is no token"))
}

fn check_header_name(name: &str) -> Checked {
    let is_name = is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    ensure(is_name, || format!("{name:?} is no header name in lower case"))
}

/// Of a header that the filter sets or removes.
fn check_editable(name: &str) -> Checked {
    check_header_name(name)?;
    let is_kept = FRAMING.contains(&name) || STEERING.iter().any(|start| name.starts_with(start));
    ensure(!is_kept, || format!("{name:?} is the proxy's own to say"))
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
