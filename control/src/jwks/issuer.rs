//! A JWKS server for tests, whose answers are set byte by byte.

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// A key set with a P-256 key (RFC 7517, A.1), under the given `kid`.
pub(super) fn key_set(kid: &str) -> String {
    format!(
        r#"{{"keys": [{{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "{kid}",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}]}}"#
    )
}

/// A complete answer.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into()
}

pub(super) fn ok(kid: &str) -> Vec<u8> {
    answer("200 OK", "", &key_set(kid))
}

/// A server that runs until the test ends.
pub(super) struct IssuerServer {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

// === impl IssuerServer ===

impl IssuerServer {
    pub(super) async fn start(answer: Vec<u8>) -> Self {
        Self::start_with(answer, None).await
    }

    /// Starts a server with TLS, and returns it with the PEM of its CA.
    pub(super) async fn start_tls(answer: Vec<u8>) -> (Self, String) {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Self::start_with(answer, Some(acceptor)).await, pem)
    }

    async fn start_with(answer: Vec<u8>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(Some(answer))),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (answer, connections, requests) = (
            server.answer.clone(),
            server.connections.clone(),
            server.requests.clone(),
        );
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Relaxed);
                let (answer, requests, tls) = (answer.clone(), requests.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer, &requests).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &answer, &requests).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        server
    }

    /// Sets the answer; `None` closes connections without one.
    pub(super) fn say(&self, answer: Option<Vec<u8>>) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn uri(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// The heads of the requests, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request, and keeps the connection open: the client has to find the end of the answer by its length.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &Mutex<Option<Vec<u8>>>,
    requests: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    requests.lock().unwrap().push(head);
    let answer = answer.lock().unwrap().clone()?;
    stream.write_all(&answer).await.ok()?;
    stream.flush().await.ok()?;
    // Until the client closes the connection.
    stream.read_to_end(&mut Vec::new()).await.ok().map(|_| ())
}
