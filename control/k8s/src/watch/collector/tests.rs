use super::*;
use serde_json::json;

/// The indices of the watches of IngressRoutes and of Secrets.
const ROUTES: usize = 0;
const SECRETS: usize = 1;

fn collector() -> Collector {
    let source = |kind| Source {
        kind,
        namespace: None,
    };
    Collector::new(
        vec![source(Kind::IngressRoute), source(Kind::Secret)],
        IngressClasses::default(),
        Arc::default(),
    )
}

fn route(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})).unwrap()
}

fn plain(name: &str) -> DynamicObject {
    route(name, &json!({"routes": []}))
}

fn with_tls(name: &str, secret: &str) -> DynamicObject {
    route(
        name,
        &json!({"virtualhost": {"fqdn": "a.com", "tls": {"secretName": secret}}}),
    )
}

fn metadata(name: &str) -> PartialObjectMeta<k8s_openapi::api::core::v1::Secret> {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}})).unwrap()
}

fn secret(name: &str) -> Fetched {
    Fetched::Found(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}
    }))
}

impl Collector {
    fn routes(&mut self, events: impl IntoIterator<Item = Event<DynamicObject>>) -> &mut Self {
        for event in events {
            self.seen(ROUTES, Seen::Whole(event));
        }
        self
    }

    fn secrets(
        &mut self,
        events: impl IntoIterator<Item = Event<PartialObjectMeta<k8s_openapi::api::core::v1::Secret>>>,
    ) -> &mut Self {
        for event in events {
            self.seen(SECRETS, Seen::Metadata(event));
        }
        self
    }

    /// The next batch, as `+name` for applied and `-name` for deleted objects.
    fn told(&mut self) -> Option<Vec<String>> {
        let Batch { deleted, applied, .. } = self.batch()?;
        let deleted = deleted.iter().map(|id| format!("-{}", id.name.name));
        let applied = applied.iter().map(|object| format!("+{}", object.id().name.name));
        Some(deleted.chain(applied).collect())
    }

    fn fetching(&mut self) -> Vec<String> {
        let names = self.start_fetches().into_iter();
        names.map(|ToFetch { name, .. }| name.name.to_string()).collect()
    }

    fn answer(&mut self, name: &str, fetched: Fetched) -> &mut Self {
        self.fetched(&Name::new("default", name), fetched);
        self
    }
}

fn some(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(ToString::to_string).collect())
}

/// A collector that has returned its first batch.
fn started() -> Collector {
    let mut collector = collector();
    collector
        .routes([Event::Init, Event::InitApply(plain("a")), Event::InitDone])
        .secrets([Event::Init, Event::InitDone]);
    assert_eq!(collector.told(), some(&["+a"]));
    collector
}

#[test]
fn first_batch_waits_for_every_watch_to_list() {
    let mut collector = collector();
    collector.routes([Event::Init, Event::InitApply(plain("a"))]);
    assert_eq!(collector.told(), None);
    collector.routes([Event::InitDone, Event::Apply(plain("b"))]);
    assert_eq!(collector.told(), None);
    collector.secrets([Event::Init, Event::InitDone]);
    assert_eq!(collector.told(), some(&["+a", "+b"]));
    assert_eq!(collector.told(), None);
}

#[test]
fn first_batch_waits_for_referenced_secrets() {
    let mut collector = collector();
    collector
        .routes([
            Event::Init,
            Event::InitApply(with_tls("a", "cert")),
            Event::InitDone,
        ])
        .secrets([Event::Init, Event::InitApply(metadata("cert")), Event::InitDone]);
    assert_eq!(collector.told(), None);
    assert_eq!(collector.fetching(), ["cert"]);
    assert_eq!(collector.told(), None);
    assert_eq!(
        collector.answer("cert", secret("cert")).told(),
        some(&["+a", "+cert"])
    );
}

#[test]
fn empty_cluster_sends_an_empty_batch() {
    let mut collector = collector();
    collector
        .routes([Event::Init, Event::InitDone])
        .secrets([Event::Init, Event::InitDone]);
    assert_eq!(collector.told(), some(&[]));
}

#[test]
fn only_a_complete_relist_deletes_missing_objects() {
    let mut collector = started();
    collector.routes([Event::Apply(plain("b"))]);
    assert_eq!(collector.told(), some(&["+b"]));
    // An interrupted list.
    collector.routes([Event::Init, Event::InitApply(plain("b")), Event::Init]);
    assert_eq!(collector.told(), some(&["+b"]));
    collector.routes([Event::InitApply(plain("c")), Event::InitApply(plain("b"))]);
    assert_eq!(collector.told(), some(&["+b", "+c"]));
    collector.routes([Event::InitDone]);
    assert_eq!(collector.told(), some(&["-a"]));
}

#[test]
fn object_created_and_deleted_between_batches_is_deleted() {
    let mut collector = started();
    collector.routes([Event::Apply(plain("b")), Event::Delete(plain("b"))]);
    assert_eq!(collector.told(), some(&["-b"]));
}

#[test]
fn unreadable_object_keeps_its_last_good_state() {
    let mut collector = started();
    let broken = route("a", &json!({"routes": "none"}));
    collector.routes([Event::Apply(broken.clone())]);
    assert_eq!(collector.told(), None);
    collector.routes([Event::Init, Event::InitApply(broken), Event::InitDone]);
    assert_eq!(collector.told(), None);
}

#[test]
fn route_moved_to_another_class_is_deleted() {
    let mut collector = started();
    let mut other = plain("a");
    other.metadata.annotations =
        Some([("kubernetes.io/ingress.class".to_owned(), "nginx".to_owned())].into());
    collector.routes([Event::Apply(other)]);
    assert_eq!(collector.told(), some(&["-a"]));
}

#[test]
fn only_referenced_secrets_are_fetched() {
    let mut collector = started();
    collector.secrets([Event::Apply(metadata("cert")), Event::Apply(metadata("other"))]);
    assert_eq!(collector.fetching(), <[&str; 0]>::default());
    collector.routes([Event::Apply(with_tls("a", "cert"))]);
    assert_eq!(collector.fetching(), ["cert"]);
    // The route does not wait for the Secret, which may take long.
    assert_eq!(collector.told(), some(&["+a"]));
    assert_eq!(collector.answer("cert", secret("cert")).told(), some(&["+cert"]));
    collector.secrets([Event::Apply(metadata("cert"))]);
    assert_eq!(collector.fetching(), ["cert"]);
}

#[test]
fn unreferenced_secret_is_released() {
    let mut collector = started();
    collector.routes([Event::Apply(with_tls("a", "cert"))]);
    collector.fetching();
    collector.answer("cert", secret("cert")).told();
    collector.routes([Event::Apply(plain("a"))]);
    assert_eq!(collector.told(), some(&["-cert", "+a"]));
    // A late answer is ignored.
    assert_eq!(collector.answer("cert", secret("cert")).told(), None);
}

#[test]
fn deleted_secret_is_removed() {
    let mut collector = started();
    collector.routes([Event::Apply(with_tls("a", "cert"))]);
    collector.fetching();
    collector.answer("cert", secret("cert")).told();
    collector.secrets([Event::Apply(metadata("cert")), Event::Delete(metadata("cert"))]);
    assert_eq!(collector.told(), some(&["-cert"]));
    // The fetch requested before the deletion finds it missing.
    assert_eq!(collector.fetching(), ["cert"]);
    assert_eq!(
        collector.answer("cert", Fetched::Missing).told(),
        some(&["-cert"])
    );
}

#[test]
fn forbidden_secret_is_missing_and_retried() {
    let mut collector = started();
    collector.routes([Event::Apply(with_tls("a", "cert"))]);
    assert_eq!(collector.fetching(), ["cert"]);
    assert_eq!(
        collector.answer("cert", Fetched::Refused).told(),
        some(&["-cert", "+a"])
    );
    let again = collector.start_fetches();
    let want = ToFetch {
        name: Name::new("default", "cert"),
        refused_before: true,
    };
    assert_eq!(again, [want]);
}

#[test]
fn broken_watch_is_counted_once_until_it_recovers() {
    let mut collector = started();
    let counted = |collector: &Collector| -> Vec<u64> {
        let counts: BTreeMap<_, _> = collector.restarts.counts().collect();
        [Kind::IngressRoute, Kind::Secret]
            .map(|kind| counts[&kind])
            .into()
    };
    assert_eq!(counted(&collector), [0, 0]);
    let error = watcher::Error::NoResourceVersion;
    collector.broke(ROUTES, &error);
    collector.broke(ROUTES, &error);
    assert_eq!(counted(&collector), [1, 0]);
    collector.routes([Event::Init, Event::InitDone]);
    collector.broke(ROUTES, &error);
    collector.broke(SECRETS, &error);
    assert_eq!(counted(&collector), [2, 1]);
}
