//! Tests of the way from a source to the engine, with an issuer in between.

use super::{
    issuer::{IssuerServer, ok},
    *,
};
use std::time::Duration;
use switchyard_core::{
    Name,
    ingressroute::{Spec, VirtualHost, policy},
    object::{Created, UnknownFields},
};

/// A timeout for events that take about a second.
const LONG: Duration = Duration::from_secs(20);

fn arguments() -> JwksArgs {
    JwksArgs {
        jwks_ca_file: None,
        jwks_allow_addresses: Vec::new(),
        jwks_min_refresh: Duration::from_secs(60),
    }
}

struct World {
    source: mpsc::Sender<Batch>,
    engine: mpsc::Receiver<Batch>,
}

// === impl World ===

impl World {
    fn start() -> Self {
        let (source, batches) = mpsc::channel(8);
        let (sender, engine) = mpsc::channel(8);
        let fetching = arguments().fetching(true).unwrap();
        tokio::spawn(fetching.run(batches, sender));
        Self { source, engine }
    }

    async fn tell(&self, object: Object) {
        let batch = Batch {
            applied: vec![object],
            ..Batch::default()
        };
        self.source.send(batch).await.unwrap();
    }

    /// The next key set that the engine gets, skipping other objects.
    async fn told(&mut self) -> Result<String, String> {
        let told = async {
            loop {
                let Batch { applied, .. } = self.engine.recv().await.unwrap();
                let sets = applied.into_iter().filter_map(|object| match object {
                    Object::Jwks(set) => Some(set),
                    _ => None,
                });
                if let Some(set) = sets.last() {
                    return set.keys.map(|keys| keys.keys[0].kid.clone().unwrap());
                }
            }
        };
        tokio::time::timeout(LONG, told)
            .await
            .expect("the engine is told")
    }

    /// Waits until the engine gets `want`.
    async fn told_at_last(&mut self, want: &Result<String, String>) {
        while self.told().await != *want {}
    }
}

/// An IngressRoute that trusts keys for a second after a fetch, so that they are fetched twice as often.
fn route(uri: &str) -> Object {
    let jwks = policy::Jwks {
        uri: uri.to_owned(),
        max_stale_seconds: Some(1),
        ..policy::Jwks::default()
    };
    let auth = Auth {
        jwt: Some(policy::Jwt {
            jwks,
            ..policy::Jwt::default()
        }),
        ..Auth::default()
    };
    Object::from(IngressRoute {
        name: Name::new("default", "r"),
        generation: 1,
        created: Created::Unknown,
        spec: Spec {
            virtualhost: Some(VirtualHost {
                auth: vec![auth],
                ..VirtualHost::default()
            }),
            ..Spec::default()
        },
        unknown: UnknownFields::default(),
    })
}

#[tokio::test]
async fn keys_rotate_and_survive_an_outage() {
    let issuer = IssuerServer::start(ok("a")).await;
    let mut world = World::start();
    world.tell(route(&issuer.uri())).await;
    assert_eq!(world.told().await, Ok("a".to_owned()));
    issuer.say(Some(ok("b")));
    world.told_at_last(&Ok("b".to_owned())).await;
    for outage in [None, Some(b"garbage\r\n\r\n".to_vec())] {
        let before = issuer.connections();
        issuer.say(outage);
        while issuer.connections() < before + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Batches that come meanwhile are from before.
        while let Ok(batch) = world.engine.try_recv() {
            let failed = |object: &Object| matches!(object, Object::Jwks(set) if set.keys.is_err());
            assert!(!batch.applied.iter().any(failed), "{batch:?}");
        }
    }
    issuer.say(Some(ok("c")));
    world.told_at_last(&Ok("c".to_owned())).await;
}

#[tokio::test]
async fn unreachable_issuer_is_reported_and_retried() {
    let issuer = IssuerServer::start(vec![]).await;
    issuer.say(None);
    let mut world = World::start();
    world.tell(route(&issuer.uri())).await;
    assert_eq!(world.told().await, Err(FetchError::Broken.to_string()));
    issuer.say(Some(ok("a")));
    world.told_at_last(&Ok("a".to_owned())).await;
}

#[tokio::test]
async fn hung_issuer_delays_the_first_batch_briefly() {
    let issuer = IssuerServer::start(vec![]).await;
    let mut world = World::start();
    world.tell(route(&issuer.uri())).await;
    let first = tokio::time::timeout(LONG, world.engine.recv()).await;
    let first = first.expect("the first batch comes").unwrap();
    assert!(
        matches!(first.applied[..], [Object::IngressRoute(_), ..]),
        "{first:?}"
    );
}

#[test]
fn offline_commands_assume_key_sets() {
    let Object::IngressRoute(route) = route("https://a.com/jwks") else {
        panic!("no IngressRoute");
    };
    let assumed = assume([&*route]);
    let [Object::Jwks(set)] = &assumed[..] else {
        panic!("{assumed:?}");
    };
    assert_eq!(&*set.uri, "https://a.com/jwks");
    assert!(set.keys.is_ok());
}
