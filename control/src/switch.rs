//! `switchyard switch`: edits a delegate in its file, and waits until that is live.

use crate::{
    cli::{ADMIN_ADDRESS, parse_duration},
    edit,
    live::{ProxyReport, ProxyState, Report},
    load::{Loaded, load, load_with_words},
    manifests::{Directory, Documents, Node, documents, objects},
};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use switchyard_core::{
    Graph, Name, Object, ObjectId, Settings,
    ingressroute::{Delegate, Route},
    object::{IngressRoute, Kind},
    path,
};

/// Switch a delegating route to another branch, and wait until that is live on every proxy.
///
/// Edits the name of the delegate in its file, and nothing else of the file. If the new branch stood in `standby`, the
/// old one takes its place there. Then waits until every proxy that is connected to `switchyard serve` has acknowledged
/// the switch. Exits with 1 if one refuses it or does not answer in time, and says which and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  switchyard switch manifests/ blue-green-root green             its only delegating route
  switchyard switch manifests/ team-a/shop /cart cart-v2         the one that matches /cart
  switchyard switch manifests/ blue-green.bar.com green          by host name")]
pub struct Switch {
    /// The directory that `switchyard serve` serves.
    dir: PathBuf,
    /// The IngressRoute that delegates: NAME (in namespace default), NAMESPACE/NAME, or a root's host name.
    root: String,
    /// The `match` of the route, if there are several that delegate; and then the IngressRoute to switch to.
    #[arg(required = true, num_args = 1..=2, value_names = ["MATCH] [BRANCH", "BRANCH"])]
    target: Vec<String>,
    /// The admin address of `switchyard serve`.
    #[arg(long, value_name = "URL", default_value_t = format!("http://{ADMIN_ADDRESS}"))]
    control: String,
    /// How long to wait for the proxies.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Edit the file, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Switch although the branch does not exist.
    #[arg(long)]
    force: bool,
}

/// The delegating route that is meant.
struct Place {
    file: PathBuf,
    line: usize,
    /// As it was when the delegate was found in it.
    text: String,
    owner: Name,
    prefix: String,
    namespace: String,
    active: String,
    delegate: Node,
}

// === impl Switch ===

impl Switch {
    /// Switches.
    ///
    /// # Errors
    ///
    /// If there is no such route or branch, the file cannot be edited, or control cannot be asked.
    pub async fn run(self) -> Result<ExitCode> {
        let started = Instant::now();
        let (matched, branch) = match &self.target[..] {
            [matched, branch] => (Some(matched.as_str()), branch),
            [branch] => (None, branch),
            _ => bail!("name a branch"),
        };
        let (place, target) = self.locate(matched, branch)?;
        if place.active == *branch {
            println!(
                "{branch} is active already ({}:{})",
                place.file.display(),
                place.line
            );
            return Ok(ExitCode::SUCCESS);
        }
        place.edit(branch)?;
        if self.no_wait {
            println!(
                "{}:{}: {} -> {branch}",
                place.file.display(),
                place.line,
                place.active
            );
            return Ok(ExitCode::SUCCESS);
        }
        let report = self.ask(&place, &target).await?;
        Ok(tell(&report, started.elapsed(), self.timeout))
    }

    /// Where to edit, and what becomes active. What is asked for is looked for by its words first, so that the size of
    /// the directory hardly matters; names that are written with escapes are found when all is read.
    fn locate(&self, matched: Option<&str>, branch: &str) -> Result<(Place, Name)> {
        let root = self.root.rsplit('/').next().unwrap_or(&self.root);
        let some = load_with_words(&self.dir, &[root, branch], Settings::default())?;
        self.locate_in(&some, matched, branch).or_else(|_| {
            let all = load(&self.dir, Settings::default())?;
            self.locate_in(&all, matched, branch)
        })
    }

    fn locate_in(&self, loaded: &Loaded, matched: Option<&str>, branch: &str) -> Result<(Place, Name)> {
        let place = find(&self.dir, loaded, &self.root, matched)?;
        let target = Name::new(place.namespace.as_str(), branch);
        self.check_target(&loaded.graph, &target)?;
        Ok((place, target))
    }

    fn check_target(&self, graph: &Graph, target: &Name) -> Result<()> {
        let id = ObjectId {
            kind: Kind::IngressRoute,
            name: target.clone(),
        };
        if self.force || graph.object(&id).is_some() {
            return Ok(());
        }
        let others = graph
            .statuses()
            .map(|(name, _)| name)
            .filter(|name| name.namespace == target.namespace);
        let others: Vec<_> = others
            .filter(|name| !graph.is_root(name))
            .map(|name| name.name.to_string())
            .collect();
        bail!(
            "there is no IngressRoute {target}: requests would get 503. In namespace {} there are: {}. \
             (--force switches all the same.)",
            target.namespace,
            if others.is_empty() {
                "none".to_owned()
            } else {
                others.join(", ")
            }
        )
    }

    async fn ask(&self, place: &Place, branch: &Name) -> Result<Report> {
        let query = [
            ("root", place.owner.to_string()),
            ("match", place.prefix.clone()),
            ("branch", branch.to_string()),
            ("timeout", self.timeout.as_millis().to_string()),
        ];
        let query: Vec<_> = query
            .iter()
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        let control = self.control.trim_end_matches('/');
        let uri = format!("{control}/live?{}", query.join("&"));
        let body = get(&uri).await.with_context(|| {
            format!(
                "the file is edited, but {control} cannot be asked whether that is live: \
                 is `switchyard serve` running, and is that its --admin-address?"
            )
        })?;
        serde_json::from_slice(&body).context("control answered what this program cannot read")
    }
}

async fn get(uri: &str) -> Result<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client
        .get(uri.parse().with_context(|| format!("{uri:?} is no URL"))?)
        .await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}

/// For a query: everything but letters, digits and `-._~` (RFC 3986, 2.3).
fn escape(value: &str) -> String {
    let escaped = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

fn tell(report: &Report, took: Duration, timeout: Duration) -> ExitCode {
    let Report {
        accepted,
        live,
        of,
        proxies,
    } = report;
    if !accepted {
        eprintln!(
            "control has not taken the switch in {timeout:?}: its log says why (`switchyard check` does, too)"
        );
        return ExitCode::FAILURE;
    }
    println!("live on {live}/{of} proxies in {} ms", took.as_millis());
    for ProxyReport { node, state } in proxies {
        match state {
            ProxyState::Live => {}
            ProxyState::Waiting => eprintln!("{node}: no answer in {timeout:?}"),
            ProxyState::Disconnected => eprintln!("{node}: disconnected"),
            ProxyState::Refused { reasons } => eprintln!("{node}: refused: {}", reasons.join("; ")),
        }
    }
    if live == of {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn find(dir: &Path, loaded: &Loaded, root: &str, matched: Option<&str>) -> Result<Place> {
    let owner = find_owner(loaded, root)?;
    let id = ObjectId {
        kind: Kind::IngressRoute,
        name: owner.clone(),
    };
    let (file, entry) = loaded
        .directory
        .entry(&id)
        .context("the IngressRoute went away")?;
    refuse_broken(&loaded.directory, file)?;
    let Object::IngressRoute(ingress_route) = &entry.object else {
        bail!("{owner} is no IngressRoute")
    };
    let index = find_route(ingress_route, matched)?;
    place(&dir.join(&**file), ingress_route, index)
}

/// A file that control cannot read is not edited: control would not see it.
fn refuse_broken(directory: &Directory, file: &str) -> Result<()> {
    match directory
        .problems()
        .into_iter()
        .find(|problem| problem.is_error() && *problem.file == *file)
    {
        Some(problem) => bail!("{problem}\nmend that first: control goes on with what the file said before"),
        None => Ok(()),
    }
}

fn find_owner(loaded: &Loaded, root: &str) -> Result<Name> {
    let name = match root.split_once('/') {
        Some((namespace, name)) => Name::new(namespace, name),
        None => Name::new("default", root),
    };
    let known: BTreeSet<_> = loaded.graph.statuses().map(|(name, _)| name.clone()).collect();
    if known.contains(&name) {
        return Ok(name);
    }
    if let Some(host) = loaded.graph.table().hosts.get(root.to_ascii_lowercase().as_str()) {
        return Ok(host.root.clone());
    }
    let known: Vec<_> = known.iter().map(Name::to_string).collect();
    bail!(
        "there is no IngressRoute {name}, and no host {root}. There are: {}",
        known.join(", ")
    )
}

fn find_route(ingress_route: &IngressRoute, matched: Option<&str>) -> Result<usize> {
    let IngressRoute { name, spec, .. } = ingress_route;
    let delegating = spec
        .routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.delegate.is_some());
    let is_meant = |route: &Route| {
        matched.is_none_or(|matched| path::normalise(matched) == path::normalise(&route.match_))
    };
    let meant: Vec<_> = delegating.filter(|(_, route)| is_meant(route)).collect();
    match &meant[..] {
        [(index, _)] => Ok(*index),
        [] if matched.is_some() => bail!("{name} has no route with that match that delegates"),
        [] => bail!("{name} has no route that delegates"),
        several => {
            let matches: Vec<_> = several.iter().map(|(_, route)| route.match_.as_str()).collect();
            bail!(
                "{name} has several routes that delegate: name one of {}",
                matches.join(", ")
            )
        }
    }
}

fn place(file: &Path, ingress_route: &IngressRoute, index: usize) -> Result<Place> {
    let IngressRoute {
        name: owner, spec, ..
    } = ingress_route;
    let route = spec.routes.get(index).context("the route went away")?;
    let Some(Delegate { name, namespace, .. }) = &route.delegate else {
        bail!("the route does not delegate")
    };
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let delegate =
        delegate_node(file, &text, owner, index).context("the file has just changed: try again")?;
    Ok(Place {
        file: file.to_owned(),
        line: delegate.get("name").map_or(1, |name| name.span.position.line),
        text,
        owner: owner.clone(),
        prefix: route.match_.clone(),
        namespace: if namespace.is_empty() {
            owner.namespace.to_string()
        } else {
            namespace.clone()
        },
        active: name.clone(),
        delegate,
    })
}

/// The delegate in the text of its file.
fn delegate_node(file: &Path, text: &str, owner: &Name, index: usize) -> Option<Node> {
    let json = file.extension().is_some_and(|extension| extension == "json");
    let Documents { documents, error: _ } = documents(text, json);
    let mut objects = documents.iter().flat_map(objects);
    let object = objects.find(|object| is_ingress_route(object, owner))?;
    object
        .get("spec")?
        .get("routes")?
        .items()
        .get(index)?
        .get("delegate")
        .cloned()
}

fn is_ingress_route(object: &Node, Name { namespace, name }: &Name) -> bool {
    let text = |field| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(field)?.text())
    };
    object.get("kind").and_then(Node::text) == Some(Kind::IngressRoute.as_str())
        && text("name") == Some(name)
        && text("namespace")
            .filter(|text| !text.is_empty())
            .unwrap_or("default")
            == &**namespace
}

// === impl Place ===

impl Place {
    fn edit(&self, branch: &str) -> Result<()> {
        let changes = edit::activate(&self.delegate, branch);
        let edited = changes.and_then(|changes| edit::apply(&self.text, &changes));
        let edited = edited.with_context(|| format!("{}:{}", self.file.display(), self.line))?;
        edit::write(&self.file, &edited)
    }
}
