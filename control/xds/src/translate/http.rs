//! The HTTP connection manager, at the edge: what Envoy's "Configuring Envoy as an edge proxy" advises, and what
//! keeps clients from speaking to the filter's routes.

use super::{
    Settings, Shard, access_log,
    route::{CHOOSING, SCOPE_HEADER},
};
use crate::pack;
use envoy_types::pb::{
    envoy::{
        config::{
            common::mutation_rules::v3::{
                HeaderMutation,
                header_mutation::{Action, RemoveOnMatch},
            },
            core::v3::{
                CidrRange, ExtensionConfigSource, HeaderValue, HeaderValueOption, Http1ProtocolOptions,
                Http2ProtocolOptions, HttpProtocolOptions, TypedExtensionConfig,
                header_value_option::HeaderAppendAction, http_protocol_options::HeadersWithUnderscoresAction,
            },
            listener::v3::{Filter, filter},
            rbac::v3 as rbac_rules,
        },
        extensions::{
            filters::{
                http::{rbac::v3::Rbac, router::v3::Router, wasm::v3::Wasm},
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, ScopedRds, ScopedRoutes,
                    http_connection_manager::{
                        InternalAddressConfig, PathWithEscapedSlashesAction, RouteSpecifier,
                    },
                    http_filter::ConfigType,
                    scoped_routes::{
                        ConfigSpecifier, ScopeKeyBuilder,
                        scope_key_builder::{
                            FragmentBuilder,
                            fragment_builder::{
                                HeaderValueExtractor, Type, header_value_extractor::ExtractType,
                            },
                        },
                    },
                },
            },
            http::early_header_mutation::header_mutation::v3 as early,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::Any,
};
use prost::Name;
use std::{net::Ipv4Addr, time::Duration};

/// Envoy's default, said so that it is one with what routes compare themselves to.
pub(super) const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// A client that sends its headers slower holds a connection and is no browser.
const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A listener does not take connections before it has its routes and its filter, or this has passed. Then requests
/// get 404 for want of routes, and 403 for want of the filter.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Of headers that the filter and the proxy tell each other.
const INTERNAL_HEADERS: &str = "x-switchyard-";

/// The filter that serves HTTP by the routes of the table `routes`.
pub(super) fn connection_manager(settings: &Settings, stat_prefix: &str, routes: &str) -> Filter {
    let mutations = strip_internal_headers()
        .chain([tell_scope(settings.buckets.key(routes))])
        .collect();
    let manager = HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        route_specifier: Some(RouteSpecifier::ScopedRoutes(scoped_routes())),
        early_header_mutation_extensions: vec![early_mutation(mutations)],
        http_filters: Shard::all().map(switchyard).chain([router()]).collect(),
        access_log: vec![access_log::http(&settings.access_log)],
        ..edge(settings.xff_trusted_hops)
    };
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack::any(&manager))),
    }
}

fn edge(xff_trusted_hops: u32) -> HttpConnectionManager {
    HttpConnectionManager {
        common_http_protocol_options: Some(common_options()),
        http_protocol_options: Some(http1_options()),
        http2_protocol_options: Some(http2_options()),
        stream_idle_timeout: Some(pack::duration(STREAM_IDLE_TIMEOUT)),
        request_headers_timeout: Some(pack::duration(REQUEST_HEADERS_TIMEOUT)),
        use_remote_address: Some(pack::boolean(true)),
        xff_num_trusted_hops: xff_trusted_hops,
        internal_address_config: Some(no_internal_address()),
        normalize_path: Some(pack::boolean(true)),
        merge_slashes: true,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndRedirect.into(),
        strip_trailing_host_dot: true,
        // A request that another proxy has named keeps its name.
        preserve_external_request_id: true,
        ..Default::default()
    }
}

/// No address is trusted for what it is: a client in the cluster is one like any other. Envoy takes an empty list for
/// all private addresses; the one that it is given is no one's.
fn no_internal_address() -> InternalAddressConfig {
    let broadcast = CidrRange {
        address_prefix: Ipv4Addr::BROADCAST.to_string(),
        prefix_len: Some(pack::uint32(32)),
    };
    InternalAddressConfig {
        cidr_ranges: vec![broadcast],
        ..Default::default()
    }
}

fn common_options() -> HttpProtocolOptions {
    HttpProtocolOptions {
        idle_timeout: Some(pack::duration(CONNECTION_IDLE_TIMEOUT)),
        // Upstreams that read headers as CGI does take `x_y` for `x-y`, which the edge may have checked.
        headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest.into(),
        ..Default::default()
    }
}

/// Health checks of load balancers speak HTTP/1.0.
fn http1_options() -> Http1ProtocolOptions {
    Http1ProtocolOptions {
        accept_http_10: true,
        ..Default::default()
    }
}

fn http2_options() -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: Some(pack::uint32(MAX_STREAMS)),
        initial_stream_window_size: Some(pack::uint32(STREAM_WINDOW)),
        initial_connection_window_size: Some(pack::uint32(CONNECTION_WINDOW)),
        ..Default::default()
    }
}

/// Takes them from every client, before a route is chosen. `internal_only_headers` would do so for external ones.
fn strip_internal_headers() -> impl Iterator<Item = Action> {
    let matcher = StringMatcher {
        ignore_case: true,
        match_pattern: Some(MatchPattern::Prefix(INTERNAL_HEADERS.to_owned())),
    };
    let by_prefix = Action::RemoveOnMatch(RemoveOnMatch {
        key_matcher: Some(matcher),
    });
    let by_name = CHOOSING.map(|name| Action::Remove(name.to_owned()));
    std::iter::once(by_prefix).chain(by_name)
}

/// Has each request say which scope its routes are in.
fn tell_scope(format: String) -> Action {
    let header = HeaderValue {
        key: SCOPE_HEADER.to_owned(),
        value: format,
        ..Default::default()
    };
    Action::Append(HeaderValueOption {
        header: Some(header),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    })
}

fn early_mutation(actions: Vec<Action>) -> TypedExtensionConfig {
    let mutations = actions
        .into_iter()
        .map(|action| HeaderMutation { action: Some(action) })
        .collect();
    pack::extension(
        "envoy.http.early_header_mutation.header_mutation",
        &early::HeaderMutation { mutations },
    )
}

/// The source of routes, the same for all listeners, so that they share one subscription: the scope's key says whose it is.
fn scoped_routes() -> ScopedRoutes {
    let whole = HeaderValueExtractor {
        name: SCOPE_HEADER.to_owned(),
        extract_type: Some(ExtractType::Index(0)),
        ..Default::default()
    };
    let fragment = FragmentBuilder {
        r#type: Some(Type::HeaderValueExtractor(whole)),
    };
    ScopedRoutes {
        name: "routes".to_owned(),
        scope_key_builder: Some(ScopeKeyBuilder {
            fragments: vec![fragment],
        }),
        rds_config_source: Some(pack::from_ads(FETCH_TIMEOUT)),
        config_specifier: Some(ConfigSpecifier::ScopedRds(ScopedRds {
            scoped_rds_config_source: Some(pack::from_ads(FETCH_TIMEOUT)),
            ..Default::default()
        })),
    }
}

/// A filter, from ECDS; in its place, one that refuses every request. It is off but for the routes that want it.
fn switchyard(shard: Shard) -> HttpFilter {
    let source = ExtensionConfigSource {
        config_source: Some(pack::from_ads(FETCH_TIMEOUT)),
        default_config: Some(deny_all()),
        apply_default_config_without_warming: false,
        type_urls: vec![Wasm::type_url(), Rbac::type_url()],
    };
    HttpFilter {
        name: shard.to_string(),
        disabled: true,
        config_type: Some(ConfigType::ConfigDiscovery(source)),
        ..Default::default()
    }
}

/// Allows what no policy says.
fn deny_all() -> Any {
    let rbac = Rbac {
        rules: Some(rbac_rules::Rbac {
            action: rbac_rules::rbac::Action::Allow.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    pack::any(&rbac)
}

fn router() -> HttpFilter {
    HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&Router::default()))),
        ..Default::default()
    }
}
