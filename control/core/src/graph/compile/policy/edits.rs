//! What is done to requests: copies, changes of headers, CORS.

use super::Resolver;
use crate::{
    graph::{
        compile::{Refused, host_name},
        fault::{At, PolicyFault},
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
    pub(super) fn mirrors(
        &mut self,
        at: &At<'_>,
        mirrors: &[written::Mirror],
    ) -> Result<Vec<config::Mirror>, Refused> {
        self.each((at, most::MIRRORS), mirrors, Self::mirror)
    }

    fn mirror(&mut self, at: &At<'_>, mirror: &written::Mirror) -> Result<config::Mirror, Refused> {
        let written::Mirror {
            service,
            port,
            percent,
            match_,
        } = mirror;
        let cluster = self.service(
            (&at.field("service"), service),
            (&at.field("port"), *port),
            |protocol| protocol,
        );
        let percent = self.number(&at.field("percent"), percent.unwrap_or(100), PERCENT);
        let when = self.option(&at.field("match"), match_.as_ref(), Self::when);
        Ok(config::Mirror {
            cluster: cluster?,
            percent: percent?,
            when: when?,
        })
    }

    /// None: there are none.
    pub(super) fn headers(
        &mut self,
        at: &At<'_>,
        headers: &written::Headers,
    ) -> Result<Option<config::Headers>, Refused> {
        let written::Headers { request, response } = headers;
        let request = self.option(&at.field("request"), request.as_ref(), Self::edits);
        let response = self.option(&at.field("response"), response.as_ref(), Self::edits);
        let headers = config::Headers {
            request: request?.unwrap_or_default(),
            response: response?.unwrap_or_default(),
        };
        Ok(Some(headers).filter(|headers| *headers != config::Headers::default()))
    }

    fn edits(&mut self, at: &At<'_>, edits: &written::HeaderEdits) -> Result<config::HeaderEdits, Refused> {
        let written::HeaderEdits { set, add, remove } = edits;
        let header = |this: &mut Self, at: &At<'_>, header: &written::Header| {
            let written::Header { name, value } = header;
            let name = this.header(&[Use::Set], &at.field("name"), name);
            let value = this.header_value(&at.field("value"), value);
            Ok(config::Header {
                name: name?,
                value: value?,
            })
        };
        let set = self.each((&at.field("set"), most::HEADERS), set, header);
        let add = self.each((&at.field("add"), most::HEADERS), add, header);
        let remove = self.each((&at.field("remove"), most::HEADERS), remove, |this, at, name| {
            this.header(&[Use::Remove], at, name)
        });
        Ok(config::HeaderEdits {
            set: set?,
            add: add?,
            remove: remove?,
        })
    }

    pub(super) fn cors(&mut self, at: &At<'_>, cors: &written::Cors) -> Result<config::Cors, Refused> {
        let written::Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age_seconds,
            allow_credentials,
        } = cors;
        let origins = self.some(
            (&at.field("allowOrigins"), most::ORIGINS),
            allow_origins,
            |this, at, given| {
                origin(given).ok_or_else(|| this.refuse(at, PolicyFault::Origin(given.clone())))
            },
        );
        let methods = self.each(
            (&at.field("allowMethods"), most::METHODS),
            allow_methods,
            |this, at, given| this.method(at, given),
        );
        let header = |this: &mut Self, at: &At<'_>, given: &String| this.header(&[], at, given);
        let headers = self.each((&at.field("allowHeaders"), most::HEADERS), allow_headers, header);
        let exposed = self.each(
            (&at.field("exposeHeaders"), most::HEADERS),
            expose_headers,
            header,
        );
        let max_age = max_age_seconds.unwrap_or(MAX_AGE);
        let max_age = self.number(&at.field("maxAgeSeconds"), max_age, (0, 86400));
        Ok(config::Cors {
            allow_origins: origins?,
            allow_methods: methods?,
            allow_headers: headers?,
            expose_headers: exposed?,
            max_age_seconds: Some(max_age?),
            allow_credentials: *allow_credentials,
        })
    }
}
