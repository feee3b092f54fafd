use super::*;
use crate::resource::Body;
use bytes::Bytes;

fn mk_resource(version: u64) -> Resource {
    Resource {
        version,
        body: Body::Encoded(Bytes::new()),
    }
}

fn mk_set(name: &str, version: u64) -> Update {
    Update {
        set: vec![(ResourceType::Cluster, name.into(), mk_resource(version))],
        removed: vec![],
    }
}

fn mk_removed(name: &str) -> Update {
    Update {
        set: vec![],
        removed: vec![(ResourceType::Cluster, name.into())],
    }
}

fn changes(store: &Store, since: u64) -> Option<Vec<(u64, &str)>> {
    let changes = store.type_store(ResourceType::Cluster).changes_since(since)?;
    Some(changes.map(|(generation, name)| (generation, &**name)).collect())
}

#[test]
fn only_a_real_change_creates_a_generation() {
    let mut store = Store::default();
    for (update, generation) in [
        (mk_set("a", 1), 1),
        (mk_set("a", 1), 1),
        (mk_set("a", 2), 2),
        (mk_removed("b"), 2),
        (mk_removed("a"), 3),
        (mk_removed("a"), 3),
        (Update::default(), 3),
    ] {
        assert_eq!(store.apply(update), generation);
    }
    assert_eq!(changes(&store, 0), Some(vec![(1, "a"), (2, "a"), (3, "a")]));
    assert_eq!(changes(&store, 2), Some(vec![(3, "a")]));
    assert_eq!(changes(&store, 3), Some(vec![]));
}

#[test]
fn log_is_bounded_and_reports_truncation() {
    let mut store = Store::default();
    for version in 1..=1030 {
        store.apply(mk_set("a", version));
    }
    assert_eq!(changes(&store, 5), None);
    assert_eq!(changes(&store, 6).map(|changes| changes.len()), Some(1024));
}
