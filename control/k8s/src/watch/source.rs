//! The kinds that are watched.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    core::GroupVersionKind,
    runtime::watcher::Event,
};
use std::fmt;
use switchyard_core::object::Kind;

/// The kinds that are watched as whole objects: kind, group, version, plural. Secrets are watched by metadata only.
const WATCHED: [(Kind, &str, &str, &str); 4] = [
    (
        Kind::IngressRoute,
        "contour.heptio.com",
        "v1beta1",
        "ingressroutes",
    ),
    (
        Kind::TlsCertificateDelegation,
        "contour.heptio.com",
        "v1beta1",
        "tlscertificatedelegations",
    ),
    (Kind::Service, "", "v1", "services"),
    (Kind::EndpointSlice, "discovery.k8s.io", "v1", "endpointslices"),
];

/// One watch: a kind, in one namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
}

/// An event with whole objects, or with their metadata.
pub(crate) enum Seen {
    Whole(Event<DynamicObject>),
    Metadata(Event<PartialObjectMeta<Secret>>),
}

pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    WATCHED.into_iter().map(|(kind, ..)| kind).chain([Kind::Secret])
}

/// The API resource of a kind; `None` if only its metadata is watched.
#[must_use]
pub fn resource(kind: Kind) -> Option<ApiResource> {
    let (_, group, version, plural) = WATCHED.iter().find(|(watched, ..)| *watched == kind)?;
    let kind = GroupVersionKind::gvk(group, version, kind.as_str());
    Some(ApiResource::from_gvk_with_plural(&kind, plural))
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace } = self;
        match namespace {
            None => write!(f, "{kind}"),
            Some(namespace) => write!(f, "{kind} in {namespace}"),
        }
    }
}
