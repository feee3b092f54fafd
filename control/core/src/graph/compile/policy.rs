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
    graph::fault::{Fault, FieldPath, Place, PolicyFault, Problem, RouteField, Site},
    ingressroute::{
        self, RetryPolicy, TimeoutPolicy,
        policy::{self as written, most},
    },
    path,
    table::{Policy, Retry, Template, Timeout},
};
use std::{sync::Arc, time::Duration};
use switchyard_policy::{
    config::{
        policy as config,
        value::{IPV4_PREFIX_LENGTH, IPV6_PREFIX_LENGTH, ValueError, check_some, check_token},
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
    /// The first reason not to serve it. What is refused has a stand-in, so that all that is wrong is reported.
    refused: Option<Refused>,
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
            refused: None,
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
            refused: None,
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
        let top = FieldPath::ROOT;
        let headers = self.option(&top.field("headers"), asked.headers, Self::headers);
        let (timeout, retry) = self.timeouts(asked.timeout_policy, asked.retry_policy);
        let policy = Policy {
            source,
            cors: self.option(&top.field("cors"), asked.cors, Self::cors),
            auth: self.each((&top.field("auth"), most::AUTH), asked.auth, Self::requirement),
            rate_limits: self.each(
                (&top.field("rateLimits"), most::RATE_LIMITS),
                asked.rate_limits,
                Self::rate_limit,
            ),
            concurrency: self.option(&top.field("concurrency"), asked.concurrency, Self::concurrency),
            mirror: self.each((&top.field("mirror"), most::MIRRORS), asked.mirror, Self::mirror),
            headers: headers.filter(|headers| *headers != config::Headers::default()),
            timeout_ms: timeout.map(to_timeout_ms),
            retry: retry.map(to_retry),
        };
        self.check_by_filter(&policy, asked.auth);
        self.unless_refused(Level {
            policy: (!asks_nothing(&policy)).then(|| Arc::new(policy)),
            timeout,
            retry,
        })
    }

    /// Makes the policy ready for requests, as the filter does, unless there are stand-ins in it. So nothing is valid here
    /// and refused there.
    fn check_by_filter(&mut self, policy: &Policy, auth: &[written::Auth]) {
        if self.refused.is_some() {
            return;
        }
        if let Err(error) = policy.check() {
            let fault = PolicyFault::Filter(error.problem);
            self.refused = Some(self.report(source::of(&error.path, auth), fault));
        }
    }

    /// A value that has no stand-ins in it.
    pub(super) fn unless_refused<T>(self, value: T) -> Result<T, Refused> {
        self.refused.map_or(Ok(value), Err)
    }

    pub(super) fn refuse(&mut self, at: &FieldPath<'_>, fault: impl Into<PolicyFault>) {
        let refused = self.report(at.text(), fault.into());
        self.refused.get_or_insert(refused);
    }

    fn report(&mut self, path: String, fault: PolicyFault) -> Refused {
        let (place, fault) = self.problem(path, fault);
        self.compiler.refuse(place, fault)
    }

    fn warn(&mut self, at: &FieldPath<'_>, fault: PolicyFault) {
        let (place, fault) = self.problem(at.text(), fault);
        self.compiler.out.warnings.insert(Problem { place, fault });
    }

    fn problem(&self, path: String, fault: PolicyFault) -> (Place, Fault) {
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
        at: &FieldPath<'_>,
        given: Option<&T>,
        resolve: impl FnOnce(&mut Self, &FieldPath<'_>, &T) -> U,
    ) -> Option<U> {
        given.map(|given| resolve(self, at, given))
    }

    /// Every entry of a list.
    fn each<T, U>(
        &mut self,
        (at, most): (&FieldPath<'_>, u32),
        given: &[T],
        mut resolve: impl FnMut(&mut Self, &FieldPath<'_>, &T) -> U,
    ) -> Vec<U> {
        if given.len() > most as usize {
            self.refuse(at, PolicyFault::TooMany(most));
            return Vec::new();
        }
        let given = given.iter().enumerate();
        given
            .map(|(index, given)| resolve(self, &at.item(index), given))
            .collect()
    }

    /// [`each`](Self::each) of a list that has to have something in it.
    fn some<T, U>(
        &mut self,
        (at, most): (&FieldPath<'_>, u32),
        given: &[T],
        resolve: impl FnMut(&mut Self, &FieldPath<'_>, &T) -> U,
    ) -> Vec<U> {
        self.or_refuse(at, check_some(given));
        self.each((at, most), given, resolve)
    }

    fn when(&mut self, at: &FieldPath<'_>, when: &written::When) -> config::When {
        let written::When {
            methods,
            prefix,
            headers,
        } = when;
        config::When {
            methods: self.each(
                (&at.field("methods"), most::METHODS),
                methods,
                |this, at, method| this.method(at, method),
            ),
            prefix: self.prefix(&at.field("prefix"), prefix),
            headers: self.each((&at.field("headers"), most::HEADERS), headers, Self::header_match),
        }
    }

    /// One that no request of the level has is a mistake: what it is for would never be done.
    fn prefix(&mut self, at: &FieldPath<'_>, given: &str) -> Option<String> {
        if given.is_empty() {
            return None;
        }
        let (bound, given) = (self.bound.clone(), given.to_owned());
        let prefix = match path::normalise(&given) {
            Ok(prefix) if path::contains(&bound, &prefix) || path::contains(&prefix, &bound) => {
                Ok(prefix.into_owned())
            }
            Ok(_) => Err(PolicyFault::PrefixOutside { prefix: given, bound }),
            Err(error) => Err(PolicyFault::Prefix { given, error }),
        };
        Some(self.or_refuse(at, prefix))
    }

    fn header_match(
        &mut self,
        at: &FieldPath<'_>,
        written::HeaderMatch { name, value }: &written::HeaderMatch,
    ) -> config::HeaderMatch {
        config::HeaderMatch {
            name: self.header(&[Use::Read], &at.field("name"), name),
            value: self.option(&at.field("value"), value.as_ref(), |this, at, value| {
                this.header_value(at, value)
            }),
        }
    }

    fn key(&mut self, at: &FieldPath<'_>, key: &[written::KeyPart]) -> Vec<config::KeyPart> {
        self.each((at, most::KEY_PARTS), key, Self::key_part)
    }

    fn prefix_lengths(&mut self, at: &FieldPath<'_>, client_ip: &written::ClientIp) -> config::PrefixLengths {
        let written::ClientIp {
            ipv4_prefix_length,
            ipv6_prefix_length,
        } = *client_ip;
        let default = config::PrefixLengths::default();
        let ipv4 = ipv4_prefix_length.unwrap_or(default.ipv4.into());
        let ipv6 = ipv6_prefix_length.unwrap_or(default.ipv6.into());
        config::PrefixLengths {
            ipv4: self.number(&at.field("ipv4PrefixLength"), ipv4, IPV4_PREFIX_LENGTH),
            ipv6: self.number(&at.field("ipv6PrefixLength"), ipv6, IPV6_PREFIX_LENGTH),
        }
    }

    fn key_part(&mut self, at: &FieldPath<'_>, part: &written::KeyPart) -> config::KeyPart {
        let written::KeyPart {
            client_ip,
            header,
            cookie,
            claim,
            path,
            method,
        } = part;
        let lengths = self.option(&at.field("clientIP"), client_ip.as_ref(), Self::prefix_lengths);
        let header = self.option(&at.field("header"), header.as_ref(), |this, at, name| {
            this.header(&[Use::Read], at, name)
        });
        let cookie = self.option(&at.field("cookie"), cookie.as_ref(), |this, at, name| {
            this.checked(at, name, |name| check_token(name, ValueError::Cookie))
        });
        let claim = self.option(&at.field("claim"), claim.as_ref(), |this, at, name| {
            this.text(at, name)
        });
        let parts = [
            lengths.map(config::KeyPart::of_client),
            path.map(|_| config::KeyPart::Path),
            method.map(|_| config::KeyPart::Method),
            header.map(config::KeyPart::Header),
            cookie.map(config::KeyPart::Cookie),
            claim.map(config::KeyPart::Claim),
        ];
        let mut parts = parts.into_iter().flatten();
        match (parts.next(), parts.next()) {
            (Some(part), None) => part,
            _ => {
                let names = "clientIP, header, cookie, claim, path and method";
                self.refuse(at, PolicyFault::ExactlyOne(names));
                config::KeyPart::Path
            }
        }
    }
}
