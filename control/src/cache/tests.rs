//! Tests with a simulated clock.

use super::*;
use crate::jwks::{FetchError, JwksLookup};
use switchyard_core::{
    Name,
    ingressroute::{
        Spec, VirtualHost,
        policy::{Auth, Jwks, Jwt},
    },
    object::{Created, FetchedKeys, IngressRoute, Kind, Service, UnknownFields},
};
use switchyard_policy::config::policy::{Algorithm, Key};

const A: &str = "https://a.com/jwks";
const B: &str = "https://b.com/jwks";

/// One key, with the time that its issuer allows to keep it.
pub(super) fn keys(kid: &str, max_age: Option<u64>) -> Fetched<FetchedKeys> {
    let key = Key {
        kid: Some(kid.to_owned()),
        algorithms: vec![Algorithm::ES256],
        spki: "AAAA".to_owned(),
    };
    Fetched {
        value: FetchedKeys {
            keys: vec![key],
            left_out: None,
            fetched: 0,
        },
        max_age: max_age.map(Duration::from_secs),
    }
}

struct World {
    cache: Cache<JwksLookup>,
    now: Instant,
    stats: Arc<Stats>,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let stats = Arc::<Stats>::default();
        Self {
            cache: Cache::new(
                stats.clone(),
                JwksLookup {
                    soonest: Duration::from_secs(60),
                },
            ),
            now: Instant::now(),
            stats,
        }
    }

    /// A cache that has sent its first batch.
    fn begun() -> Self {
        let mut world = Self::new();
        world.take(vec![], vec![], 1);
        assert!(world.batch().is_some());
        world
    }

    fn take(&mut self, deleted: Vec<ObjectId>, applied: Vec<Object>, version: u64) {
        let batch = Batch {
            deleted,
            applied,
            version,
        };
        self.cache.take(batch, self.now);
    }

    fn start(&mut self) -> Vec<String> {
        let started = self.cache.start(self.now, 64);
        started.iter().map(ToString::to_string).collect()
    }

    fn fetched(&mut self, uri: &str, kid: Option<&str>) {
        let fetched = match kid {
            Some(kid) => Ok(keys(kid, None)),
            None => Err(FetchError::Status(503)),
        };
        self.cache.fetched(&uri.into(), fetched, self.now);
    }

    fn batch(&mut self) -> Option<Told> {
        self.cache.batch(self.now).map(Told::from)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

/// The content of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    applied: Vec<String>,
    deleted: Vec<String>,
    version: u64,
}

impl From<Batch> for Told {
    fn from(batch: Batch) -> Self {
        let Batch {
            deleted,
            applied,
            version,
        } = batch;
        let told = |object: &Object| match object {
            Object::Jwks(jwks) => match &jwks.keys {
                Ok(FetchedKeys { keys, .. }) => format!("{} {}", jwks.uri, keys[0].kid.as_deref().unwrap()),
                Err(reason) => format!("{} {reason}", jwks.uri),
            },
            object => object.id().to_string(),
        };
        Self {
            applied: applied.iter().map(told).collect(),
            deleted: deleted.iter().map(ToString::to_string).collect(),
            version,
        }
    }
}

fn told(applied: &[&str], deleted: &[&str], version: u64) -> Option<Told> {
    let text = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Some(Told {
        applied: text(applied),
        deleted: text(deleted),
        version,
    })
}

fn name(name: &str) -> Name {
    Name::new("default", name)
}

fn id(kind: Kind, of: &str) -> ObjectId {
    ObjectId { kind, name: name(of) }
}

/// An IngressRoute with tokens of these issuers.
fn route(of: &str, uris: &[&str]) -> Object {
    let auth = uris.iter().map(|uri| Auth {
        jwt: Some(Jwt {
            jwks: Jwks {
                uri: (*uri).to_owned(),
                ..Jwks::default()
            },
            ..Jwt::default()
        }),
        ..Auth::default()
    });
    let virtualhost = VirtualHost {
        auth: auth.collect(),
        ..VirtualHost::default()
    };
    Object::from(IngressRoute {
        name: name(of),
        generation: 1,
        created: Created::Unknown,
        spec: Spec {
            virtualhost: Some(virtualhost),
            ..Spec::default()
        },
        unknown: UnknownFields::default(),
    })
}

fn service(of: &str) -> Object {
    Object::Service(Service {
        name: name(of),
        ports: vec![],
        external_name: None,
        limits: switchyard_core::object::Limits::default(),
    })
}

#[test]
fn first_batch_waits_for_all_key_sets() {
    let mut world = World::new();
    assert!(world.cache.is_open());
    assert_eq!(world.batch(), None, "there is none yet");
    world.take(vec![], vec![route("r", &[A, B]), service("s")], 7);
    assert!(!world.cache.is_open());
    assert_eq!(world.start(), [A, B]);
    assert_eq!(world.start(), Vec::<String>::new(), "they are under way");
    world.fetched(A, Some("1"));
    assert_eq!(world.batch(), None);
    world.fetched(B, None);
    let all = [
        "IngressRoute default/r",
        "Service default/s",
        &format!("{A} 1"),
        &format!("{B} status 503"),
    ];
    assert_eq!(world.batch(), told(&all, &[], 7));
    assert!(world.cache.is_open());
    assert_eq!(world.stats.failing(), 1);
    assert_eq!((world.stats.successes(), world.stats.failures()), (1, 1));
}

#[test]
fn first_batch_wait_is_bounded() {
    let mut world = World::new();
    world.take(vec![], vec![route("r", &[A])], 1);
    world.start();
    world.pass(PATIENCE - Duration::from_millis(1));
    assert_eq!(world.batch(), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.batch(), told(&["IngressRoute default/r"], &[], 1));
    world.fetched(A, Some("1"));
    assert_eq!(world.batch(), told(&[&format!("{A} 1")], &[], 1));
}

#[test]
fn first_batch_without_key_sets_is_sent_at_once() {
    let mut world = World::new();
    world.take(vec![], vec![], 3);
    assert_eq!(world.batch(), told(&[], &[], 3));
    assert_eq!(world.batch(), None);
}

#[test]
fn only_objects_with_new_key_sets_wait() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A]), service("s")], 2);
    assert_eq!(world.start(), [A]);
    // A version is sent only with all of its objects.
    assert_eq!(world.batch(), told(&["Service default/s"], &[], 0));
    world.take(vec![], vec![service("t")], 2);
    assert_eq!(world.batch(), told(&["Service default/t"], &[], 0));
    world.fetched(A, Some("1"));
    assert_eq!(
        world.batch(),
        told(&[&format!("{A} 1"), "IngressRoute default/r"], &[], 2)
    );
    // Another object with the same name need not wait.
    world.take(vec![], vec![route("q", &[A])], 3);
    assert_eq!(world.batch(), told(&["IngressRoute default/q"], &[], 3));
}

#[test]
fn waiting_object_is_released_after_patience() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A])], 2);
    world.start();
    assert_eq!(world.cache.next(), Some(world.now + PATIENCE));
    world.pass(PATIENCE);
    assert_eq!(world.batch(), told(&["IngressRoute default/r"], &[], 2));
}

#[test]
fn waiting_object_may_change_or_be_deleted() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A])], 2);
    world.start();
    world.take(vec![], vec![route("r", &[])], 3);
    assert_eq!(
        world.batch(),
        told(&["IngressRoute default/r"], &["JWKS https://a.com/jwks"], 3)
    );
    world.fetched(A, Some("1"));
    assert_eq!(world.batch(), None, "nobody names it");
    world.take(vec![], vec![route("r", &[A])], 4);
    world.start();
    world.take(vec![id(Kind::IngressRoute, "r")], vec![], 5);
    let gone = ["IngressRoute default/r", "JWKS https://a.com/jwks"];
    assert_eq!(world.batch(), told(&[], &gone, 5));
    assert_eq!(world.cache.next(), None);
}

#[test]
fn key_set_stays_while_the_engine_references_it() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A])], 2);
    world.start();
    world.fetched(A, Some("1"));
    world.batch();
    world.take(vec![], vec![route("r", &[B])], 3);
    assert_eq!(world.start(), [B]);
    assert_eq!(world.batch(), None);
    world.fetched(B, Some("2"));
    let want = told(
        &[&format!("{B} 2"), "IngressRoute default/r"],
        &["JWKS https://a.com/jwks"],
        3,
    );
    assert_eq!(world.batch(), want);
}

#[test]
fn key_sets_are_refreshed_and_changes_sent() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A])], 2);
    world.start();
    world.fetched(A, Some("1"));
    world.batch();
    world.pass(Duration::from_secs(300));
    assert_eq!(world.start(), [A]);
    world.fetched(A, None);
    assert_eq!(world.batch(), None, "the last good keys stay");
    assert_eq!(world.stats.failing(), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.start(), [A]);
    world.fetched(A, Some("2"));
    assert_eq!(world.batch(), told(&[&format!("{A} 2")], &[], 2));
    assert_eq!(world.stats.failing(), 0);
}

#[test]
fn concurrent_fetches_are_limited() {
    let mut world = World::begun();
    world.take(vec![], vec![route("r", &[A, B])], 2);
    assert_eq!(world.cache.start(world.now, 1).len(), 1);
    assert_eq!(world.cache.start(world.now, 0).len(), 0);
    assert_eq!(world.cache.start(world.now, 1).len(), 1);
}
