//! Clusters to `Cluster`.

use crate::pack;
use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster,
                circuit_breakers::Thresholds,
                cluster::{ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{
                self as core, Http1ProtocolOptions, Http2ProtocolOptions, TransportSocket,
                health_check::{HealthChecker, HttpHealthCheck},
            },
        },
        extensions::{
            transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, UpstreamTlsContext,
                common_tls_context::ValidationContextType, subject_alt_name_matcher::SanType,
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{
                    ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
                },
            },
        },
        r#type::{
            matcher::v3::{StringMatcher, string_matcher::MatchPattern},
            v3::Percent,
        },
    },
    google::protobuf::Any,
};
use std::{collections::HashMap, net::IpAddr, time::Duration};
use switchyard_core::{
    object::{Limits, Name, Protocol},
    table::{self, ClusterName, HealthCheck, Strategy, UpstreamValidation},
};

/// Long enough for a lost SYN to be sent again (1 s after the first), short enough to try another endpoint within a
/// request's 15 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The control plane answers for every cluster that it names, so this passes only when it is gone; a cluster then
/// starts without endpoints.
const ENDPOINTS_TIMEOUT: Duration = Duration::from_secs(15);
/// What Envoy's "Configuring Envoy as an edge proxy" advises.
const BUFFER_LIMIT: u32 = 32 * 1024;
pub(super) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster. Its certificate authority is in it, so that a change of either is one update.
pub(super) fn cluster(cluster: &table::Cluster) -> Cluster {
    let table::Cluster {
        name: ClusterName(name),
        service,
        port,
        server_name,
        protocol,
        strategy,
        health_check,
        validation,
        limits,
    } = cluster;
    Cluster {
        name: name.to_string(),
        alt_stat_name: stat_name(service, *port),
        connect_timeout: Some(pack::duration(CONNECT_TIMEOUT)),
        per_connection_buffer_limit_bytes: Some(pack::uint32(BUFFER_LIMIT)),
        lb_policy: lb_policy(*strategy).into(),
        common_lb_config: Some(no_panic()),
        health_checks: health_check.iter().map(to_health_check).collect(),
        circuit_breakers: circuit_breakers(*limits),
        typed_extension_protocol_options: protocol_options(*protocol),
        transport_socket: transport_socket(*protocol, validation.as_ref(), server_name.as_deref()),
        // An endpoint that Kubernetes removed is not kept because it still passes health checks.
        ignore_health_on_host_removal: true,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(pack::from_ads(ENDPOINTS_TIMEOUT)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Clusters of one Service and port share statistics, whatever settings set them apart.
fn stat_name(Name { namespace, name }: &Name, port: u16) -> String {
    format!("{namespace}_{name}_{port}")
}

fn lb_policy(strategy: Strategy) -> LbPolicy {
    match strategy {
        Strategy::RoundRobin => LbPolicy::RoundRobin,
        Strategy::WeightedLeastRequest => LbPolicy::LeastRequest,
        Strategy::Random => LbPolicy::Random,
        Strategy::Cookie => LbPolicy::RingHash,
    }
}

/// Endpoints that fail their checks get nothing, however few are left (Contour: `ClusterCommonLBConfig`).
fn no_panic() -> CommonLbConfig {
    CommonLbConfig {
        healthy_panic_threshold: Some(Percent { value: 0.0 }),
        ..Default::default()
    }
}

// === Protocol ===

/// Nothing for HTTP/1.1, which is Envoy's default.
fn protocol_options(protocol: Protocol) -> HashMap<String, Any> {
    match protocol {
        Protocol::Http1 | Protocol::Tls => HashMap::new(),
        Protocol::H2 | Protocol::H2c => {
            HashMap::from([(HTTP_OPTIONS.to_owned(), pack::any(&http_options(protocol)))])
        }
    }
}

pub(super) fn http_options(protocol: Protocol) -> HttpProtocolOptions {
    let version = match protocol {
        Protocol::Http1 | Protocol::Tls => {
            ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())
        }
        Protocol::H2 | Protocol::H2c => ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default()),
    };
    let config = ExplicitHttpConfig {
        protocol_config: Some(version),
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)),
        ..Default::default()
    }
}

fn transport_socket(
    protocol: Protocol,
    validation: Option<&UpstreamValidation>,
    server_name: Option<&str>,
) -> Option<TransportSocket> {
    let alpn = match protocol {
        Protocol::Http1 | Protocol::H2c => return None,
        Protocol::Tls => "http/1.1",
        Protocol::H2 => "h2",
    };
    let context = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            alpn_protocols: vec![alpn.to_owned()],
            validation_context_type: validation.map(validation_context),
            ..Default::default()
        }),
        sni: sni(validation, server_name),
        ..Default::default()
    };
    Some(pack::transport_socket("envoy.transport_sockets.tls", &context))
}

fn validation_context(UpstreamValidation { ca, subject_name }: &UpstreamValidation) -> ValidationContextType {
    ValidationContextType::ValidationContext(CertificateValidationContext {
        trusted_ca: Some(pack::inline_bytes(ca)),
        match_typed_subject_alt_names: vec![subject_matcher(subject_name)],
        ..Default::default()
    })
}

fn subject_matcher(subject_name: &str) -> SubjectAltNameMatcher {
    let is_address = subject_name.parse::<IpAddr>().is_ok();
    let san_type = if is_address {
        SanType::IpAddress
    } else {
        SanType::Dns
    };
    SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(subject_name.to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The name that the upstream is asked for: the one that it is verified by, or else the one that it is resolved by.
/// RFC 6066, 3: an address is no server name.
fn sni(validation: Option<&UpstreamValidation>, server_name: Option<&str>) -> String {
    let verified = validation.map(|validation| &*validation.subject_name);
    let name = verified.or(server_name);
    name.filter(|name| name.parse::<IpAddr>().is_err())
        .unwrap_or_default()
        .to_owned()
}

// === Health ===

fn to_health_check(health_check: &HealthCheck) -> core::HealthCheck {
    let HealthCheck {
        path,
        host,
        interval,
        timeout,
        unhealthy_threshold,
        healthy_threshold,
    } = health_check;
    let http = HttpHealthCheck {
        path: path.to_string(),
        host: host.to_string(),
        ..Default::default()
    };
    core::HealthCheck {
        interval: Some(pack::duration(*interval)),
        // Else a minute while no request comes: a branch that stands by is to be known as well as one that serves, and
        // Envoy waits as long after the first check, which is before any request.
        no_traffic_interval: Some(pack::duration(*interval)),
        timeout: Some(pack::duration(*timeout)),
        unhealthy_threshold: Some(pack::uint32(*unhealthy_threshold)),
        healthy_threshold: Some(pack::uint32(*healthy_threshold)),
        health_checker: Some(HealthChecker::HttpHealthCheck(http)),
        ..Default::default()
    }
}

fn circuit_breakers(limits: Limits) -> Option<CircuitBreakers> {
    if limits == Limits::default() {
        return None;
    }
    let Limits {
        max_connections,
        max_pending_requests,
        max_requests,
        max_retries,
    } = limits;
    let thresholds = Thresholds {
        max_connections: max_connections.map(pack::uint32),
        max_pending_requests: max_pending_requests.map(pack::uint32),
        max_requests: max_requests.map(pack::uint32),
        max_retries: max_retries.map(pack::uint32),
        ..Default::default()
    };
    Some(CircuitBreakers {
        thresholds: vec![thresholds],
        ..Default::default()
    })
}
