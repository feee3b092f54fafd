//! Invalid tokens, and tokens signed by untrusted issuers.

use super::{Case, Credential, Site, Want, get, merged, pair, pair_of};
use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use switchyard_tests::tokens::{Issuer, hs256, unsigned};

/// The trusted issuers, and an untrusted one.
pub(super) struct Keys {
    rsa: Issuer,
    ec: Issuer,
    /// An untrusted issuer.
    stranger: Issuer,
    now: u64,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            rsa: Issuer::new("RS256")?,
            ec: Issuer::new("ES256")?,
            stranger: Issuer::new("RS256")?,
            now: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        })
    }

    pub(super) fn check(&self) -> Result<Value> {
        let set = json!({"keys": [self.rsa.jwk()?, self.ec.jwk()?]});
        Ok(json!({"jwt": {
            "issuer": "https://issuer.example",
            "audiences": ["shop"],
            "clockSkewSeconds": 5,
            "jwks": {"inline": set.to_string()},
            "requiredClaims": [{"claim": "scope", "values": ["orders"]}],
            "claimsToHeaders": [{"claim": "role", "header": "x-role"}, {"claim": "tenant", "header": "x-tenant"}],
        }}))
    }

    fn claims(&self) -> Value {
        json!({
            "iss": "https://issuer.example",
            "aud": "shop",
            "sub": "ann",
            "scope": "read orders",
            "role": "reader",
            "exp": self.now + 600,
        })
    }

    /// A valid token.
    pub(super) fn token(&self) -> Result<String> {
        self.rsa.token(&self.claims())
    }

    /// A token with changed claims; null removes one.
    pub(super) fn saying(&self, more: &Value) -> Result<String> {
        self.rsa.token(&merged(self.claims(), more))
    }

    /// A token with a claim whose value is the given JSON text.
    fn dated(&self, claim: &str, date: &str) -> Result<String> {
        let mut claims = self.claims();
        claims[claim] = Value::from("@");
        let claims = claims.to_string().replace("\"@\"", date);
        self.rsa.signed(r#"{"alg":"RS256","kid":"RS256"}"#, &claims)
    }

    /// A token with a changed header and a valid signature.
    fn headed(&self, more: &Value) -> Result<String> {
        let header = merged(json!({"alg": "RS256", "kid": "RS256"}), more);
        self.rsa.signed(&header.to_string(), &self.claims().to_string())
    }

    /// A token with a changed header, signed by an untrusted issuer.
    fn forged(&self, more: &Value) -> Result<String> {
        let header = merged(json!({"alg": "RS256", "kid": "RS256"}), more);
        self.stranger
            .signed(&header.to_string(), &self.claims().to_string())
    }
}

type Tokens = Vec<(&'static str, String)>;

/// Tokens without a valid signature.
fn unsigned_ones(keys: &Keys) -> Result<Tokens> {
    let token = keys.token()?;
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let claims = keys.claims().to_string();
    let none = |algorithm: &str| unsigned(&json!({"alg": algorithm, "kid": "RS256"}).to_string(), &claims);
    let root = unsigned(
        &json!({"alg": "RS256", "kid": "RS256"}).to_string(),
        &merged(keys.claims(), &json!({"sub": "root"})).to_string(),
    );
    Ok(vec![
        ("none", format!("{}.", none("none"))),
        ("none, in other letters", format!("{}.", none("nOnE"))),
        ("none, with a signature", format!("{}.{signature}", none("none"))),
        ("no algorithm", format!("{}.{signature}", none(""))),
        ("no signature", format!("{signed}.")),
        ("no third part", signed.to_owned()),
        ("the signature of another", format!("{root}.{signature}")),
        (
            "a signature of zeros",
            format!("{signed}.{}", "A".repeat(signature.len())),
        ),
        (
            "a short signature",
            format!("{signed}.{}", signature.get(..300).unwrap_or_default()),
        ),
        ("a long signature", format!("{token}AAAA")),
        ("a stranger's", keys.forged(&json!({}))?),
        (
            "a stranger's, who names no key",
            keys.forged(&json!({"kid": null}))?,
        ),
    ])
}

/// Tokens that choose another algorithm than the key's.
fn confused(keys: &Keys) -> Result<Tokens> {
    let claims = keys.claims().to_string();
    let header = json!({"alg": "HS256", "kid": "RS256"}).to_string();
    let spki = keys.rsa.key()?["spki"].as_str().unwrap_or_default().to_owned();
    let der = Base64::decode_vec(&spki)?;
    let lines: Vec<_> = spki.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    let jwk = keys.rsa.jwk()?;
    let modulus = Base64UrlUnpadded::decode_vec(jwk["n"].as_str().unwrap_or_default())?;
    let by = |secret: &[u8]| hs256(secret, &header, &claims);
    Ok(vec![
        ("HS256 by the key in DER", by(&der)),
        ("HS256 by the key in PEM", by(pem.as_bytes())),
        (
            "HS256 by the key in PEM, without its last newline",
            by(pem.trim_end().as_bytes()),
        ),
        ("HS256 by the key in base64", by(spki.as_bytes())),
        ("HS256 by the modulus", by(&modulus)),
        ("HS256 by the JWK", by(jwk.to_string().as_bytes())),
        ("HS256 by nothing", by(b"")),
        ("HS256 by a byte", by(b"\0")),
        ("RS512 by a key for RS256", keys.headed(&json!({"alg": "RS512"}))?),
        ("PS256 by a key for RS256", keys.headed(&json!({"alg": "PS256"}))?),
        ("ES256 by a key of RSA", keys.headed(&json!({"alg": "ES256"}))?),
        ("the other key's name", keys.headed(&json!({"kid": "ES256"}))?),
        (
            "the other key's name and algorithm",
            keys.headed(&json!({"kid": "ES256", "alg": "ES256"}))?,
        ),
        ("rs256", keys.headed(&json!({"alg": "rs256"}))?),
        (
            "an algorithm that is a list",
            keys.headed(&json!({"alg": ["RS256"]}))?,
        ),
        ("no algorithm", keys.headed(&json!({"alg": null}))?),
        ("a key's name that is a number", keys.headed(&json!({"kid": 1}))?),
        ("a type that is a list", keys.headed(&json!({"typ": ["JWT"]}))?),
        (
            "a payload that is not encoded",
            keys.headed(&json!({"b64": false}))?,
        ),
    ])
}

/// Tokens that bring their own key. The header can only select among the configured keys.
fn bringing_keys(keys: &Keys) -> Result<Tokens> {
    let own = keys.stranger.jwk()?;
    let uri = "http://127.0.0.1/keys";
    Ok(vec![
        ("an unknown key", keys.headed(&json!({"kid": "other"}))?),
        ("no key, of two", keys.forged(&json!({"kid": null}))?),
        ("an empty key", keys.headed(&json!({"kid": ""}))?),
        ("a key in other letters", keys.headed(&json!({"kid": "rs256"}))?),
        ("a key that is a number", keys.headed(&json!({"kid": 0}))?),
        ("a key that is a list", keys.headed(&json!({"kid": ["RS256"]}))?),
        (
            "a key that is a path",
            keys.forged(&json!({"kid": "../../../../dev/null"}))?,
        ),
        ("a key that is a path, and its content", {
            hs256(
                b"",
                &json!({"alg": "HS256", "kid": "/dev/null"}).to_string(),
                &keys.claims().to_string(),
            )
        }),
        (
            "a key that is a statement",
            keys.forged(&json!({"kid": "x' UNION SELECT 'y"}))?,
        ),
        ("a key that is a command", keys.forged(&json!({"kid": "$(id)"}))?),
        ("its own key", keys.forged(&json!({"jwk": own}))?),
        (
            "its own key, and no name",
            keys.forged(&json!({"jwk": own, "kid": null}))?,
        ),
        ("its own set", keys.forged(&json!({"jku": uri}))?),
        (
            "its own certificate",
            keys.forged(&json!({"x5u": uri, "x5c": ["MA=="], "x5t": "x"}))?,
        ),
        (
            "an extension",
            keys.headed(&json!({"crit": ["b64"], "b64": false}))?,
        ),
        ("no extension", keys.headed(&json!({"crit": []}))?),
        ("an extension that is nothing", {
            keys.rsa.signed(
                r#"{"alg":"RS256","kid":"RS256","crit":null}"#,
                &keys.claims().to_string(),
            )?
        }),
    ])
}

/// Tokens with a valid signature and wrong claims.
fn saying_wrong(keys: &Keys) -> Result<Tokens> {
    let now = keys.now;
    let cases = [
        ("expired", json!({"exp": now - 600})),
        ("expired before there was time", json!({"exp": 0})),
        ("expired, in a text", json!({"exp": (now + 600).to_string()})),
        ("expires never", json!({"exp": "never"})),
        ("a subject that is a number", json!({"sub": 1})),
        ("a jti that is a number", json!({"jti": 1})),
        ("a scope that is an object", json!({"scope": {"orders": true}})),
        ("not yet", json!({"nbf": now + 600})),
        ("not yet, in a text", json!({"nbf": "0"})),
        ("issued later", json!({"iat": now + 600})),
        ("another issuer", json!({"iss": "https://other.example"})),
        ("an issuer and more", json!({"iss": "https://issuer.example/"})),
        (
            "an issuer in other letters",
            json!({"iss": "https://ISSUER.example"}),
        ),
        ("issuers", json!({"iss": ["https://issuer.example"]})),
        ("no issuer", json!({"iss": null})),
        ("another audience", json!({"aud": "bank"})),
        ("audiences without ours", json!({"aud": ["bank", "shops"]})),
        ("an audience with ours in it", json!({"aud": "bank shop"})),
        ("an audience that is a number", json!({"aud": 1})),
        ("no audiences", json!({"aud": []})),
        ("no audience", json!({"aud": null})),
        ("another scope", json!({"scope": "orders:read reorders"})),
        ("no scope", json!({"scope": null})),
        ("an empty scope", json!({"scope": ""})),
        (
            "a subject that is a header",
            json!({"sub": "ann\r\nx-role: admin"}),
        ),
        ("a subject with a zero", json!({"sub": "ann\0"})),
    ];
    cases
        .iter()
        .map(|(what, more)| Ok((*what, keys.saying(more)?)))
        .collect()
}

/// Dates in various JSON spellings: in the future, in the past, or not a number.
fn misdated(keys: &Keys) -> Result<Vec<(String, String)>> {
    let (hour, past) = (keys.now + 3600, keys.now - 3600);
    let future = [
        format!("{}e3", hour.div_ceil(1000)),
        format!("{hour}.0"),
        format!("{hour}0E-1"),
        "4.1E9".to_owned(),
        "9.9e99".to_owned(),
    ];
    let gone = [
        format!("{}e3", past / 1000),
        format!("{past}.5"),
        "-0".to_owned(),
        "0.5".to_owned(),
    ];
    let never = ["1e400", "-1e400", "null", "true", "[]", "\"0\"", "{}"].map(str::to_owned);
    let cases = ["nbf", "iat"]
        .iter()
        .flat_map(|claim| future.iter().chain(&never).map(move |date| (*claim, date)))
        .chain(gone.iter().chain(&never).map(|date| ("exp", date)));
    cases
        .map(|(claim, date)| Ok((format!("{claim} is {date}"), keys.dated(claim, date)?)))
        .collect()
}

/// Tokens that are not three parts of base64url, or not JSON objects with unique members.
fn misshapen(keys: &Keys) -> Result<Tokens> {
    let token = keys.token()?;
    let claims = keys.claims().to_string();
    let header = r#"{"alg":"RS256","kid":"RS256"}"#;
    let [head, payload, signature] =
        <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap_or_default();
    let twice = |name: &str, value: &str| claims.replacen('{', &format!("{{\"{name}\":{value},"), 1);
    let signed = |header: &str, payload: &str| keys.rsa.signed(header, payload);
    Ok(vec![
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("one part", head.to_owned()),
        ("a part more", format!("{token}.{signature}")),
        ("a part more, that is empty", format!("{token}.")),
        ("a part before", format!(".{token}")),
        ("an empty part between", format!("{head}..{payload}.{signature}")),
        (
            "five parts, as if it were encrypted",
            format!("{head}.{payload}.{signature}.{payload}.{head}"),
        ),
        ("padding", format!("{head}=.{payload}.{signature}")),
        ("padding of the signature", format!("{token}==")),
        ("the other base64", token.replace(['-', '_'], "+") + "+"),
        ("a space", format!("{head}. {payload}.{signature}")),
        ("a quote", format!("\"{token}\"")),
        ("a comma and another", format!("{token},{token}")),
        ("percent", token.replacen('.', "%2e", 1)),
        ("a header that is no JSON", signed("RS256", &claims)?),
        ("a header that is a list", signed("[]", &claims)?),
        (
            "two algorithms",
            signed(r#"{"alg":"none","alg":"RS256","kid":"RS256"}"#, &claims)?,
        ),
        (
            "two algorithms, one escaped",
            signed(r#"{"\u0061lg":"none","alg":"RS256","kid":"RS256"}"#, &claims)?,
        ),
        (
            "two keys",
            signed(r#"{"alg":"RS256","kid":"ES256","kid":"RS256"}"#, &claims)?,
        ),
        ("claims that are no JSON", signed(header, "sub=ann")?),
        ("claims that are a list", signed(header, &format!("[{claims}]"))?),
        ("claims and more", signed(header, &format!("{claims}{claims}"))?),
        ("no claims", signed(header, "")?),
        ("two subjects", signed(header, &twice("sub", "\"root\""))?),
        (
            "two subjects, one escaped",
            signed(header, &twice("\\u0073ub", "\"root\""))?,
        ),
        ("two times", signed(header, &twice("exp", "9999999999"))?),
        (
            "deep claims",
            signed(
                header,
                &twice("x", &format!("{}{}", "[".repeat(5000), "]".repeat(5000))),
            )?,
        ),
        ("a large token", keys.saying(&json!({"x": "y".repeat(13_000)}))?),
        ("a huge token", keys.saying(&json!({"x": "y".repeat(60_000)}))?),
    ])
}

/// Header lines in which no token is looked for, and repeated tokens. `{}` is a valid one.
const LINES: &[&str] = &[
    "Authorization: {}",
    "Authorization: Bearer",
    "Authorization: Bearer{}",
    "Authorization: Basic {}",
    "Authorization: JWT {}",
    "Authorization: Bearer Bearer {}",
    "Authorization: Bearer {}, Bearer {}",
    "Authorization: Bearer {}\r\nAuthorization: Bearer {}",
    "Authorization: Bearer x\r\nAuthorization: Bearer {}",
    "Authorization: Bearer {}\r\nAuthorization: Basic ZXZlOnNlY3JldA==",
    "Proxy-Authorization: Bearer {}",
    "X-Authorization: Bearer {}",
    "X-Forwarded-Access-Token: {}",
    "Cookie: authorization=Bearer {}; token={}; access_token={}",
    "X-Role: reader\r\nX-Switchyard-User: ann\r\nX-Switchyard-Auth: jwt",
];

async fn start(keys: &Keys) -> Result<Site> {
    let hosts = pair("tokens", &json!([keys.check()?]));
    let site = Site::start_with(|builder| builder.manifest("tokens.yaml", &hosts)).await?;
    let hosts = pair_of("tokens");
    site.guards(&hosts.each_ref().map(String::as_str)).await?;
    Ok(site)
}

/// Checks that none of these header lines lets in.
async fn none_lets_in(keys: &Keys, target: &str, lines: Vec<(&str, String)>) -> Result<()> {
    let right = format!("Bearer {}", keys.token()?);
    let cases = lines.iter().flat_map(|(what, line)| {
        pair_of("tokens").map(|host| Case {
            what: format!("{host}: {what}"),
            control: get(&host, "/", ""),
            attack: get(&host, target, &format!("{line}\r\n")),
            credential: Credential("Authorization", right.clone().into()),
            want: Want::Denied,
        })
    });
    start(keys).await?.holds(&cases.collect::<Vec<_>>()).await
}

async fn none_is_believed(keys: &Keys, tokens: Tokens) -> Result<()> {
    let line = |(what, token): (&'static str, String)| (what, format!("Authorization: Bearer {token}"));
    none_lets_in(keys, "/", tokens.into_iter().map(line).collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_token_is_rejected() -> Result<()> {
    let keys = Keys::new()?;
    none_is_believed(&keys, unsigned_ones(&keys)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_does_not_choose_its_algorithm() -> Result<()> {
    let keys = Keys::new()?;
    none_is_believed(&keys, confused(&keys)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_cannot_supply_its_own_keys() -> Result<()> {
    let keys = Keys::new()?;
    none_is_believed(&keys, bringing_keys(&keys)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_with_wrong_claims_is_rejected() -> Result<()> {
    let keys = Keys::new()?;
    none_is_believed(&keys, saying_wrong(&keys)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_dates_are_compared_in_any_notation() -> Result<()> {
    let keys = Keys::new()?;
    let tokens = misdated(&keys)?;
    let lines = tokens
        .iter()
        .map(|(what, token)| (what.as_str(), format!("Authorization: Bearer {token}")));
    none_lets_in(&keys, "/", lines.collect()).await?;
    let site = start(&keys).await?;
    let hour = keys.now + 3600;
    for (claim, date) in [
        ("exp", format!("{}e3", hour.div_ceil(1000))),
        ("exp", format!("{hour}.5")),
        ("exp", "4.1E9".to_owned()),
        ("exp", "9.9e99".to_owned()),
        ("nbf", "1.7E9".to_owned()),
        ("iat", "-0".to_owned()),
    ] {
        let bearer = format!("Bearer {}", keys.dated(claim, &date)?);
        for host in pair_of("tokens") {
            let message = get(&host, "/", "").with(&Credential("Authorization", bearer.clone().into()));
            site.serves(&message)
                .await
                .with_context(|| format!("{claim} {date}"))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_token_is_rejected() -> Result<()> {
    let keys = Keys::new()?;
    none_is_believed(&keys, misshapen(&keys)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_read_only_from_authorization_header() -> Result<()> {
    let keys = Keys::new()?;
    let token = keys.token()?;
    let lines = LINES.iter().map(|line| (*line, line.replace("{}", &token)));
    none_lets_in(&keys, "/", lines.collect()).await?;
    let query = format!("/?access_token={token}&token={token}&jwt={token}");
    none_lets_in(&keys, &query, vec![("in the query", "X: y".to_owned())]).await
}

/// The clock skew of the pairs of hosts, in seconds, with the offsets that they accept.
const SKEWS: [(&str, Option<u64>, &[u64]); 4] = [
    ("exact", Some(0), &[]),
    ("narrow", Some(5), &[]),
    ("wide", Some(60), &[20]),
    ("unsaid", None, &[20]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_skew_is_limited_to_its_setting() -> Result<()> {
    let keys = Keys::new()?;
    let mut hosts = String::new();
    for (name, skew, _) in SKEWS {
        let mut check = keys.check()?;
        check["jwt"] = merged(check["jwt"].clone(), &json!({"clockSkewSeconds": skew}));
        hosts += &pair(name, &json!([check]));
    }
    let site = Site::start_with(|builder| builder.manifest("tokens.yaml", &hosts)).await?;
    for (name, _, believed) in SKEWS {
        let hosts = pair_of(name);
        site.guards(&hosts.each_ref().map(String::as_str)).await?;
        for (host, off) in hosts.iter().flat_map(|host| [20, 120].map(|off| (host, off))) {
            for claim in ["exp", "nbf", "iat"] {
                // The offsets differ from the skews by more time than a request takes.
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
                let time = if claim == "exp" { now - off } else { now + off };
                let bearer = format!("Bearer {}", keys.saying(&json!({claim: time}))?);
                let message = get(host, "/", "").with(&Credential("Authorization", bearer.into()));
                let what = format!("{host} {claim} {off}");
                if believed.contains(&off) {
                    site.serves(&message).await.context(what)?;
                } else {
                    let reply = site.is_kept_off(&message).await?;
                    ensure!(reply.status == Some(401), "{what}: {reply:?}");
                }
            }
        }
    }
    Ok(())
}
