//! Listeners.
//!
//! ```text
//! ingress_http   -> RDS ingress_http
//! ingress_https  SNI of a TCP host             -> tcp_proxy, decrypted or not
//!                SNI of a host with a stricter -> decrypt -> RDS ingress_https_1.2, ingress_https_1.3
//!                minimum TLS version
//!                any other                     -> decrypt -> RDS ingress_https_1.1
//! ```
//!
//! A listener that changes drains connections. What comes and goes with a host that has the least TLS version is no
//! part of it: routes and certificates are looked up by name.

use super::{Settings, http, tcp, tls};
use crate::pack;
use envoy_types::pb::envoy::{
    config::{
        core::v3::{Address, address},
        listener::v3::{
            Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter::ConfigType,
        },
    },
    extensions::filters::listener::tls_inspector::v3::TlsInspector,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};
use switchyard_core::table::{EdgeTls, HostTls, TcpProxy, TlsVersion};

/// The plain listener, its route configuration, and the prefix of its statistics.
pub(super) const HTTP: &str = "ingress_http";
/// The TLS listener, and the prefix of its statistics.
pub(super) const HTTPS: &str = "ingress_https";
const BUFFER_LIMIT: u32 = 32 * 1024;
const HTTP_ALPN: [&str; 2] = ["h2", "http/1.1"];

/// What the TLS listener depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Https {
    /// Those that any name leads to which is not listed.
    floor: BTreeSet<Arc<str>>,
    listed: BTreeMap<Arc<str>, Listed>,
}

/// A host that the TLS listener knows by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Listed {
    Stricter(TlsVersion),
    Tcp { minimum: TlsVersion, proxy: TcpProxy },
    Passthrough(TcpProxy),
}

// === impl Https ===

impl Https {
    /// Takes in what became of a host.
    pub(super) fn set(&mut self, settings: &Settings, fqdn: &Arc<str>, tls: Option<&HostTls>) {
        self.floor.remove(fqdn);
        self.listed.remove(fqdn);
        let listed = match tls {
            None => return,
            Some(HostTls::Passthrough { proxy }) => Listed::Passthrough(proxy.clone()),
            Some(HostTls::TerminateTcp { tls, proxy }) => Listed::Tcp {
                minimum: settings.minimum(tls),
                proxy: proxy.clone(),
            },
            Some(HostTls::Terminate { tls, vhost: _ }) => match settings.minimum(tls) {
                minimum if minimum == settings.minimum_tls => {
                    self.floor.insert(fqdn.clone());
                    return;
                }
                stricter => Listed::Stricter(stricter),
            },
        };
        self.listed.insert(fqdn.clone(), listed);
    }

    /// What the listener is made of: not who is on the floor.
    pub(super) fn version(&self, settings: &Settings) -> u64 {
        pack::version(&(settings, !self.floor.is_empty(), &self.listed))
    }

    /// No host has TLS: nothing is to listen.
    pub(super) fn is_empty(&self) -> bool {
        self.floor.is_empty() && self.listed.is_empty()
    }

    pub(super) fn listener(&self, settings: &Settings) -> Listener {
        let Self { floor, listed } = self;
        let stricter = [TlsVersion::V1_2, TlsVersion::V1_3].into_iter();
        let stricter = stricter.filter_map(|minimum| self.stricter(settings, minimum));
        let tcp = listed.iter().filter_map(|(fqdn, listed)| tcp_chain(settings, fqdn, listed));
        let floor = (!floor.is_empty()).then(|| http_chain(settings, settings.minimum_tls));
        Listener {
            filter_chains: stricter.chain(tcp).collect(),
            default_filter_chain: floor,
            listener_filters: vec![tls_inspector()],
            ..listener(HTTPS, settings.https)
        }
    }

    fn stricter(&self, settings: &Settings, minimum: TlsVersion) -> Option<FilterChain> {
        let listed = self.listed.iter();
        let named = listed.filter(|(_, listed)| matches!(listed, Listed::Stricter(of) if *of == minimum));
        let server_names: Vec<_> = named.map(|(fqdn, _)| fqdn.to_string()).collect();
        (!server_names.is_empty()).then(|| FilterChain {
            filter_chain_match: Some(by_name(server_names)),
            ..http_chain(settings, minimum)
        })
    }
}

/// The listener that does not decrypt.
pub(super) fn http(settings: &Settings) -> Listener {
    let chain = FilterChain {
        filters: vec![http::connection_manager(settings, HTTP, HTTP)],
        ..Default::default()
    };
    Listener {
        filter_chains: vec![chain],
        ..listener(HTTP, settings.http)
    }
}

/// The route configuration of the hosts with TLS of at least `minimum`.
pub(super) fn routes_name(minimum: TlsVersion) -> &'static str {
    match minimum {
        TlsVersion::V1_1 => "ingress_https_1.1",
        TlsVersion::V1_2 => "ingress_https_1.2",
        TlsVersion::V1_3 => "ingress_https_1.3",
    }
}

fn listener(name: &str, address: SocketAddr) -> Listener {
    Listener {
        name: name.to_owned(),
        address: Some(listen_address(address)),
        per_connection_buffer_limit_bytes: Some(pack::uint32(BUFFER_LIMIT)),
        ..Default::default()
    }
}

/// `[::]` takes IPv4, too.
fn listen_address(address: SocketAddr) -> Address {
    let mut message = pack::socket_address(&address.ip().to_string(), address.port());
    if let Some(address::Address::SocketAddress(socket)) = &mut message.address {
        socket.ipv4_compat = address.is_ipv6() && address.ip().is_unspecified();
    }
    message
}

fn http_chain(settings: &Settings, minimum: TlsVersion) -> FilterChain {
    let routes = routes_name(minimum);
    decrypting(routes, minimum, &HTTP_ALPN, http::connection_manager(settings, HTTPS, routes))
}

fn tcp_chain(settings: &Settings, fqdn: &Arc<str>, listed: &Listed) -> Option<FilterChain> {
    let chain = match listed {
        Listed::Stricter(_) => return None,
        Listed::Passthrough(proxy) => FilterChain {
            name: fqdn.to_string(),
            filters: vec![tcp::proxy(settings, proxy)],
            ..Default::default()
        },
        Listed::Tcp { minimum, proxy } => decrypting(fqdn, *minimum, &[], tcp::proxy(settings, proxy)),
    };
    Some(FilterChain {
        filter_chain_match: Some(by_name(vec![fqdn.to_string()])),
        ..chain
    })
}

fn decrypting(name: &str, minimum: TlsVersion, alpn: &[&str], filter: Filter) -> FilterChain {
    FilterChain {
        name: name.to_owned(),
        transport_socket: Some(tls::terminate(minimum, alpn)),
        transport_socket_connect_timeout: Some(pack::duration(tls::HANDSHAKE_TIMEOUT)),
        filters: vec![filter],
        ..Default::default()
    }
}

fn by_name(server_names: Vec<String>) -> FilterChainMatch {
    FilterChainMatch {
        server_names,
        ..Default::default()
    }
}

fn tls_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&TlsInspector::default()))),
        ..Default::default()
    }
}

// === impl Settings ===

impl Settings {
    /// A host may ask for more than all hosts have to, not for less.
    pub(super) fn minimum(&self, EdgeTls { certificate: _, minimum }: &EdgeTls) -> TlsVersion {
        self.minimum_tls.max(*minimum)
    }
}
