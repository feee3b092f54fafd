//! `HttpConnectionManager`: what becomes of a request before a route is looked for.

use super::{
    Headers, host_of,
    path::{self, Plain},
    route::{self, Selected},
    virtual_host,
};
use envoy_types::pb::envoy::{
    config::{
        common::mutation_rules::v3::header_mutation::Action,
        core::v3::{HeaderValue, HeaderValueOption, http_protocol_options::HeadersWithUnderscoresAction},
        route::v3::RouteConfiguration,
    },
    extensions::{
        filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
            scoped_routes::scope_key_builder::fragment_builder::Type,
        },
        http::early_header_mutation::header_mutation::v3::HeaderMutation,
    },
    r#type::matcher::v3::string_matcher::MatchPattern,
};
use std::net::IpAddr;

/// What no client says (Envoy's configuration/http/http_conn_man/header_sanitizing).
const SANITISED: [&str; 19] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
];

/// Headers that Envoy holds one of: several of a name become one, their values joined (`INLINE_REQ_HEADERS` of its
/// envoy/http/header_map.h, and what extensions register).
const JOINED: [&str; 28] = [
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "cache-control",
    "cdn-loop",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "proxy-status",
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-request-id",
];

/// What takes the requests of a connection.
pub(in crate::explain) struct Manager<'p> {
    manager: HttpConnectionManager,
    routes: &'p RouteConfiguration,
}

/// A request that has come in.
pub(in crate::explain) enum Arrival {
    /// It is to find its route.
    Plain(Headers),
    /// It is asked for once more, by its plain path.
    Redirect(String),
    /// It is answered so: why.
    Refused(u16, String),
}

/// The scope that all requests are in: the translator's own reading has one bucket, whose name needs no calculation.
pub(super) fn scope(manager: &HttpConnectionManager) -> Option<String> {
    let Some(RouteSpecifier::ScopedRoutes(scoped)) = &manager.route_specifier else {
        return None;
    };
    let fragment = scoped.scope_key_builder.as_ref()?.fragments.first()?;
    let Some(Type::HeaderValueExtractor(whole)) = &fragment.r#type else {
        return None;
    };
    mutations(manager).find_map(|action| match action {
        Action::Append(HeaderValueOption {
            header: Some(HeaderValue { key, value, .. }),
            ..
        }) if key == whole.name => Some(value),
        _ => None,
    })
}

/// The changes of each request's headers that come first.
fn mutations(manager: &HttpConnectionManager) -> impl Iterator<Item = Action> {
    let extensions = manager.early_header_mutation_extensions.iter();
    let configs = extensions.filter_map(|extension| extension.typed_config.as_ref());
    let mutations = configs.filter_map(super::unpacked::<HeaderMutation>);
    mutations
        .flat_map(|mutation| mutation.mutations)
        .filter_map(|mutation| mutation.action)
}

// === impl Manager ===

impl<'p> Manager<'p> {
    pub(super) fn new(manager: HttpConnectionManager, routes: &'p RouteConfiguration) -> Self {
        Self { manager, routes }
    }

    /// The table that its routes are in.
    pub(in crate::explain) fn table(&self) -> &str {
        &self.routes.name
    }

    /// Where a request comes from: as the innermost of the proxies that are trusted was told, which are in front of what is
    /// connected. Where this does not say it, it is what is connected.
    pub(in crate::explain) fn client(&self, headers: &Headers, connected: IpAddr) -> IpAddr {
        let Some(others) = self.manager.xff_num_trusted_hops.checked_sub(1) else {
            return connected;
        };
        let lines = headers.0.iter().filter(|(name, _)| name == "x-forwarded-for");
        let said: Vec<_> = lines.map(|(_, value)| String::from_utf8_lossy(value)).collect();
        let said = said.join(",");
        let told = usize::try_from(others)
            .ok()
            .and_then(|others| said.rsplit(',').nth(others));
        let address = told.and_then(|told| told.trim().parse().ok());
        address.unwrap_or(connected)
    }

    /// What a request is before its route is looked for.
    pub(in crate::explain) fn arrive(&self, mut headers: Headers, connected: IpAddr) -> Arrival {
        if let Some(name) = self.refused_name(&headers) {
            let why =
                format!("the header {name:?} has an underscore, which some upstreams take for a hyphen");
            return Arrival::Refused(400, why);
        }
        JOINED.iter().for_each(|name| join(&mut headers, name));
        self.strip(&mut headers);
        if self.manager.strip_trailing_host_dot {
            strip_dot(&mut headers);
        }
        self.trust(&mut headers, connected);
        keep_upgrade(&mut headers);
        match path::plain(headers.target(), &self.manager) {
            Plain::Path(path) => {
                headers.set(":path", path);
                Arrival::Plain(headers)
            }
            Plain::Redirect(path) => Arrival::Redirect(path),
            Plain::Refused => Arrival::Refused(400, "the path cannot be made plain".to_owned()),
        }
    }

    /// The route of a request. None: none matches, which is 404.
    pub(in crate::explain) fn route(&self, headers: &Headers) -> Option<Selected> {
        let authority = headers.get(":authority").unwrap_or_default();
        let host = if self.routes.ignore_port_in_host_matching {
            host_of(authority)
        } else {
            authority.to_ascii_lowercase()
        };
        route::select(virtual_host(self.routes, &host)?, headers).map(Selected)
    }

    fn refused_name<'h>(&self, headers: &'h Headers) -> Option<&'h str> {
        let options = self.manager.common_http_protocol_options.as_ref()?;
        let refuses =
            options.headers_with_underscores_action == HeadersWithUnderscoresAction::RejectRequest as i32;
        let mut names = headers.0.iter().map(|(name, _)| name.as_str());
        names.find(|name| refuses && name.contains('_'))
    }

    /// `use_remote_address`: what a client says of itself is not believed, but for what proxies say that are trusted.
    fn trust(&self, headers: &mut Headers, connected: IpAddr) {
        let client = self.client(headers, connected);
        for name in SANITISED {
            headers.remove(name);
        }
        let scheme = headers.get(":scheme").unwrap_or_default().to_owned();
        // Whatever it is that they say.
        if self.manager.xff_num_trusted_hops == 0 || !headers.has("x-forwarded-proto") {
            headers.set("x-forwarded-proto", scheme);
        }
        headers.set("x-envoy-external-address", client.to_string());
        // For a client on its own machine Envoy tells that machine's address, which nobody here knows.
        if connected.is_loopback() {
            return;
        }
        let before = headers.get("x-forwarded-for").map(|before| format!("{before},"));
        let forwarded = before.unwrap_or_default() + &connected.to_string();
        headers.set("x-forwarded-for", forwarded);
    }

    /// Early header mutations: what the proxy and the filter tell each other is nothing that a client says. The scope is not
    /// told here, as no upstream hears it.
    fn strip(&self, Headers(headers): &mut Headers) {
        for action in mutations(&self.manager) {
            match action {
                Action::Remove(name) => headers.retain(|(other, _)| *other != name),
                Action::RemoveOnMatch(by) => {
                    let pattern = by.key_matcher.and_then(|matcher| matcher.match_pattern);
                    if let Some(MatchPattern::Prefix(prefix)) = pattern {
                        headers.retain(|(name, _)| !name.starts_with(&prefix));
                    }
                }
                Action::Append(_) => {}
            }
        }
    }
}

fn join(headers: &mut Headers, name: &str) {
    let of_name = headers.0.iter().filter(|(other, _)| other == name);
    let values: Vec<_> = of_name.map(|(_, value)| value.as_slice()).collect();
    if values.len() > 1 {
        let joined = values.join(&b',');
        headers.set(name, joined);
    }
}

fn strip_dot(headers: &mut Headers) {
    let authority = headers.get(":authority").unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, format!(":{port}")),
        _ => (authority, String::new()),
    };
    if let Some(host) = host.strip_suffix('.') {
        let plain = format!("{host}{port}");
        headers.set(":authority", plain);
    }
}

/// Envoy takes the header from requests that ask for no upgrade.
fn keep_upgrade(headers: &mut Headers) {
    let connection = headers.get("connection").unwrap_or_default().to_ascii_lowercase();
    if !connection.split(',').any(|word| word.trim() == "upgrade") {
        headers.remove("upgrade");
    }
}
