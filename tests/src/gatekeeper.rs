//! A service that is asked whether requests may pass: by HTTP, as nginx's `auth_request` does, and by Envoy's gRPC
//! (`envoy.service.auth.v3.Authorization/Check`), on one port.
//!
//! It goes by the request's `authorization`:
//!
//! | says | answer |
//! |---|---|
//! | `yes NAME` | it may, and the upstream is told `x-group: NAME` |
//! | `login` | 302 to `/login`, with a body |
//! | `slow` | after longer than anybody waits: it may |
//! | `broken` | 500, or a status of gRPC that is not OK |
//! | anything else | 403 |

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption},
    service::auth::v3::{
        CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
    },
    r#type::v3::HttpStatus,
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{HeaderMap, Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use prost::Message;
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// Longer than any test has a service waited for.
const SLOW: Duration = Duration::from_secs(20);
/// gRPC's OK, INTERNAL and PERMISSION_DENIED.
const OK: i32 = 0;
const INTERNAL: i32 = 13;
const PERMISSION_DENIED: i32 = 7;

/// The service; it serves until it is dropped.
#[derive(Debug)]
pub struct Gatekeeper {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// What is answered.
enum Verdict {
    Yes(String),
    Login,
    No,
    Broken,
}

// === impl Gatekeeper ===

impl Gatekeeper {
    /// Serves on loopback.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let asked = Arc::<AtomicUsize>::default();
        Ok(Self {
            address: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, Arc::clone(&asked))),
            asked,
        })
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&asked)));
    }
}

/// A proxy that breaks off is its own affair.
async fn serve(stream: TcpStream, asked: Arc<AtomicUsize>) {
    let service = service_fn(move |request| {
        asked.fetch_add(1, Ordering::Relaxed);
        answer(request)
    });
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>> {
    if request.uri().path().starts_with("/envoy.service.auth.v3.") {
        return check(request).await;
    }
    let authorization = request.headers().get("authorization");
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let response = match verdict(authorization.unwrap_or_default()).await {
        Verdict::Yes(group) => Response::builder().header("x-group", group).body("".into()),
        Verdict::Login => Response::builder()
            .status(302)
            .header("location", "/login")
            .body("this way\n".into()),
        Verdict::No => Response::builder().status(403).body("not you\n".into()),
        Verdict::Broken => Response::builder().status(500).body("".into()),
    };
    Ok(response?.map(|body: Full<Bytes>| body.boxed()))
}

async fn verdict(authorization: &str) -> Verdict {
    match authorization.split_once(' ').unwrap_or((authorization, "")) {
        ("yes", group) => Verdict::Yes(group.to_owned()),
        ("login", _) => Verdict::Login,
        ("broken", _) => Verdict::Broken,
        ("slow", _) => {
            sleep(SLOW).await;
            Verdict::Yes(String::new())
        }
        _ => Verdict::No,
    }
}

/// A unary call: five bytes before each message, and a trailer.
async fn check(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let request = CheckRequest::decode(body.get(5..).context("no message")?)?;
    let headers = request.attributes.and_then(|attributes| attributes.request?.http);
    let headers = headers.unwrap_or_default().headers;
    let authorization = headers.get("authorization").map_or("", String::as_str);
    let (status, response) = match verdict(authorization).await {
        Verdict::Yes(group) => (OK, allowed(&group)),
        Verdict::Login => (OK, denied(302, &[("location", "/login")], "this way\n")),
        Verdict::No => (OK, denied(403, &[], "not you\n")),
        Verdict::Broken => (INTERNAL, CheckResponse::default()),
    };
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(response.encoded_len().try_into()?);
    response.encode(&mut message)?;
    let trailers = HeaderMap::from_iter([("grpc-status".parse()?, status.into())]);
    let body = Full::from(message.freeze()).with_trailers(async { Some(Ok(trailers)) });
    Ok(Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())?)
}

fn allowed(group: &str) -> CheckResponse {
    let response = OkHttpResponse {
        headers: vec![header("x-group", group)],
        ..Default::default()
    };
    CheckResponse {
        status: Some(Default::default()),
        http_response: Some(HttpResponse::OkResponse(response)),
        ..Default::default()
    }
}

fn denied(status: i32, headers: &[(&str, &str)], body: &str) -> CheckResponse {
    let response = DeniedHttpResponse {
        status: Some(HttpStatus { code: status }),
        headers: headers.iter().map(|(name, value)| header(name, value)).collect(),
        body: body.to_owned(),
    };
    let status = envoy_types::pb::google::rpc::Status {
        code: PERMISSION_DENIED,
        ..Default::default()
    };
    CheckResponse {
        status: Some(status),
        http_response: Some(HttpResponse::DeniedResponse(response)),
        ..Default::default()
    }
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue {
        key: name.to_owned(),
        value: value.to_owned(),
        ..Default::default()
    };
    HeaderValueOption {
        header: Some(header),
        ..Default::default()
    }
}
