use super::*;
use std::collections::{BTreeMap, BTreeSet};
use switchyard_xds::ads::{Config, WasmCode};

/// The text of a scrape without any objects.
fn scraped(cluster: Option<ClusterMetrics>) -> String {
    let metrics = Metrics {
        server: Server::new(Config::new(WasmCode {
            bytes: Default::default(),
            sha256: String::new(),
        })),
        graph_stats: Arc::default(),
        timings: Timings::default(),
        fetches: Arc::default(),
        cluster,
    };
    metrics.timings.graph_build_seconds.observe(0.002);
    metrics.timings.graph_build_seconds.observe(40.0);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics));
    let mut text = String::new();
    prometheus_client::encoding::text::encode_registry(&mut text, &registry).unwrap();
    text
}

fn of_cluster() -> ClusterMetrics {
    let writes = Stats::default();
    writes.done.store(3, Relaxed);
    writes.failed.store(1, Relaxed);
    ClusterMetrics {
        restarts: Arc::default(),
        writes: Arc::new(writes),
        leading: watch::Sender::new(true).subscribe(),
    }
}

/// The type of each family.
fn types(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.map(|line| line.split_once(' ').unwrap()).collect()
}

#[test]
fn samples_match_their_family_and_counters_end_in_total() {
    let text = scraped(Some(of_cluster()));
    let types = types(&text);
    for (name, kind) in &types {
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        let family = family.filter(|family| types.get(family) == Some(&"histogram"));
        assert!(types.contains_key(family.unwrap_or(name)), "{sample}");
    }
}

#[test]
fn samples_show_the_counted_values() {
    let text = scraped(Some(of_cluster()));
    for line in [
        concat!(
            "switchyard_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "switchyard_graph_build_seconds_count 2",
        "switchyard_graph_build_seconds_bucket{le=\"0.001\"} 0",
        "switchyard_graph_build_seconds_bucket{le=\"0.003\"} 1",
        "switchyard_graph_build_seconds_bucket{le=\"+Inf\"} 2",
        "switchyard_objects{kind=\"TLSCertificateDelegation\"} 0",
        "switchyard_ingressroutes{status=\"orphaned\"} 0",
        "switchyard_xds_nacks_total{type=\"RouteConfiguration\"} 0",
        "switchyard_status_writes_total{result=\"success\"} 3",
        "switchyard_status_writes_total{result=\"failure\"} 1",
        "switchyard_leader 1",
        "switchyard_watch_restarts_total{kind=\"Secret\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn directory_mode_omits_leader_and_watch_metrics() {
    let text = scraped(None);
    for name in ["leader", "status_writes", "watch_restarts"] {
        assert!(!text.contains(&format!("switchyard_{name}")), "{name}");
    }
}

/// The first two columns of the table are name and type.
#[test]
fn every_metric_is_documented_with_its_type() {
    let document = include_str!("../../../docs/metrics.md");
    let rows = document.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let kind = rest.split(" |").next()?;
        ["gauge", "counter", "histogram"]
            .contains(&kind)
            .then_some((name, kind))
    });
    let text = scraped(Some(of_cluster()));
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), types(&text));
}

/// A metric that was renamed would show as an empty panel.
#[test]
fn dashboard_uses_only_existing_metrics() {
    let dashboard = include_str!("../../../deploy/grafana/switchyard.json");
    let text = scraped(Some(of_cluster()));
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words: BTreeSet<_> = dashboard.split(|char| !is_part(char)).collect();
    // A metric of Envoy, which the page on metrics describes.
    const OF_PROXIES: &str = "switchyard_policy";
    assert!(words.contains(OF_PROXIES));
    let named: Vec<_> = words
        .into_iter()
        .filter(|word| word.starts_with("switchyard_") && *word != OF_PROXIES)
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let is_sample = |line: &str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(text.lines().any(is_sample), "{name}");
    }
}
