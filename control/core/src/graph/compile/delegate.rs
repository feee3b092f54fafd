//! A delegating route, by itself.
//!
//! What is wrong with `standby`, `preview`, `canary` or `sticky` is reported and left out; the active branch goes on
//! being served. Nothing here is an error because of which of the listed branches is active: the edit of the name alone
//! has to be a valid switch.

use super::{Compiler, Delegate, Refused, is_header_value};
use crate::{
    graph::fault::{Fault, Place, RouteField},
    ingressroute,
    object::Name,
    table::{Canary, Preview, Sticky},
};
use std::{collections::BTreeSet, sync::Arc};
use switchyard_policy::{
    config::value::{ValueError, check_header, check_token},
    header::Use,
};

/// A delegating route that is being checked.
struct Site<'a> {
    index: usize,
    match_: &'a str,
    delegate: &'a ingressroute::Delegate,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn delegate(
        &mut self,
        index: usize,
        prefix: &Arc<str>,
        route: &ingressroute::Route,
        delegate: &ingressroute::Delegate,
    ) -> Result<Delegate, Refused> {
        let site = Site {
            index,
            match_: &route.match_,
            delegate,
        };
        let rewrite = self.rewrite(index, route);
        let standby = self.standby(&site);
        let preview = self.preview(&site);
        let canary = self.canary(&site);
        let sticky = self.sticky(&site);
        if delegate.name.is_empty() {
            return Err(self.refuse(
                Place::Route(index, RouteField::DelegateField("name")),
                Fault::DelegateUnnamed(site.match_()),
            ));
        }
        for (name, field) in [(&delegate.name, "name"), (&delegate.namespace, "namespace")] {
            if name.contains(char::is_control) {
                let place = Place::Route(index, RouteField::DelegateField(field));
                return Err(self.refuse(place, Fault::DelegateName(site.match_())));
            }
        }
        Ok(Delegate {
            active: self.target(delegate, &delegate.name),
            standby,
            preview,
            canary,
            sticky,
            mount: rewrite?.unwrap_or_else(|| prefix.clone()),
        })
    }

    pub(super) fn tcp_delegate(&mut self, delegate: &ingressroute::Delegate) -> Result<Name, Refused> {
        let ingressroute::Delegate {
            name,
            namespace: _,
            standby,
            preview,
            canary,
            sticky,
        } = delegate;
        if !standby.is_empty() || preview.is_some() || canary.is_some() || sticky.is_some() {
            self.report(Place::TcpProxy(RouteField::Delegate), Fault::TcpBranches);
        }
        if name.is_empty() {
            return Err(self.refuse_tcp(RouteField::DelegateField("name"), Fault::TcpDelegateUnnamed));
        }
        Ok(self.target(delegate, name))
    }

    fn target(&self, delegate: &ingressroute::Delegate, name: &str) -> Name {
        let namespace = match delegate.namespace.as_str() {
            "" => self.name.namespace.clone(),
            namespace => namespace.into(),
        };
        Name::new(namespace, name)
    }

    fn standby(&mut self, site: &Site<'_>) -> Vec<(usize, Name)> {
        let mut known = BTreeSet::from([site.delegate.name.as_str()]);
        let mut standby = Vec::new();
        for (index, name) in site.delegate.standby.iter().enumerate() {
            let place = Place::Route(site.index, RouteField::Standby(index));
            if name.is_empty() {
                self.report(place, Fault::StandbyUnnamed(site.match_()));
            } else if name.contains(char::is_control) {
                self.report(place, Fault::DelegateName(site.match_()));
            } else if known.insert(name) {
                standby.push((index, self.target(site.delegate, name)));
            }
        }
        standby
    }

    /// The branch that a preview or a canary is for; whether it can be followed is not known here.
    fn branch(&mut self, site: &Site<'_>, field: &'static str, named: &str) -> Option<Name> {
        if !named.is_empty() && !site.delegate.has_branch(named) {
            let (prefix, branch) = (site.match_(), named.to_owned());
            self.report(
                site.place(field),
                Fault::NotABranch {
                    prefix,
                    field,
                    branch,
                },
            );
            return None;
        }
        Some(self.target(site.delegate, site.delegate.branch_of(named)))
    }

    fn preview(&mut self, site: &Site<'_>) -> Option<Preview> {
        let ingressroute::Preview {
            header,
            value,
            branch,
        } = site.delegate.preview.as_ref()?;
        if site.delegate.standby.is_empty() {
            self.report(site.place("preview"), Fault::PreviewWithoutStandby(site.match_()));
            return None;
        }
        if let Err(error) = check_header(header, &[Use::Read]) {
            let (prefix, header) = (site.match_(), header.clone());
            let fault = match error {
                ValueError::HeaderName(_) => Fault::PreviewHeader { prefix, header },
                _ => Fault::PreviewHeaderInternal { prefix, header },
            };
            self.report(site.place("preview.header"), fault);
            return None;
        }
        if !is_header_value(value) {
            self.report(site.place("preview.value"), Fault::PreviewValue(site.match_()));
            return None;
        }
        Some(Preview {
            header: header.to_ascii_lowercase().into(),
            value: value.as_str().into(),
            branch: self.branch(site, "preview.branch", branch)?,
        })
    }

    fn canary(&mut self, site: &Site<'_>) -> Option<Canary> {
        let ingressroute::Canary { percent, branch } = site.delegate.canary.as_ref()?;
        if site.delegate.standby.is_empty() {
            self.report(site.place("canary"), Fault::CanaryWithoutStandby(site.match_()));
            return None;
        }
        let branch = self.branch(site, "canary.branch", branch);
        match u8::try_from(*percent) {
            Ok(percent) if percent <= 100 => Some(Canary {
                percent,
                branch: branch?,
            })
            .filter(|canary| canary.percent > 0),
            _ => {
                self.report(site.place("canary.percent"), Fault::CanaryPercent(site.match_()));
                None
            }
        }
    }

    fn sticky(&mut self, site: &Site<'_>) -> Option<Sticky> {
        let ingressroute::Sticky { cookie, ttl_seconds } = site.delegate.sticky.as_ref()?;
        if check_token(cookie, ValueError::Cookie).is_err() {
            let (prefix, cookie) = (site.match_(), cookie.clone());
            self.report(
                site.place("sticky.cookie"),
                Fault::StickyCookie { prefix, cookie },
            );
            return None;
        }
        let Ok(ttl_seconds) = u64::try_from(ttl_seconds.unwrap_or(0)) else {
            self.report(site.place("sticky.ttlSeconds"), Fault::StickyTtl(site.match_()));
            return None;
        };
        Some(Sticky {
            cookie: cookie.as_str().into(),
            ttl_seconds: Some(ttl_seconds).filter(|ttl| *ttl > 0),
        })
    }
}

// === impl Site ===

impl Site<'_> {
    fn match_(&self) -> String {
        self.match_.to_owned()
    }

    fn place(&self, field: &'static str) -> Place {
        Place::Route(self.index, RouteField::DelegateField(field))
    }
}
