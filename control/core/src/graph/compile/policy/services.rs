//! Services that policies name.

use super::Resolver;
use crate::{
    graph::{
        compile::{Refused, services::ClusterSettings},
        fault::{At, PolicyFault},
    },
    ingressroute::policy as written,
    object::{Name, Protocol, Service, ServicePort},
};
use switchyard_policy::config::value::ValueError;

// === impl Resolver ===

impl Resolver<'_, '_> {
    /// The name of a cluster that speaks as its Service says.
    pub(super) fn http_service(
        &mut self,
        at: &At<'_>,
        service: &written::ServiceRef,
    ) -> Result<String, Refused> {
        let written::ServiceRef { name, port } = service;
        self.service(
            (&at.field("name"), name),
            (&at.field("port"), *port),
            |protocol| protocol,
        )
    }

    /// The name of a cluster that speaks HTTP/2, without which there is no gRPC: over TLS where the Service speaks TLS.
    pub(super) fn grpc_service(
        &mut self,
        at: &At<'_>,
        service: &written::ServiceRef,
    ) -> Result<String, Refused> {
        let written::ServiceRef { name, port } = service;
        let http2 = |protocol| match protocol {
            Protocol::Http1 | Protocol::H2c => Protocol::H2c,
            Protocol::Tls | Protocol::H2 => Protocol::H2,
        };
        self.service((&at.field("name"), name), (&at.field("port"), *port), http2)
    }

    pub(super) fn service(
        &mut self,
        (at_name, name): (&At<'_>, &str),
        (at_port, port): (&At<'_>, i64),
        protocol: impl FnOnce(Protocol) -> Protocol,
    ) -> Result<String, Refused> {
        let number = self.number::<u16>(at_port, port, (1, i64::from(u16::MAX)));
        let service = self.named_service(at_name, name);
        let (number, service) = (number?, service?);
        let found = service.ports.iter().find(|candidate| candidate.port == number);
        let Some(found) = found.cloned() else {
            let service = service.name;
            return Err(self.refuse(at_port, PolicyFault::PortMissing { service, port }));
        };
        let port = ServicePort {
            protocol: protocol(found.protocol),
            ..found
        };
        let mut checked = Ok(());
        for error in &self.compiler.locate(&service, &port).errors {
            let refused = self.refuse(at_name, PolicyFault::Endpoints(error.clone()));
            if error.is_fatal() {
                checked = checked.and(Err(refused));
            }
        }
        checked?;
        let settings = ClusterSettings::default();
        let cluster = self.compiler.cluster(&service, &port, settings);
        Ok(cluster.0.to_string())
    }

    fn named_service(&mut self, at: &At<'_>, name: &str) -> Result<Service, Refused> {
        if name.is_empty() {
            return Err(self.refuse(at, ValueError::Empty));
        }
        let name = Name::new(self.compiler.name.namespace.clone(), name);
        let found = self.compiler.objects.service(&name).cloned();
        self.compiler.out.services.insert(name.clone());
        found.ok_or_else(|| self.refuse(at, PolicyFault::ServiceMissing(name)))
    }
}
