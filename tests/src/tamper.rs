//! An ADS proxy between control and Envoys that corrupts route configurations, so that Envoy rejects updates that
//! control considers valid.

use anyhow::{Context, Result};
use envoy_types::pb::{
    envoy::{
        config::route::v3::RouteConfiguration,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
            },
        },
    },
    google::protobuf::Any,
};
use futures_util::{Stream, StreamExt};
use prost::{Message, Name};
use std::{net::SocketAddr, pin::Pin};
use switchyard_xds::ads::tonic_server_builder;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, Streaming, transport::server::TcpIncoming};

use crate::server::LOOPBACK;

/// A virtual host with this string in its configuration is corrupted.
pub const SPOILT: &str = "spoilt";

/// The running proxy, until it is dropped.
#[derive(Debug)]
pub struct Tamper {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Between {
    control: SocketAddr,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

// === impl Tamper ===

impl Tamper {
    /// Proxies the ADS server at `control`.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(control: SocketAddr) -> Result<Self> {
        let incoming = TcpIncoming::bind(LOOPBACK)?;
        let address = incoming.local_addr()?;
        let service = AggregatedDiscoveryServiceServer::new(Between { control })
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let serving = tonic_server_builder().add_service(service);
        let serving = async move {
            // Clients notice when the server ends.
            serving.serve_with_incoming(incoming).await.unwrap_or_default();
        };
        Ok(Self {
            address,
            serving: tokio::spawn(serving),
        })
    }
}

impl Drop for Tamper {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Between {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let client = AggregatedDiscoveryServiceClient::connect(format!("http://{}", self.control)).await;
        let mut client = client
            .map_err(|error| Status::unavailable(error.to_string()))?
            .max_decoding_message_size(usize::MAX);
        let requests = request
            .into_inner()
            .filter_map(|request| std::future::ready(request.ok()));
        let responses = client.delta_aggregated_resources(requests).await?.into_inner();
        Ok(Response::new(Box::pin(
            responses.map(|response| spoil(response?)),
        )))
    }
}

fn spoil(mut response: DeltaDiscoveryResponse) -> Result<DeltaDiscoveryResponse, Status> {
    let resources = response.resources.iter_mut();
    for resource in resources.filter_map(|resource| resource.resource.as_mut()) {
        spoil_routes(resource).map_err(|error| Status::internal(error.to_string()))?;
    }
    Ok(response)
}

/// Removes a request header whose name begins with a colon, which Envoy rejects.
fn spoil_routes(resource: &mut Any) -> Result<()> {
    if resource.type_url != RouteConfiguration::type_url() {
        return Ok(());
    }
    let mut routes = RouteConfiguration::decode(resource.value.as_slice()).context("routes")?;
    for host in &mut routes.virtual_hosts {
        let mut bytes = Vec::new();
        host.encode(&mut bytes)?;
        if bytes.windows(SPOILT.len()).any(|part| part == SPOILT.as_bytes()) {
            host.request_headers_to_remove.push(":path".to_owned());
        }
    }
    resource.value.clear();
    routes.encode(&mut resource.value)?;
    Ok(())
}
