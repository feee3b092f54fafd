//! What a level asks, in words. Names only: no value of a header, no password, no key.

use std::{collections::BTreeMap, time::Duration};
use switchyard_policy::{
    config::policy::{
        ApiKey, Basic, Check, ClientNetwork, Concurrency, Cors, EntryValue, External, ExternalProtocol,
        GlobalLimit, Header, HeaderEdits, Headers, Ip, Jwt, KeyPart, LocalLimit, Mirror, OnFailure, Policy,
        PrefixLengths, RateLimit, Requirement, Retry, When,
    },
    observer::PolicyPart,
};

/// Units that limits are written in, by their seconds.
const UNITS: [(u32, &str); 4] = [(1, "second"), (60, "minute"), (3600, "hour"), (86400, "day")];

/// A part of a policy, and what it asks or does.
pub(super) struct Described {
    pub(super) part: Kind,
    pub(super) what: String,
}

/// A part of a policy, by its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that is asked, or does something with requests of its own.
    Asked(PolicyPart),
    Headers,
    Timeout,
    Retry,
}

/// All parts of a policy, in the order of the fields.
pub(super) fn parts(policy: &Policy) -> Vec<Described> {
    let Policy {
        source: _,
        cors,
        auth,
        rate_limits,
        concurrency,
        mirror,
        headers,
        timeout_ms,
        retry,
    } = policy;
    let asked = |part, what| Described {
        part: Kind::Asked(part),
        what,
    };
    let mut parts = Vec::new();
    parts.extend(cors.iter().map(|cors| asked(PolicyPart::Cors, of_cors(cors))));
    let auth = auth.iter().enumerate();
    parts.extend(auth.map(|(at, requirement)| asked(PolicyPart::Auth(at), requirement_words(requirement))));
    let limits = rate_limits.iter().enumerate();
    parts.extend(limits.map(|(at, limit)| asked(PolicyPart::RateLimit(at), of_limit(limit))));
    parts.extend(
        concurrency
            .iter()
            .map(|limit| asked(PolicyPart::Concurrency, of_concurrency(limit))),
    );
    let mirrors = mirror.iter().enumerate();
    parts.extend(mirrors.map(|(at, mirror)| asked(PolicyPart::Mirror(at), of_mirror(mirror))));
    parts.extend(headers.iter().map(|headers| Described {
        part: Kind::Headers,
        what: of_headers(headers),
    }));
    parts.extend(timeout_ms.map(|limit| Described {
        part: Kind::Timeout,
        what: timeout(limit),
    }));
    parts.extend(retry.map(|retry| Described {
        part: Kind::Retry,
        what: of_retry(retry),
    }));
    parts
}

/// The Service of a cluster, and its port: what its name starts with.
pub(super) fn service(cluster: &str) -> (String, u16) {
    let mut parts = cluster.splitn(4, '/');
    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let port = parts
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or_default();
    (format!("{namespace}/{name}"), port)
}

/// `namespace/name/port`.
pub(super) fn service_port(cluster: &str) -> String {
    let (service, port) = service(cluster);
    format!("{service}/{port}")
}

/// 0 is no limit.
pub(super) fn timeout(milliseconds: u64) -> String {
    match milliseconds {
        0 => "infinite".to_owned(),
        limit => format!("{:?}", Duration::from_millis(limit)),
    }
}

pub(super) fn of_retry(
    Retry {
        count,
        per_try_timeout_ms,
    }: Retry,
) -> String {
    let times = if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    };
    let each = per_try_timeout_ms.map(|limit| format!(", each try within {}", timeout(limit)));
    format!("{times} after 5xx{}", each.unwrap_or_default())
}

fn requirement_words(Requirement { any_of }: &Requirement) -> String {
    any_of.iter().map(of_check).collect::<Vec<_>>().join(", or ")
}

fn of_check(check: &Check) -> String {
    match check {
        Check::Basic(Basic { realm, users }) => {
            format!("basic for {realm:?}, {}", count(users, "user", "users"))
        }
        Check::ApiKey(ApiKey { header, query, keys }) => {
            let header = header.as_ref().map(|name| format!("header {name}"));
            let query = query.as_ref().map(|name| format!("parameter {name}"));
            let places: Vec<_> = header.into_iter().chain(query).collect();
            format!(
                "apiKey in {}, {}",
                places.join(" or "),
                count(keys, "client", "clients")
            )
        }
        Check::Jwt(jwt) => of_jwt(jwt),
        Check::External(external) => of_external(external),
        Check::Ip(Ip { allow, deny }) => {
            let list = |word: &str, ranges: &[String]| match ranges {
                [] => None,
                few if few.len() <= 4 => Some(format!("{word} {}", few.join(", "))),
                many => Some(format!("{word} {} ranges", many.len())),
            };
            let parts: Vec<_> = list("in", allow)
                .into_iter()
                .chain(list("not in", deny))
                .collect();
            format!("ip {}", parts.join(", "))
        }
    }
}

fn of_jwt(jwt: &Jwt) -> String {
    let Jwt {
        issuer,
        audiences,
        keys,
        keys_expire: _,
        clock_skew_seconds: _,
        required_claims,
        claims_to_headers,
    } = jwt;
    let mut words = vec!["jwt".to_owned()];
    words.extend(issuer.as_ref().map(|issuer| format!("of {issuer}")));
    if !audiences.is_empty() {
        words.push(format!("for {}", audiences.join(" or ")));
    }
    words.push(match keys.len() {
        1 => "by 1 key".to_owned(),
        number => format!("by {number} keys"),
    });
    let mut parts = vec![words.join(" ")];
    let claims: Vec<_> = required_claims.iter().map(|required| &*required.claim).collect();
    if !claims.is_empty() {
        parts.push(format!("with the claims {}", claims.join(", ")));
    }
    let headers: Vec<_> = claims_to_headers.iter().map(|to| &*to.header).collect();
    if !headers.is_empty() {
        parts.push(format!("told in {}", headers.join(", ")));
    }
    parts.join(", ")
}

fn of_external(external: &External) -> String {
    let protocol = match external.protocol {
        ExternalProtocol::Http => "http",
        ExternalProtocol::Grpc => "grpc",
    };
    let service = service_port(&external.cluster);
    let limit = timeout(external.timeout_ms);
    format!(
        "external by {service} over {protocol}, within {limit}{}",
        on_failure(external.on_failure)
    )
}

fn on_failure(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Deny => "",
        OnFailure::Allow => ", allow if it fails",
    }
}

fn of_limit(limit: &RateLimit) -> String {
    let RateLimit {
        when,
        dry_run,
        status: _,
        local,
        global,
    } = limit;
    let local = local.as_ref().map(of_local);
    let global = global.as_ref().map(of_global);
    let limits: Vec<_> = local.into_iter().chain(global).collect();
    let trial = if *dry_run { ", on trial" } else { "" };
    format!("{}{}{trial}", limits.join(", "), of_when(when.as_ref()))
}

fn of_local(limit: &LocalLimit) -> String {
    let LocalLimit {
        requests,
        per_seconds,
        burst,
        key,
    } = limit;
    let unit = UNITS.iter().find(|(seconds, _)| seconds == per_seconds);
    let unit = unit.map_or_else(
        || format!("{per_seconds} seconds"),
        |(_, unit)| (*unit).to_owned(),
    );
    let burst = if burst == requests {
        String::new()
    } else {
        format!(", {burst} at once")
    };
    format!("{requests} a {unit}{}{burst}", of_key(key))
}

fn of_global(limit: &GlobalLimit) -> String {
    let GlobalLimit {
        cluster,
        domain,
        descriptors,
        timeout_ms,
        on_failure: failure,
    } = limit;
    let entries = descriptors.iter().flatten();
    let keys = entries.map(|entry| match &entry.value {
        EntryValue::Literal(_) => entry.key.clone(),
        EntryValue::Of(part) => format!("{} of {}", entry.key, of_part(part)),
    });
    let keys: Vec<_> = keys.collect();
    format!(
        "as {} counts in {domain:?} by {}, within {}{}",
        service_port(cluster),
        keys.join(", "),
        timeout(*timeout_ms),
        on_failure(*failure)
    )
}

fn of_concurrency(Concurrency { max, key }: &Concurrency) -> String {
    format!("{max} at once{}", of_key(key))
}

/// Each has a count of its own.
fn of_key(key: &[KeyPart]) -> String {
    let parts: Vec<_> = key.iter().map(of_part).collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" for each {}", parts.join(" and "))
    }
}

fn of_part(part: &KeyPart) -> String {
    match part {
        KeyPart::ClientIp => "clientIP".to_owned(),
        KeyPart::ClientNetwork(ClientNetwork { lengths }) => {
            let PrefixLengths { ipv4, ipv6 } = lengths;
            format!("clientIP (/{ipv4} of IPv4, /{ipv6} of IPv6)")
        }
        KeyPart::Header(name) => format!("header {name}"),
        KeyPart::Cookie(name) => format!("cookie {name}"),
        KeyPart::Claim(name) => format!("claim {name}"),
        KeyPart::Path => "path".to_owned(),
        KeyPart::Method => "method".to_owned(),
    }
}

fn of_mirror(
    Mirror {
        cluster,
        percent,
        when,
    }: &Mirror,
) -> String {
    format!(
        "{percent} % to {}{}",
        service_port(cluster),
        of_when(when.as_ref())
    )
}

fn of_when(when: Option<&When>) -> String {
    let Some(When {
        methods,
        prefix,
        headers,
    }) = when
    else {
        return String::new();
    };
    let mut parts = Vec::new();
    if !methods.is_empty() {
        parts.push(methods.join(" or "));
    }
    parts.extend(prefix.as_ref().map(|prefix| format!("in {prefix}")));
    parts.extend(
        headers
            .iter()
            .map(|header| format!("with the header {}", header.name)),
    );
    if parts.is_empty() {
        String::new()
    } else {
        format!(", if {}", parts.join(" "))
    }
}

fn of_headers(Headers { request, response }: &Headers) -> String {
    let sides = [("requests", request), ("answers", response)];
    let sides: Vec<_> = sides
        .into_iter()
        .filter(|(_, edits)| !edits.is_empty())
        .map(|(side, edits)| format!("{} of {side}", of_edits(edits)))
        .collect();
    sides.join(", ")
}

fn of_edits(HeaderEdits { set, add, remove }: &HeaderEdits) -> String {
    let names = |headers: &[Header]| {
        headers
            .iter()
            .map(|header| header.name.clone())
            .collect::<Vec<_>>()
    };
    let edits = [
        ("remove", remove.clone()),
        ("set", names(set)),
        ("add", names(add)),
    ];
    let edits: Vec<_> = edits
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
        .collect();
    edits.join(", ")
}

fn of_cors(cors: &Cors) -> String {
    let credentials = if cors.allow_credentials {
        ", with credentials"
    } else {
        ""
    };
    format!("pages of {}{credentials}", cors.allow_origins.join(", "))
}

fn count<V>(entries: &BTreeMap<String, V>, one: &str, many: &str) -> String {
    match entries.len() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

// === impl Kind ===

impl Kind {
    /// From the level on.
    pub(super) fn field(self) -> String {
        match self {
            Self::Asked(part) => part.to_string(),
            Self::Headers => "headers".to_owned(),
            Self::Timeout => "timeoutPolicy".to_owned(),
            Self::Retry => "retryPolicy".to_owned(),
        }
    }
}
