//! What a level asks of requests, with all that it names resolved.
//!
//! Whatever is wrong is reported, and refuses the whole level: a request is never served without what was asked for it.

mod auth;
mod check;
mod edits;
mod jwt;
mod limits;
mod secrets;
mod services;
mod source;

use super::{Compiler, Refused};
use crate::{
    graph::fault::{At, Fault, Path, Place, PolicyFault, Problem, RouteField, Site},
    ingressroute::{self, RetryPolicy, TimeoutPolicy, policy as written},
    path,
    table::{Policy, Retry, Template, Timeout},
};
use std::{sync::Arc, time::Duration};
use switchyard_policy::{
    config::{
        policy as config,
        value::{IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH, check_cookie, check_some},
    },
    header::Use,
};

/// What a level has below it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Level {
    /// None: it asks nothing.
    pub(crate) policy: Option<Arc<Policy>>,
    /// For leaves below that say none themselves.
    pub(crate) timeout: Option<Timeout>,
    /// For leaves below that say none themselves.
    pub(crate) retry: Option<Retry>,
}

/// What a level asks, as its owner wrote it.
#[derive(Default)]
struct Asked<'a> {
    rate_limits: &'a [written::RateLimit],
    concurrency: Option<&'a written::Concurrency>,
    auth: &'a [written::Auth],
    mirror: &'a [written::Mirror],
    headers: Option<&'a written::Headers>,
    cors: Option<&'a written::Cors>,
    timeout_policy: Option<&'a TimeoutPolicy>,
    retry_policy: Option<&'a RetryPolicy>,
}

/// A level, being resolved.
pub(super) struct Resolver<'r, 'c> {
    compiler: &'r mut Compiler<'c>,
    site: Site,
    /// Its place in `spec.routes`. None: it is the virtualhost.
    route: Option<usize>,
    /// What all its paths begin with.
    bound: &'r Arc<str>,
}

/// Rounded up, for 0 would be no limit.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    let up = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(up).unwrap_or(u64::MAX)
}

fn to_timeout_ms(timeout: Timeout) -> u64 {
    match timeout {
        Timeout::Infinite => 0,
        Timeout::After(duration) => milliseconds(duration),
    }
}

fn to_retry(retry: Retry) -> config::Retry {
    let Retry {
        count,
        per_try_timeout,
    } = retry;
    config::Retry {
        count,
        per_try_timeout_ms: per_try_timeout.map(milliseconds),
    }
}

/// Whether there is nothing to meet.
fn asks_nothing(policy: &Policy) -> bool {
    !policy.needs_filter() && policy.timeout_ms.is_none() && policy.retry.is_none()
}

// === impl Level ===

impl Level {
    /// How many copies of a request it makes at most.
    pub(crate) fn mirrors(&self) -> usize {
        self.policy.as_ref().map_or(0, |policy| policy.mirror.len())
    }

    /// Whether there is more in it than what the proxy's own route says of a plain route.
    pub(crate) fn needs_filter(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.needs_filter())
    }

    /// The template of a leaf, with what this level says where that says nothing.
    pub(crate) fn completed(&self, template: &Template) -> Template {
        let Template {
            timeout,
            retry,
            websockets,
            session_affinity,
        } = *template;
        Template {
            timeout: timeout.or(self.timeout),
            retry: retry.or(self.retry),
            websockets,
            session_affinity,
        }
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn of_virtualhost(virtualhost: &'a ingressroute::VirtualHost) -> Self {
        let ingressroute::VirtualHost {
            fqdn: _,
            tls: _,
            rate_limits,
            concurrency,
            auth,
            mirror,
            headers,
            cors,
            timeout_policy,
            retry_policy,
        } = virtualhost;
        Self {
            rate_limits,
            concurrency: concurrency.as_ref(),
            auth,
            mirror,
            headers: headers.as_ref(),
            cors: cors.as_ref(),
            timeout_policy: timeout_policy.as_ref(),
            retry_policy: retry_policy.as_ref(),
        }
    }

    /// A route with services keeps its timeout and its retries to itself.
    fn of_route(route: &'a ingressroute::Route) -> Self {
        let ingressroute::Route {
            match_: _,
            services: _,
            delegate,
            enable_websockets: _,
            permit_insecure: _,
            prefix_rewrite: _,
            timeout_policy,
            retry_policy,
            rate_limits,
            concurrency,
            auth,
            mirror,
            headers,
            cors,
        } = route;
        let delegates = delegate.is_some();
        Self {
            rate_limits,
            concurrency: concurrency.as_ref(),
            auth,
            mirror,
            headers: headers.as_ref(),
            cors: cors.as_ref(),
            timeout_policy: timeout_policy.as_ref().filter(|_| delegates),
            retry_policy: retry_policy.as_ref().filter(|_| delegates),
        }
    }

    /// Whether it keeps anybody out.
    fn protects(&self) -> bool {
        !self.auth.is_empty() || !self.rate_limits.is_empty() || self.concurrency.is_some()
    }
}

// === impl Compiler ===

impl<'c> Compiler<'c> {
    pub(super) fn virtualhost_level(
        &mut self,
        virtualhost: &ingressroute::VirtualHost,
    ) -> Result<Level, Refused> {
        let source = format!("{} virtualhost", self.name);
        let resolver = Resolver {
            compiler: self,
            site: Site::VirtualHost,
            route: None,
            bound: &"/".into(),
        };
        resolver.level(source, &Asked::of_virtualhost(virtualhost))
    }

    pub(super) fn route_level(
        &mut self,
        index: usize,
        prefix: &Arc<str>,
        route: &ingressroute::Route,
    ) -> Result<Level, Refused> {
        let source = format!("{} route {prefix}", self.name);
        let resolver = self.route_resolver(index, prefix, route);
        resolver.level(source, &Asked::of_route(route))
    }

    pub(super) fn route_resolver<'r>(
        &'r mut self,
        index: usize,
        bound: &'r Arc<str>,
        route: &ingressroute::Route,
    ) -> Resolver<'r, 'c> {
        Resolver {
            compiler: self,
            site: Site::Route(route.match_.clone()),
            route: Some(index),
            bound,
        }
    }

    /// What keeps requests out would not keep connections out.
    pub(super) fn check_tcp_policies(
        &mut self,
        virtualhost: &ingressroute::VirtualHost,
    ) -> Result<(), Refused> {
        if Asked::of_virtualhost(virtualhost).protects() {
            return Err(self.refuse_tcp(RouteField::Whole, Fault::TcpPolicies));
        }
        Ok(())
    }
}

// === impl Resolver ===

impl Resolver<'_, '_> {
    fn level(mut self, source: String, asked: &Asked<'_>) -> Result<Level, Refused> {
        let rate_limits = self.rate_limits(&At::top("rateLimits"), asked.rate_limits);
        let concurrency = self.option(&At::top("concurrency"), asked.concurrency, Self::concurrency);
        let auth = self.auth(&At::top("auth"), asked.auth);
        let mirror = self.mirrors(&At::top("mirror"), asked.mirror);
        let headers = self.option(&At::top("headers"), asked.headers, Self::headers);
        let cors = self.option(&At::top("cors"), asked.cors, Self::cors);
        let timeouts = self.timeouts(asked.timeout_policy, asked.retry_policy);
        let (timeout, retry) = timeouts?;
        let policy = Policy {
            source,
            cors: cors?,
            auth: auth?,
            rate_limits: rate_limits?,
            concurrency: concurrency?,
            mirror: mirror?,
            headers: headers?.flatten(),
            timeout_ms: timeout.map(to_timeout_ms),
            retry: retry.map(to_retry),
        };
        self.check_by_filter(&policy, asked.auth)?;
        Ok(Level {
            policy: (!asks_nothing(&policy)).then(|| Arc::new(policy)),
            timeout,
            retry,
        })
    }

    /// Makes the policy ready for requests, as the filter does. So nothing is valid here and refused there.
    fn check_by_filter(&mut self, policy: &Policy, auth: &[written::Auth]) -> Result<(), Refused> {
        policy.check().map_err(|error| {
            let fault = PolicyFault::Filter(error.problem().to_owned());
            let (place, fault) = self.problem(source::of(error.path(), auth), fault);
            self.compiler.refuse(place, fault)
        })
    }

    pub(super) fn refuse(&mut self, at: &At<'_>, fault: impl Into<PolicyFault>) -> Refused {
        let (place, fault) = self.problem(at.path(), fault.into());
        self.compiler.refuse(place, fault)
    }

    fn warn(&mut self, at: &At<'_>, fault: PolicyFault) {
        let (place, fault) = self.problem(at.path(), fault);
        self.compiler.out.warnings.insert(Problem { place, fault });
    }

    fn problem(&self, path: Path, fault: PolicyFault) -> (Place, Fault) {
        let place = match self.route {
            None => Place::VirtualHost(path.clone()),
            Some(index) => Place::Route(index, RouteField::Policy(path.clone())),
        };
        let fault = Fault::Policy {
            site: self.site.clone(),
            path,
            fault: Box::new(fault),
        };
        (place, fault)
    }

    pub(super) fn option<T, U>(
        &mut self,
        at: &At<'_>,
        given: Option<&T>,
        resolve: impl FnOnce(&mut Self, &At<'_>, &T) -> Result<U, Refused>,
    ) -> Result<Option<U>, Refused> {
        given.map(|given| resolve(self, at, given)).transpose()
    }

    /// Every entry of a list; what is wrong with each is reported.
    fn each<T, U>(
        &mut self,
        (at, most): (&At<'_>, u32),
        given: &[T],
        mut resolve: impl FnMut(&mut Self, &At<'_>, &T) -> Result<U, Refused>,
    ) -> Result<Vec<U>, Refused> {
        if given.len() > most as usize {
            return Err(self.refuse(at, PolicyFault::TooMany(most)));
        }
        let resolved: Vec<_> = given
            .iter()
            .enumerate()
            .map(|(index, given)| resolve(self, &at.index(index), given))
            .collect();
        resolved.into_iter().collect()
    }

    /// [`each`](Self::each) of a list that has to have something in it.
    fn some<T, U>(
        &mut self,
        (at, most): (&At<'_>, u32),
        given: &[T],
        resolve: impl FnMut(&mut Self, &At<'_>, &T) -> Result<U, Refused>,
    ) -> Result<Vec<U>, Refused> {
        check_some(given).map_err(|error| self.refuse(at, error))?;
        self.each((at, most), given, resolve)
    }

    fn when(&mut self, at: &At<'_>, when: &written::When) -> Result<config::When, Refused> {
        let written::When {
            methods,
            prefix,
            headers,
        } = when;
        let most = written::most::METHODS;
        let methods = self.each((&at.field("methods"), most), methods, |this, at, method| {
            this.method(at, method)
        });
        let prefix = self.prefix(&at.field("prefix"), prefix);
        let most = written::most::HEADERS;
        let headers = self.each((&at.field("headers"), most), headers, Self::header_match);
        Ok(config::When {
            methods: methods?,
            prefix: prefix?,
            headers: headers?,
        })
    }

    /// One that no request of the level has is a mistake: what it is for would never be done.
    fn prefix(&mut self, at: &At<'_>, given: &str) -> Result<Option<String>, Refused> {
        if given.is_empty() {
            return Ok(None);
        }
        let prefix = path::normalise(given).map_err(|error| {
            let given = given.to_owned();
            self.refuse(at, PolicyFault::Prefix { given, error })
        })?;
        if !path::contains(self.bound, &prefix) && !path::contains(&prefix, self.bound) {
            let (prefix, bound) = (given.to_owned(), self.bound.clone());
            return Err(self.refuse(at, PolicyFault::PrefixOutside { prefix, bound }));
        }
        Ok(Some(prefix.into_owned()))
    }

    fn header_match(
        &mut self,
        at: &At<'_>,
        given: &written::HeaderMatch,
    ) -> Result<config::HeaderMatch, Refused> {
        let written::HeaderMatch { name, value } = given;
        let name = self.header(&[Use::Read], &at.field("name"), name);
        let value = self.option(&at.field("value"), value.as_ref(), |this, at, value| {
            this.header_value(at, value)
        });
        Ok(config::HeaderMatch {
            name: name?,
            value: value?,
        })
    }

    fn key(&mut self, at: &At<'_>, key: &[written::KeyPart]) -> Result<Vec<config::KeyPart>, Refused> {
        self.each((at, written::most::KEY_PARTS), key, Self::key_part)
    }

    fn prefix_lengths(
        &mut self,
        at: &At<'_>,
        client_ip: written::ClientIp,
    ) -> Result<config::PrefixLengths, Refused> {
        let written::ClientIp {
            ipv4_prefix_length,
            ipv6_prefix_length,
        } = client_ip;
        let default = config::PrefixLengths::default();
        let ipv4 = ipv4_prefix_length.unwrap_or(default.ipv4.into());
        let ipv6 = ipv6_prefix_length.unwrap_or(default.ipv6.into());
        let ipv4 = self.number(&at.field("ipv4PrefixLength"), ipv4, IPV4_PREFIX_LENGTH);
        let ipv6 = self.number(&at.field("ipv6PrefixLength"), ipv6, IPV6_PREFIX_LENGTH);
        Ok(config::PrefixLengths {
            ipv4: ipv4?,
            ipv6: ipv6?,
        })
    }

    fn key_part(&mut self, at: &At<'_>, part: &written::KeyPart) -> Result<config::KeyPart, Refused> {
        let written::KeyPart {
            client_ip,
            header,
            cookie,
            claim,
            path,
            method,
        } = part;
        let fixed = |given: bool, part: config::KeyPart| given.then_some(Ok(part));
        let parts = [
            client_ip.as_ref().map(|client_ip| {
                let lengths = self.prefix_lengths(&at.field("clientIP"), *client_ip)?;
                Ok(config::KeyPart::of_client(lengths))
            }),
            fixed(path.is_some(), config::KeyPart::Path),
            fixed(method.is_some(), config::KeyPart::Method),
            header.as_ref().map(|name| {
                let name = self.header(&[Use::Read], &at.field("header"), name)?;
                Ok(config::KeyPart::Header(name))
            }),
            cookie.as_ref().map(|name| {
                let name = self.checked(&at.field("cookie"), name, check_cookie)?;
                Ok(config::KeyPart::Cookie(name))
            }),
            claim.as_ref().map(|name| {
                let name = self.text(&at.field("claim"), name)?;
                Ok(config::KeyPart::Claim(name))
            }),
        ];
        let mut parts = parts.into_iter().flatten();
        match (parts.next(), parts.next()) {
            (Some(part), None) => part,
            _ => {
                let names = "clientIP, header, cookie, claim, path and method";
                Err(self.refuse(at, PolicyFault::ExactlyOne(names)))
            }
        }
    }
}
