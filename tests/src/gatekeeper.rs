//! A service for external authorization: over HTTP, as for nginx's `auth_request`, and over Envoy's gRPC protocol
//! (`envoy.service.auth.v3.Authorization/Check`), on one port.
//!
//! The request's `authorization` determines the answer:
//!
//! | value | answer |
//! |---|---|
//! | `yes NAME` | allowed, with `x-group: NAME` for the upstream |
//! | `renew NAME` | the same, with two cookies for the client |
//! | `login` | 302 to `/login`, with a body |
//! | `slow` | allowed, but later than any timeout |
//! | `broken` | 500, or a gRPC status other than OK |
//! | `garbled` | allowed with an `x-group` that is not text, or 100 bytes that are not a protobuf message |
//! | anything else | 403 |
//!
//! The port also serves Envoy's rate limit protocol (`envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`)
//! without counting: a request is over the limit if an entry of a descriptor has the value `over`.
//!
//! The service records the requests that it gets.

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::{
    config::core::v3::{HeaderValue as Header, HeaderValueOption},
    service::{
        auth::v3::{
            CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
        },
        ratelimit::v3::{RateLimitRequest, RateLimitResponse, rate_limit_response::Code},
    },
    r#type::v3::HttpStatus,
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{HeaderMap, Request, Response, body::Incoming, header::HeaderValue, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::server::{LOOPBACK, Server};

/// The value of a descriptor entry that puts its request over the limit.
pub const OVER: &str = "over";
/// A delay longer than any timeout in the tests.
const SLOW: Duration = Duration::from_secs(20);
/// gRPC's OK, INTERNAL and PERMISSION_DENIED.
pub(crate) const OK: i32 = 0;
const INTERNAL: i32 = 13;
const PERMISSION_DENIED: i32 = 7;

/// The running service, until it is dropped.
#[derive(Debug)]
pub struct Gatekeeper {
    pub address: SocketAddr,
    desk: Arc<Desk>,
    _server: Server,
}

/// The record of the calls.
#[derive(Debug, Default)]
struct Desk {
    asked: AtomicUsize,
    told: Mutex<Vec<Told>>,
}

/// A request that the service got.
#[derive(Clone, Debug)]
pub struct Told {
    /// The protocol version, such as `HTTP/1.1`.
    pub protocol: String,
    pub method: String,
    /// The path with the query.
    pub path: String,
    pub authority: String,
    /// The headers; the values of repeated ones are joined.
    pub headers: BTreeMap<String, String>,
    /// The gRPC authorization request, if it is one.
    pub check: Option<CheckRequest>,
    /// The rate limit request, if it is one.
    pub count: Option<RateLimitRequest>,
}

pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The kinds of answers.
enum Verdict {
    Yes(String),
    Renew(String),
    Login,
    No,
    Broken,
    Garbled,
}

/// The cookies that `renew` sets on the client.
pub const COOKIES: [&str; 2] = ["session=new; Path=/; HttpOnly", "seen=now"];

// === impl Gatekeeper ===

impl Gatekeeper {
    /// Serves on loopback.
    pub async fn start() -> Result<Self> {
        Self::serve(None).await
    }

    /// Serves on loopback, over TLS.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Result<Self> {
        Self::serve(Some(acceptor)).await
    }

    async fn serve(acceptor: Option<TlsAcceptor>) -> Result<Self> {
        let desk = Arc::<Desk>::default();
        let of_all = Arc::clone(&desk);
        let serve = move |stream| secure(stream, acceptor.clone(), Arc::clone(&of_all));
        let server = Server::start(LOOPBACK, serve).await?;
        Ok(Self {
            address: server.address,
            desk,
            _server: server,
        })
    }

    /// Takes all requests recorded since the last call.
    #[must_use]
    pub fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut self.desk.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of requests so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::Relaxed)
    }
}

// === impl Desk ===

impl Desk {
    fn keep(&self, told: Told) {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(told);
    }
}

// === impl Told ===

impl Told {
    fn of(request: &Request<Incoming>) -> Self {
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.to_string())
                .and_modify(|values| *values = format!("{values}, {value}"))
                .or_insert_with(|| value.to_string());
        }
        let path = request.uri().path_and_query();
        let authority = request.uri().authority().map(ToString::to_string);
        Self {
            protocol: format!("{:?}", request.version()),
            method: request.method().to_string(),
            path: path.map(ToString::to_string).unwrap_or_default(),
            authority: authority.or_else(|| headers.remove("host")).unwrap_or_default(),
            headers,
            check: None,
            count: None,
        }
    }
}

async fn secure(stream: TcpStream, acceptor: Option<TlsAcceptor>, desk: Arc<Desk>) {
    match acceptor {
        None => serve(stream, desk).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, desk).await;
            }
        }
    }
}

/// Ignores connections that the proxy aborts.
async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        desk.asked.fetch_add(1, Ordering::Relaxed);
        answer(request, Arc::clone(&desk))
    });
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(request: Request<Incoming>, desk: Arc<Desk>) -> Result<Answer> {
    let told = Told::of(&request);
    if request.uri().path().starts_with("/envoy.service.auth.v3.") {
        return check(request, told, &desk).await;
    }
    if request.uri().path().starts_with("/envoy.service.ratelimit.v3.") {
        return count(request, told, &desk).await;
    }
    desk.keep(told);
    let authorization = request.headers().get("authorization");
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let response = match verdict(authorization.unwrap_or_default()).await {
        Verdict::Yes(group) => Response::builder().header("x-group", group).body("".into()),
        Verdict::Renew(group) => COOKIES
            .iter()
            .fold(Response::builder(), |response, cookie| {
                response.header("set-cookie", *cookie)
            })
            .header("x-group", group)
            .body("".into()),
        Verdict::Login => Response::builder()
            .status(302)
            .header("location", "/login")
            .body("this way\n".into()),
        Verdict::No => Response::builder().status(403).body("not you\n".into()),
        Verdict::Broken => Response::builder().status(500).body("".into()),
        Verdict::Garbled => Response::builder()
            .header("x-group", HeaderValue::from_bytes(b"\xff")?)
            .body("".into()),
    };
    Ok(response?.map(|body: Full<Bytes>| body.boxed()))
}

async fn verdict(authorization: &str) -> Verdict {
    match authorization.split_once(' ').unwrap_or((authorization, "")) {
        ("yes", group) => Verdict::Yes(group.to_owned()),
        ("renew", group) => Verdict::Renew(group.to_owned()),
        ("login", _) => Verdict::Login,
        ("broken", _) => Verdict::Broken,
        ("garbled", _) => Verdict::Garbled,
        ("slow", _) => {
            sleep(SLOW).await;
            Verdict::Yes(String::new())
        }
        _ => Verdict::No,
    }
}

/// Handles a unary call: five bytes before each message, and a trailer.
async fn check(request: Request<Incoming>, told: Told, desk: &Desk) -> Result<Answer> {
    let request: CheckRequest = asked(request).await?;
    desk.keep(Told {
        check: Some(request.clone()),
        ..told
    });
    let headers = request.attributes.and_then(|attributes| attributes.request?.http);
    let headers = headers.unwrap_or_default().headers;
    let authorization = headers.get("authorization").map_or("", String::as_str);
    let (status, response) = match verdict(authorization).await {
        Verdict::Yes(group) => (OK, allowed(&group, &[])),
        Verdict::Renew(group) => (OK, allowed(&group, &COOKIES)),
        Verdict::Login => (OK, denied(302, &[("location", "/login")], "this way\n")),
        Verdict::No => (OK, denied(403, &[], "not you\n")),
        Verdict::Broken => (INTERNAL, CheckResponse::default()),
        Verdict::Garbled => return message(OK, &[0xff; 100][..]),
    };
    reply(status, &response)
}

async fn count(request: Request<Incoming>, told: Told, desk: &Desk) -> Result<Answer> {
    let request: RateLimitRequest = asked(request).await?;
    let mut entries = request.descriptors.iter().flat_map(|one| &one.entries);
    let code = if entries.any(|entry| entry.value == OVER) {
        Code::OverLimit
    } else {
        Code::Ok
    };
    desk.keep(Told {
        count: Some(request),
        ..told
    });
    let response = RateLimitResponse {
        overall_code: code.into(),
        ..Default::default()
    };
    reply(OK, &response)
}

/// The message of a unary call's request.
async fn asked<T: Message + Default>(request: Request<Incoming>) -> Result<T> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(T::decode(body.get(5..).context("no message")?)?)
}

/// A gRPC response with this message.
pub(crate) fn reply(status: i32, response: &impl Message) -> Result<Answer> {
    let mut content = BytesMut::new();
    response.encode(&mut content)?;
    message(status, content)
}

/// A gRPC response with this encoded message.
fn message(status: i32, content: impl Buf) -> Result<Answer> {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(content.remaining().try_into()?);
    message.put(content);
    let trailers = HeaderMap::from_iter([("grpc-status".parse()?, status.into())]);
    let body = Full::from(message.freeze()).with_trailers(async { Some(Ok(trailers)) });
    Ok(Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())?)
}

fn allowed(group: &str, cookies: &[&str]) -> CheckResponse {
    let response = OkHttpResponse {
        headers: vec![header("x-group", group)],
        response_headers_to_add: cookies
            .iter()
            .map(|cookie| header("set-cookie", cookie))
            .collect(),
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
    let header = Header {
        key: name.to_owned(),
        value: value.to_owned(),
        ..Default::default()
    };
    HeaderValueOption {
        header: Some(header),
        ..Default::default()
    }
}
