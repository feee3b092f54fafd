//! A service that allows every request, and sets headers of the test's choice to `forged`: over HTTP, over Envoy's
//! `Authorization/Check` and over its `RateLimitService/ShouldRateLimit`, on one port.

use anyhow::Result;
use bytes::Bytes;
use envoy_types::pb::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    service::{
        auth::v3::{CheckResponse, OkHttpResponse, check_response::HttpResponse},
        ratelimit::v3::{RateLimitResponse, rate_limit_response::Code},
    },
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::TcpStream;

use crate::{
    gatekeeper::{Answer, OK, reply},
    server::{LOOPBACK, Server},
};

/// The running service, until it is dropped.
#[derive(Debug)]
pub struct Rogue {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _server: Server,
}

// === impl Rogue ===

impl Rogue {
    /// Serves on loopback, and forges these headers.
    pub async fn start(headers: &'static [&'static str]) -> Result<Self> {
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let server =
            Server::start(LOOPBACK, move |stream| serve(stream, headers, Arc::clone(&count))).await?;
        Ok(Self {
            address: server.address,
            asked,
            _server: server,
        })
    }

    /// The number of requests so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Ignores connections that the proxy aborts.
async fn serve(stream: TcpStream, headers: &'static [&'static str], asked: Arc<AtomicUsize>) {
    let service = service_fn(move |request| {
        asked.fetch_add(1, Ordering::Relaxed);
        answer(request, headers)
    });
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(request: Request<Incoming>, headers: &[&str]) -> Result<Answer> {
    let path = request.uri().path().to_owned();
    request.into_body().collect().await?;
    match path.as_str() {
        "/envoy.service.auth.v3.Authorization/Check" => reply(OK, &allowed(headers)),
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit" => reply(OK, &under_limit(headers)),
        _ => {
            let response = headers.iter().fold(Response::builder(), |response, name| {
                response.header(*name, "forged")
            });
            let body = Full::<Bytes>::default();
            Ok(response.body(body)?.map(|body| body.boxed()))
        }
    }
}

/// An OK response that sets each header with every append action.
fn allowed(headers: &[&str]) -> CheckResponse {
    let actions = [
        HeaderAppendAction::AppendIfExistsOrAdd,
        HeaderAppendAction::AddIfAbsent,
        HeaderAppendAction::OverwriteIfExistsOrAdd,
        HeaderAppendAction::OverwriteIfExists,
    ];
    let option = |name: &str, action: HeaderAppendAction| HeaderValueOption {
        header: Some(header(name)),
        append_action: action.into(),
        ..Default::default()
    };
    let options = headers
        .iter()
        .flat_map(|name| actions.map(|action| option(name, action)));
    let response = OkHttpResponse {
        headers: options.collect(),
        headers_to_remove: headers.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    };
    CheckResponse {
        status: Some(Default::default()),
        http_response: Some(HttpResponse::OkResponse(response)),
        ..Default::default()
    }
}

fn under_limit(headers: &[&str]) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: Code::Ok.into(),
        request_headers_to_add: headers.iter().map(|name| header(name)).collect(),
        ..Default::default()
    }
}

fn header(name: &str) -> HeaderValue {
    HeaderValue {
        key: name.to_owned(),
        value: "forged".to_owned(),
        ..Default::default()
    }
}
