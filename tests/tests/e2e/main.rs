//! End-to-end tests with the real binary, the real filter and real Envoys.
//!
//! A scenario is a function of the [`Source`] of its objects; [`scenarios!`] creates a test of it for each source. The
//! files of a run (manifests, bootstraps, logs) stay in `target/<profile>/e2e/<test>`.

mod api_server;
mod attack;
mod balancing;
mod book;
mod branches;
mod buckets;
mod certgen;
mod certificates;
mod constraints;
mod containment;
mod crds;
mod delegation;
mod deploy;
mod edge;
mod explain;
mod external;
mod failures;
mod filter;
mod fixture;
mod global_limits;
mod guards;
mod header_uses;
mod headers;
mod jwks;
mod levels;
mod life;
mod local_limits;
mod logs;
mod metrics;
mod mirrors;
mod names;
mod policies;
mod policy_metrics;
mod protocols;
mod reload;
mod replicas;
mod rolling;
mod route_names;
mod scope;
mod sessions;
mod static_mode;
mod status;
mod switching;
mod tls;
mod unresolved;
mod upstreams;
mod xds_tls;

/// Creates a test of each scenario for each source.
macro_rules! scenarios {
    ($($scenario:ident,)*) => {
        mod directory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(switchyard_tests::world::Source::Directory).await
                }
            )*
        }
        mod api_server {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(switchyard_tests::world::Source::ApiServer).await
                }
            )*
        }
    };
}
use scenarios;

/// Creates a test of each scenario for the directory source only.
macro_rules! scenarios_of_files {
    ($($scenario:ident,)*) => {
        mod files {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(switchyard_tests::world::Source::Directory).await
                }
            )*
        }
    };
}
use scenarios_of_files;
