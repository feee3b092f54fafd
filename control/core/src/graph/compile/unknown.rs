//! Fields that there are none of. What has one answers 503: it may be a guard that is misspelt, without which the rest is
//! not what its owner meant to serve.

use super::{Action, Compiler, Level, Refused, Tcp};
use crate::{
    graph::fault::{Fault, Place, Problem, Site},
    ingressroute,
    object::{SpecPart, UnknownField, UnknownFields},
    path,
};
use std::sync::Arc;

// === impl Compiler ===

impl Compiler<'_> {
    /// Takes what has unknown fields out of what is served.
    pub(super) fn unknown(
        &mut self,
        UnknownFields { refused, left_out }: &UnknownFields,
        routes: &[ingressroute::Route],
    ) {
        for field in left_out {
            let (place, fault) = problem(field, routes);
            self.out.warnings.insert(Problem { place, fault });
        }
        for field in refused {
            let (place, fault) = problem(field, routes);
            let Refused(reason) = self.refuse(place, fault);
            match field.part {
                SpecPart::VirtualHost => self.refuse_host(&reason),
                SpecPart::Route(index) => self.refuse_route(index, routes, &reason),
                SpecPart::TcpProxy => self.refuse_connections(),
            }
        }
    }

    fn refuse_host(&mut self, reason: &Arc<str>) {
        if let Some(root) = &mut self.out.root {
            root.level = Err(reason.clone());
        }
        self.refuse_connections();
    }

    fn refuse_connections(&mut self) {
        if let Some(tcp) = &mut self.out.tcp {
            *tcp = Tcp::Unavailable;
        }
    }

    /// Without a match nobody knows which paths the route was to guard, so none is served.
    fn refuse_route(&mut self, index: usize, routes: &[ingressroute::Route], reason: &Arc<str>) {
        let match_ = routes.get(index).map(|route| route.match_.as_str());
        let has_match = match_.is_some_and(|match_| path::normalise(match_).is_ok());
        for route in self.out.routes.values_mut() {
            if !has_match || route.index == index {
                route.action = Action::Unavailable(reason.clone());
                route.level = Level::default();
            }
        }
    }
}

fn problem(field: &UnknownField, routes: &[ingressroute::Route]) -> (Place, Fault) {
    let UnknownField { part, path, message } = field;
    let site = match part {
        SpecPart::VirtualHost => Site::VirtualHost,
        SpecPart::Route(index) => Site::Route(
            routes
                .get(*index)
                .map(|route| route.match_.clone())
                .unwrap_or_default(),
        ),
        SpecPart::TcpProxy => Site::TcpProxy,
    };
    let message = message.clone();
    (Place::Unknown(path.clone()), Fault::Unknown { site, message })
}
