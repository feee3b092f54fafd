//! What is done to requests: copies, changes of headers, CORS.

use super::Resolver;
use crate::{
    graph::{
        compile::host_name,
        fault::{FieldPath, PolicyFault},
    },
    ingressroute::policy::{self as written, most},
};
use switchyard_policy::{
    config::{policy as config, value::PERCENT},
    header::Use,
};

/// How many seconds browsers remember a preflight if nothing is said (Fetch, 4.9).
const MAX_AGE: i64 = 5;

/// As browsers send it: in lower case, without a path, and without the port that the scheme has anyway.
fn origin(given: &str) -> Option<String> {
    if given == "*" {
        return Some(given.to_owned());
    }
    let lower = given.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?)),
        None => (authority, None),
    };
    host_name(host.strip_prefix("*.").unwrap_or(host)).ok()?;
    Some(match port.filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    pub(super) fn mirror(&mut self, at: &FieldPath<'_>, mirror: &written::Mirror) -> config::Mirror {
        let written::Mirror {
            service,
            port,
            percent,
            match_,
        } = mirror;
        let (at_service, at_port) = (at.field("service"), at.field("port"));
        config::Mirror {
            cluster: self.service((&at_service, service), (&at_port, *port), |protocol| protocol),
            percent: self.number(&at.field("percent"), percent.unwrap_or(100), PERCENT),
            when: self.option(&at.field("match"), match_.as_ref(), Self::when),
        }
    }

    pub(super) fn headers(
        &mut self,
        at: &FieldPath<'_>,
        written::Headers { request, response }: &written::Headers,
    ) -> config::Headers {
        let request = self.option(&at.field("request"), request.as_ref(), Self::edits);
        let response = self.option(&at.field("response"), response.as_ref(), Self::edits);
        config::Headers {
            request: request.unwrap_or_default(),
            response: response.unwrap_or_default(),
        }
    }

    fn edits(
        &mut self,
        at: &FieldPath<'_>,
        written::HeaderEdits { set, add, remove }: &written::HeaderEdits,
    ) -> config::HeaderEdits {
        let header = |this: &mut Self, at: &FieldPath<'_>, header: &written::Header| {
            let written::Header { name, value } = header;
            config::Header {
                name: this.header(&[Use::Set], &at.field("name"), name),
                value: this.header_value(&at.field("value"), value),
            }
        };
        config::HeaderEdits {
            set: self.each((&at.field("set"), most::HEADERS), set, header),
            add: self.each((&at.field("add"), most::HEADERS), add, header),
            remove: self.each((&at.field("remove"), most::HEADERS), remove, |this, at, name| {
                this.header(&[Use::Remove], at, name)
            }),
        }
    }

    pub(super) fn cors(&mut self, at: &FieldPath<'_>, cors: &written::Cors) -> config::Cors {
        let written::Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age_seconds,
            allow_credentials,
        } = cors;
        let origin = |this: &mut Self, at: &FieldPath<'_>, given: &String| {
            let origin = origin(given).ok_or_else(|| PolicyFault::Origin(given.clone()));
            this.or_refuse(at, origin)
        };
        let method = |this: &mut Self, at: &FieldPath<'_>, given: &String| this.method(at, given);
        let header = |this: &mut Self, at: &FieldPath<'_>, given: &String| this.header(&[], at, given);
        let (max_age, exposed) = (max_age_seconds.unwrap_or(MAX_AGE), at.field("exposeHeaders"));
        config::Cors {
            allow_origins: self.some((&at.field("allowOrigins"), most::ORIGINS), allow_origins, origin),
            allow_methods: self.each((&at.field("allowMethods"), most::METHODS), allow_methods, method),
            allow_headers: self.each((&at.field("allowHeaders"), most::HEADERS), allow_headers, header),
            expose_headers: self.each((&exposed, most::HEADERS), expose_headers, header),
            max_age_seconds: Some(self.number(&at.field("maxAgeSeconds"), max_age, (0, 86400))),
            allow_credentials: *allow_credentials,
        }
    }
}
