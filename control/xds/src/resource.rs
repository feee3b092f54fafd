//! What the translator makes and the ADS server hands out: Envoy resources with a version each.

use crate::sections::Sections;
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// A type of Envoy resource that is served.
///
/// Declared, and so ordered, as an Envoy should learn them: what is named before what names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    Secret,
    Listener,
    /// Which route configuration is asked of which requests (SRDS).
    ScopedRoute,
    Route,
    /// The configuration of an HTTP filter (ECDS).
    Extension,
}

/// One resource, without its name.
#[derive(Clone, Debug)]
pub struct Resource {
    /// A hash of what the resource was made from.
    ///
    /// Equal content has an equal version across restarts and replicas, so that an Envoy which comes back is sent
    /// nothing that it has. Not a hash of the encoded bytes: prost encodes a map in any order.
    pub version: u64,
    pub body: Body,
}

/// What a resource says.
#[derive(Clone)]
pub enum Body {
    /// The encoded message, without the `Any` around it.
    Encoded(Bytes),
    /// The filter's configuration, which is encoded for each stream: Envoys differ in how they get the code.
    Sections(Arc<Sections>),
}

/// What changed in the resources that are served.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub set: Vec<(ResourceType, Arc<str>, Resource)>,
    pub removed: Vec<(ResourceType, Arc<str>)>,
}

/// One value for each [`ResourceType`].
#[derive(Clone, Debug, Default)]
pub(crate) struct PerType<T>([T; ResourceType::ALL.len()]);

// === impl ResourceType ===

impl ResourceType {
    /// Every type, in the order in which they are sent.
    pub const ALL: [Self; 7] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Secret,
        Self::Listener,
        Self::ScopedRoute,
        Self::Route,
        Self::Extension,
    ];

    /// The URL that names the type in xDS requests and in `Any`.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::ScopedRoute => "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The type that `url` names; `None` for one that is not served.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Whether a first request without names asks for all resources of the type, as the xDS protocol has it for
    /// listeners, clusters and scopes.
    pub(crate) const fn empty_means_all(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::ScopedRoute)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "Cluster",
            Self::Endpoint => "ClusterLoadAssignment",
            Self::Secret => "Secret",
            Self::Listener => "Listener",
            Self::ScopedRoute => "ScopedRouteConfiguration",
            Self::Route => "RouteConfiguration",
            Self::Extension => "TypedExtensionConfig",
        })
    }
}

// === impl Update ===

impl Update {
    /// Return whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

// === impl Resource ===

impl Resource {
    /// The version as it travels.
    pub(crate) fn version_text(version: u64) -> String {
        format!("{version:016x}")
    }

    /// The version that `text` says; `None` when it is none of ours.
    pub(crate) fn parse_version(text: &str) -> Option<u64> {
        u64::from_str_radix(text, 16).ok()
    }
}

// === impl Body ===

/// Sizes and versions only: a secret's body is a private key.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoded(bytes) => write!(f, "Encoded({} bytes)", bytes.len()),
            Self::Sections(sections) => write!(f, "Sections({:016x})", sections.version()),
        }
    }
}

// === impl PerType ===

impl<T> PerType<T> {
    pub(crate) fn get(&self, kind: ResourceType) -> &T {
        &self.0[kind as usize]
    }

    pub(crate) fn get_mut(&mut self, kind: ResourceType) -> &mut T {
        &mut self.0[kind as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ResourceType, &mut T)> {
        ResourceType::ALL.into_iter().zip(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_by_the_url_it_has() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::from_type_url(kind.type_url()), Some(kind));
        }
        assert_eq!(
            ResourceType::from_type_url("type.googleapis.com/envoy.service.runtime.v3.Runtime"),
            None
        );
    }

    #[test]
    fn types_are_ordered_as_they_are_sent() {
        assert!(ResourceType::ALL.is_sorted());
        for (position, kind) in ResourceType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, position);
        }
    }

    #[test]
    fn a_version_survives_its_journey() {
        for version in [0, 1, u64::MAX] {
            assert_eq!(
                Resource::parse_version(&Resource::version_text(version)),
                Some(version)
            );
        }
        assert_eq!(Resource::parse_version("v1.2"), None);
    }

    #[test]
    fn a_debug_print_never_shows_a_body() {
        let body = Body::Encoded(Bytes::from_static(b"-----BEGIN PRIVATE KEY-----"));
        assert_eq!(format!("{body:?}"), "Encoded(27 bytes)");
    }
}
