//! Where to patch: a delegating route of an IngressRoute on an API server.

use super::{Goal, find};
use crate::{live::Report, place};
use anyhow::{Context, Result, bail};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use switchyard_core::{
    Graph, Name, Object, Settings,
    ingressroute::{Delegate, Route, Spec, VirtualHost, policy::Ways},
    object::{IngressRoute, Kind},
    path,
};
use switchyard_k8s::{
    status::{Condition, IngressRouteStatus, PROGRAMMED, REFUSED, SwitchStatus},
    watch::{are_of_one_class, document, resource},
};

/// Who patched, in `metadata.managedFields`.
const MANAGER: &str = "switchyard-switch";

/// Where a status counts the proxies, and says no more of them.
const NO_REASON: &str = "the status does not say why not on all of them";

/// The delegating route that is meant.
pub(super) struct Spot {
    client: Client,
    pub(super) owner: Name,
    /// `metadata.generation` of the owner.
    pub(super) generation: i64,
    pub(super) prefix: String,
    /// Where the branches are.
    pub(super) namespace: String,
    pub(super) active: String,
    /// The branch that was active before, `namespace/name`, if the status says so.
    pub(super) previous: Option<String>,
    standby: Vec<String>,
    /// Of the route.
    index: usize,
    /// Of the owner: they say its class.
    annotations: Option<BTreeMap<String, String>>,
}

/// An IngressRoute, and what its status says.
struct Found {
    ingress_route: IngressRoute,
    status: IngressRouteStatus,
    annotations: Option<BTreeMap<String, String>>,
}

/// The one route of an IngressRoute that delegates, or the one with this match. A name that says no namespace is of
/// `namespace`, or of the context's.
pub(super) async fn spot(
    client: &Client,
    namespace: Option<&str>,
    root: &str,
    matched: Option<&str>,
) -> Result<Spot> {
    let namespace = namespace.unwrap_or(client.default_namespace());
    let Found {
        ingress_route,
        status,
        annotations,
    } = owner(client, namespace, root).await?;
    let index = find::find_route(&ingress_route, matched)?;
    let IngressRoute {
        name: owner,
        generation,
        spec,
    } = ingress_route;
    let mut routes = spec.routes;
    let route = routes.swap_remove(index);
    let Some(Delegate {
        name: active,
        namespace,
        standby,
        ..
    }) = route.delegate
    else {
        bail!("the route does not delegate")
    };
    let previous = of_route(&status, &route.match_).map(|switch| switch.previous.clone());
    let previous = previous.filter(|name| !name.is_empty()).last();
    Ok(Spot {
        client: client.clone(),
        generation,
        previous,
        prefix: route.match_,
        namespace: if namespace.is_empty() {
            owner.namespace.to_string()
        } else {
            namespace
        },
        owner,
        active,
        standby,
        index,
        annotations,
    })
}

/// What would keep a branch from serving, as far as its own namespace shows: who may switch may not be allowed to read
/// more. Which classes control follows is not known; that of the owner is one of them.
pub(super) async fn rehearse(spot: &Spot, target: &Name) -> Result<Vec<String>> {
    let Spot { client, owner, .. } = spot;
    let mut graph = Graph::new(Settings::default());
    for kind in [Kind::IngressRoute, Kind::Service, Kind::EndpointSlice] {
        let (ours, others): (Vec<_>, Vec<_>) = list(&api(client, kind, Some(&target.namespace))?, kind)
            .await?
            .into_iter()
            .partition(|object| kind != Kind::IngressRoute || spot.is_of_class(object));
        if others.iter().any(|object| object.name_any() == *target.name) {
            let text = format!(
                "IngressRoute {target} is of another class than {owner} is: it may be another controller's"
            );
            return Ok(vec![text]);
        }
        for object in read(ours, kind) {
            graph.apply(alone(object));
        }
    }
    let stage = stage(&target.namespace);
    let owner = stage.name.clone();
    graph.apply(Object::IngressRoute(stage));
    graph.commit();
    let obstacles = graph.rehearse(&owner, "/", &target.name);
    let obstacles = obstacles.context("the route went away")?;
    Ok(obstacles.iter().map(ToString::to_string).collect())
}

/// A root to try branches on. No object can have its name.
fn stage(namespace: &str) -> IngressRoute {
    let delegate = Delegate {
        name: "/".to_owned(),
        ..Default::default()
    };
    let route = Route {
        match_: "/".to_owned(),
        delegate: Some(delegate),
        ..Default::default()
    };
    IngressRoute {
        name: Name::new(namespace, "/"),
        generation: 0,
        spec: Spec {
            virtualhost: Some(VirtualHost {
                fqdn: "rehearsal.invalid".to_owned(),
                ..Default::default()
            }),
            routes: vec![route],
            tcpproxy: None,
        },
    }
}

/// Without what only other namespaces, Secrets and issuers of tokens could show to be right.
fn alone(object: Object) -> Object {
    let Object::IngressRoute(mut ingress_route) = object else {
        return object;
    };
    let namespace = &ingress_route.name.namespace;
    ingress_route.spec.routes.retain(|route| {
        let delegate = route.delegate.as_ref();
        delegate.is_none_or(|delegate| delegate.namespace.is_empty() || *delegate.namespace == **namespace)
    });
    for route in &mut ingress_route.spec.routes {
        for service in &mut route.services {
            service.validation = None;
        }
        let is_alone = |ways: Ways<'_>| ways.secrets().next().is_none() && ways.jwks_uri().is_none();
        route.auth.retain(|auth| auth.all_ways().all(is_alone));
    }
    Object::IngressRoute(ingress_route)
}

/// The IngressRoute of that name, or the root of that host.
async fn owner(client: &Client, namespace: &str, root: &str) -> Result<Found> {
    let name = place::name(root, namespace);
    if let Some(found) = get(client, &name).await? {
        return Ok(found);
    }
    let all = list(&api(client, Kind::IngressRoute, None)?, Kind::IngressRoute).await?;
    let owner = read(all, Kind::IngressRoute).find_map(|object| match object {
        Object::IngressRoute(route) if owns(&route, root) => Some(route.name),
        _ => None,
    });
    let unknown = || format!("there is no IngressRoute {name}, and no host {root}");
    let owner = owner.with_context(unknown)?;
    get(client, &owner).await?.with_context(unknown)
}

fn owns(route: &IngressRoute, fqdn: &str) -> bool {
    let host = route.spec.virtualhost.as_ref();
    host.is_some_and(|host| host.fqdn.eq_ignore_ascii_case(fqdn))
}

async fn get(client: &Client, name: &Name) -> Result<Option<Found>> {
    let api = api(client, Kind::IngressRoute, Some(&name.namespace))?;
    let found = api.get_opt(&name.name).await;
    let found = found.with_context(|| format!("cannot get IngressRoute {name}"))?;
    found.map(Found::read).transpose()
}

async fn list(api: &Api<DynamicObject>, kind: Kind) -> Result<Vec<DynamicObject>> {
    let all = api.list(&ListParams::default()).await;
    Ok(all.with_context(|| format!("cannot list every {kind}"))?.items)
}

/// Those that can be read.
fn read(objects: Vec<DynamicObject>, kind: Kind) -> impl Iterator<Item = Object> {
    let read = move |object| Some(switchyard_k8s::object(document(kind, object)).ok()??.object);
    objects.into_iter().filter_map(read)
}

fn api(client: &Client, kind: Kind, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
    let resource = resource(kind).with_context(|| format!("{kind} is watched whole"))?;
    Ok(match namespace {
        None => Api::all_with(client.clone(), &resource),
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    })
}

/// An absent or unreadable status says nothing.
fn status(object: &DynamicObject) -> IngressRouteStatus {
    let status = object.data.get("status").cloned();
    status
        .and_then(|status| serde_json::from_value(status).ok())
        .unwrap_or_default()
}

/// The switches that a route is, one for each host that it is reached by.
fn of_route<'s>(status: &'s IngressRouteStatus, prefix: &str) -> impl Iterator<Item = &'s SwitchStatus> {
    status
        .switches
        .iter()
        .filter(move |switch| path::normalise(&switch.match_) == path::normalise(prefix))
}

/// What a status says of a route whose switches are to have a branch active.
fn report(object: &DynamicObject, prefix: &str, Goal { target, generation }: &Goal) -> Report {
    let status = status(object);
    let target = target.to_string();
    let seen = status.observed_generation >= Some(*generation);
    let mut switches = of_route(&status, prefix).peekable();
    let accepted =
        seen && switches.peek().is_some() && of_route(&status, prefix).all(|switch| switch.active == target);
    // On the host that has come least far: all of them are to have it.
    let counts = switches.filter_map(|switch| {
        let (live, of) = switch.proxies.split_once('/')?;
        Some((live.parse().ok()?, of.parse().ok()?))
    });
    let (live, of) = counts
        .min_by_key(|(live, of): &(usize, usize)| of - live.min(of))
        .unwrap_or_default();
    Report {
        accepted,
        live,
        of,
        proxies: Vec::new(),
        told: (live < of).then(|| {
            let programmed = programmed(&status, *generation);
            programmed.map_or_else(|| NO_REASON.to_owned(), |condition| condition.message.clone())
        }),
    }
}

/// Whether a proxy refuses what comes of that generation, or of a later one.
fn is_refused(object: &DynamicObject, generation: i64) -> bool {
    let status = status(object);
    let programmed = programmed(&status, generation);
    programmed.is_some_and(|condition| condition.reason == REFUSED)
}

/// How far the proxies are with that generation, or a later one.
fn programmed(status: &IngressRouteStatus, generation: i64) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions
        .find(|condition| condition.type_ == PROGRAMMED && condition.observed_generation >= Some(generation))
}

// === impl Found ===

impl Found {
    fn read(object: DynamicObject) -> Result<Self> {
        let status = status(&object);
        let annotations = object.metadata.annotations.clone();
        let reading = switchyard_k8s::object(document(Kind::IngressRoute, object))?;
        match reading.map(|reading| reading.object) {
            Some(Object::IngressRoute(ingress_route)) => Ok(Self {
                ingress_route,
                status,
                annotations,
            }),
            _ => bail!("it is no IngressRoute"),
        }
    }
}

// === impl Spot ===

impl Spot {
    /// Whether who follows the owner follows an IngressRoute, too.
    fn is_of_class(&self, object: &DynamicObject) -> bool {
        are_of_one_class(self.annotations.as_ref(), object.metadata.annotations.as_ref())
    }

    /// Makes `branch` the active one, and says which generation that is. If it was a standby, the one that was active takes
    /// its place there. Fails if somebody else has switched in between.
    pub(super) async fn edit(&self, branch: &str) -> Result<i64> {
        let owner = &self.owner;
        let patch = serde_json::from_value(self.patch(branch))?;
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..Default::default()
        };
        let patched = self
            .api()?
            .patch(&owner.name, &parameters, &Patch::Json::<()>(patch))
            .await;
        let patched = patched.with_context(|| format!("cannot patch IngressRoute {owner}"))?;
        Ok(patched.meta().generation.unwrap_or_default())
    }

    /// Waits until the status says that all proxies have the branch active, or that one refuses it, or for as long as
    /// `timeout`; with what it says then.
    pub(super) async fn wait(&self, goal: &Goal, timeout: Duration) -> Result<Report> {
        let Self { owner, prefix, .. } = self;
        let api = self.api()?;
        let is_over = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                let report = report(object, prefix, goal);
                report.accepted && (report.live == report.of || is_refused(object, goal.generation))
            })
        };
        let over = await_condition(api.clone(), &owner.name, is_over);
        // What is there when time is up says how far it came.
        if let Ok(waited) = tokio::time::timeout(timeout, over).await {
            waited.context("cannot watch the IngressRoute")?;
        }
        let now = api.get(&owner.name).await;
        let now = now.with_context(|| format!("cannot get IngressRoute {owner}"))?;
        Ok(report(&now, prefix, goal))
    }

    fn api(&self) -> Result<Api<DynamicObject>> {
        api(&self.client, Kind::IngressRoute, Some(&self.owner.namespace))
    }

    fn patch(&self, branch: &str) -> Value {
        let Self {
            active,
            standby,
            index,
            ..
        } = self;
        let delegate = format!("/spec/routes/{index}/delegate");
        let replace = |path: String, old: &str, new: &str| {
            [
                json!({"op": "test", "path": path, "value": old}),
                json!({"op": "replace", "path": path, "value": new}),
            ]
        };
        let same = standby.iter().enumerate().filter(|(_, name)| *name == branch);
        let swapped = same.flat_map(|(at, _)| replace(format!("{delegate}/standby/{at}"), branch, active));
        replace(format!("{delegate}/name"), active, branch)
            .into_iter()
            .chain(swapped)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_secrets_and_issuers_could_show_is_not_held_against_a_branch() {
        let routes = json!([{
            "match": "/",
            "services": [{"name": "s", "port": 80, "validation": {"caSecret": "ca", "subjectName": "s"}}],
            "auth": [
                {"basic": {"secretName": "users"}},
                {"anyOf": [{"ip": {"allow": ["10.0.0.0/8"]}}, {"jwt": {"jwks": {"uri": "https://issuer"}}}]},
                {"ip": {"allow": ["10.0.0.0/8"]}},
                {"external": {"service": {"name": "sso", "port": 80}}},
            ],
        }]);
        let object = Object::IngressRoute(IngressRoute {
            name: Name::new("default", "blue"),
            generation: 1,
            spec: serde_json::from_value(json!({"routes": routes})).unwrap(),
        });
        let Object::IngressRoute(left) = alone(object) else {
            panic!("no IngressRoute")
        };
        let [route] = &left.spec.routes[..] else {
            panic!("{left:?}")
        };
        assert_eq!(route.services[0].validation, None);
        assert_eq!(route.auth.len(), 2);
        assert!(route.auth[0].ip.is_some() && route.auth[1].external.is_some());
        assert_eq!((left.secrets().count(), left.jwks_uris().count()), (0, 0));
    }
}
