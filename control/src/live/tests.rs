use super::*;

#[test]
fn live_proxy_report_includes_known_delay() {
    let waited = Duration::from_micros(2_500);
    for (lag, want) in [(Some(Duration::from_micros(125)), Some(2.625)), (None, None)] {
        let verdict = Verdict {
            node_id: "edge-1".to_owned(),
            outcome: Outcome::Acked(waited),
        };
        let Report {
            live, of, proxies, ..
        } = Report::accepted(vec![verdict], lag);
        let state = ProxyState::Live { after_ms: want };
        let node = "edge-1".to_owned();
        assert_eq!((live, of, proxies), (1, 1, vec![ProxyReport { node, state }]));
    }
}
