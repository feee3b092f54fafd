use super::*;
use crate::certgen::issue::{LIFETIME, days};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::sync::Arc;

const RENEW: Mode = Mode::Renew { before: days(30) };

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn mk_wish(mode: Mode) -> Wish {
    Wish {
        names: vec!["switchyard".to_owned(), "::1".to_owned()],
        lifetime: days(365),
        mode,
    }
}

/// Applies a plan, and returns the outcomes.
fn run(holdings: &mut Holdings, mode: Mode, now: OffsetDateTime) -> Vec<(Role, Outcome)> {
    run_wish(holdings, &mk_wish(mode), now)
}

fn run_wish(holdings: &mut Holdings, wish: &Wish, now: OffsetDateTime) -> Vec<(Role, Outcome)> {
    let entries = plan(holdings, wish, now).unwrap();
    let outcome = entries.iter().map(|entry| (entry.role, entry.outcome)).collect();
    for Entry { role, holding, .. } in entries {
        if let Some(holding) = holding {
            holdings.insert(role, holding);
        }
    }
    outcome
}

fn outcomes(outcomes: [Outcome; 3]) -> Vec<(Role, Outcome)> {
    Role::ALL.into_iter().zip(outcomes).collect()
}

fn mk_holdings(now: OffsetDateTime) -> Holdings {
    let mut holdings = Holdings::new();
    run(&mut holdings, Mode::Keep, now);
    holdings
}

fn roots(holding: &Holding) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(holding.ca.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    Arc::new(roots)
}

/// Returns true if a server and a client with these files accept each other.
fn connect(server: &Holding, client: &Holding, now: OffsetDateTime) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().unsigned_abs()));
    let shown = |holding: &Holding| CertificateDer::from_pem_slice(holding.certificate.as_bytes()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots(server), Arc::clone(&provider))
        .build()
        .unwrap();
    let servers = WebPkiServerVerifier::builder_with_provider(roots(client), provider)
        .build()
        .unwrap();
    let name = ServerName::try_from("switchyard").unwrap();
    clients.verify_client_cert(&shown(client), &[], now).is_ok()
        && servers
            .verify_server_cert(&shown(server), &[], &name, &[], now)
            .is_ok()
}

fn all_connect(server: &Holdings, client: &Holdings, now: OffsetDateTime) -> bool {
    connect(&server[&Role::Server], &client[&Role::Client], now)
}

#[test]
fn existing_certificates_are_kept_renewed_or_overwritten() {
    use Outcome::{Kept, KeptEnded, Made, Renewed};
    for (mode, after, want) in [
        (Mode::Keep, days(1), [Kept, Kept, Kept]),
        (Mode::Keep, days(366), [Kept, KeptEnded, KeptEnded]),
        (Mode::Overwrite, days(1), [Renewed, Renewed, Renewed]),
        (RENEW, days(334), [Kept, Kept, Kept]),
        (RENEW, days(335), [Kept, Renewed, Renewed]),
        (RENEW, days(400), [Kept, Renewed, Renewed]),
    ] {
        let mut holdings = Holdings::new();
        assert_eq!(run(&mut holdings, mode, start()), outcomes([Made, Made, Made]));
        let now = start() + after;
        assert_eq!(
            run(&mut holdings, mode, now),
            outcomes(want),
            "{mode:?} {after:?}"
        );
        let ended = want.contains(&KeptEnded);
        assert_eq!(
            all_connect(&holdings, &holdings, now),
            !ended,
            "{mode:?} {after:?}"
        );
    }
}

#[test]
fn missing_leaf_is_issued_by_the_existing_ca() {
    use Outcome::{Kept, Made};
    for mode in [Mode::Keep, RENEW] {
        let mut holdings = mk_holdings(start());
        holdings.remove(&Role::Client);
        let ran = run(&mut holdings, mode, start());
        assert_eq!(ran, outcomes([Kept, Kept, Made]));
        assert!(all_connect(&holdings, &holdings, start()));
    }
}

#[test]
fn no_ca_is_created_when_both_leaves_exist() {
    let mut holdings = mk_holdings(start());
    holdings.remove(&Role::Authority);
    let want = [(Role::Server, Outcome::Kept), (Role::Client, Outcome::Kept)];
    assert_eq!(run(&mut holdings, Mode::Keep, start()), want);
    assert_eq!(run(&mut holdings, RENEW, start()), want);
}

#[test]
fn new_ca_is_trusted_beside_the_known_one() {
    use Outcome::{Made, Trusting};
    let mut holdings = mk_holdings(start());
    holdings.remove(&Role::Authority);
    holdings.remove(&Role::Server);
    let ran = run(&mut holdings, Mode::Keep, start());
    assert_eq!(ran, outcomes([Made, Made, Trusting]));
    assert!(all_connect(&holdings, &holdings, start()));
}

#[test]
fn only_a_server_certificate_missing_a_name_is_renewed() {
    let mut holdings = mk_holdings(start());
    let mut wish = mk_wish(RENEW);
    wish.names.push("xds.example.com".to_owned());
    let want = outcomes([Outcome::Kept, Outcome::Renewed, Outcome::Kept]);
    assert_eq!(run_wish(&mut holdings, &wish, start()), want);
    // Names beyond the requested ones do not matter.
    let kept = outcomes([Outcome::Kept; 3]);
    assert_eq!(run(&mut holdings, RENEW, start()), kept);
}

#[test]
fn overwrite_drops_trust_in_the_old_ca() {
    let old = mk_holdings(start());
    let mut new = old.clone();
    run(&mut new, Mode::Overwrite, start());
    assert!(all_connect(&new, &new, start()));
    assert!(!all_connect(&new, &old, start()));
    assert!(!all_connect(&old, &new, start()));
    assert_eq!(x509::certificates(&new[&Role::Server].ca).unwrap().len(), 1);
}

/// Each side may have the files of this run, or of the one before.
#[test]
fn weekly_renewal_never_breaks_a_connection() {
    let mut before = mk_holdings(start());
    let mut renewed = [0; 3];
    // Leaves are short-lived, so that some are due in the run that renews the CA.
    for lifetime in [days(365), days(32)] {
        let wish = Wish {
            lifetime,
            ..mk_wish(RENEW)
        };
        for day in (1..30 * 365).step_by(7) {
            let now = start() + days(day);
            let mut after = before.clone();
            for (role, outcome) in run_wish(&mut after, &wish, now) {
                renewed[role as usize] += usize::from(outcome == Outcome::Renewed);
            }
            if after != before {
                for (server, client) in [(&before, &after), (&after, &before), (&after, &after)] {
                    assert!(all_connect(server, client, now), "{lifetime:?}, day {day}");
                }
            }
            let cas = x509::certificates(&after[&Role::Server].ca).unwrap().len();
            assert!(cas <= 2, "{lifetime:?}, day {day}: {cas} CAs");
            before = after;
        }
        before = mk_holdings(start());
    }
    assert!(renewed[0] >= 4 && renewed[1] > 1000, "{renewed:?}");
}

#[test]
fn late_ca_never_signs_beyond_its_expiry() {
    let mut holdings = mk_holdings(start());
    let late = start() + LIFETIME - days(100);
    run(&mut holdings, RENEW, late);
    let ends = facts(Role::Client, &holdings[&Role::Client]).unwrap().until;
    assert_eq!(ends, start() + LIFETIME);
    // After the CA has expired.
    let mut holdings = mk_holdings(start());
    let later = start() + LIFETIME + days(1);
    let error = {
        let mut missing = holdings.clone();
        missing.remove(&Role::Client);
        plan(&missing, &mk_wish(Mode::Keep), later).unwrap_err()
    };
    assert!(error.to_string().contains("--renew-before"), "{error:#}");
    run(&mut holdings, RENEW, later);
    assert!(all_connect(&holdings, &holdings, later));
}

#[test]
fn unreadable_certificate_fails_unless_overwriting() {
    for role in Role::ALL {
        let mut holdings = mk_holdings(start());
        holdings.entry(role).or_default().certificate = "-----BEGIN".to_owned();
        for mode in [Mode::Keep, RENEW] {
            let error = plan(&holdings, &mk_wish(mode), start()).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(role.secret()) && text.contains("tls.crt"), "{text}");
        }
        run(&mut holdings, Mode::Overwrite, start());
        assert!(all_connect(&holdings, &holdings, start()));
    }
}

#[test]
fn entry_line_shows_outcome_and_expiry() {
    for (outcome, want) in [
        (Outcome::Made, "created, valid until 2027-01-15"),
        (Outcome::Kept, "kept, valid until 2027-01-15"),
        (
            Outcome::KeptEnded,
            "kept, but EXPIRED on 2027-01-15: renew it with --renew-before",
        ),
    ] {
        let entry = Entry {
            role: Role::Client,
            outcome,
            until: start(),
            holding: None,
        };
        assert_eq!(entry.to_string(), want);
    }
}
