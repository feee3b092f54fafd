use super::*;
use switchyard_core::{ObjectId, Settings, object::Object};
use switchyard_k8s::Reading;

fn route(name: &str, spec: &serde_json::Value) -> Object {
    let document = serde_json::json!({
        "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    });
    let Reading { object, .. } = switchyard_k8s::object(document).unwrap().unwrap();
    object
}

fn root(active: &str) -> Object {
    route(
        "root",
        &serde_json::json!({
            "virtualhost": {"fqdn": "a.com"}, "routes": [{"match": "/", "delegate": {"name": active}}],
        }),
    )
}

fn leaf(name: &str) -> Object {
    route(
        name,
        &serde_json::json!({"routes": [{"match": "/", "services": [{"name": name, "port": 80}]}]}),
    )
}

struct World {
    graph: Graph,
    event_log: EventLog,
    stats: GraphStatsRecorder,
}

impl World {
    fn commit(&mut self) {
        let change = self.graph.commit();
        self.event_log.committed(&self.graph, &change, 1);
        self.stats.committed(&self.graph, &change, &self.event_log);
    }

    /// The number of IngressRoutes; of valid, invalid and orphaned ones; of hosts, switches, and moves.
    fn told(&self) -> (u64, [u64; 3], [u64; 3]) {
        let graph_stats = self.stats.graph_stats();
        let objects: BTreeMap<_, _> = graph_stats.objects().collect();
        let states: Vec<_> = graph_stats.states().map(|(_, count)| count).collect();
        (
            objects[&Kind::IngressRoute],
            states.try_into().unwrap(),
            [
                graph_stats.hosts(),
                graph_stats.switches(),
                graph_stats.switched(),
            ],
        )
    }
}

#[test]
fn graph_stats_follow_added_changed_and_deleted_objects() {
    let mut world = World {
        graph: Graph::new(Settings::default()),
        event_log: EventLog::default(),
        stats: GraphStatsRecorder::default(),
    };
    world.commit();
    assert_eq!(world.told(), (0, [0; 3], [0; 3]));
    let service = |name| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"port": 80}]},
        })
    };
    for name in ["blue", "green"] {
        let Reading { object, .. } = switchyard_k8s::object(service(name)).unwrap().unwrap();
        world.graph.apply(object);
        world.graph.apply(leaf(name));
    }
    world.graph.apply(root("blue"));
    world.commit();
    assert_eq!(world.told(), (3, [2, 0, 1], [1, 1, 0]), "green is an orphan");
    world.graph.apply(root("green"));
    world.commit();
    assert_eq!(world.told(), (3, [2, 0, 1], [1, 1, 1]), "and now blue is");
    world.graph.apply(root("nobody"));
    world.commit();
    assert_eq!(world.told().1, [0, 1, 2]);
    for name in ["blue", "green", "root"] {
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: Name::new("default", name),
        };
        world.graph.delete(&id);
        world.graph.delete(&id);
    }
    world.commit();
    assert_eq!(world.told(), (0, [0; 3], [0, 0, 1]));
}
