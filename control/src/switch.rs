//! `switchyard switch`: edits a delegate where it stands, and waits until that is live.

mod cluster;
mod find;
mod outcome;
mod words;

use self::{outcome::Outcome, words::Asked};
use crate::{
    admin::{Previous, Rehearsal},
    cli::{ADMIN_ADDRESS, Output, parse_duration},
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
use switchyard_core::{Name, Settings};

/// How long control may take to say where something stands: to look for it takes no longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Switch a delegating route to another branch, and wait until that is live on every proxy.
///
/// In a directory, edits the name of the delegate in its file, and nothing else of the file; without one, patches the
/// IngressRoute on the API server. If the new branch stood in `standby`, the old one takes its place there. A branch
/// that would not serve is refused: one that is missing, has errors, or has a route without ready endpoints.
///
/// Then waits until every proxy that is connected has acknowledged the switch: as `switchyard serve` says where it serves a
/// directory, as the status of the IngressRoute says on an API server. Exits with 1 if one refuses it or does not answer
/// in time, and says which and why. If the branch is active already, nothing is changed, and the proxies are waited for
/// all the same.
#[derive(Debug, Args)]
#[command(
    override_usage = "switchyard switch [OPTIONS] [DIR] ROOT [MATCH] BRANCH\n       \
                      switchyard switch [OPTIONS] --undo [DIR] ROOT [MATCH]",
    after_help = "\
Examples:
  switchyard switch team-a/shop /cart cart-v2                    on the API server of the current context
  switchyard switch -n team-a shop --undo                        back to what was active before
  switchyard switch manifests/ blue-green-root green             its only delegating route
  switchyard switch manifests/ team-a/shop /cart cart-v2         the one that matches /cart
  switchyard switch manifests/ blue-green.bar.com green          by host name

As `kubectl-switchyard` on the PATH, this program is a plugin of kubectl: kubectl switchyard switch team-a/shop cart-v2"
)]
pub struct Switch {
    /// DIR: the directory that `switchyard serve` serves, if it serves one. ROOT: the IngressRoute that delegates, as NAME,
    /// NAMESPACE/NAME, or a root's host name. MATCH: that of the route, if there are several that delegate. BRANCH: the
    /// IngressRoute to switch to.
    #[arg(required = true, num_args = 1..=4, value_name = "WORD")]
    words: Vec<String>,
    /// Switch back to the branch that was active before.
    #[arg(long)]
    undo: bool,
    /// The namespace of a ROOT that says none [default: that of the context; in a directory, `default`].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Ask `switchyard serve` at this admin address [default for a directory: http://127.0.0.1:18001].
    #[arg(long, value_name = "URL")]
    control: Option<String>,
    /// How long to wait for the proxies.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Edit, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Switch although the branch would not serve.
    #[arg(long)]
    force: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// The delegating route that is meant.
enum Spot {
    File(find::Spot),
    Cluster(cluster::Spot),
}

/// What knows more than stands where the switch is to be made.
struct Witness {
    /// None: nobody said where one runs, and it is not needed.
    control: Option<Control>,
    /// Whether control serves what the switch is made in, so that it can be asked of it.
    knows: bool,
}

/// What is to be live.
struct Goal {
    /// The branch that is to be active.
    target: Name,
    /// Of the IngressRoute that says so, on an API server.
    generation: i64,
}

// === impl Switch ===

impl Switch {
    /// Switches.
    ///
    /// # Errors
    ///
    /// If there is no such route, the branch would not serve, the edit cannot be made, or nobody can be asked what came of
    /// it.
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
        let mut outcome = Outcome::before(&spot, &branch);
        if outcome.edited && !self.force {
            self.refuse_unfit(&mut witness, asked, &spot, &target).await?;
        }
        let generation = if outcome.edited {
            spot.edit(&branch).await?
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

    /// On an API server, everything is known there.
    fn witness(&self, asked: Asked<'_>) -> Witness {
        let default = asked.dir.map(|_| format!("http://{ADMIN_ADDRESS}"));
        let url = self.control.clone().or(default);
        Witness {
            knows: asked.dir.is_none() && url.is_some(),
            control: url.map(|url| Control::new(&url)),
        }
    }

    /// Where to edit. Control knows; where it cannot say, the directory is searched.
    async fn locate(&self, witness: &mut Witness, asked: Asked<'_>) -> Result<Spot> {
        let Some(dir) = asked.dir else {
            let client = self.cluster.clone().client().await?;
            let spot = cluster::spot(&client, self.namespace.as_deref(), asked.root, asked.matched).await?;
            return Ok(Spot::Cluster(spot));
        };
        let told = tokio::time::timeout(PATIENCE, self.locate_by_control(witness, dir, asked)).await;
        if let Ok(Ok(spot)) = told {
            witness.knows = true;
            return Ok(Spot::File(spot));
        }
        // Whatever is wrong, the search finds out, too.
        let loaded = load(dir, Settings::default())?;
        let owner = find::owner(&loaded, asked.root, self.namespace())?;
        find::spot(&loaded.directory, &owner, asked.matched).map(Spot::File)
    }

    /// Reads no other file than the one that control names.
    async fn locate_by_control(
        &self,
        witness: &mut Witness,
        dir: &Path,
        asked: Asked<'_>,
    ) -> Result<find::Spot> {
        let (owner, file) = self.place(witness.control()?, dir, asked.root).await?;
        let directory = load_file(dir, &file)?;
        find::spot(&directory, &owner, asked.matched)
    }

    /// What an IngressRoute is called in full, and its file, as control has it.
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
        ensure!(is_of_directory, "{file:?} is no file of the directory");
        Ok((Name::new(namespace, name), file))
    }

    /// In a directory.
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(place::NAMESPACE)
    }

    /// The branch that was active before.
    async fn previous(&self, witness: &mut Witness, spot: &Spot) -> Result<String> {
        let before = match spot {
            Spot::Cluster(spot) if !witness.knows => spot.previous.clone(),
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
                "no switch of {} {} was seen that could be undone: name the branch",
                spot.owner(),
                spot.prefix()
            )
        })?;
        let name = place::name(&before, place::NAMESPACE);
        ensure!(
            *name.namespace == *spot.namespace(),
            "{name} was active before, which is of another namespace than the delegate is now: edit it by hand"
        );
        Ok(name.name.to_string())
    }

    /// Refuses a branch that would not serve.
    async fn refuse_unfit(
        &self,
        witness: &mut Witness,
        asked: Asked<'_>,
        spot: &Spot,
        target: &Name,
    ) -> Result<()> {
        let told = match &mut witness.control {
            Some(control) if witness.knows => rehearse(control, spot, target).await.ok(),
            _ => None,
        };
        let obstacles = match (told, spot, asked.dir) {
            (Some(obstacles), _, _) if obstacles.is_empty() => obstacles,
            // What was just written, control may not have read yet.
            (_, _, Some(dir)) => {
                let mut graph = load(dir, Settings::default())?.graph;
                let found = graph.rehearse(spot.owner(), spot.prefix(), &target.name);
                let found = found.context("the route went away")?;
                found.iter().map(ToString::to_string).collect()
            }
            (Some(obstacles), _, None) => obstacles,
            (None, Spot::Cluster(spot), None) => cluster::rehearse(spot, target).await?,
            (None, Spot::File(_), None) => Vec::new(),
        };
        if !obstacles.is_empty() {
            bail!(
                "{target} would not serve:\n  {}\n(--force switches all the same)",
                obstacles.join("\n  ")
            );
        }
        Ok(())
    }

    async fn wait(
        &self,
        witness: &mut Witness,
        spot: &Spot,
        goal: &Goal,
        outcome: &Outcome,
    ) -> Result<Report> {
        match (&mut witness.control, spot) {
            (Some(control), _) => {
                let told = ask(control, spot, &goal.target, self.timeout).await;
                told.with_context(|| outcome.unasked(control.url()))
            }
            (None, Spot::Cluster(spot)) => spot.wait(goal, self.timeout).await,
            (None, Spot::File(_)) => bail!("no control to ask"),
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

/// What control says would keep the branch from serving.
async fn rehearse(control: &mut Control, spot: &Spot, target: &Name) -> Result<Vec<String>> {
    let query = [
        ("root", &*spot.owner().to_string()),
        ("match", spot.prefix()),
        ("branch", &*target.to_string()),
    ];
    let Rehearsal { obstacles } = control.get("/rehearsal", &query).await?;
    Ok(obstacles)
}

async fn ask(control: &mut Control, spot: &Spot, target: &Name, timeout: Duration) -> Result<Report> {
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
        self.control.as_mut().context("no --control to ask")
    }
}

// === impl Spot ===

impl Spot {
    fn owner(&self) -> &Name {
        match self {
            Self::File(spot) => &spot.owner,
            Self::Cluster(spot) => &spot.owner,
        }
    }

    fn prefix(&self) -> &str {
        match self {
            Self::File(spot) => &spot.prefix,
            Self::Cluster(spot) => &spot.prefix,
        }
    }

    /// That the branches are in.
    fn namespace(&self) -> &str {
        match self {
            Self::File(spot) => &spot.namespace,
            Self::Cluster(spot) => &spot.namespace,
        }
    }

    /// The branch that was active before, as far as the status says.
    fn before(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Cluster(spot) => spot.previous.clone(),
        }
    }

    fn active(&self) -> &str {
        match self {
            Self::File(spot) => &spot.active,
            Self::Cluster(spot) => &spot.active,
        }
    }

    /// Of the IngressRoute on an API server.
    fn generation(&self) -> i64 {
        match self {
            Self::File(_) => 0,
            Self::Cluster(spot) => spot.generation,
        }
    }

    /// The file and line of a manifest.
    fn file(&self) -> Option<(&Path, usize)> {
        match self {
            Self::File(find::Spot { file, line, .. }) => Some((file, *line)),
            Self::Cluster(_) => None,
        }
    }

    /// Makes `branch` the active one; with the generation that the IngressRoute has then.
    async fn edit(&self, branch: &str) -> Result<i64> {
        match self {
            Self::File(spot) => spot.edit(branch).map(|()| 0),
            Self::Cluster(spot) => spot.edit(branch).await,
        }
    }
}
