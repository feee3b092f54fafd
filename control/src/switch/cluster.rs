//! Where to patch: a delegating route of an IngressRoute on an API server.

use super::find;
use crate::place;
use anyhow::{Context, Result, bail};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use switchyard_core::{
    Name, Object,
    ingressroute::Delegate,
    object::{IngressRoute, Kind},
};
use switchyard_k8s::watch::{document, resource};

/// Who patched, in `metadata.managedFields`.
const MANAGER: &str = "switchyard-switch";

/// The delegating route that is meant.
pub(super) struct Spot {
    client: Client,
    pub(super) owner: Name,
    pub(super) prefix: String,
    /// Where the branches are.
    pub(super) namespace: String,
    pub(super) active: String,
    standby: Vec<String>,
    /// Of the route.
    index: usize,
}

/// The one route of an IngressRoute that delegates, or the one with this match.
pub(super) async fn spot(client: &Client, root: &str, matched: Option<&str>) -> Result<Spot> {
    let ingress_route = owner(client, root).await?;
    let index = find::find_route(&ingress_route, matched)?;
    let IngressRoute {
        name: owner, spec, ..
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
    Ok(Spot {
        client: client.clone(),
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
    })
}

/// Refuses a branch that does not exist, and names those that do.
pub(super) async fn refuse_unknown(client: &Client, target: &Name) -> Result<()> {
    let api = api(client, Some(&target.namespace))?;
    if get(&api, target).await?.is_some() {
        return Ok(());
    }
    let all = list(&api).await?;
    let branches = all.iter().filter(|route| route.spec.virtualhost.is_none());
    Err(find::unknown(target, branches.map(|route| &route.name)))
}

/// The IngressRoute of that name, or the root of that host.
async fn owner(client: &Client, root: &str) -> Result<IngressRoute> {
    let name = place::name(root);
    if let Some(found) = get(&api(client, Some(&name.namespace))?, &name).await? {
        return Ok(found);
    }
    let all = list(&api(client, None)?).await?;
    let owns = |route: &IngressRoute| {
        let host = route.spec.virtualhost.as_ref();
        host.is_some_and(|host| host.fqdn.eq_ignore_ascii_case(root))
    };
    let owner = all.into_iter().find(owns);
    owner.with_context(|| format!("there is no IngressRoute {name}, and no host {root}"))
}

async fn get(api: &Api<DynamicObject>, name: &Name) -> Result<Option<IngressRoute>> {
    let found = api.get_opt(&name.name).await;
    let found = found.with_context(|| format!("cannot get IngressRoute {name}"))?;
    found.map(read).transpose()
}

/// Those that can be read.
async fn list(api: &Api<DynamicObject>) -> Result<Vec<IngressRoute>> {
    let all = api.list(&ListParams::default()).await;
    let all = all.context("cannot list IngressRoutes")?;
    Ok(all
        .items
        .into_iter()
        .filter_map(|object| read(object).ok())
        .collect())
}

fn read(object: DynamicObject) -> Result<IngressRoute> {
    let reading = switchyard_k8s::object(document(Kind::IngressRoute, object))?;
    match reading.map(|reading| reading.object) {
        Some(Object::IngressRoute(ingress_route)) => Ok(ingress_route),
        _ => bail!("it is no IngressRoute"),
    }
}

fn api(client: &Client, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
    let resource = resource(Kind::IngressRoute).context("IngressRoutes are watched whole")?;
    Ok(match namespace {
        None => Api::all_with(client.clone(), &resource),
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
    })
}

// === impl Spot ===

impl Spot {
    /// Makes `branch` the active one. If it was a standby, the one that was active takes its place there. Fails if
    /// somebody else has switched in between.
    pub(super) async fn edit(&self, branch: &str) -> Result<()> {
        let Self { client, owner, .. } = self;
        let patch = serde_json::from_value(self.patch(branch))?;
        let patched = api(client, Some(&owner.namespace))?
            .patch(
                &owner.name,
                &PatchParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..Default::default()
                },
                &Patch::Json::<()>(patch),
            )
            .await;
        patched
            .map(drop)
            .with_context(|| format!("cannot patch IngressRoute {owner}"))
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
