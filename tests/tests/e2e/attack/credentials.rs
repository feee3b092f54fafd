//! Credentials that are almost right, or repeated.

use super::{Case, Credential, Message, Site, Want, get, pair, pair_of, secret};
use anyhow::{Result, ensure};
use base64ct::{Base64, Encoding};
use serde_json::json;
use std::borrow::Cow;
use switchyard_tests::frames::Request;

/// The name of a pair of hosts, and the credential that lets in.
type Door = (&'static str, Credential);

const BASIC: Door = (
    "basic",
    Credential("Authorization", Cow::Borrowed("Basic ZXZlOnNlY3JldA==")),
);
const KEYED: Door = ("keyed", Credential("X-Api-Key", Cow::Borrowed("open sesame")));
/// A pair that accepts a password or a key.
const EITHER: Door = ("either", KEYED.1);

/// The password file: the first entry by `htpasswd -nbs eve secret`, the other with bcrypt.
const PEOPLE: &str = "eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
ann:$2y$10$e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG
";

/// Pairs of name and password that are wrong. `eve:secret` and `ann:secret` are right.
const PAIRS: &[&[u8]] = &[
    b"",
    b":",
    b"eve",
    b"eve:",
    b":secret",
    b"secret:eve",
    b"eve:Secret",
    b"EVE:secret",
    b" eve:secret",
    b"eve :secret",
    b"eve: secret",
    b"eve:secret ",
    b"eve:secret:",
    b"eve::secret",
    b"eve:secre",
    b"eve:secrett",
    b"eve:secret\n",
    b"eve:secret\r\n",
    b"eve:secret\0",
    b"eve:secret\0\0",
    b"eve\0:secret",
    b"\0eve:secret",
    b"eve\r\nx:secret",
    b"\xff\xfe:secret",
    b"eve:\xff\xfe",
    b"\xef\xbb\xbfeve:secret",
    b"e\xcc\x88ve:secret",
    b"eve;secret",
    b"eve,ann:secret",
    b"*:secret",
    b"nobody:secret",
    b"nobody:",
    // Passwords of other accounts.
    b"eve:open sesame",
    b"alice:open sesame",
    // The hashes in the file.
    b"eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    b"eve:5en6G6MezRroT3XKqkdPOmY/BfQ=",
    b"ann:$2y$10$e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG",
    b"ann:",
    b"ann:secret\0",
    b"#:secret",
];

/// The lengths of oversized passwords: beyond the limit of a scheme or of the proxy's headers.
const LENGTHS: &[usize] = &[255, 256, 509, 513, 4096, 40_000];

/// Header lines that are wrong. `ZXZlOnNlY3JldA==` is `eve:secret`.
const LINES: &[(Door, &str)] = &[
    (BASIC, "Authorization:"),
    (BASIC, "Authorization: Basic"),
    (BASIC, "Authorization: Basic "),
    (BASIC, "Authorization: BasicZXZlOnNlY3JldA=="),
    (BASIC, "Authorization: Basic:ZXZlOnNlY3JldA=="),
    (BASIC, "Authorization: ZXZlOnNlY3JldA=="),
    (BASIC, "Authorization: eve:secret"),
    (BASIC, "Authorization: Basic eve:secret"),
    (BASIC, "Authorization: Bearer ZXZlOnNlY3JldA=="),
    (BASIC, "Authorization: Digest username=\"eve\""),
    (BASIC, "Authorization: Negotiate ZXZlOnNlY3JldA=="),
    (BASIC, "Authorization: \"Basic\" ZXZlOnNlY3JldA=="),
    // Invalid or different base64.
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldA"),
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldA="),
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldA==="),
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldB=="),
    (BASIC, "Authorization: Basic ZXZlOnNl Y3JldA=="),
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldA== x"),
    (BASIC, "Authorization: Basic ZXZlOnNlY3JldA==;charset=UTF-8"),
    (BASIC, "Authorization: Basic %5aXZlOnNlY3JldA=="),
    (BASIC, "Authorization: Basic \"ZXZlOnNlY3JldA==\""),
    // Repeated headers. Envoy joins two values with a comma; the check sees the same value that the upstream would.
    (
        BASIC,
        "Authorization: Basic ZXZlOnNlY3JldA==, Basic ZXZlOnNlY3JldA==",
    ),
    (BASIC, "Authorization: Basic x, Basic ZXZlOnNlY3JldA=="),
    (
        BASIC,
        "Authorization: Basic ZXZlOnNlY3JldA==\r\nAuthorization: Basic ZXZlOnNlY3JldA==",
    ),
    (
        BASIC,
        "Authorization: Basic ZXZlOnNlY3JldA==\r\nAuthorization: Basic x",
    ),
    (
        BASIC,
        "Authorization: Basic x\r\nAuthorization: Basic ZXZlOnNlY3JldA==",
    ),
    (
        BASIC,
        "Authorization: Bearer x\r\nauthorization: Basic ZXZlOnNlY3JldA==",
    ),
    // Other headers.
    (BASIC, "Proxy-Authorization: Basic ZXZlOnNlY3JldA=="),
    (BASIC, "X-Authorization: Basic ZXZlOnNlY3JldA=="),
    (BASIC, "X-Forwarded-Authorization: Basic ZXZlOnNlY3JldA=="),
    (BASIC, "Authentication: Basic ZXZlOnNlY3JldA=="),
    (BASIC, "Cookie: Authorization=Basic ZXZlOnNlY3JldA=="),
    (BASIC, "X-Remote-User: eve"),
    (BASIC, "X-Switchyard-User: eve\r\nX-Switchyard-Auth: basic"),
    // API keys.
    (KEYED, "X-Api-Key:"),
    (KEYED, "X-Api-Key: alice"),
    (KEYED, "X-Api-Key: open"),
    (KEYED, "X-Api-Key: open sesam"),
    (KEYED, "X-Api-Key: open sesame!"),
    (KEYED, "X-Api-Key: Open Sesame"),
    (KEYED, "X-Api-Key: open  sesame"),
    (KEYED, "X-Api-Key: open%20sesame"),
    (KEYED, "X-Api-Key: \"open sesame\""),
    (KEYED, "X-Api-Key: Bearer open sesame"),
    // The digest in the configuration.
    (
        KEYED,
        "X-Api-Key: 41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb",
    ),
    // Repeated headers.
    (KEYED, "X-Api-Key: open sesame, open sesame"),
    (KEYED, "X-Api-Key: open sesame,"),
    (KEYED, "X-Api-Key: x, open sesame"),
    (KEYED, "X-Api-Key: open sesame\r\nX-Api-Key: open sesame"),
    (KEYED, "X-Api-Key: open sesame\r\nX-Api-Key: x"),
    (KEYED, "X-Api-Key: x\r\nx-api-key: open sesame"),
    (KEYED, "X-Api-Key:\r\nX-Api-Key: open sesame"),
    // Other headers.
    (KEYED, "X-Api-Keys: open sesame"),
    (KEYED, "Api-Key: open sesame"),
    (KEYED, "Key: open sesame"),
    (KEYED, "Authorization: open sesame"),
    (KEYED, "Cookie: x-api-key=open sesame; key=open%20sesame"),
    (KEYED, "Cookie: a=1\r\nCookie: a=1"),
    (KEYED, "X-Switchyard-User: alice\r\nX-Switchyard-Auth: apiKey"),
    // Two credentials, of which one is right and one is repeated.
    (
        EITHER,
        "X-Api-Key: x\r\nX-Api-Key: y\r\nAuthorization: Basic ZXZlOnNlY3JldA==",
    ),
    (EITHER, "X-Api-Key: x\r\nAuthorization: Basic x"),
    (
        EITHER,
        "X-Api-Key: ZXZlOnNlY3JldA==\r\nAuthorization: open sesame",
    ),
];

/// Targets with an almost right key in the query, and header lines to go with them.
const QUERIES: &[(&str, &str)] = &[
    ("/?key", ""),
    ("/?key=", ""),
    ("/?key=open", ""),
    ("/?key=open+sesame", ""),
    ("/?key=Open%20Sesame", ""),
    ("/?key=open%2520sesame", ""),
    ("/?key=open%20sesame%00", ""),
    ("/?key=open%20sesame%20", ""),
    ("/?key=%22open%20sesame%22", ""),
    ("/?key==open%20sesame", ""),
    ("/?key=open%20sesame;", ""),
    ("/?key=open%20sesame,open%20sesame", ""),
    (
        "/?key=41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb",
        "",
    ),
    // Other names.
    ("/?KEY=open%20sesame", ""),
    ("/?%4bey=open%20sesame", ""),
    ("/?key%20=open%20sesame", ""),
    ("/?%20key=open%20sesame", ""),
    ("/?key%00=open%20sesame", ""),
    ("/?key[]=open%20sesame", ""),
    ("/?x.key=open%20sesame", ""),
    ("/?x;key=open%20sesame", ""),
    ("/?x=y;key=open%20sesame", ""),
    ("/?x=y%26key=open%20sesame", ""),
    ("/?x?key=open%20sesame", ""),
    ("/?k%2565y=open%20sesame", ""),
    // Keys outside the query.
    ("/key=open%20sesame", ""),
    ("/;key=open%20sesame", ""),
    ("/&key=open%20sesame", ""),
    ("/%3fkey=open%20sesame", ""),
    // Repeated parameters.
    ("/?key=open%20sesame&key=open%20sesame", ""),
    ("/?key=open%20sesame&key=x", ""),
    ("/?key=x&key=open%20sesame", ""),
    ("/?k%65y=x&key=open%20sesame", ""),
    ("/?key=open%20sesame&%6b%65%79=open%20sesame", ""),
    ("/?key=open%20sesame", "X-Api-Key: open sesame\r\n"),
    ("/?key=open%20sesame", "X-Api-Key: x\r\n"),
    ("/?key=x", "X-Api-Key: open sesame\r\n"),
];

/// The hosts, with the credentials that they accept.
pub(super) fn manifests() -> String {
    let key = json!({"apiKey": {"secretName": "keys", "header": "x-api-key", "query": "key"}});
    let basic = json!({"basic": {"secretName": "people"}});
    pair("basic", &json!([basic]))
        + &pair("keyed", &json!([key]))
        + &pair("either", &json!([{"anyOf": [key, basic]}]))
        + &secret("people", &json!({"auth": PEOPLE}))
}

async fn start() -> Result<Site> {
    let site = Site::start_with(|builder| builder.manifest("doors.yaml", &manifests())).await?;
    for (name, _) in [BASIC, KEYED, EITHER] {
        let hosts = pair_of(name);
        site.guards(&hosts.each_ref().map(String::as_str)).await?;
    }
    Ok(site)
}

/// The cases of an attack, for both hosts of a pair.
fn doors(what: &str, (name, credential): Door, attack: impl Fn(&str) -> Message) -> Vec<Case> {
    let case = |host: &String| Case {
        what: format!("{host} {what}"),
        control: get(host, "/", ""),
        attack: attack(host),
        credential: credential.clone(),
        want: Want::Denied,
    };
    pair_of(name).iter().map(case).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_rejected() -> Result<()> {
    let line = |pair: &[u8]| format!("Authorization: Basic {}\r\n", Base64::encode_string(pair));
    let pairs = PAIRS
        .iter()
        .map(|pair| (format!("{:?}", pair.escape_ascii()), line(pair)));
    let long = LENGTHS.iter().map(|length| {
        let pair = format!("eve:{}", "x".repeat(*length));
        (format!("{length} bytes"), line(pair.as_bytes()))
    });
    let all = pairs.chain(long);
    let cases = all.flat_map(|(what, line)| doors(&what, BASIC, |host| get(host, "/", &line)));
    start().await?.holds(&cases.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_or_repeated_credentials_are_rejected() -> Result<()> {
    start().await?.holds(&cases().collect::<Vec<_>>()).await
}

pub(super) fn cases() -> impl Iterator<Item = Case> {
    let line = |line: &str| format!("{line}\r\n");
    LINES
        .iter()
        .flat_map(move |(door, text)| doors(text, door.clone(), |host| get(host, "/", &line(text))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_query_keys_are_rejected() -> Result<()> {
    let cases = QUERIES
        .iter()
        .flat_map(|(target, lines)| doors(target, KEYED, |host| get(host, target, lines)));
    start().await?.holds(&cases.collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_http2_key_headers_are_rejected() -> Result<()> {
    let right = ("x-api-key", "open sesame");
    let attempts = [
        [right, right],
        [right, ("x-api-key", "x")],
        [("x-api-key", ""), right],
    ];
    let cases = attempts.iter().flat_map(|fields| {
        let attack = |host: &str| Message::Frames(Request::get(host, "/").with(fields));
        doors(&format!("{fields:?}"), KEYED, attack)
    });
    start().await?.holds(&cases.collect::<Vec<_>>()).await
}

/// Neither a right nor a wrong key reaches the upstream, no matter which check lets the request in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_do_not_reach_the_upstream() -> Result<()> {
    let site = start().await?;
    let eve = "Authorization: Basic ZXZlOnNlY3JldA==\r\n";
    for (name, target, lines, path) in [
        ("keyed", "/", "X-Api-Key: open sesame\r\n", "/"),
        ("keyed", "/?key=open%20sesame", "", "/"),
        ("keyed", "/?a=b&key=open%20sesame&c", "", "/?a=b&c"),
        ("keyed", "/?%6b%65%79=%6fpen%20sesame", "", "/"),
        ("keyed", "/?key=&key=open%20sesame", "", "/"),
        ("keyed", "/?key=&x=key", "X-Api-Key: open sesame\r\n", "/?x=key"),
        ("either", "/?key=wrong+sesame&x", eve, "/?x"),
        ("either", "/?k%65y=wrong+sesame", eve, "/"),
        ("either", "/", &format!("X-Api-Key: wrong sesame\r\n{eve}"), "/"),
    ] {
        for host in pair_of(name) {
            let message = get(&host, target, lines);
            let seen = site.ask(&message).await?.seen()?;
            ensure!(
                seen.path == path && seen.backend == "vault",
                "{host}{target}: {seen:?}"
            );
            let told = format!("{seen:?}");
            ensure!(
                !told.contains("sesame") && !told.contains("x-api-key"),
                "{host}{target}: {told}"
            );
        }
    }
    Ok(())
}
