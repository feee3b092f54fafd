//! Services that policies name.

use super::Resolver;
use crate::{
    graph::{
        compile::services::ClusterSettings,
        fault::{FieldPath, PolicyFault},
    },
    ingressroute::policy as written,
    object::{Name, Protocol, Service, ServicePort},
};
use std::convert::identity;
use switchyard_policy::config::value::ValueError;

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// The name of a cluster that speaks as its Service says.
    pub(super) fn http_service(
        &mut self,
        at: &FieldPath<'_>,
        written::ServiceRef { name, port }: &written::ServiceRef,
    ) -> String {
        self.service((&at.field("name"), name), (&at.field("port"), *port), identity)
    }

    /// The name of a cluster that speaks HTTP/2, without which there is no gRPC: over TLS where the Service speaks TLS.
    pub(super) fn grpc_service(
        &mut self,
        at: &FieldPath<'_>,
        written::ServiceRef { name, port }: &written::ServiceRef,
    ) -> String {
        let http2 = |protocol| match protocol {
            Protocol::Http1 | Protocol::H2c => Protocol::H2c,
            Protocol::Tls | Protocol::H2 => Protocol::H2,
        };
        self.service((&at.field("name"), name), (&at.field("port"), *port), http2)
    }

    pub(super) fn service(
        &mut self,
        (at_name, name): (&FieldPath<'_>, &str),
        (at_port, port): (&FieldPath<'_>, i64),
        protocol: impl FnOnce(Protocol) -> Protocol,
    ) -> String {
        let number = self.number::<u16>(at_port, port, (1, i64::from(u16::MAX)));
        let Some(service) = self.named_service(at_name, name).filter(|_| number > 0) else {
            return String::new();
        };
        let found = service.ports.iter().find(|candidate| candidate.port == number);
        let Some(found) = found.cloned() else {
            let service = service.name;
            self.refuse(at_port, PolicyFault::PortMissing { service, port });
            return String::new();
        };
        let port = ServicePort {
            protocol: protocol(found.protocol),
            ..found
        };
        let located = self.compiler.locate(&service, &port);
        for error in &located.errors {
            let refused = self.report(at_name.text(), PolicyFault::Endpoints(error.clone()));
            if error.is_fatal() {
                self.refused.get_or_insert(refused);
            }
        }
        if located.errors.iter().any(|error| error.is_fatal()) {
            return String::new();
        }
        let settings = ClusterSettings::default();
        let cluster = self.compiler.cluster(&service, &port, settings);
        cluster.0.to_string()
    }

    fn named_service(&mut self, at: &FieldPath<'_>, name: &str) -> Option<Service> {
        if name.is_empty() {
            return self.or_refuse(at, Err(ValueError::Empty));
        }
        let name = Name::new(self.compiler.name.namespace.clone(), name);
        let found = self.compiler.objects.service(&name).cloned();
        self.compiler.out.services.insert(name.clone());
        self.or_refuse(at, found.map(Some).ok_or(PolicyFault::ServiceMissing(name)))
    }
}
