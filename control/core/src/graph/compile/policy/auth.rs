//! Checks that requests have to pass.

use super::Resolver;
use crate::{
    graph::fault::{FieldPath, PolicyFault},
    ingressroute::policy::{self as written, Ways, most},
    path,
};
use ipnet::IpNet;
use std::{net::IpAddr, time::Duration};
use switchyard_policy::{config::policy as config, header::Use, path::is_outgoing};

const TIMEOUT: Duration = Duration::from_millis(200);
const REALM: &str = "Restricted";

/// A network in CIDR notation.
fn cidr(given: &str) -> Result<String, PolicyFault> {
    let address = given.parse::<IpAddr>().map(IpNet::from).ok();
    let network = address.or_else(|| given.parse::<IpNet>().ok());
    let given = given.to_owned();
    match network {
        None => Err(PolicyFault::Cidr(given)),
        Some(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
            Err(PolicyFault::CidrMapped(given))
        }
        Some(network) if network != network.trunc() => {
            let meant = network.trunc().to_string();
            Err(PolicyFault::CidrBits { given, meant })
        }
        Some(network) => Ok(network.to_string()),
    }
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn requirement(&mut self, at: &FieldPath<'_>, auth: &written::Auth) -> config::Requirement {
        let names = "anyOf, basic, apiKey, jwt, external and ip";
        if auth.any_of.is_empty() {
            let any_of = self.check(at, auth.ways(), names).into_iter().collect();
            return config::Requirement { any_of };
        }
        if auth.ways().count() > 0 {
            self.refuse(at, PolicyFault::ExactlyOne(names));
        }
        let at = at.field("anyOf");
        let any_of = self.each((&at, most::ANY_OF), &auth.any_of, |this, at, check| {
            this.check(at, check.ways(), "basic, apiKey, jwt, external and ip")
        });
        let any_of = any_of.into_iter().flatten().collect();
        config::Requirement { any_of }
    }

    fn check(&mut self, at: &FieldPath<'_>, ways: Ways<'_>, names: &'static str) -> Option<config::Check> {
        if ways.count() != 1 {
            self.refuse(at, PolicyFault::ExactlyOne(names));
            return None;
        }
        let Ways {
            basic,
            api_key,
            jwt,
            external,
            ip,
        } = ways;
        let basic = self.option(&at.field("basic"), basic, Self::basic);
        let api_key = self.option(&at.field("apiKey"), api_key, Self::api_key);
        let jwt = self.option(&at.field("jwt"), jwt, Self::jwt);
        let external = self.option(&at.field("external"), external, Self::external);
        let ip = self.option(&at.field("ip"), ip, Self::ip);
        let check = basic.map(config::Check::Basic);
        check
            .or(api_key.map(config::Check::ApiKey))
            .or(jwt.map(config::Check::Jwt))
            .or(external.map(config::Check::External))
            .or(ip.map(config::Check::Ip))
    }

    fn basic(
        &mut self,
        at: &FieldPath<'_>,
        written::Basic { secret_name, realm }: &written::Basic,
    ) -> config::Basic {
        let realm = if realm.is_empty() { REALM } else { realm };
        config::Basic {
            realm: self.realm(&at.field("realm"), realm),
            users: self.users(&at.field("secretName"), secret_name),
        }
    }

    /// It stands in quotes, in a header.
    fn realm(&mut self, at: &FieldPath<'_>, realm: &str) -> String {
        let is_plain = |c: u8| (c.is_ascii_graphic() || c == b' ') && !b"\"\\".contains(&c);
        let plain = realm.bytes().all(is_plain).then(|| realm.to_owned());
        self.or_refuse(at, plain.ok_or_else(|| PolicyFault::Realm(realm.to_owned())))
    }

    fn api_key(&mut self, at: &FieldPath<'_>, api_key: &written::ApiKey) -> config::ApiKey {
        let written::ApiKey {
            secret_name,
            header,
            query,
        } = api_key;
        let given = |name| Some(name).filter(|name: &&String| !name.is_empty());
        config::ApiKey {
            header: self.option(&at.field("header"), given(header), |this, at, name| {
                this.header(&[Use::Remove, Use::Trust], at, name)
            }),
            query: self.option(&at.field("query"), given(query), |this, at, name| {
                this.text(at, name)
            }),
            keys: self.api_keys(&at.field("secretName"), secret_name),
        }
    }

    fn external(&mut self, at: &FieldPath<'_>, external: &written::External) -> config::External {
        let written::External {
            service,
            protocol,
            path,
            timeout,
            on_failure,
            request_headers,
            response_headers,
        } = external;
        let protocols = [
            ("http", config::ExternalProtocol::Http),
            ("grpc", config::ExternalProtocol::Grpc),
        ];
        let protocol = self.choice(&at.field("protocol"), protocol, ("http and grpc", &protocols));
        let protocol = protocol.unwrap_or(config::ExternalProtocol::Http);
        let cluster = match protocol {
            config::ExternalProtocol::Grpc => self.grpc_service(&at.field("service"), service),
            config::ExternalProtocol::Http => self.http_service(&at.field("service"), service),
        };
        let path = self.external_path(&at.field("path"), path);
        let (sent, taken) = (at.field("requestHeaders"), at.field("responseHeaders"));
        config::External {
            cluster,
            protocol,
            path: path.filter(|_| protocol == config::ExternalProtocol::Http),
            timeout_ms: self.timeout_ms(&at.field("timeout"), timeout, TIMEOUT),
            on_failure: self.on_failure(&at.field("onFailure"), on_failure),
            request_headers: self.each((&sent, most::HEADERS), request_headers, |this, at, name| {
                this.header(&[Use::Set], at, name)
            }),
            response_headers: self.each((&taken, most::HEADERS), response_headers, |this, at, name| {
                this.header(&[Use::Set, Use::Remove], at, name)
            }),
        }
    }

    /// `/` is as good as none.
    fn external_path(&mut self, at: &FieldPath<'_>, given: &str) -> Option<String> {
        if given.is_empty() {
            return None;
        }
        let path = path::normalise(given).ok();
        let path = path.filter(|path| path.is_ascii() && is_outgoing(path));
        let path = path.ok_or_else(|| PolicyFault::Path(given.to_owned()));
        Some(self.or_refuse(at, path).into_owned()).filter(|path| path != "/")
    }

    fn ip(&mut self, at: &FieldPath<'_>, written::Ip { allow, deny }: &written::Ip) -> config::Ip {
        let cidr = |this: &mut Self, at: &FieldPath<'_>, given: &String| this.or_refuse(at, cidr(given));
        config::Ip {
            allow: self.each((&at.field("allow"), most::CIDRS), allow, cidr),
            deny: self.each((&at.field("deny"), most::CIDRS), deny, cidr),
        }
    }
}
