//! A delegating route of an IngressRoute on an API server, and its patch.

use super::find;
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
    ingressroute::{Activation, CanaryEdit, Delegate, Route, Spec, StandbyEdit, VirtualHost, policy::Ways},
    object::{Created, IngressRoute, Kind, UnknownFields},
    path,
};
use switchyard_k8s::{
    status::{Condition, IngressRouteStatus, PROGRAMMED, REFUSED, SwitchStatus},
    watch::{are_of_one_class, document, resource},
};

/// The state to wait for.
pub(super) struct Goal {
    /// The branch that should be active.
    pub(super) target: Name,
    /// The generation of the edited IngressRoute, on an API server.
    pub(super) generation: i64,
}

/// The field managers in `metadata.managedFields`: of `switch`, and of `switch --undo`.
const MANAGERS: [&str; 2] = ["switchyard-switch", "switchyard-undo"];

/// The reason if a status has only the number of proxies.
const NO_REASON: &str = "the status does not say why some proxies lack the switch";

/// The delegating route to switch.
pub(super) struct ClusterRoute {
    client: Client,
    pub(super) owner: Name,
    /// `metadata.generation` of the owner.
    pub(super) generation: i64,
    pub(super) prefix: String,
    /// The namespace of the branches.
    pub(super) namespace: String,
    pub(super) delegate: Delegate,
    /// The previously active branch, `namespace/name`, if the status has it.
    pub(super) previous: Option<String>,
    /// The index of the route.
    index: usize,
    /// The annotations of the owner, which contain its class.
    annotations: Option<BTreeMap<String, String>>,
}

/// An IngressRoute, and its status.
struct Found {
    ingress_route: IngressRoute,
    status: IngressRouteStatus,
    annotations: Option<BTreeMap<String, String>>,
}

/// Finds the only delegating route of an IngressRoute, or the one with this match. A name without a namespace is in
/// `namespace`, or in that of the context.
pub(super) async fn spot(
    client: &Client,
    namespace: Option<&str>,
    root: &str,
    matched: Option<&str>,
) -> Result<ClusterRoute> {
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
        created: _,
        spec,
        unknown: _,
    } = ingress_route;
    let mut routes = spec.routes;
    let route = routes.swap_remove(index);
    let delegate = route.delegate.context("the route does not delegate")?;
    let previous = of_route(&status, &route.match_).map(|switch| switch.previous.clone());
    let previous = previous.filter(|name| !name.is_empty()).last();
    Ok(ClusterRoute {
        client: client.clone(),
        generation,
        previous,
        prefix: route.match_,
        namespace: if delegate.namespace.is_empty() {
            owner.namespace.to_string()
        } else {
            delegate.namespace.clone()
        },
        owner,
        delegate,
        index,
        annotations,
    })
}

/// The reasons why a branch would not serve, as far as its own namespace shows: the user may not be allowed to read
/// others. The classes that control follows are not known, but include that of the owner.
pub(super) async fn dry_run(spot: &ClusterRoute, target: &Name, settings: Settings) -> Result<Vec<String>> {
    let ClusterRoute { client, owner, .. } = spot;
    let mut graph = Graph::new(settings);
    for kind in [Kind::IngressRoute, Kind::Service, Kind::EndpointSlice] {
        let (ours, others): (Vec<_>, Vec<_>) = list(&api(client, kind, Some(&target.namespace))?, kind)
            .await?
            .into_iter()
            .partition(|object| kind != Kind::IngressRoute || spot.is_of_class(object));
        if others.iter().any(|object| object.name_any() == *target.name) {
            let text = format!(
                "IngressRoute {target} has another ingress class than {owner}: another controller may serve it"
            );
            return Ok(vec![text]);
        }
        for object in read(ours, kind) {
            graph.apply(alone(object));
        }
    }
    let stage = stage(&target.namespace);
    let owner = stage.name.clone();
    graph.apply(stage.into());
    graph.commit();
    let blockers = graph.dry_run(&owner, "/", &target.name);
    let blockers = blockers.context("the route was removed")?;
    Ok(blockers.iter().map(ToString::to_string).collect())
}

/// A root to try branches on, with a name that no object can have.
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
        // The oldest object, so that no other root takes its host.
        created: Created::At(i64::MIN),
        spec: Spec {
            virtualhost: Some(VirtualHost {
                fqdn: "dry-run.invalid".to_owned(),
                ..Default::default()
            }),
            routes: vec![route],
            tcpproxy: None,
        },
        unknown: UnknownFields::default(),
    }
}

/// Removes the parts that need other namespaces, Secrets or token issuers to be verified.
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

/// Finds the IngressRoute of that name, or the root of that host.
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
    let unknown = || format!("no IngressRoute {name} and no host {root} found");
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
    Ok(all
        .with_context(|| format!("cannot list objects of kind {kind}"))?
        .items)
}

/// The objects that can be parsed.
fn read(objects: Vec<DynamicObject>, kind: Kind) -> impl Iterator<Item = Object> {
    let read = move |object| Some(switchyard_k8s::object(document(kind, object)).ok()??.object);
    objects.into_iter().filter_map(read)
}

fn api(client: &Client, kind: Kind, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
    let resource = resource(kind).with_context(|| format!("{kind} cannot be listed"))?;
    Ok(match namespace {
        None => Api::all_with(client.clone(), &resource),
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    })
}

/// The status of an object; empty if it is absent or cannot be parsed.
fn status(object: &DynamicObject) -> IngressRouteStatus {
    let status = object.data.get("status").cloned();
    status
        .and_then(|status| serde_json::from_value(status).ok())
        .unwrap_or_default()
}

/// The switches of a route, one for each host that leads to it.
fn of_route<'s>(status: &'s IngressRouteStatus, prefix: &str) -> impl Iterator<Item = &'s SwitchStatus> {
    status
        .switches
        .iter()
        .filter(move |switch| path::normalise(&switch.match_) == path::normalise(prefix))
}

/// The report of a status about a route whose switches should have a branch active.
fn report(object: &DynamicObject, prefix: &str, Goal { target, generation }: &Goal) -> Report {
    let status = status(object);
    let target = target.to_string();
    let seen = status.observed_generation >= Some(*generation);
    let mut switches = of_route(&status, prefix).peekable();
    let accepted =
        seen && switches.peek().is_some() && of_route(&status, prefix).all(|switch| switch.active == target);
    // The host with the least progress counts, because all hosts should have it.
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

/// Returns true if a proxy rejects resources of that generation, or of a later one.
fn is_refused(object: &DynamicObject, generation: i64) -> bool {
    let status = status(object);
    let programmed = programmed(&status, generation);
    programmed.is_some_and(|condition| condition.reason == REFUSED)
}

/// The condition `Programmed` of that generation, or of a later one.
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
                ingress_route: *ingress_route,
                status,
                annotations,
            }),
            _ => bail!("not an IngressRoute"),
        }
    }
}

// === impl ClusterRoute ===

impl ClusterRoute {
    /// Returns true if any controller that serves the owner also serves the other IngressRoute.
    fn is_of_class(&self, object: &DynamicObject) -> bool {
        are_of_one_class(self.annotations.as_ref(), object.metadata.annotations.as_ref())
    }

    /// Activates a branch, and returns the resulting generation. Fails if somebody else has switched in between.
    pub(super) async fn edit(&self, activation: &Activation, undo: bool) -> Result<i64> {
        let owner = &self.owner;
        let patch = serde_json::from_value(self.patch(activation))?;
        let [switch, undone] = MANAGERS;
        let manager = if undo { undone } else { switch };
        let parameters = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..Default::default()
        };
        let patched = self
            .api()?
            .patch(&owner.name, &parameters, &Patch::Json::<()>(patch))
            .await;
        let patched = patched.with_context(|| format!("cannot patch IngressRoute {owner}"))?;
        Ok(patched.meta().generation.unwrap_or_default())
    }

    /// Waits until the status has the branch active on all proxies, or a rejection, for as long as `timeout`. Returns
    /// the report of the status at that time.
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
        // After the timeout, the status shows the progress.
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

    fn patch(&self, activation: &Activation) -> Value {
        patch(
            &format!("/spec/routes/{}/delegate", self.index),
            &self.delegate.name,
            activation,
        )
    }
}

/// The edits of a delegate as a JSON Patch, which fails if the delegate has changed.
fn patch(delegate: &str, active: &str, activation: &Activation) -> Value {
    let Activation {
        branch,
        standby,
        preview,
        canary,
    } = activation;
    let test = |path: &str, value: Value| json!({"op": "test", "path": format!("{delegate}/{path}"), "value": value});
    let replace = |path: &str, value: Value| json!({"op": "replace", "path": format!("{delegate}/{path}"), "value": value});
    let add =
        |path: &str, value: &str| json!({"op": "add", "path": format!("{delegate}/{path}"), "value": value});
    let mut operations = vec![test("name", json!(active)), replace("name", json!(branch))];
    match standby {
        Some(StandbyEdit::Replace(at)) => {
            let path = format!("standby/{at}");
            operations.extend([test(&path, json!(branch)), replace(&path, json!(active))]);
        }
        Some(StandbyEdit::Insert(at)) => {
            let path = format!("standby/{at}");
            operations.extend([test(&path, json!(branch)), add(&path, active)]);
        }
        None => {}
    }
    operations.extend(preview.as_ref().map(|name| add("preview/branch", name)));
    match canary {
        Some(CanaryEdit::End { percent }) => {
            let path = "canary/percent";
            operations.extend([test(path, json!(percent)), replace(path, json!(0))]);
        }
        Some(CanaryEdit::Name(name)) => operations.push(add("canary/branch", name)),
        None => {}
    }
    operations.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_contains_each_edit_of_an_activation() {
        let delegate: Delegate = serde_json::from_value(json!({
            "name": "blue", "standby": ["red", "green"], "canary": {"percent": 10, "branch": "green"},
        }))
        .unwrap();
        let want = json!([
            {"op": "test", "path": "/d/name", "value": "blue"},
            {"op": "replace", "path": "/d/name", "value": "green"},
            {"op": "test", "path": "/d/standby/1", "value": "green"},
            {"op": "add", "path": "/d/standby/1", "value": "blue"},
            {"op": "test", "path": "/d/canary/percent", "value": 10},
            {"op": "replace", "path": "/d/canary/percent", "value": 0},
        ]);
        assert_eq!(patch("/d", "blue", &delegate.activation("green")), want);
        let listed: Delegate = serde_json::from_value(json!({
            "name": "blue", "standby": ["blue", "red", "green"], "preview": {"header": "x", "value": "y"},
        }))
        .unwrap();
        let want = json!([
            {"op": "test", "path": "/d/name", "value": "blue"},
            {"op": "replace", "path": "/d/name", "value": "green"},
            {"op": "add", "path": "/d/preview/branch", "value": "red"},
        ]);
        assert_eq!(patch("/d", "blue", &listed.activation("green")), want);
    }

    #[test]
    fn secret_and_issuer_checks_do_not_block_a_branch() {
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
        let object = Object::from(IngressRoute {
            name: Name::new("default", "blue"),
            generation: 1,
            created: Created::Unknown,
            spec: serde_json::from_value(json!({"routes": routes})).unwrap(),
            unknown: UnknownFields::default(),
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
