//! Envoy, as far as it is about where a request goes: a model of what it does with the resources that it is sent.
//!
//! ```text
//! Listener -> filter chain, by SNI -> HttpConnectionManager: headers and path made plain -> scope -> RouteConfiguration
//!                                  \-> TcpProxy                                                            |
//!                                                                        host -> VirtualHost -> Matcher -> Route
//! ```
//!
//! It reads the very messages that the translator makes, and only what those may say. What it does is what Envoy 1.40 was
//! seen to do, by `tests/tests/e2e/explain.rs`, which asks both; where that is written down: `ConnectionManagerUtility` and
//! `PathUtil` of Envoy's source/common/http, `RouteMatcher` and `RouteEntryImplBase` of source/common/router,
//! `PrefixMapMatcher` of source/common/matcher.

mod manager;
mod path;
mod route;

pub(super) use manager::{Arrival, Manager};
pub(super) use route::{Selected, Way, is_upgrade};

use crate::{
    resource::{Body, ResourceType, Update},
    sections::Sections,
    translate::{Buckets, Settings, Translator, listener},
};
use envoy_types::pb::{
    envoy::{
        config::{
            listener::v3::{FilterChain, Listener, filter::ConfigType},
            route::v3::{RouteConfiguration, VirtualHost},
        },
        extensions::filters::network::{
            http_connection_manager::v3::HttpConnectionManager, tcp_proxy::v3::TcpProxy,
        },
    },
    google::protobuf::Any,
};
use prost::{Message, Name};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use switchyard_core::HostSnapshot;

/// All that one Envoy holds that has taken everything.
#[derive(Default)]
pub(super) struct Proxy {
    listeners: BTreeMap<Arc<str>, Listener>,
    routes: BTreeMap<Arc<str>, RouteConfiguration>,
    /// Names of certificates.
    secrets: BTreeSet<Arc<str>>,
    filters: BTreeMap<Arc<str>, Arc<Sections>>,
}

/// Where a connection comes to.
pub(super) enum Connection<'p> {
    Http(Box<Manager<'p>>),
    /// Its bytes are sent on.
    Tcp,
    /// It fails: why.
    Closed(&'static str),
}

/// The headers of a request, in order, names in lower case, with those that start with `:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers(pub(super) Vec<(String, Vec<u8>)>);

/// The host that an authority names: without its port, in lower case, without a dot at its end.
pub(super) fn host_of(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

// === impl Proxy ===

impl Proxy {
    /// One that serves a host, and nothing else.
    pub(super) fn of(host_snapshot: &HostSnapshot, settings: &Settings) -> Self {
        // In whichever bucket it is, its routes are the same.
        let mut translator = Translator::new(Settings {
            buckets: Buckets::ONE,
            ..settings.clone()
        });
        let mut proxy = Self::default();
        proxy.take(translator.start());
        proxy.take(translator.update(&host_snapshot.table, &host_snapshot.change(), 1));
        proxy
    }

    fn take(&mut self, Update { set, removed: _ }: Update) {
        for (kind, name, resource) in set {
            match (kind, resource.body) {
                (ResourceType::Listener, Body::Encoded(bytes)) => {
                    self.listeners
                        .extend(decoded(bytes).map(|message| (name, message)));
                }
                (ResourceType::Route, Body::Encoded(bytes)) => {
                    self.routes.extend(decoded(bytes).map(|message| (name, message)));
                }
                (ResourceType::Secret, Body::Encoded(_)) => {
                    self.secrets.insert(name);
                }
                (ResourceType::Extension, Body::Sections(sections)) => {
                    self.filters.insert(name, sections);
                }
                _ => {}
            }
        }
    }

    /// Where a connection in plain text comes to.
    pub(super) fn plain(&self) -> Connection<'_> {
        let listener = self.listeners.get(listener::HTTP);
        let chain = listener.and_then(|listener| listener.filter_chains.first());
        self.served(chain)
    }

    /// Where a TLS connection comes to that names this host.
    pub(super) fn secure(&self, sni: &str) -> Connection<'_> {
        let Some(listener) = self.listeners.get(listener::HTTPS) else {
            return Connection::Closed("the host serves no TLS");
        };
        let names = |chain: &&FilterChain| {
            let criteria = chain.filter_chain_match.as_ref();
            criteria.is_some_and(|criteria| criteria.server_names.iter().any(|name| name == sni))
        };
        let named = listener.filter_chains.iter().find(names);
        let chain = named.or(listener.default_filter_chain.as_ref());
        let decrypts = chain.is_some_and(|chain| chain.transport_socket.is_some());
        if decrypts && !self.secrets.contains(sni) {
            return Connection::Closed("there is no certificate for the host");
        }
        self.served(chain)
    }

    fn served(&self, chain: Option<&FilterChain>) -> Connection<'_> {
        let filter = chain.and_then(|chain| chain.filters.first());
        let Some(ConfigType::TypedConfig(config)) = filter.and_then(|filter| filter.config_type.as_ref())
        else {
            return Connection::Closed("nothing is served to connections like this");
        };
        if config.type_url == TcpProxy::type_url() {
            return Connection::Tcp;
        }
        let manager: Option<HttpConnectionManager> = unpacked(config);
        let routes = manager
            .as_ref()
            .and_then(manager::scope)
            .and_then(|scope| self.routes.get(scope.as_str()));
        match (manager, routes) {
            (Some(manager), Some(routes)) => Connection::Http(Box::new(Manager::new(manager, routes))),
            _ => Connection::Closed("nothing is served to connections like this"),
        }
    }

    /// The sections of the filter that a route switches on, if it does.
    pub(super) fn filter(&self, Selected(route): &Selected) -> Option<&Arc<Sections>> {
        let mut on = route.typed_per_filter_config.keys();
        on.find_map(|name| self.filters.get(name.as_str()))
    }
}

/// The virtual host that serves a host: its own, or that of all others.
fn virtual_host<'r>(routes: &'r RouteConfiguration, host: &str) -> Option<&'r VirtualHost> {
    let named = |wanted: &str| {
        let mut hosts = routes.virtual_hosts.iter();
        hosts.find(|virtual_host| virtual_host.domains.iter().any(|domain| domain == wanted))
    };
    named(host).or_else(|| named("*"))
}

fn decoded<M: Message + Default>(bytes: bytes::Bytes) -> Option<M> {
    M::decode(bytes).ok()
}

fn unpacked<M: Message + Name + Default>(any: &Any) -> Option<M> {
    let bytes = Some(&any.value).filter(|_| any.type_url == M::type_url())?;
    M::decode(bytes.as_slice()).ok()
}

// === impl Headers ===

impl Headers {
    pub(super) fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
        Self(headers.into_iter().map(owned).collect())
    }

    /// The first of a name; none if it is not there, or no text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        str::from_utf8(value).ok()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// In the place of all of that name.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// The path with the query.
    pub(super) fn target(&self) -> &str {
        self.get(":path").unwrap_or_default()
    }

    /// The path without it.
    pub(super) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }
}

impl switchyard_policy::request::RequestHeaderMap for Headers {
    fn target(&self) -> &[u8] {
        self.target().as_bytes()
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
