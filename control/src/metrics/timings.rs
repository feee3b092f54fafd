//! Histograms that are observed as events happen.

use prometheus_client::metrics::histogram::Histogram;

/// Buckets in seconds. A commit takes microseconds for one root, and a second or more for all roots of a large cluster.
const BUILD_BUCKETS: [f64; 11] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Buckets in seconds. A switch takes milliseconds; a new cluster that has to warm up may take 15 s, and a proxy that
/// is silent for a minute is no longer waited for.
const PROPAGATION_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Histograms that are observed as events happen.
#[derive(Clone, Debug)]
pub struct Timings {
    pub graph_build_seconds: Histogram,
    pub propagation_seconds: Histogram,
}

// === impl Timings ===

impl Default for Timings {
    fn default() -> Self {
        Self {
            graph_build_seconds: Histogram::new(BUILD_BUCKETS),
            propagation_seconds: Histogram::new(PROPAGATION_BUCKETS),
        }
    }
}
