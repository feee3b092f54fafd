//! Kinds of certificates, keys and authorities, created with OpenSSL.

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use std::{fs, path::Path};
use switchyard_tests::paths;
use time::{Duration, OffsetDateTime};
use tokio::process::Command;

/// A kind of certificate or authority.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) certificates: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// The expected result of control's and Envoy's validation.
    pub(super) is_good: bool,
}

/// A certificate in PEM with its key.
#[derive(Clone)]
struct Pair {
    certificate: String,
    key: String,
}

/// A kind created by OpenSSL: its name, the arguments for the key and for the certificate, and the expected result.
type Made = (&'static str, &'static str, &'static str, bool);

const NAMED: &str = "-subj /CN=a.bar.com -addext subjectAltName=DNS:a.bar.com";
const RSA: &str = "rsa:2048";
const EC: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";

const MADE: [Made; 37] = [
    ("rsa-2048", RSA, NAMED, true),
    ("rsa-2056", "rsa:2056", NAMED, true),
    ("rsa-1024", "rsa:1024", NAMED, false),
    ("rsa-2047", "rsa:2047", NAMED, false),
    ("rsa-e-3", "rsa:2048 -pkeyopt rsa_keygen_pubexp:3", NAMED, true),
    (
        "rsa-e-33-bits",
        "rsa:2048 -pkeyopt rsa_keygen_pubexp:8589934591",
        NAMED,
        true,
    ),
    (
        "rsa-e-34-bits",
        "rsa:2048 -pkeyopt rsa_keygen_pubexp:8589934593",
        NAMED,
        false,
    ),
    ("rsa-pss", "rsa-pss -pkeyopt rsa_keygen_bits:2048", NAMED, false),
    ("p-256", EC, NAMED, true),
    ("p-384", "ec -pkeyopt ec_paramgen_curve:secp384r1", NAMED, true),
    ("p-521", "ec -pkeyopt ec_paramgen_curve:secp521r1", NAMED, true),
    ("p-224", "ec -pkeyopt ec_paramgen_curve:secp224r1", NAMED, false),
    (
        "secp256k1",
        "ec -pkeyopt ec_paramgen_curve:secp256k1",
        NAMED,
        false,
    ),
    (
        "brainpool",
        "ec -pkeyopt ec_paramgen_curve:brainpoolP256r1",
        NAMED,
        false,
    ),
    (
        "explicit-curve",
        "ec -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:explicit",
        NAMED,
        false,
    ),
    ("ed25519", "ed25519", NAMED, true),
    ("ed448", "ed448", NAMED, false),
    ("no-name", EC, "-subj /O=x", false),
    ("common-name", EC, "-subj /CN=a.bar.com", true),
    ("dns", EC, "-subj /O=x -addext subjectAltName=DNS:a.bar.com", true),
    ("ip", EC, "-subj /O=x -addext subjectAltName=IP:192.0.2.1", true),
    (
        "uri",
        EC,
        "-subj /O=x -addext subjectAltName=URI:spiffe://a",
        true,
    ),
    (
        "email",
        EC,
        "-subj /O=x -addext subjectAltName=email:a@b.c",
        false,
    ),
    (
        "other-name",
        EC,
        "-subj /O=x -addext subjectAltName=otherName:1.2.3.4;UTF8:a",
        false,
    ),
    (
        "email-and-common-name",
        EC,
        "-subj /CN=x -addext subjectAltName=email:a@b.c",
        true,
    ),
    (
        "must-staple",
        EC,
        "-subj /CN=x -addext tlsfeature=status_request",
        false,
    ),
    (
        "must-staple-critical",
        EC,
        "-subj /CN=x -addext tlsfeature=critical,status_request",
        false,
    ),
    (
        "must-staple-v2",
        EC,
        "-subj /CN=x -addext tlsfeature=status_request_v2",
        true,
    ),
    ("other-feature", EC, "-subj /CN=x -addext tlsfeature=1", true),
    (
        "ec-for-agreement",
        EC,
        "-subj /CN=x -addext keyUsage=keyAgreement",
        false,
    ),
    (
        "ec-for-signatures",
        EC,
        "-subj /CN=x -addext keyUsage=digitalSignature",
        true,
    ),
    (
        "rsa-for-agreement",
        RSA,
        "-subj /CN=x -addext keyUsage=keyAgreement",
        true,
    ),
    (
        "ed25519-for-agreement",
        "ed25519",
        "-subj /CN=x -addext keyUsage=keyAgreement",
        true,
    ),
    (
        "for-clients",
        EC,
        "-subj /CN=x -addext extendedKeyUsage=clientAuth",
        true,
    ),
    (
        "unknown-critical",
        EC,
        "-subj /CN=x -addext 1.2.3.4=critical,DER:05:00",
        true,
    ),
    ("sha1", EC, "-subj /CN=x -sha1", true),
    ("serial", EC, "-subj /CN=x -set_serial -5", true),
];

/// Names and common names, and the days between which the certificate is valid. Clients check these dates, Envoy does
/// not.
const DATED: [(&str, &str, [i64; 2], bool); 3] = [
    ("expired", "a.bar.com", [-20, -10], true),
    ("not-yet-valid", "a.bar.com", [10, 20], true),
    ("empty-common-name", "", [-1, 10], false),
];

/// A certificate with dates that OpenSSL's command does not support.
fn dated(common_name: &str, days: [i64; 2]) -> Result<Pair> {
    let mut params = CertificateParams::new(["a.bar.com".to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let [before, after] = days.map(|days| OffsetDateTime::now_utc() + Duration::days(days));
    (params.not_before, params.not_after) = (before, after);
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

impl Kind {
    fn new(name: &'static str, pair: &Pair, is_good: bool) -> Self {
        Self {
            name,
            certificates: pair.certificate.clone().into_bytes(),
            key: pair.key.clone().into_bytes(),
            is_good,
        }
    }

    fn with_certificates(
        name: &'static str,
        certificates: impl Into<Vec<u8>>,
        key: &str,
        is_good: bool,
    ) -> Self {
        Self {
            name,
            certificates: certificates.into(),
            key: key.to_owned().into_bytes(),
            is_good,
        }
    }
}

async fn openssl(dir: &Path, arguments: &str) -> Result<Vec<u8>> {
    let output = Command::new("openssl")
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .output()
        .await
        .context("these kinds are made by openssl")?;
    ensure!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

async fn make(dir: &Path, (name, key, certificate, _): Made) -> Result<Pair> {
    let made =
        format!("req -x509 -nodes -days 30 -keyout {name}.key -out {name}.crt -newkey {key} {certificate}");
    openssl(dir, &made).await?;
    read(dir, name)
}

fn read(dir: &Path, name: &str) -> Result<Pair> {
    Ok(Pair {
        certificate: fs::read_to_string(dir.join(name).with_extension("crt"))?,
        key: fs::read_to_string(dir.join(name).with_extension("key"))?,
    })
}

/// A PEM block with its base64 in lines of this length.
fn folded(pem: &str, length: usize) -> String {
    let lines: Vec<_> = pem.lines().collect();
    let [first, body @ .., last] = lines.as_slice() else {
        return pem.to_owned();
    };
    let body = body.concat();
    let body: Vec<_> = body
        .as_bytes()
        .chunks(length)
        .map(String::from_utf8_lossy)
        .collect();
    format!("{first}\n{}\n{last}\n", body.join("\n"))
}

fn cut(text: &str) -> &str {
    text.get(..text.len() / 2).unwrap_or_default()
}

fn block(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn with_lines(pem: &str, line: impl Fn(&str) -> String) -> String {
    pem.lines().map(|text| line(text) + "\n").collect()
}

/// Inserts a blank line after the second line.
fn with_blank_line(pem: &str) -> String {
    let mut lines: Vec<_> = pem.lines().collect();
    lines.insert(2, "");
    lines.join("\n") + "\n"
}

/// PEM texts, valid and invalid, for chains and for authorities.
fn texts(good: &str, other: &str) -> Vec<(&'static str, Vec<u8>, bool)> {
    let text = |name, text: String, is_good| (name, text.into_bytes(), is_good);
    vec![
        text("two", format!("{good}{other}"), true),
        text("twice", format!("{good}{good}"), true),
        text(
            "damaged-second",
            format!("{good}{}", block("CERTIFICATE", "AAAA")),
            false,
        ),
        text(
            "no-base64-second",
            format!("{good}{}", block("CERTIFICATE", "!!!!")),
            false,
        ),
        text("cut-second", format!("{good}{}", cut(other)), false),
        text("unknown-block", format!("{good}{}", block("FOO", "AAAA")), true),
        text(
            "damaged-unknown-block",
            format!("{good}{}", block("FOO", "!!!!")),
            false,
        ),
        text(
            "empty-block",
            format!("{good}-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
            false,
        ),
        text("text-around", format!("hello\n{good}trailing\n"), true),
        text(
            "trailing-spaces",
            with_lines(good, |line| format!("{line}  ")),
            true,
        ),
        text(
            "carriage-returns",
            with_lines(good, |line| format!("{line}\r")),
            true,
        ),
        text("indented", with_lines(good, |line| format!("  {line}")), false),
        text("blank-line", with_blank_line(good), false),
        text("byte-order-mark", format!("\u{feff}{good}"), false),
        text("no-line-end", good.trim_end().to_owned(), true),
        text("one-line", folded(good, 10_000), true),
        text("lines-of-76", folded(good, 76), true),
        text(
            "other-label",
            good.replace("CERTIFICATE", "X509 CERTIFICATE"),
            true,
        ),
        text(
            "wrong-end",
            good.replace("END CERTIFICATE", "END PRIVATE KEY"),
            false,
        ),
        text("garbage", "garbage".to_owned(), false),
    ]
}

/// Certificates with keys.
pub(super) async fn pairs() -> Result<Vec<Kind>> {
    let dir = paths::scratch("certificates::pairs")?;
    let mut kinds = Vec::new();
    for made in MADE {
        kinds.push(Kind::new(made.0, &make(&dir, made).await?, made.3));
    }
    let (good, other, ec) = (
        read(&dir, "rsa-2048")?,
        read(&dir, "rsa-2056")?,
        read(&dir, "p-256")?,
    );
    for (name, chain, is_good) in texts(&good.certificate, &other.certificate) {
        kinds.push(Kind::with_certificates(name, chain, &good.key, is_good));
    }
    for (name, common_name, days, is_good) in DATED {
        kinds.push(Kind::new(name, &dated(common_name, days)?, is_good));
    }
    kinds.extend(chains(&dir, &good, &other).await?);
    kinds.extend(keys(&dir, &good, &other, &ec).await?);
    Ok(kinds)
}

async fn chains(dir: &Path, good: &Pair, other: &Pair) -> Result<Vec<Kind>> {
    let Pair { certificate, key } = good;
    let with = |name, chain: String, is_good| Kind::with_certificates(name, chain, key, is_good);
    let of = |name: &str| read(dir, name).map(|pair| pair.certificate);
    let raw = |name, bytes: Vec<u8>| Kind::with_certificates(name, bytes, key, false);
    Ok(vec![
        with(
            "other-first",
            format!("{}{certificate}", other.certificate),
            false,
        ),
        with("small-second", format!("{certificate}{}", of("rsa-1024")?), true),
        with(
            "secp256k1-second",
            format!("{certificate}{}", of("secp256k1")?),
            true,
        ),
        with(
            "must-staple-second",
            format!("{certificate}{}", of("must-staple")?),
            true,
        ),
        with("key-first", format!("{key}{certificate}"), true),
        with(
            "key-between",
            format!("{certificate}{key}{}", other.certificate),
            true,
        ),
        raw("der", openssl(dir, "x509 -in rsa-2048.crt -outform DER").await?),
        raw(
            "pkcs12",
            openssl(
                dir,
                "pkcs12 -export -in rsa-2048.crt -inkey rsa-2048.key -passout pass:",
            )
            .await?,
        ),
        raw(
            "pkcs7",
            openssl(dir, "crl2pkcs7 -nocrl -certfile rsa-2048.crt").await?,
        ),
        Kind::with_certificates(
            "trusted",
            openssl(dir, "x509 -in rsa-2048.crt -trustout").await?,
            key,
            true,
        ),
        Kind::with_certificates(
            "as-text",
            openssl(dir, "x509 -in rsa-2048.crt -text").await?,
            key,
            true,
        ),
    ])
}

async fn keys(dir: &Path, good: &Pair, other: &Pair, ec: &Pair) -> Result<Vec<Kind>> {
    let Pair { certificate, key } = good;
    let of = |pair: &Pair, name, key: Vec<u8>, is_good| Kind {
        key,
        ..Kind::new(name, pair, is_good)
    };
    let with = |name, key: String, is_good| of(good, name, key.into_bytes(), is_good);
    let encrypted = openssl(dir, "pkcs8 -topk8 -v2 aes256 -passout pass:x -in rsa-2048.key").await?;
    let traditional = openssl(dir, "rsa -aes256 -passout pass:x -in rsa-2048.key -traditional").await?;
    let encrypted_first = [encrypted.as_slice(), key.as_bytes()].concat();
    let sec1 = openssl(dir, "ec -in p-256.key").await?;
    let parameters = openssl(dir, "ecparam -name prime256v1").await?;
    Ok(vec![
        of(good, "encrypted-key", encrypted, false),
        of(good, "encrypted-rsa-key", traditional, false),
        of(good, "encrypted-key-first", encrypted_first, false),
        of(
            good,
            "rsa-key",
            openssl(dir, "rsa -traditional -in rsa-2048.key").await?,
            true,
        ),
        of(
            good,
            "public-key",
            openssl(dir, "rsa -in rsa-2048.key -pubout").await?,
            false,
        ),
        of(
            good,
            "der-key",
            openssl(dir, "rsa -in rsa-2048.key -outform DER").await?,
            false,
        ),
        of(ec, "ec-key", sec1.clone(), true),
        of(ec, "ec-key-after-parameters", [parameters, sec1].concat(), true),
        with("key-of-another", other.key.clone(), false),
        with("two-keys", format!("{key}{}", other.key), true),
        with("two-keys-other-first", format!("{}{key}", other.key), false),
        with("certificate-before-key", format!("{certificate}{key}"), true),
        with("text-around-key", format!("hello\n{key}trailing\n"), true),
        with("cut-key", cut(key).to_owned(), false),
        with("cut-second-key", format!("{key}{}", cut(&other.key)), true),
        with(
            "damaged-block-before-key",
            format!("{}{key}", block("FOO", "!!!!")),
            false,
        ),
        with("key-of-one-line", folded(key, 10_000), true),
        with("indented-key", with_lines(key, |line| format!("  {line}")), false),
        with("garbage-key", "garbage".to_owned(), false),
    ])
}

/// Authorities.
pub(super) async fn authorities() -> Result<Vec<Kind>> {
    let dir = paths::scratch("certificates::authorities")?;
    let made = |name, key, certificate| make_of(&dir, name, key, certificate);
    let good = made("good", RSA, NAMED).await?;
    let other = made("other", EC, NAMED).await?;
    let small = made("small", "rsa:1024", NAMED).await?;
    let nameless = made("nameless", EC, "-subj /O=x").await?;
    let curve = made("curve", "ec -pkeyopt ec_paramgen_curve:secp256k1", NAMED).await?;
    let mut kinds = vec![
        Kind::new("good", &good, true),
        Kind::new("small", &small, true),
        Kind::new("nameless", &nameless, true),
        Kind::new("curve", &curve, true),
    ];
    for (name, text, is_good) in texts(&good.certificate, &other.certificate) {
        kinds.push(Kind::with_certificates(name, text, "", is_good));
    }
    let Pair { certificate, key } = &good;
    let with = |name, text: String, is_good| Kind::with_certificates(name, text, "", is_good);
    let rsa = String::from_utf8(openssl(&dir, "rsa -traditional -in good.key").await?)?;
    let encrypted =
        String::from_utf8(openssl(&dir, "rsa -aes256 -passout pass:x -in good.key -traditional").await?)?;
    let pkcs7 = openssl(&dir, "crl2pkcs7 -nocrl -certfile good.crt").await?;
    kinds.extend([
        with("with-key", format!("{certificate}{key}"), true),
        with("with-rsa-key", format!("{certificate}{rsa}"), true),
        with("with-encrypted-key", format!("{certificate}{encrypted}"), true),
        with(
            "with-damaged-rsa-key",
            format!("{certificate}{}", block("RSA PRIVATE KEY", "AAAA")),
            false,
        ),
        with(
            "with-damaged-crl",
            format!("{certificate}{}", block("X509 CRL", "AAAA")),
            false,
        ),
        with("key-alone", key.clone(), false),
        with(
            "begin-alone",
            format!("{certificate}-----BEGIN CERTIFICATE-----\n"),
            false,
        ),
        Kind::with_certificates("pkcs7", pkcs7, "", false),
        Kind::with_certificates(
            "der",
            openssl(&dir, "x509 -in good.crt -outform DER").await?,
            "",
            false,
        ),
    ]);
    Ok(kinds)
}

async fn make_of(
    dir: &Path,
    name: &'static str,
    key: &'static str,
    certificate: &'static str,
) -> Result<Pair> {
    make(dir, (name, key, certificate, true)).await
}
