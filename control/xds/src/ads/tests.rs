//! The server over loopback, with real gRPC.

use super::*;
use crate::{
    resource::{Body, Resource},
    translate::Shard,
};
use ResourceType::{Cluster, Endpoint, Extension, Listener};
use envoy_types::pb::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    google::rpc,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tonic::{Code, transport::server::TcpIncoming};

/// A timeout that is long enough for any answer.
const SOON: Duration = Duration::from_secs(10);

/// A timeout that is long enough to see that no answer comes.
const BRIEFLY: Duration = Duration::from_millis(100);

struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

fn mk_server() -> Server {
    Server::new(Config::new(WasmCode {
        bytes: Bytes::from_static(b"\0asm"),
        sha256: "00".to_owned(),
    }))
}

fn mk_ready() -> Server {
    let server = mk_server();
    server.ready();
    server
}

fn mk_set(kind: ResourceType, name: &str, version: u64, size: usize) -> Update {
    let resource = Resource {
        version,
        body: Body::Encoded(vec![0; size].into()),
    };
    Update {
        set: vec![(kind, name.into(), resource)],
        removed: vec![],
    }
}

fn mk_ask(kind: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn mk_node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        cluster: "edge".to_owned(),
        ..Node::default()
    }
}

fn mk_ack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    let DeltaDiscoveryResponse { type_url, nonce, .. } = response.clone();
    DeltaDiscoveryRequest {
        type_url,
        response_nonce: nonce,
        ..DeltaDiscoveryRequest::default()
    }
}

fn mk_nack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    let error_detail = Some(rpc::Status {
        message: "bad".to_owned(),
        ..rpc::Status::default()
    });
    DeltaDiscoveryRequest {
        error_detail,
        ..mk_ack(response)
    }
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect()
}

async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = tonic_server_builder().add_service(server.service());
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

async fn connect(address: SocketAddr) -> AggregatedDiscoveryServiceClient<tonic::transport::Channel> {
    let client = AggregatedDiscoveryServiceClient::connect(format!("http://{address}")).await;
    client
        .expect("a connection")
        .max_decoding_message_size(usize::MAX)
}

/// Waits until `done` holds for the connected proxies.
async fn until(server: &Server, done: impl Fn(&[Proxy]) -> bool) {
    let mut changed = server.changed();
    let waiting = async {
        while !done(&server.proxies()) {
            changed.changed().await.expect("the server lives");
        }
    };
    timeout(SOON, waiting).await.expect("it comes to pass");
}

// === impl Client ===

impl Client {
    async fn new(address: SocketAddr, first: DeltaDiscoveryRequest) -> Self {
        let (requests, mut queue) = mpsc::channel(16);
        requests.send(first).await.expect("room");
        let outgoing = async_stream::stream! {
            while let Some(request) = queue.recv().await {
                yield request;
            }
        };
        let responses = connect(address)
            .await
            .delta_aggregated_resources(outgoing)
            .await
            .expect("a stream");
        Self {
            requests,
            responses: responses.into_inner(),
        }
    }

    async fn named(address: SocketAddr, id: &str, kind: ResourceType, names: &[&str]) -> Self {
        Self::new(
            address,
            DeltaDiscoveryRequest {
                node: Some(mk_node(id)),
                ..mk_ask(kind, names)
            },
        )
        .await
    }

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.expect("the stream lives");
    }

    async fn next(&mut self) -> DeltaDiscoveryResponse {
        let response = timeout(SOON, self.responses.message())
            .await
            .expect("a response in time");
        response.expect("no error").expect("a response")
    }

    async fn hears_nothing(&mut self) -> bool {
        timeout(BRIEFLY, self.responses.message()).await.is_err()
    }
}

#[tokio::test]
async fn client_receives_resources_and_changes() {
    let server = mk_ready();
    server.publish(mk_set(Cluster, "a", 1, 3));
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    let response = client.next().await;
    let [resource] = response.resources.as_slice() else {
        panic!("{response:?}")
    };
    let body = resource.resource.as_ref().expect("a body");
    assert_eq!(
        (resource.name.as_str(), resource.version.as_str()),
        ("a", "0000000000000001")
    );
    assert_eq!(
        (body.type_url.as_str(), body.value.len()),
        (Cluster.type_url(), 3)
    );
    assert_eq!(response.type_url, Cluster.type_url());
    client.send(mk_ack(&response)).await;
    server.publish(mk_set(Cluster, "b", 1, 3));
    assert_eq!(names(&client.next().await), ["b"]);
}

#[tokio::test]
async fn no_response_is_sent_before_the_server_is_ready() {
    let server = mk_server();
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    server.publish(mk_set(Cluster, "a", 1, 3));
    assert!(client.hears_nothing().await);
    server.ready();
    assert_eq!(names(&client.next().await), ["a"]);
}

#[tokio::test]
async fn only_the_first_request_identifies_the_node() {
    let server = mk_ready();
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    client.next().await;
    client.send(mk_ask(Endpoint, &["a"])).await;
    assert_eq!(client.next().await.removed_resources, ["a"]);
    client
        .send(DeltaDiscoveryRequest {
            node: Some(mk_node("envoy-1")),
            ..mk_ask(Endpoint, &["b"])
        })
        .await;
    until(&server, |proxies| {
        proxies
            .iter()
            .map(|proxy| (proxy.node_id.as_str(), proxy.cluster.as_str()))
            .eq([("envoy-1", "edge")])
    })
    .await;
}

#[tokio::test]
async fn filter_code_follows_node_metadata() {
    let server = mk_ready();
    let sections = Arc::new(crate::sections::Sections::new(Shard::of_host("bar.com"), false));
    let resource = Resource {
        version: sections.version(),
        body: Body::Sections(sections),
    };
    server.publish(Update {
        set: vec![(Extension, "switchyard".into(), resource)],
        removed: vec![],
    });
    let mut client = Client::named(listen(&server).await, "envoy-1", Extension, &["switchyard"]).await;
    let response = client.next().await;
    let body = response
        .resources
        .first()
        .and_then(|resource| resource.resource.as_ref())
        .expect("a body");
    assert!(body.value.windows(4).any(|window| window == b"\0asm"));
}

#[tokio::test]
async fn waiting_for_a_generation_ends_when_all_clients_answer() {
    let server = mk_ready();
    let address = listen(&server).await;
    let mut accepting = Client::named(address, "accepting", Cluster, &[]).await;
    let mut refusing = Client::named(address, "refusing", Cluster, &[]).await;
    let mut silent = Client::named(address, "silent", Cluster, &[]).await;
    let mut leaving = Client::named(address, "leaving", Cluster, &[]).await;
    for client in [&mut accepting, &mut refusing, &mut silent, &mut leaving] {
        let response = client.next().await;
        client.send(mk_ack(&response)).await;
    }
    until(&server, |proxies| proxies.len() == 4).await;

    let generation = server.publish(mk_set(Cluster, "a", 1, 3));
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { server.wait_acked(generation, Duration::from_secs(2)).await }
    });
    let response = accepting.next().await;
    accepting.send(mk_ack(&response)).await;
    let response = refusing.next().await;
    refusing.send(mk_nack(&response)).await;
    silent.next().await;
    leaving.next().await;
    drop(leaving);

    let verdicts = waiting.await.expect("no panic");
    let outcome = |id| {
        verdicts
            .iter()
            .find(|verdict| verdict.node_id == id)
            .map(|verdict| &verdict.outcome)
    };
    assert!(
        matches!(outcome("accepting"), Some(Outcome::Acked(_))),
        "{verdicts:?}"
    );
    assert_eq!(outcome("silent"), Some(&Outcome::Waiting));
    assert_eq!(outcome("leaving"), Some(&Outcome::Disconnected));
    let Some(Outcome::Nacked(nacks)) = outcome("refusing") else {
        panic!("{verdicts:?}")
    };
    assert_eq!(
        nacks
            .iter()
            .map(|nack| (&*nack.name, &*nack.reason))
            .collect::<Vec<_>>(),
        [("a", "bad")]
    );
}

#[tokio::test]
async fn acked_generation_ignores_silent_clients() {
    let silence = Duration::from_millis(500);
    let server = Server::new(Config {
        silence,
        ..mk_server().0.config.clone()
    });
    server.ready();
    let first = server.publish(mk_set(Cluster, "a", 1, 3));
    assert_eq!(server.acked_generation(), first, "nobody is connected");
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    let response = client.next().await;
    client.send(mk_ack(&response)).await;
    until(&server, |proxies| {
        proxies.iter().all(|proxy| proxy.acked == first)
    })
    .await;
    let second = server.publish(mk_set(Cluster, "a", 2, 3));
    client.next().await;
    assert_eq!(server.acked_generation(), first);
    assert!(server.proxies().iter().all(|proxy| proxy.silent_for.is_some()));
    tokio::time::sleep(silence).await;
    assert_eq!(server.acked_generation(), second);
}

#[tokio::test]
async fn stalled_client_blocks_nobody_and_gets_the_newest() {
    let server = mk_ready();
    let address = listen(&server).await;
    let mut stalled = Client::named(address, "stalled", Cluster, &[]).await;
    let mut lively = Client::named(address, "lively", Cluster, &[]).await;
    for version in 1..=50 {
        server.publish(mk_set(Cluster, "a", version, 1 << 20));
        let newest = loop {
            let response = lively.next().await;
            lively.send(mk_ack(&response)).await;
            if let Some(resource) = response.resources.first() {
                break resource.version.clone();
            }
        };
        assert_eq!(newest, Resource::version_text(version));
    }
    let mut seen = vec![];
    while seen.last() != Some(&Resource::version_text(50)) {
        let response = stalled.next().await;
        stalled.send(mk_ack(&response)).await;
        seen.extend(response.resources.into_iter().map(|resource| resource.version));
    }
    assert!(seen.len() <= 3, "{seen:?}");
}

#[tokio::test]
async fn huge_response_is_delivered() {
    let server = mk_ready();
    server.publish(mk_set(Cluster, "a", 1, 40 << 20));
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    assert_eq!(names(&client.next().await), ["a"]);
}

#[tokio::test]
async fn client_may_subscribe_to_many_names() {
    let server = mk_ready();
    let many: Vec<_> = (0..30_000).map(|name| format!("{name:0200}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let mut client = Client::named(listen(&server).await, "envoy-1", Endpoint, &many).await;
    assert_eq!(client.next().await.removed_resources.len(), many.len());
}

#[tokio::test]
async fn request_beyond_limits_ends_only_its_stream() {
    let server = mk_ready();
    let address = listen(&server).await;
    let mut other = Client::named(address, "other", Cluster, &[]).await;
    let mut client = Client::named(address, "hostile", Endpoint, &[&"x".repeat(2000)]).await;
    let error = timeout(SOON, client.responses.message())
        .await
        .expect("an end")
        .expect_err("an error");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(other.next().await.resources.is_empty());
    until(&server, |proxies| proxies.len() == 1).await;
}

#[tokio::test]
async fn disconnected_client_is_forgotten_and_resumes_with_changes() {
    let server = mk_ready();
    let address = listen(&server).await;
    server.publish(mk_set(Cluster, "a", 1, 3));
    let mut client = Client::named(address, "envoy-1", Cluster, &[]).await;
    client.next().await;
    drop(client);
    until(&server, <[Proxy]>::is_empty).await;
    server.publish(mk_set(Cluster, "b", 1, 3));
    let first = DeltaDiscoveryRequest {
        initial_resource_versions: [("a".to_owned(), Resource::version_text(1))].into(),
        ..mk_ask(Cluster, &[])
    };
    let mut client = Client::new(address, first).await;
    assert_eq!(names(&client.next().await), ["b"]);
}

#[tokio::test]
async fn close_ends_all_streams_and_rejects_new_ones() {
    let server = mk_ready();
    let address = listen(&server).await;
    let mut client = Client::named(address, "envoy-1", Listener, &[]).await;
    client.next().await;
    server.close();
    let end = timeout(SOON, client.responses.message()).await.expect("an end");
    assert_eq!(end.expect("no error"), None);
    let requests = async_stream::stream! { yield mk_ask(Listener, &[]); };
    let status = connect(address)
        .await
        .delta_aggregated_resources(requests)
        .await
        .expect_err("closing");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn state_of_the_world_is_rejected_with_advice() {
    let server = mk_ready();
    let mut client = connect(listen(&server).await).await;
    let requests = async_stream::stream! { yield DiscoveryRequest::default(); };
    let status = client
        .stream_aggregated_resources(requests)
        .await
        .expect_err("not served");
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("DELTA_GRPC"), "{status}");
}

#[tokio::test]
async fn stream_traffic_is_counted_by_type() {
    let server = mk_ready();
    let counted = || {
        let traffic = server.traffic().into_iter();
        traffic
            .filter(|one| (one.sent, one.acks, one.nacks) != (0, 0, 0))
            .map(|one| (one.resource_type, one.sent, one.acks, one.nacks))
            .collect::<Vec<_>>()
    };
    server.publish(mk_set(Cluster, "a", 1, 3));
    server.publish(mk_set(Cluster, "b", 1, 3));
    let mut client = Client::named(listen(&server).await, "envoy-1", Cluster, &[]).await;
    let response = client.next().await;
    assert_eq!(server.connections(), 1);
    assert_eq!(counted(), [(Cluster, 2, 0, 0)]);
    client.send(mk_ack(&response)).await;
    client.send(mk_ask(Endpoint, &["nobody"])).await;
    let response = client.next().await;
    assert_eq!(response.removed_resources, ["nobody"]);
    assert_eq!(
        counted(),
        [(Cluster, 2, 1, 0)],
        "a removal is no resource, a question no verdict"
    );
    server.publish(mk_set(Cluster, "a", 2, 3));
    let response = client.next().await;
    client.send(mk_nack(&response)).await;
    until(&server, |proxies| {
        proxies.iter().any(|proxy| !proxy.nacks.is_empty())
    })
    .await;
    assert_eq!(counted(), [(Cluster, 3, 1, 1)]);
}
