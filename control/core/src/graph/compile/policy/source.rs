//! The fields of an object that the fields of its compiled policy come from.

use crate::ingressroute::policy::Auth;

/// Parts that are read from a Secret or a set of keys, and the field that names it.
const READ: [(&str, &str); 3] = [
    (".basic.users", ".basic.secretName"),
    (".apiKey.keys", ".apiKey.secretName"),
    (".jwt.keys", ".jwt.jwks"),
];
/// Parts of paths that differ, in the order in which they are replaced.
const RENAMED: [(&str, &str); 10] = [
    (".cluster", ".service"),
    (".local.perSeconds", ".unit"),
    (".local", ""),
    ("][", "].entries["),
    (".value.literal", ".value"),
    (".value.of", ".from"),
    (".timeoutMs", ".timeout"),
    ("TimeoutMs", "Timeout"),
    ("retry", "retryPolicy"),
    // It names the match.
    ("source", "match"),
];

/// The field of a level that the field `path` of its policy comes from. The level asks for this `auth`.
pub(super) fn of(path: &str, auth: &[Auth]) -> String {
    let mut path = path.to_owned();
    for (read, from) in READ {
        if let Some((check, _)) = path.split_once(read) {
            path = format!("{check}{from}");
        }
    }
    for (compiled, written) in RENAMED {
        path = path.replace(compiled, written);
    }
    // A check without alternatives is compiled to the only one.
    for (at, _) in auth.iter().enumerate().filter(|(_, auth)| auth.any_of.is_empty()) {
        path = path.replace(&format!("auth[{at}].anyOf[0]"), &format!("auth[{at}]"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingressroute::policy::Check;

    #[test]
    fn fields_are_those_of_the_object() {
        let any_of = Auth {
            any_of: vec![Check::default()],
            ..Auth::default()
        };
        let auth = [Auth::default(), any_of];
        for (compiled, written) in [
            ("source", "match"),
            ("cors.allowOrigins[0]", "cors.allowOrigins[0]"),
            ("auth[0].anyOf[0].basic.realm", "auth[0].basic.realm"),
            (
                r#"auth[0].anyOf[0].basic.users."a.b""#,
                "auth[0].basic.secretName",
            ),
            (
                "auth[1].anyOf[0].apiKey.keys.a0",
                "auth[1].anyOf[0].apiKey.secretName",
            ),
            ("auth[1].anyOf[10].jwt.keys[2]", "auth[1].anyOf[10].jwt.jwks"),
            ("auth[0].anyOf[0].external.cluster", "auth[0].external.service"),
            ("auth[0].anyOf[0].external.timeoutMs", "auth[0].external.timeout"),
            ("rateLimits[3].local.requests", "rateLimits[3].requests"),
            ("rateLimits[3].local.perSeconds", "rateLimits[3].unit"),
            ("rateLimits[3].local.key[1].cookie", "rateLimits[3].key[1].cookie"),
            ("rateLimits[0].global.cluster", "rateLimits[0].global.service"),
            ("rateLimits[0].global.timeoutMs", "rateLimits[0].global.timeout"),
            (
                "rateLimits[0].global.descriptors[1][2].value.literal",
                "rateLimits[0].global.descriptors[1].entries[2].value",
            ),
            (
                "rateLimits[0].global.descriptors[1][2].value.of.header",
                "rateLimits[0].global.descriptors[1].entries[2].from.header",
            ),
            ("mirror[0].cluster", "mirror[0].service"),
            ("headers.request.set[0].value", "headers.request.set[0].value"),
            ("retry.count", "retryPolicy.count"),
            ("retry.perTryTimeoutMs", "retryPolicy.perTryTimeout"),
        ] {
            assert_eq!(of(compiled, &auth), written, "{compiled}");
        }
    }
}
