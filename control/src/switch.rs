//! `switchyard switch`: edits a delegate in its file or on the API server, and waits until the switch is live.

mod cluster;
mod find;
mod outcome;
mod route;
mod words;

use self::{cluster::Goal, outcome::Outcome, route::DelegatingRoute, words::Asked};
use crate::{
    admin::{DryRun, Previous},
    args::{ADMIN_ADDRESS, GraphArgs, Output, parse_duration},
    client::Control,
    live::Report,
    load::{load, load_file},
    manifests::manifest_name,
    place::{self, Place},
    source::ClusterArgs,
};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};
use switchyard_core::Name;

/// The timeout of asking control for the place of an IngressRoute; a search takes no longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Switch a delegating route to another branch, and wait until the switch is live on every proxy.
///
/// With DIR, edits the name of the delegate in its file, and leaves the rest of the file unchanged; otherwise patches
/// the IngressRoute on the API server. If `standby` lists the old branch, it stays unchanged; if it lists only the new
/// one, the old one replaces it, or is inserted beside it if a preview or a canary names it. A canary to the new branch
/// ends: its `percent` becomes 0, and `--undo` does not restart it. A branch that would not serve is rejected: one that
/// is missing, has errors, or has a route without ready endpoints.
///
/// Then waits until every connected proxy has acknowledged the switch, as reported by `switchyard serve` for a
/// directory, and by the status of the IngressRoute on an API server. Exits with 1 if a proxy rejects it or does not
/// answer in time, and prints which one and why. If the branch is already active, nothing is changed, but the proxies
/// are waited for.
#[derive(Debug, Args)]
#[command(
    override_usage = "switchyard switch [OPTIONS] [DIR] ROOT [MATCH] BRANCH\n       \
                      switchyard switch [OPTIONS] --undo [DIR] ROOT [MATCH]",
    after_help = "\
Examples:
  switchyard switch team-a/shop /cart cart-v2                    on the API server of the current context
  switchyard switch -n team-a shop --undo                        back to the previously active branch
  switchyard switch manifests/ blue-green-root green             its only delegating route
  switchyard switch manifests/ team-a/shop /cart cart-v2         the route that matches /cart
  switchyard switch manifests/ blue-green.bar.com green          by host name

As `kubectl-switchyard` on the PATH, this program is a plugin of kubectl: kubectl switchyard switch team-a/shop cart-v2"
)]
pub struct Switch {
    /// DIR: the directory that `switchyard serve` serves [default: the API server]. ROOT: the delegating IngressRoute,
    /// as NAME, NAMESPACE/NAME, or the host name of a root. MATCH: the match of the route, if several routes delegate.
    /// BRANCH: the IngressRoute to switch to.
    #[arg(required = true, num_args = 1..=4, value_name = "WORD")]
    words: Vec<String>,
    /// Switch back to the previously active branch.
    #[arg(long)]
    undo: bool,
    /// Namespace of a ROOT without one [default: that of the context; in a directory, `default`].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Admin address of `switchyard serve` [default for a directory: http://127.0.0.1:18001].
    #[arg(long, value_name = "URL")]
    control: Option<String>,
    /// Maximum time to wait for the proxies.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Do not wait for the proxies.
    #[arg(long)]
    no_wait: bool,
    /// Switch even if the branch would not serve.
    #[arg(long)]
    force: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    graph: GraphArgs,
}

/// The control that can be asked about the switch, if any.
struct Witness {
    /// The client of control; `None` if no address is given and none is needed.
    control: Option<Control>,
    /// True if control serves the source that the switch is made in, and so knows about it.
    knows: bool,
}

// === impl Switch ===

impl Switch {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// If there is no such route, the branch would not serve, the edit cannot be made, or the result cannot be asked
    /// for.
    pub async fn run(self) -> Result<ExitCode> {
        let started = Instant::now();
        let asked = Asked::read(&self.words, self.undo)?;
        let mut witness = self.witness(asked);
        let spot = self.locate(&mut witness, asked).await?;
        let branch = match asked.branch {
            Some(branch) => branch.to_owned(),
            None => self.previous(&mut witness, &spot).await?,
        };
        let target = Name::new(spot.namespace(), branch.as_str());
        let activation = spot.delegate().activation(&branch);
        let mut outcome = Outcome::before(&spot, &activation, self.undo);
        if outcome.edited && !self.force {
            self.refuse_unfit(&mut witness, asked, &spot, &target).await?;
        }
        let generation = if outcome.edited {
            spot.edit(&activation, self.undo).await?
        } else {
            spot.generation()
        };
        let goal = Goal { target, generation };
        if !self.no_wait {
            outcome.live = Some(self.wait(&mut witness, &spot, &goal, &outcome).await?);
        }
        outcome.took_ms = started.elapsed().as_millis().try_into()?;
        self.tell(&outcome)
    }

    /// The control to ask. On an API server, none is needed: the status has everything.
    fn witness(&self, asked: Asked<'_>) -> Witness {
        let default = asked.dir.map(|_| format!("http://{ADMIN_ADDRESS}"));
        let url = self.control.clone().or(default);
        Witness {
            knows: asked.dir.is_none() && url.is_some(),
            control: url.map(|url| Control::new(&url)),
        }
    }

    /// Locates the route to edit. Control is asked first; if it does not know, the directory is searched.
    async fn locate(&self, witness: &mut Witness, asked: Asked<'_>) -> Result<DelegatingRoute> {
        let Some(dir) = asked.dir else {
            let client = self.cluster.clone().client().await?;
            let spot = cluster::spot(&client, self.namespace.as_deref(), asked.root, asked.matched).await?;
            return Ok(DelegatingRoute::Cluster(spot));
        };
        let told = tokio::time::timeout(PATIENCE, self.locate_by_control(witness, dir, asked)).await;
        if let Ok(Ok(spot)) = told {
            witness.knows = true;
            return Ok(DelegatingRoute::File(spot));
        }
        // The search finds any error, too.
        let loaded = load(dir, self.graph.clone().settings(true))?;
        let owner = find::owner(&loaded, asked.root, self.namespace())?;
        find::spot(&loaded.directory, &owner, asked.matched).map(DelegatingRoute::File)
    }

    /// Locates the route in the file that control names, without reading others.
    async fn locate_by_control(
        &self,
        witness: &mut Witness,
        dir: &Path,
        asked: Asked<'_>,
    ) -> Result<find::FileRoute> {
        let (owner, file) = self.place(witness.control()?, dir, asked.root).await?;
        let directory = load_file(dir, &file)?;
        find::spot(&directory, &owner, asked.matched)
    }

    /// Asks control for the full name of an IngressRoute, and its file.
    async fn place(&self, control: &mut Control, dir: &Path, root: &str) -> Result<(Name, String)> {
        let query = [("ingressroute", root), ("namespace", self.namespace())];
        let Place {
            namespace,
            name,
            directory,
            file,
        } = control.get("/place", &query).await?;
        ensure!(
            dir.canonicalize()? == Path::new(&directory),
            "control serves another directory: {directory}"
        );
        let is_of_directory = manifest_name(Path::new(&file)).as_deref() == Some(&file);
        ensure!(is_of_directory, "{file:?} is not a file of the directory");
        Ok((Name::new(namespace, name), file))
    }

    /// The namespace of ROOT in a directory.
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(place::NAMESPACE)
    }

    /// The previously active branch.
    async fn previous(&self, witness: &mut Witness, spot: &DelegatingRoute) -> Result<String> {
        let before = match spot {
            DelegatingRoute::Cluster(spot) if !witness.knows => spot.previous.clone(),
            _ => {
                let owner = spot.owner().to_string();
                let query = [("root", &*owner), ("match", spot.prefix())];
                let previous: Previous = witness.control()?.get("/previous", &query).await?;
                // The status outlives a restart of control.
                previous.branch.or_else(|| spot.before())
            }
        };
        let before = before.with_context(|| {
            format!(
                "no previous switch of {} {} is known: name the branch",
                spot.owner(),
                spot.prefix()
            )
        })?;
        let name = place::name(&before, place::NAMESPACE);
        ensure!(
            *name.namespace == *spot.namespace(),
            "the previously active {name} is in another namespace than the current branch: edit the delegate by hand"
        );
        Ok(name.name.to_string())
    }

    /// Fails if the branch would not serve.
    async fn refuse_unfit(
        &self,
        witness: &mut Witness,
        asked: Asked<'_>,
        spot: &DelegatingRoute,
        target: &Name,
    ) -> Result<()> {
        let told = match &mut witness.control {
            Some(control) if witness.knows => dry_run(control, spot, target).await.ok(),
            _ => None,
        };
        let blockers = match (told, spot, asked.dir) {
            (Some(blockers), _, _) if blockers.is_empty() => blockers,
            // Control may not have read the latest changes yet.
            (_, _, Some(dir)) => {
                let mut graph = load(dir, self.graph.clone().settings(true))?.graph;
                let found = graph.dry_run(spot.owner(), spot.prefix(), &target.name);
                let found = found.context("the route was removed")?;
                found.iter().map(ToString::to_string).collect()
            }
            (Some(blockers), _, None) => blockers,
            (None, DelegatingRoute::Cluster(spot), None) => {
                cluster::dry_run(spot, target, self.graph.clone().settings(false)).await?
            }
            (None, DelegatingRoute::File(_), None) => Vec::new(),
        };
        if !blockers.is_empty() {
            bail!(
                "{target} would not serve:\n  {}\n(use --force to switch anyway)",
                blockers.join("\n  ")
            );
        }
        Ok(())
    }

    async fn wait(
        &self,
        witness: &mut Witness,
        spot: &DelegatingRoute,
        goal: &Goal,
        outcome: &Outcome,
    ) -> Result<Report> {
        match (&mut witness.control, spot) {
            (Some(control), _) => {
                let told = ask(control, spot, &goal.target, self.timeout).await;
                told.with_context(|| outcome.unasked(control.url()))
            }
            (None, DelegatingRoute::Cluster(spot)) => spot.wait(goal, self.timeout).await,
            (None, DelegatingRoute::File(_)) => bail!("the address of control is not known: pass --control"),
        }
    }

    fn tell(&self, outcome: &Outcome) -> Result<ExitCode> {
        match self.output.format() {
            None => println!("{}", outcome.to_text()),
            Some(format) => print!("{}", format.document(&serde_json::to_value(outcome)?)),
        }
        let faults = outcome.faults(self.timeout);
        faults.iter().for_each(|fault| eprintln!("{fault}"));
        Ok(if faults.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Asks control for the reasons why the branch would not serve.
async fn dry_run(control: &mut Control, spot: &DelegatingRoute, target: &Name) -> Result<Vec<String>> {
    let query = [
        ("root", &*spot.owner().to_string()),
        ("match", spot.prefix()),
        ("branch", &*target.to_string()),
    ];
    let DryRun { blockers } = control.get("/dry-run", &query).await?;
    Ok(blockers)
}

async fn ask(
    control: &mut Control,
    spot: &DelegatingRoute,
    target: &Name,
    timeout: Duration,
) -> Result<Report> {
    let query = [
        ("root", &*spot.owner().to_string()),
        ("match", spot.prefix()),
        ("branch", &*target.to_string()),
        ("timeout", &*timeout.as_millis().to_string()),
    ];
    control.get("/live", &query).await
}

// === impl Witness ===

impl Witness {
    fn control(&mut self) -> Result<&mut Control> {
        self.control
            .as_mut()
            .context("the address of control is not known: pass --control")
    }
}
