//! Listeners.
//!
//! ```text
//! ingress_http   -> routes ingress_http
//! ingress_https  SNI of a TCP host             -> tcp_proxy, decrypted or not
//!                SNI of a host with a stricter -> decrypt -> routes ingress_https_1.2, ingress_https_1.3
//!                minimum TLS version
//!                any other                     -> decrypt -> routes ingress_https_1.1
//! ```
//!
//! A listener that changes drains connections. What comes and goes with a host that has the least TLS version is no
//! part of it: routes and certificates are looked up by name.

use super::{
    Settings, http,
    published::Published,
    refused::{Origin, Refused},
    tcp, tls,
};
use crate::{pack, resource::ResourceType};
use envoy_types::pb::envoy::{
    config::{
        core::v3::{Address, address},
        listener::v3::{
            Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter::ConfigType,
        },
    },
    extensions::filters::listener::tls_inspector::v3::TlsInspector,
};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use switchyard_core::table::{EdgeTls, HostTls, TcpProxy, TlsVersion};

/// The plain listener, its route configuration, and the prefix of its statistics.
pub(crate) const HTTP: &str = "ingress_http";
/// The TLS listener, and the prefix of its statistics.
pub(crate) const HTTPS: &str = "ingress_https";
/// The minimum versions of TLS that hosts may ask for; each has routes of its own.
pub(super) const FLOORS: [TlsVersion; 3] = [TlsVersion::V1_1, TlsVersion::V1_2, TlsVersion::V1_3];
const FILTER_CHAIN: &str = "type.googleapis.com/envoy.config.listener.v3.FilterChain";
const BUFFER_LIMIT: u32 = 32 * 1024;
const HTTP_ALPN: [&str; 2] = ["h2", "http/1.1"];

/// The TLS listener's hosts.
#[derive(Debug, Default)]
pub(super) struct Https {
    hosts: BTreeMap<Arc<str>, Place>,
    /// Hosts that are not among `hosts`, for Envoy would refuse their filter chain.
    refused: Refused,
    /// As it is, it was published.
    published: bool,
}

/// Where the listener leads the connections of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
enum Place {
    /// Where any name leads that is not listed.
    Floor,
    Stricter(TlsVersion),
    Tcp {
        minimum: TlsVersion,
        proxy: TcpProxy,
    },
    Passthrough(TcpProxy),
}

// === impl Https ===

impl Https {
    /// Takes in what became of a host.
    pub(super) fn set(&mut self, settings: &Settings, fqdn: &Arc<str>, tls: Option<&HostTls>) {
        let place = tls.map(|tls| Place::new(settings, tls));
        let place = match place {
            Some(place) => Some(place).filter(|place| self.admits(settings, fqdn, place)),
            None => {
                self.forget_refusal(fqdn);
                None
            }
        };
        if self.hosts.get(fqdn) != place.as_ref() {
            match place {
                Some(place) => self.hosts.insert(fqdn.clone(), place),
                None => self.hosts.remove(fqdn),
            };
            self.published = false;
        }
    }

    /// Returns true if Envoy takes the content of the listener for this host alone.
    fn admits(&mut self, settings: &Settings, fqdn: &Arc<str>, place: &Place) -> bool {
        let Some(chain) = tcp_chain(settings, fqdn, place) else {
            self.forget_refusal(fqdn);
            return true;
        };
        let message = (FILTER_CHAIN, &**fqdn);
        self.refused
            .admits(Origin::Host(fqdn.clone()), message, &pack::encode(&chain))
    }

    fn forget_refusal(&mut self, fqdn: &Arc<str>) {
        let message = (FILTER_CHAIN, &**fqdn);
        self.refused.forget(Origin::Host(fqdn.clone()), message);
    }

    /// The hosts whose filter chain Envoy would refuse.
    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Nothing listens while no host has TLS.
    pub(super) fn publish(&mut self, settings: &Settings, published: &mut Published) {
        if self.published {
            return;
        }
        let name = HTTPS.into();
        if self.hosts.is_empty() {
            published.remove(ResourceType::Listener, &name);
        } else {
            let body = || super::encoded(&self.listener(settings));
            published.set(ResourceType::Listener, &name, self.version(settings), body);
        }
        self.published = true;
    }

    /// Of what the listener is made of: not of who is on the floor.
    fn version(&self, settings: &Settings) -> u64 {
        let listed: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, place)| **place != Place::Floor)
            .collect();
        pack::version(&(settings, self.has_floor(), listed))
    }

    fn has_floor(&self) -> bool {
        self.hosts.values().any(|place| *place == Place::Floor)
    }

    fn listener(&self, settings: &Settings) -> Listener {
        let stricter = [TlsVersion::V1_2, TlsVersion::V1_3].into_iter();
        let stricter = stricter.filter_map(|minimum| self.stricter(settings, minimum));
        let tcp = self
            .hosts
            .iter()
            .filter_map(|(fqdn, place)| tcp_chain(settings, fqdn, place));
        Listener {
            filter_chains: stricter.chain(tcp).collect(),
            default_filter_chain: self
                .has_floor()
                .then(|| http_chain(settings, settings.minimum_tls)),
            listener_filters: vec![tls_inspector()],
            ..listener(HTTPS, settings.https)
        }
    }

    fn stricter(&self, settings: &Settings, minimum: TlsVersion) -> Option<FilterChain> {
        let named = self
            .hosts
            .iter()
            .filter(|(_, place)| **place == Place::Stricter(minimum));
        let server_names: Vec<_> = named.map(|(fqdn, _)| fqdn.to_string()).collect();
        (!server_names.is_empty()).then(|| FilterChain {
            filter_chain_match: Some(by_name(server_names)),
            ..http_chain(settings, minimum)
        })
    }
}

// === impl Place ===

impl Place {
    fn new(settings: &Settings, tls: &HostTls) -> Self {
        match tls {
            HostTls::Terminate { tls, vhost: _ } => match settings.minimum(tls) {
                minimum if minimum == settings.minimum_tls => Self::Floor,
                stricter => Self::Stricter(stricter),
            },
            HostTls::TerminateTcp { tls, proxy } => Self::Tcp {
                minimum: settings.minimum(tls),
                proxy: proxy.clone(),
            },
            HostTls::Passthrough { proxy } => Self::Passthrough(proxy.clone()),
        }
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
    decrypting(
        routes,
        minimum,
        &HTTP_ALPN,
        http::connection_manager(settings, HTTPS, routes),
    )
}

fn tcp_chain(settings: &Settings, fqdn: &Arc<str>, place: &Place) -> Option<FilterChain> {
    let chain = match place {
        Place::Floor | Place::Stricter(_) => return None,
        Place::Passthrough(proxy) => FilterChain {
            name: fqdn.to_string(),
            filters: vec![tcp::proxy(settings, proxy)],
            ..Default::default()
        },
        Place::Tcp { minimum, proxy } => decrypting(fqdn, *minimum, &[], tcp::proxy(settings, proxy)),
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
    pub(super) fn minimum(
        &self,
        EdgeTls {
            certificate: _,
            minimum,
        }: &EdgeTls,
    ) -> TlsVersion {
        self.minimum_tls.max(*minimum)
    }
}
