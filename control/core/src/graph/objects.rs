//! The objects as they were applied, and the look-ups that routing makes.

use super::index::Index;
use crate::object::{
    Address, DnsName, EndpointSlice, Endpoints, IngressRoute, Jwks, Kind, Name, Object, ObjectId, Secret,
    Service, TlsCertificateDelegation,
};
use std::{collections::BTreeMap, sync::Arc};

/// Every object, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    all: BTreeMap<ObjectId, Arc<Object>>,
    /// How many there are; a kind that there never was is not in it.
    counts: BTreeMap<Kind, usize>,
    /// Service to its slices.
    slices: Index<Name, Name>,
}

// === impl Objects ===

impl Objects {
    /// Adds, replaces or (with none) removes an object. Answers what was there before.
    pub(crate) fn replace(&mut self, id: &ObjectId, object: Option<Arc<Object>>) -> Option<Arc<Object>> {
        let slice = object.as_deref().and_then(as_slice).map(service_of);
        let after = usize::from(object.is_some());
        let before = match object {
            Some(object) => self.all.insert(id.clone(), object),
            None => self.all.remove(id),
        };
        let count = self.counts.entry(id.kind).or_default();
        *count = *count + after - usize::from(before.is_some());
        if let Some(service) = before.as_deref().and_then(as_slice).map(service_of) {
            self.slices.remove(&service, &id.name);
        }
        if let Some(service) = slice {
            self.slices.insert(service, id.name.clone());
        }
        before
    }

    pub(crate) fn get(&self, id: &ObjectId) -> Option<&Object> {
        self.all.get(id).map(Arc::as_ref)
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    pub(crate) fn ingress_route(&self, name: &Name) -> Option<&IngressRoute> {
        match self.named(Kind::IngressRoute, name)? {
            Object::IngressRoute(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn service(&self, name: &Name) -> Option<&Service> {
        match self.named(Kind::Service, name)? {
            Object::Service(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn secret(&self, name: &Name) -> Option<&Secret> {
        match self.named(Kind::Secret, name)? {
            Object::Secret(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn jwks(&self, uri: &str) -> Option<&Jwks> {
        match self.get(&ObjectId::jwks(uri.into()))? {
            Object::Jwks(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn dns_name(&self, name: &Arc<str>) -> Option<&DnsName> {
        match self.get(&ObjectId::dns_name(name.clone()))? {
            Object::DnsName(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn endpoints(&self, service: &Name) -> Option<&Endpoints> {
        match self.named(Kind::Endpoints, service)? {
            Object::Endpoints(object) => Some(object),
            _ => None,
        }
    }

    /// The slices of a Service, by name.
    pub(crate) fn slices(&self, service: &Name) -> impl Iterator<Item = &EndpointSlice> {
        self.slices
            .get(service)
            .filter_map(|name| self.named(Kind::EndpointSlice, name).and_then(as_slice))
    }

    /// The TLSCertificateDelegations of a namespace, by name.
    pub(crate) fn certificate_delegations(
        &self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &TlsCertificateDelegation> {
        let first = ObjectId {
            kind: Kind::TlsCertificateDelegation,
            name: Name::new(namespace.clone(), ""),
        };
        self.all
            .range(first..)
            .take_while(move |(id, _)| {
                id.kind == Kind::TlsCertificateDelegation && id.name.namespace == *namespace
            })
            .filter_map(|(_, object)| match object.as_ref() {
                Object::TlsCertificateDelegation(object) => Some(object),
                _ => None,
            })
    }

    fn named(&self, kind: Kind, name: &Name) -> Option<&Object> {
        self.get(&ObjectId {
            kind,
            name: name.clone(),
        })
    }
}

fn as_slice(object: &Object) -> Option<&EndpointSlice> {
    match object {
        Object::EndpointSlice(slice) => Some(slice),
        _ => None,
    }
}

/// The Service that a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Name {
    Name::new(slice.name.namespace.clone(), slice.service.clone())
}

/// Returns true if a slice is of addressType FQDN.
pub(crate) fn is_fqdn(slice: &EndpointSlice) -> bool {
    let mut addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    addresses.any(|address| matches!(address, Address::Fqdn(_)))
}
