//! The services of a route, as clusters.

use super::{Compiler, Refused};
use crate::{
    graph::{
        digest::digest,
        endpoints::{self, Located},
        fault::{Fault, Place, RouteField, SecretFault, Site},
        tls,
    },
    ingressroute,
    object::{Name, Protocol, Service, ServicePort},
    table::{Cluster, ClusterName, HealthCheck, Strategy, UpstreamValidation, WeightedCluster},
};
use std::{rc::Rc, sync::Arc, time::Duration};

/// One service of a route, and where it stands.
struct Use<'a> {
    index: usize,
    service: &'a ingressroute::Service,
    site: &'a Site,
    /// The place of a field of the route.
    place: &'a dyn Fn(RouteField) -> Place,
}

/// What is asked of a cluster beside its port.
#[derive(Default)]
pub(super) struct ClusterSettings {
    strategy: Strategy,
    health_check: Option<HealthCheck>,
    validation: Option<UpstreamValidation>,
}

/// Contour's default for `healthCheck.host`.
const HEALTH_CHECK_HOST: &str = "contour-envoy-healthcheck";

/// The longest name that Envoy accepts for SNI, in bytes.
const MAX_SERVER_NAME: usize = 255;

/// Gives out the shares. Where no weight is given all are equal; else those without one get nothing.
fn spread(clusters: Vec<(ClusterName, u32)>) -> Vec<WeightedCluster> {
    let even = clusters.iter().all(|(_, weight)| *weight == 0);
    clusters
        .into_iter()
        .filter(|(_, weight)| even || *weight > 0)
        .map(|(cluster, weight)| WeightedCluster {
            cluster,
            weight: if even { 1 } else { weight },
        })
        .collect()
}

/// Unknown strategies are RoundRobin, as in Contour.
fn strategy(name: &str) -> Strategy {
    match name {
        "WeightedLeastRequest" => Strategy::WeightedLeastRequest,
        "Random" => Strategy::Random,
        "Cookie" => Strategy::Cookie,
        _ => Strategy::RoundRobin,
    }
}

/// A health check with its defaults, none where a number is out of range.
fn health_check(check: &ingressroute::HealthCheck) -> Option<HealthCheck> {
    let ingressroute::HealthCheck {
        path,
        host,
        interval_seconds,
        timeout_seconds,
        unhealthy_threshold_count,
        healthy_threshold_count,
    } = check;
    let host = if host.is_empty() { HEALTH_CHECK_HOST } else { host };
    Some(HealthCheck {
        path: path.as_str().into(),
        host: host.into(),
        interval: Duration::from_secs(number(*interval_seconds, 5)?.into()),
        timeout: Duration::from_secs(number(*timeout_seconds, 2)?.into()),
        unhealthy_threshold: number(*unhealthy_threshold_count, 3)?,
        healthy_threshold: number(*healthy_threshold_count, 2)?,
    })
}

/// Absent and 0 mean the default.
fn number(given: Option<i64>, default: u32) -> Option<u32> {
    match given {
        None | Some(0) => Some(default),
        Some(given) => u32::try_from(given).ok(),
    }
}

/// As TLS asks for it: without the dot at its end (RFC 6066, 3).
fn server_name(name: &Arc<str>) -> Arc<str> {
    name.strip_suffix('.').map_or_else(|| name.clone(), Arc::from)
}

// === impl Use ===

impl Use<'_> {
    fn place(&self, field: &'static str) -> Place {
        (self.place)(RouteField::Service(self.index, field))
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The clusters of `services`, with their shares. One bad service makes them all unavailable, so that nobody's
    /// share is silently another's; every bad one is reported.
    pub(super) fn services(
        &mut self,
        services: &[ingressroute::Service],
        site: &Site,
        place: impl Fn(RouteField) -> Place,
    ) -> Result<Vec<WeightedCluster>, Refused> {
        let mut clusters = Vec::with_capacity(services.len());
        for (index, service) in services.iter().enumerate() {
            clusters.push(self.service(&Use {
                index,
                service,
                site,
                place: &place,
            }));
        }
        let clusters = clusters.into_iter().collect::<Result<Vec<_>, _>>()?;
        let total: u64 = clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total > u64::from(u32::MAX) {
            let site = site.clone();
            return Err(self.refuse(place(RouteField::Services), Fault::Weights { site }));
        }
        Ok(spread(clusters))
    }

    /// One service's cluster and weight.
    fn service(&mut self, named: &Use<'_>) -> Result<(ClusterName, u32), Refused> {
        let weight = self.weight(named);
        let health_check = self.health_check(named);
        let cluster = match self.service_port(named) {
            Ok((service, port)) => self.validation(named, port.protocol).and_then(|validation| {
                let settings = ClusterSettings {
                    strategy: strategy(&named.service.strategy),
                    health_check: health_check?,
                    validation,
                };
                self.check_endpoints(named, &service, &port)?;
                Ok(self.cluster(&service, &port, settings))
            }),
            Err(refused) => Err(refused),
        };
        Ok((cluster?, weight?))
    }

    fn weight(&mut self, named: &Use<'_>) -> Result<u32, Refused> {
        u32::try_from(named.service.weight.unwrap_or(0)).map_err(|_| {
            let fault = match named.service.weight {
                Some(weight) if weight > 0 => Fault::Weights {
                    site: named.site.clone(),
                },
                _ => Fault::Weight {
                    site: named.site.clone(),
                    service: named.service.name.clone(),
                },
            };
            self.refuse(named.place("weight"), fault)
        })
    }

    /// HTTP health checks make no sense for proxied bytes, so a tcpproxy has none, as in Contour.
    fn health_check(&mut self, named: &Use<'_>) -> Result<Option<HealthCheck>, Refused> {
        let Some(check) = named
            .service
            .health_check
            .as_ref()
            .filter(|_| *named.site != Site::TcpProxy)
        else {
            return Ok(None);
        };
        let (site, service) = (named.site.clone(), named.service.name.clone());
        if !check.path.starts_with('/') {
            let fault = Fault::HealthCheckPath { site, service };
            return Err(self.refuse(named.place("healthCheck.path"), fault));
        }
        // They travel as headers, which Envoy refuses to make of control characters.
        for (text, field, place) in [
            (&check.path, "path", "healthCheck.path"),
            (&check.host, "host", "healthCheck.host"),
        ] {
            if text.contains(char::is_control) {
                let fault = Fault::HealthCheckText { site, service, field };
                return Err(self.refuse(named.place(place), fault));
            }
        }
        match health_check(check) {
            Some(check) => Ok(Some(check)),
            None => {
                let fault = Fault::HealthCheckNumber { site, service };
                Err(self.refuse(named.place("healthCheck"), fault))
            }
        }
    }

    /// The Service and its port that are named.
    fn service_port(&mut self, named: &Use<'_>) -> Result<(Service, ServicePort), Refused> {
        let port = self.port(named)?;
        let name = Name::new(self.name.namespace.clone(), named.service.name.as_str());
        let found = self.objects.service(&name).and_then(|service| {
            let port = service.ports.iter().find(|candidate| candidate.port == port)?;
            Some((service.clone(), port.clone()))
        });
        self.out.services.insert(name);
        found.ok_or_else(|| self.refuse(named.place("name"), self.missing(named)))
    }

    /// Reports what is wrong with the endpoints.
    fn check_endpoints(
        &mut self,
        named: &Use<'_>,
        service: &Service,
        port: &ServicePort,
    ) -> Result<(), Refused> {
        let mut checked = Ok(());
        for error in &self.locate(service, port).errors {
            let fault = Fault::Endpoints {
                site: named.site.clone(),
                error: error.clone(),
            };
            let refused = self.refuse(named.place("name"), fault);
            if error.is_fatal() {
                checked = checked.and(Err(refused));
            }
        }
        checked
    }

    /// The endpoints of a Service's port.
    pub(super) fn locate(&mut self, service: &Service, port: &ServicePort) -> Rc<Located> {
        let key = (service.name.clone(), port.port);
        if let Some(located) = self.located.get(&key) {
            return located.clone();
        }
        let located = Rc::new(endpoints::locate(self.objects, self.settings, service, port));
        self.out.dns_names.extend(located.names.iter().cloned());
        self.located.insert(key, located.clone());
        located
    }

    fn port(&mut self, named: &Use<'_>) -> Result<u16, Refused> {
        let port = u16::try_from(named.service.port).ok().filter(|port| *port > 0);
        port.ok_or_else(|| {
            let fault = Fault::Port {
                site: named.site.clone(),
                service: named.service.name.clone(),
            };
            self.refuse(named.place("port"), fault)
        })
    }

    fn missing(&self, named: &Use<'_>) -> Fault {
        let (service, port) = (named.service.name.clone(), named.service.port);
        match named.site {
            Site::TcpProxy => Fault::TcpServiceMissing {
                namespace: self.name.namespace.clone(),
                service,
                port,
            },
            Site::Route(_) | Site::VirtualHost => Fault::ServiceMissing { service, port },
        }
    }

    /// Only connections with TLS can be verified, so elsewhere it is an error, as Contour documents it. Contour looked at
    /// protocol `tls` alone; here `h2` is verified, too, rather than trusted unseen.
    fn validation(
        &mut self,
        named: &Use<'_>,
        protocol: Protocol,
    ) -> Result<Option<UpstreamValidation>, Refused> {
        let Some(validation) = &named.service.validation else {
            return Ok(None);
        };
        if !matches!(protocol, Protocol::Tls | Protocol::H2) {
            let (service, port) = (named.service.name.clone(), named.service.port);
            let fault = Fault::ValidationWithoutTls { service, port };
            return Err(self.refuse(named.place("validation"), fault));
        }
        let ingressroute::Validation {
            ca_secret,
            subject_name,
        } = validation;
        let ca = self.ca(named, ca_secret)?;
        if subject_name.is_empty() {
            let (service, port) = (named.service.name.clone(), named.service.port);
            let fault = Fault::SubjectNameMissing { service, port };
            return Err(self.refuse(named.place("validation.subjectName"), fault));
        }
        // It is sent as SNI, too.
        if subject_name.len() > MAX_SERVER_NAME || subject_name.contains(char::is_control) {
            let (service, port) = (named.service.name.clone(), named.service.port);
            let fault = Fault::SubjectName { service, port };
            return Err(self.refuse(named.place("validation.subjectName"), fault));
        }
        Ok(Some(UpstreamValidation {
            ca,
            subject_name: subject_name.as_str().into(),
        }))
    }

    fn ca(&mut self, named: &Use<'_>, ca_secret: &str) -> Result<Arc<[u8]>, Refused> {
        let name = Name::new(self.name.namespace.clone(), ca_secret);
        let ca = self.objects.secret(&name).ok_or(SecretFault::Missing);
        let ca = ca.and_then(tls::authorities);
        let secret = name.to_string();
        self.out.secrets.insert(name);
        ca.map(Arc::from).map_err(|reason| {
            let fault = Fault::CaSecret {
                service: named.service.name.clone(),
                port: named.service.port,
                secret,
                reason,
            };
            self.refuse(named.place("validation.caSecret"), fault)
        })
    }

    /// Adds the cluster, named after its settings.
    pub(super) fn cluster(
        &mut self,
        service: &Service,
        port: &ServicePort,
        settings: ClusterSettings,
    ) -> ClusterName {
        let ClusterSettings {
            strategy,
            health_check,
            validation,
        } = settings;
        let located = self.locate(service, port);
        let names = &located.names;
        let digest = digest(&(
            // Others are another cluster: no proxy keeps the addresses of another name.
            names,
            port.protocol,
            strategy,
            &health_check,
            &validation,
            service.limits,
        ));
        let name = ClusterName(format!("{}/{}/{digest}", service.name, port.port).into());
        let cluster = Cluster {
            name: name.clone(),
            service: service.name.clone(),
            port: port.port,
            server_name: names.first().map(server_name),
            protocol: port.protocol,
            strategy,
            health_check,
            validation,
            limits: service.limits,
        };
        self.out
            .clusters
            .entry(name.clone())
            .or_insert_with(|| Arc::new(cluster));
        name
    }
}
