//! Checks of a policy beyond its types.

use super::fields::{check_each, check_lower_header, check_outgoing, check_prefix};
use crate::config::policy::{
    ApiKey, Basic, Check, ClaimToHeader, ClientNetwork, Concurrency, Cors, DescriptorEntry, EntryValue,
    External, GlobalLimit, Header, HeaderEdits, HeaderMatch, Headers, Ip, Jwt, Key, KeyPart, LocalLimit,
    Mirror, Policy, PrefixLengths, RateLimit, RequiredClaim, Requirement, Retry, When,
};
use crate::config::{error::Error, field_path::FieldPath};
use crate::{
    auth,
    config::value::{
        COUNT, IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH, PERCENT, STATUS, ValueError, check_name, check_range,
        check_some, check_text, check_token,
    },
    header::Use,
    policy::{self, PolicyError},
};

// === impl Policy ===

impl Policy {
    /// Checks a policy.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn check(&self) -> Result<(), Error> {
        let whole = FieldPath::ROOT;
        check_policy(self, &whole)?;
        // Other errors show when it is prepared.
        match policy::PreparedPolicy::try_from(self.clone()) {
            Ok(_) => Ok(()),
            Err(PolicyError::Auth(at, fault)) => Err(self.auth_error(at, &fault)),
            Err(unfit) => Err(whole.error(format_args!("{unfit}"))),
        }
    }

    /// The error of a requirement that cannot be prepared. Its text starts with the field.
    fn auth_error(&self, at: usize, fault: &auth::RequirementError) -> Error {
        let is_bad = |check: &Check| {
            let any_of = vec![check.clone()];
            auth::AuthRequirement::try_from(Requirement { any_of }).is_err()
        };
        let any_of = self
            .auth
            .get(at)
            .map_or(&[][..], |requirement| &requirement.any_of);
        let check = any_of.iter().position(is_bad).unwrap_or_default();
        let text = fault.to_string();
        let (field, problem) = text.split_once(": ").unwrap_or(("", &text));
        Error::new(format!("auth[{at}].anyOf[{check}].{field}"), problem.to_owned())
    }
}

pub(super) fn check_policy(policy: &Policy, at: &FieldPath<'_>) -> Result<(), Error> {
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
    at.field("source").check(check_name(source))?;
    if let Some(cors) = cors {
        check_cors(cors, &at.field("cors"))?;
    }
    check_each(auth, "auth", at, check_requirement)?;
    check_each(rate_limits, "rateLimits", at, check_rate_limit)?;
    if let Some(concurrency) = concurrency {
        check_concurrency(concurrency, &at.field("concurrency"))?;
    }
    check_each(mirror, "mirror", at, check_mirror)?;
    if let Some(headers) = headers {
        check_headers(headers, &at.field("headers"))?;
    }
    if let Some(retry) = retry {
        check_retry(*retry, &at.field("retry"))?;
    }
    Ok(())
}

// === Which requests ===

fn check_when(when: Option<&When>, at: &FieldPath<'_>) -> Result<(), Error> {
    let Some(When {
        methods,
        prefix,
        headers,
    }) = when
    else {
        return Ok(());
    };
    let at = at.field("match");
    check_each(methods, "methods", &at, |method, at| {
        at.check(check_token(method, ValueError::Method))
    })?;
    if let Some(prefix) = prefix {
        check_prefix(prefix, &at.field("prefix"))?;
    }
    check_each(headers, "headers", &at, |HeaderMatch { name, value }, at| {
        check_lower_header(name, &[Use::Read], &at.field("name"))?;
        if let Some(value) = value {
            at.field("value").check(check_text(value))?;
        }
        Ok(())
    })
}

fn check_key(key: &[KeyPart], at: &FieldPath<'_>) -> Result<(), Error> {
    check_each(key, "key", at, check_key_part)
}

fn check_key_part(part: &KeyPart, at: &FieldPath<'_>) -> Result<(), Error> {
    match part {
        KeyPart::ClientIp | KeyPart::Path | KeyPart::Method => Ok(()),
        KeyPart::ClientNetwork(ClientNetwork { lengths }) => {
            let at = at.field("clientIP");
            let PrefixLengths { ipv4, ipv6 } = *lengths;
            at.field("ipv4PrefixLength")
                .check(check_range(ipv4.into(), IPV4_PREFIX_LENGTH))?;
            at.field("ipv6PrefixLength")
                .check(check_range(ipv6.into(), IPV6_PREFIX_LENGTH))
        }
        KeyPart::Header(name) => check_lower_header(name, &[Use::Read], &at.field("header")),
        KeyPart::Cookie(name) => at.field("cookie").check(check_token(name, ValueError::Cookie)),
        KeyPart::Claim(name) => at.field("claim").check(check_name(name)),
    }
}

// === Limits ===

fn check_rate_limit(limit: &RateLimit, at: &FieldPath<'_>) -> Result<(), Error> {
    let RateLimit {
        when,
        dry_run: _,
        status,
        local,
        global,
    } = limit;
    check_when(when.as_ref(), at)?;
    at.field("status").check(check_range((*status).into(), STATUS))?;
    match (local, global) {
        (Some(local), None) => check_local(local, &at.field("local")),
        (None, Some(global)) => check_global(global, &at.field("global")),
        _ => Err(at.error(format_args!("exactly one of `local` and `global` is needed"))),
    }
}

fn check_local(limit: &LocalLimit, at: &FieldPath<'_>) -> Result<(), Error> {
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
        at.field(name).check(check_range((*number).into(), COUNT))?;
    }
    check_key(key, at)
}

fn check_global(limit: &GlobalLimit, at: &FieldPath<'_>) -> Result<(), Error> {
    let GlobalLimit {
        cluster,
        domain,
        descriptors,
        timeout_ms,
        on_failure: _,
    } = limit;
    at.field("cluster").check(check_name(cluster))?;
    at.field("domain").check(check_name(domain))?;
    at.field("descriptors").check(check_some(descriptors))?;
    check_each(descriptors, "descriptors", at, |entries, at| {
        at.check(check_some(entries))?;
        for (index, entry) in entries.iter().enumerate() {
            check_entry(entry, &at.item(index))?;
        }
        Ok(())
    })?;
    check_positive(*timeout_ms, &at.field("timeoutMs"))
}

fn check_entry(DescriptorEntry { key, value }: &DescriptorEntry, at: &FieldPath<'_>) -> Result<(), Error> {
    at.field("key").check(check_name(key))?;
    let at = at.field("value");
    match value {
        EntryValue::Literal(text) => at.field("literal").check(check_name(text)),
        EntryValue::Of(part) => check_key_part(part, &at.field("of")),
    }
}

fn check_concurrency(Concurrency { max, key }: &Concurrency, at: &FieldPath<'_>) -> Result<(), Error> {
    at.field("max").check(check_range((*max).into(), COUNT))?;
    check_key(key, at)
}

// === Authentication ===

fn check_requirement(Requirement { any_of }: &Requirement, at: &FieldPath<'_>) -> Result<(), Error> {
    at.field("anyOf").check(check_some(any_of))?;
    check_each(any_of, "anyOf", at, |check, at| match check {
        Check::Basic(basic) => check_basic(basic, &at.field("basic")),
        Check::ApiKey(api_key) => check_api_key(api_key, &at.field("apiKey")),
        Check::Jwt(jwt) => check_jwt(jwt, &at.field("jwt")),
        Check::External(external) => check_external(external, &at.field("external")),
        Check::Ip(ip) => check_ip(ip, &at.field("ip")),
    })
}

fn check_basic(Basic { realm, users }: &Basic, at: &FieldPath<'_>) -> Result<(), Error> {
    at.field("realm").check(check_text(realm))?;
    let at = at.field("users");
    for user in users.keys() {
        let at = at.field(user);
        // RFC 7617, 2: what follows the first colon is the password.
        at.ensure(!user.contains(':'), format_args!("has a colon"))?;
        at.check(check_text(user))?;
    }
    Ok(())
}

fn check_api_key(ApiKey { header, query, keys }: &ApiKey, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        header.is_some() || query.is_some(),
        format_args!("must have header or query"),
    )?;
    if let Some(name) = header {
        check_lower_header(name, &[Use::Remove, Use::Trust], &at.field("header"))?;
    }
    if let Some(name) = query {
        at.field("query").check(check_name(name))?;
    }
    let at = at.field("keys");
    for (digest, client) in keys {
        let at = at.field(digest);
        at.ensure(
            is_sha256(digest),
            format_args!("is no SHA-256 in lower-case hexadecimal"),
        )?;
        at.check(check_name(client))?;
    }
    Ok(())
}

fn check_jwt(jwt: &Jwt, at: &FieldPath<'_>) -> Result<(), Error> {
    let Jwt {
        issuer: _,
        audiences: _,
        keys,
        keys_expire: _,
        clock_skew_seconds: _,
        required_claims,
        claims_to_headers,
    } = jwt;
    check_each(keys, "keys", at, check_jwt_key)?;
    check_each(
        required_claims,
        "requiredClaims",
        at,
        |RequiredClaim { claim, values: _ }, at| at.field("claim").check(check_name(claim)),
    )?;
    check_each(
        claims_to_headers,
        "claimsToHeaders",
        at,
        |ClaimToHeader { claim, header }, at| {
            at.field("claim").check(check_name(claim))?;
            check_lower_header(header, &[Use::Set, Use::Remove], &at.field("header"))
        },
    )
}

fn check_jwt_key(
    Key {
        kid: _,
        algorithms,
        spki,
    }: &Key,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    at.field("algorithms").check(check_some(algorithms))?;
    at.field("spki").check(check_name(spki))
}

fn check_external(external: &External, at: &FieldPath<'_>) -> Result<(), Error> {
    let External {
        cluster,
        protocol: _,
        path,
        timeout_ms,
        on_failure: _,
        request_headers,
        response_headers,
    } = external;
    at.field("cluster").check(check_name(cluster))?;
    if let Some(path) = path {
        check_outgoing(path, &at.field("path"))?;
    }
    check_positive(*timeout_ms, &at.field("timeoutMs"))?;
    check_each(request_headers, "requestHeaders", at, |name, at| {
        check_lower_header(name, &[Use::Set], at)
    })?;
    check_each(response_headers, "responseHeaders", at, |name, at| {
        check_lower_header(name, &[Use::Set, Use::Remove], at)
    })
}

fn check_ip(Ip { allow, deny }: &Ip, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        !(allow.is_empty() && deny.is_empty()),
        format_args!("must have allow or deny"),
    )
}

// === What is done to requests ===

fn check_mirror(
    Mirror {
        cluster,
        percent,
        when,
    }: &Mirror,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    at.field("cluster").check(check_name(cluster))?;
    at.field("percent")
        .check(check_range((*percent).into(), PERCENT))?;
    check_when(when.as_ref(), at)
}

fn check_headers(Headers { request, response }: &Headers, at: &FieldPath<'_>) -> Result<(), Error> {
    check_edits(request, &at.field("request"))?;
    check_edits(response, &at.field("response"))
}

fn check_edits(HeaderEdits { set, add, remove }: &HeaderEdits, at: &FieldPath<'_>) -> Result<(), Error> {
    for (field, headers) in [("set", set), ("add", add)] {
        check_each(headers, field, at, |Header { name, value }, at| {
            check_lower_header(name, &[Use::Set], &at.field("name"))?;
            at.field("value").check(check_text(value))
        })?;
    }
    check_each(remove, "remove", at, |name, at| {
        check_lower_header(name, &[Use::Remove], at)
    })
}

/// Checks a CORS policy. `null` is an origin, too: that of pages without one.
fn check_cors(cors: &Cors, at: &FieldPath<'_>) -> Result<(), Error> {
    let Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age_seconds: _,
        allow_credentials,
    } = cors;
    at.field("allowOrigins").check(check_some(allow_origins))?;
    check_each(allow_origins, "allowOrigins", at, |origin, at| {
        let is_origin = origin == "*" || origin == "null" || is_origin(origin);
        at.ensure(
            is_origin,
            format_args!("{origin:?} is no origin such as https://www.example.com or https://*.example.com"),
        )?;
        check_credentials(origin, *allow_credentials, at)
    })?;
    check_each(allow_methods, "allowMethods", at, |name, at| {
        at.check(check_token(name, ValueError::Method))?;
        check_credentials(name, *allow_credentials, at)
    })?;
    for (field, names) in [("allowHeaders", allow_headers), ("exposeHeaders", expose_headers)] {
        check_each(names, field, at, |name, at| {
            at.check(check_token(name, ValueError::HeaderName))?;
            check_credentials(name, *allow_credentials, at)
        })?;
    }
    Ok(())
}

/// Rejects `*` together with credentials, for which the Fetch standard takes it literally.
fn check_credentials(value: &str, allow_credentials: bool, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(
        !(value == "*" && allow_credentials),
        format_args!("* must not stand beside allowCredentials: name what is allowed"),
    )
}

fn check_retry(
    Retry {
        count,
        per_try_timeout_ms,
    }: Retry,
    at: &FieldPath<'_>,
) -> Result<(), Error> {
    at.field("count").check(check_range(count.into(), COUNT))?;
    if let Some(milliseconds) = per_try_timeout_ms {
        check_positive(milliseconds, &at.field("perTryTimeoutMs"))?;
    }
    Ok(())
}

// === Of texts and numbers ===

fn check_positive(number: u64, at: &FieldPath<'_>) -> Result<(), Error> {
    at.ensure(number > 0, format_args!("0 is too few"))
}

/// Returns true for `scheme://host` or `scheme://host:port`, whose first label may be `*`.
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
