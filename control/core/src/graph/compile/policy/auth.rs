//! Checks that requests have to pass.

use super::Resolver;
use crate::{
    graph::{
        compile::Refused,
        fault::{At, PolicyFault},
    },
    ingressroute::policy::{self as written, Ways, most},
    path,
};
use ipnet::IpNet;
use std::{net::IpAddr, time::Duration};
use switchyard_policy::{config::policy as config, header::Use, path::is_outgoing};

const TIMEOUT: Duration = Duration::from_millis(200);
const REALM: &str = "Restricted";

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn auth(
        &mut self,
        at: &At<'_>,
        auth: &[written::Auth],
    ) -> Result<Vec<config::Requirement>, Refused> {
        self.each((at, most::AUTH), auth, Self::requirement)
    }

    fn requirement(&mut self, at: &At<'_>, auth: &written::Auth) -> Result<config::Requirement, Refused> {
        let names = "anyOf, basic, apiKey, jwt, external and ip";
        if auth.any_of.is_empty() {
            let check = self.check(at, auth.ways(), names)?;
            return Ok(config::Requirement { any_of: vec![check] });
        }
        if auth.ways().count() > 0 {
            return Err(self.refuse(at, PolicyFault::ExactlyOne(names)));
        }
        let at = at.field("anyOf");
        let any_of = self.each((&at, most::ANY_OF), &auth.any_of, |this, at, check| {
            this.check(at, check.ways(), "basic, apiKey, jwt, external and ip")
        });
        Ok(config::Requirement { any_of: any_of? })
    }

    fn check(&mut self, at: &At<'_>, ways: Ways<'_>, names: &'static str) -> Result<config::Check, Refused> {
        if ways.count() != 1 {
            return Err(self.refuse(at, PolicyFault::ExactlyOne(names)));
        }
        let Ways {
            basic,
            api_key,
            jwt,
            external,
            ip,
        } = ways;
        if let Some(basic) = basic {
            return self.basic(&at.field("basic"), basic).map(config::Check::Basic);
        }
        if let Some(api_key) = api_key {
            return self
                .api_key(&at.field("apiKey"), api_key)
                .map(config::Check::ApiKey);
        }
        if let Some(jwt) = jwt {
            return self.jwt(&at.field("jwt"), jwt).map(config::Check::Jwt);
        }
        if let Some(external) = external {
            return self
                .external(&at.field("external"), external)
                .map(config::Check::External);
        }
        let ip = ip.cloned().unwrap_or_default();
        self.ip(&at.field("ip"), &ip).map(config::Check::Ip)
    }

    fn basic(&mut self, at: &At<'_>, basic: &written::Basic) -> Result<config::Basic, Refused> {
        let written::Basic { secret_name, realm } = basic;
        let users = self.users(&at.field("secretName"), secret_name);
        let realm = if realm.is_empty() { REALM } else { realm };
        let realm = self.realm(&at.field("realm"), realm);
        Ok(config::Basic {
            realm: realm?,
            users: users?,
        })
    }

    /// It stands in quotes, in a header.
    fn realm(&mut self, at: &At<'_>, realm: &str) -> Result<String, Refused> {
        let is_plain = |c: u8| (c.is_ascii_graphic() || c == b' ') && !b"\"\\".contains(&c);
        if !realm.bytes().all(is_plain) {
            return Err(self.refuse(at, PolicyFault::Realm(realm.to_owned())));
        }
        Ok(realm.to_owned())
    }

    fn api_key(&mut self, at: &At<'_>, api_key: &written::ApiKey) -> Result<config::ApiKey, Refused> {
        let written::ApiKey {
            secret_name,
            header,
            query,
        } = api_key;
        let keys = self.api_keys(&at.field("secretName"), secret_name);
        let given = Some(header).filter(|header| !header.is_empty());
        let header = self.option(&at.field("header"), given, |this, at, name| {
            this.header(&[Use::Remove, Use::Trust], at, name)
        });
        let given = Some(query).filter(|query| !query.is_empty());
        let query = self.option(&at.field("query"), given, |this, at, name| this.text(at, name));
        Ok(config::ApiKey {
            header: header?,
            query: query?,
            keys: keys?,
        })
    }

    fn external(&mut self, at: &At<'_>, external: &written::External) -> Result<config::External, Refused> {
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
        let cluster = match &protocol {
            Ok(config::ExternalProtocol::Grpc) => self.grpc_service(&at.field("service"), service),
            _ => self.http_service(&at.field("service"), service),
        };
        let path = self.external_path(&at.field("path"), path);
        let timeout_ms = self.timeout_ms(&at.field("timeout"), timeout, TIMEOUT);
        let on_failure = self.on_failure(&at.field("onFailure"), on_failure);
        let request_headers = self.each(
            (&at.field("requestHeaders"), most::HEADERS),
            request_headers,
            |this, at, name| this.header(&[Use::Set], at, name),
        );
        let response_headers = self.each(
            (&at.field("responseHeaders"), most::HEADERS),
            response_headers,
            |this, at, name| this.header(&[Use::Set, Use::Remove], at, name),
        );
        let protocol = protocol?;
        Ok(config::External {
            cluster: cluster?,
            protocol,
            path: path?.filter(|_| protocol == config::ExternalProtocol::Http),
            timeout_ms: timeout_ms?,
            on_failure: on_failure?,
            request_headers: request_headers?,
            response_headers: response_headers?,
        })
    }

    /// `/` is as good as none.
    fn external_path(&mut self, at: &At<'_>, given: &str) -> Result<Option<String>, Refused> {
        if given.is_empty() {
            return Ok(None);
        }
        match path::normalise(given)
            .ok()
            .filter(|path| path.is_ascii() && is_outgoing(path))
        {
            Some(path) => Ok(Some(path.into_owned()).filter(|path| path != "/")),
            None => Err(self.refuse(at, PolicyFault::Path(given.to_owned()))),
        }
    }

    fn ip(&mut self, at: &At<'_>, ip: &written::Ip) -> Result<config::Ip, Refused> {
        let written::Ip { allow, deny } = ip;
        let allow = self.each((&at.field("allow"), most::CIDRS), allow, |this, at, cidr| {
            this.cidr(at, cidr)
        });
        let deny = self.each((&at.field("deny"), most::CIDRS), deny, |this, at, cidr| {
            this.cidr(at, cidr)
        });
        Ok(config::Ip {
            allow: allow?,
            deny: deny?,
        })
    }

    /// In CIDR notation.
    fn cidr(&mut self, at: &At<'_>, given: &str) -> Result<String, Refused> {
        let address = given.parse::<IpAddr>().map(IpNet::from).ok();
        let Some(network) = address.or_else(|| given.parse::<IpNet>().ok()) else {
            return Err(self.refuse(at, PolicyFault::Cidr(given.to_owned())));
        };
        if matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            return Err(self.refuse(at, PolicyFault::CidrMapped(given.to_owned())));
        }
        if network != network.trunc() {
            let (given, meant) = (given.to_owned(), network.trunc().to_string());
            return Err(self.refuse(at, PolicyFault::CidrBits { given, meant }));
        }
        Ok(network.to_string())
    }
}
