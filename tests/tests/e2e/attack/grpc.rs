//! Calls with the content type of gRPC and with similar ones: rejections of gRPC have another format.

use super::{HOSTS, KEY, Site};
use anyhow::{Context, Result, ensure};
use hyper::Request;
use switchyard_tests::client::{Http2, empty};

/// Content types, and true if Envoy answers in the gRPC format.
const TYPES: &[(&str, bool)] = &[
    ("application/grpc", true),
    ("application/grpc+proto", true),
    ("application/grpc+json", true),
    ("application/grpc;charset=utf-8", false),
    ("Application/GRPC", false),
    ("application/grpc-web", false),
    ("application/grpc-web+proto", false),
    ("application/grpcx", false),
    ("application/connect+proto", false),
    ("application/json", false),
    ("", false),
];

const UNAUTHENTICATED: &str = "16";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_call_is_rejected_for_any_content_type() -> Result<()> {
    let site = Site::start().await?;
    for host in HOSTS {
        for (content_type, is_grpc) in TYPES {
            let call = || {
                Request::post(format!("http://{host}/admin/Service/Method"))
                    .header("content-type", *content_type)
                    .header("te", "trailers")
            };
            let before = site.vault.requests();
            let mut client = Http2::open(site.world.http()).await?;
            let answer = client
                .start(call().header(KEY.0.to_lowercase(), &*KEY.1), empty())
                .await?;
            let backend = answer.headers().get("x-echo-backend").context("no backend")?;
            ensure!(
                backend == "vault" && site.vault.requests() == before + 1,
                "{content_type}: {answer:?}"
            );
            let before = site.vault.received();
            let answer = client.start(call(), empty()).await?;
            ensure!(
                site.vault.received() == before,
                "{content_type}: it came to the upstream"
            );
            let status = answer.headers().get("grpc-status");
            let is_told = status.is_some_and(|status| status == UNAUTHENTICATED);
            let want = if *is_grpc { 200 } else { 401 };
            ensure!(
                (answer.status().as_u16(), is_told) == (want, *is_grpc),
                "{content_type}: {answer:?}"
            );
        }
    }
    Ok(())
}
