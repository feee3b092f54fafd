//! `switchyard switch`: edits a delegate in its file, and waits until that is live.

mod cluster;
mod find;

use crate::{
    cli::{ADMIN_ADDRESS, Output, parse_duration},
    client::Control,
    live::{ProxyReport, ProxyState, Report},
    load::{Loaded, load, load_file, load_with_words},
    manifests::manifest_name,
    place::Place,
    source::ClusterArgs,
};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use switchyard_core::{Name, Settings};

/// How long control may take to say where something stands: to look for it takes no longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Switch a delegating route to another branch, and wait until that is live on every proxy.
///
/// In a directory, edits the name of the delegate in its file, and nothing else of the file; without one, patches the
/// IngressRoute on the API server. If the new branch stood in `standby`, the old one takes its place there. Then waits until every proxy that is connected to `switchyard serve` has acknowledged
/// the switch. Exits with 1 if one refuses it or does not answer in time, and says which and why. If
/// the branch is active already, nothing is changed, and the proxies are waited for all the same.
#[derive(Debug, Args)]
#[command(
    override_usage = "switchyard switch [OPTIONS] [DIR] ROOT [MATCH] BRANCH",
    after_help = "\
Examples:
  switchyard switch team-a/shop /cart cart-v2                    on the API server of the current context
  switchyard switch manifests/ blue-green-root green             its only delegating route
  switchyard switch manifests/ team-a/shop /cart cart-v2         the one that matches /cart
  switchyard switch manifests/ blue-green.bar.com green          by host name"
)]
pub struct Switch {
    /// DIR: the directory that `switchyard serve` serves, if it serves one. ROOT: the IngressRoute that delegates, as NAME
    /// (in namespace default), NAMESPACE/NAME, or a root's host name. MATCH: that of the route, if there are several that
    /// delegate. BRANCH: the IngressRoute to switch to.
    #[arg(required = true, num_args = 2..=4, value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
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
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What was done, and what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// The IngressRoute that the delegating route stands in, `namespace/name`.
    owner: String,
    /// Its `match`.
    #[serde(rename = "match")]
    prefix: String,
    /// The branch that was active before.
    from: String,
    /// The branch that is to be active.
    to: String,
    /// None: it stands on an API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// False where the branch was active already.
    edited: bool,
    /// From the start of the command.
    took_ms: u64,
    /// What control says. None where it was not to be asked.
    live: Option<Report>,
}

/// What the words of the command line say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked<'a> {
    /// None: the API server.
    dir: Option<&'a Path>,
    root: &'a str,
    matched: Option<&'a str>,
    branch: &'a str,
}

/// The delegating route that is meant.
enum Spot {
    File(find::Spot),
    Cluster(cluster::Spot),
}

// === impl Asked ===

impl<'a> Asked<'a> {
    /// A `match` begins with `/`, and no IngressRoute's name does.
    fn read(words: &'a [String]) -> Result<Self> {
        let (dir, root, matched, branch) = match words {
            [root, branch] => (None, root, None, branch),
            [root, matched, branch] if matched.starts_with('/') => (None, root, Some(matched), branch),
            [dir, root, branch] => (Some(dir), root, None, branch),
            [dir, root, matched, branch] => (Some(dir), root, Some(matched), branch),
            _ => bail!("name an IngressRoute and a branch"),
        };
        Ok(Self {
            dir: dir.map(Path::new),
            root,
            matched: matched.map(String::as_str),
            branch,
        })
    }
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
        let asked = Asked::read(&self.words)?;
        let mut control = Control::new(&self.control);
        let (spot, target) = match asked.dir {
            Some(dir) => self.locate(&mut control, dir, asked).await?,
            None => self.locate_in_cluster(asked).await?,
        };
        let mut outcome = Outcome::before(&spot, asked.branch);
        if outcome.edited {
            spot.edit(asked.branch).await?;
        }
        if !self.no_wait {
            let asked = self.ask(&mut control, &spot, &target).await;
            outcome.live = Some(asked.with_context(|| outcome.unasked(control.url()))?);
        }
        outcome.took_ms = started.elapsed().as_millis().try_into()?;
        self.tell(&outcome)
    }

    async fn locate_in_cluster(&self, asked: Asked<'_>) -> Result<(Spot, Name)> {
        let client = self.cluster.clone().client().await?;
        let spot = cluster::spot(&client, asked.root, asked.matched).await?;
        let target = Name::new(spot.namespace.as_str(), asked.branch);
        if !self.force {
            cluster::refuse_unknown(&client, &target).await?;
        }
        Ok((Spot::Cluster(spot), target))
    }

    /// Where to edit, and what becomes active. Control knows; where it cannot say, the directory is searched.
    async fn locate(&self, control: &mut Control, dir: &Path, asked: Asked<'_>) -> Result<(Spot, Name)> {
        let told = tokio::time::timeout(PATIENCE, self.locate_by_control(control, dir, asked));
        let (spot, target) = match told.await {
            Ok(Ok(located)) => located,
            // Whatever is wrong, the search finds out, too.
            Ok(Err(_)) | Err(_) => self.search(dir, asked)?,
        };
        Ok((Spot::File(spot), target))
    }

    /// Reads no other file than the one that control names.
    async fn locate_by_control(
        &self,
        control: &mut Control,
        dir: &Path,
        asked: Asked<'_>,
    ) -> Result<(find::Spot, Name)> {
        let (owner, file) = place(control, dir, asked.root).await?;
        let directory = load_file(dir, &file)?;
        let spot = find::spot(&directory, &owner, asked.matched)?;
        let target = Name::new(spot.namespace.as_str(), asked.branch);
        if !self.force && directory.entry(&find::id(&target)).is_none() {
            place(control, dir, &target.to_string()).await?;
        }
        Ok((spot, target))
    }

    /// Looks for the words of what is asked for first, so that the size of the directory hardly matters; names that
    /// are written with escapes are found when all is read.
    fn search(&self, dir: &Path, asked: Asked<'_>) -> Result<(find::Spot, Name)> {
        let root = asked.root.rsplit('/').next().unwrap_or(asked.root);
        let some = load_with_words(dir, &[root, asked.branch], Settings::default())?;
        self.locate_in(&some, asked).or_else(|_| {
            let all = load(dir, Settings::default())?;
            self.locate_in(&all, asked)
        })
    }

    fn locate_in(&self, loaded: &Loaded, asked: Asked<'_>) -> Result<(find::Spot, Name)> {
        let owner = find::owner(loaded, asked.root)?;
        let spot = find::spot(&loaded.directory, &owner, asked.matched)?;
        let target = Name::new(spot.namespace.as_str(), asked.branch);
        if !self.force {
            find::refuse_unknown(&loaded.graph, &target)?;
        }
        Ok((spot, target))
    }

    async fn ask(&self, control: &mut Control, spot: &Spot, branch: &Name) -> Result<Report> {
        let query = [
            ("root", &*spot.owner().to_string()),
            ("match", spot.prefix()),
            ("branch", &*branch.to_string()),
            ("timeout", &*self.timeout.as_millis().to_string()),
        ];
        control.get("/live", &query).await
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

/// What an IngressRoute is called in full, and its file, as control has it.
async fn place(control: &mut Control, dir: &Path, ingressroute: &str) -> Result<(Name, String)> {
    let Place {
        namespace,
        name,
        directory,
        file,
    } = control.get("/place", &[("ingressroute", ingressroute)]).await?;
    ensure!(
        dir.canonicalize()? == Path::new(&directory),
        "control serves another directory: {directory}"
    );
    let is_of_directory = manifest_name(Path::new(&file)).as_deref() == Some(&file);
    ensure!(is_of_directory, "{file:?} is no file of the directory");
    Ok((Name::new(namespace, name), file))
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

    fn active(&self) -> &str {
        match self {
            Self::File(spot) => &spot.active,
            Self::Cluster(spot) => &spot.active,
        }
    }

    /// The file and line of a manifest.
    fn file(&self) -> Option<(&Path, usize)> {
        match self {
            Self::File(find::Spot { file, line, .. }) => Some((file, *line)),
            Self::Cluster(_) => None,
        }
    }

    /// Makes `branch` the active one.
    async fn edit(&self, branch: &str) -> Result<()> {
        match self {
            Self::File(spot) => spot.edit(branch),
            Self::Cluster(spot) => spot.edit(branch).await,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn before(spot: &Spot, branch: &str) -> Self {
        let (file, line) = spot.file().unzip();
        Self {
            owner: spot.owner().to_string(),
            prefix: spot.prefix().to_owned(),
            from: spot.active().to_owned(),
            to: branch.to_owned(),
            file: file.map(Path::to_owned),
            line,
            edited: spot.active() != branch,
            took_ms: 0,
            live: None,
        }
    }

    /// Where the delegate stands.
    fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{}:{line}", file.display()),
            _ => format!("{} {}", self.owner, self.prefix),
        }
    }

    /// Why nothing is known of what is live.
    fn unasked(&self, control: &str) -> String {
        let done = if self.edited {
            format!("{} is edited", self.place())
        } else {
            self.already()
        };
        format!(
            "{done}, but {control} cannot be asked whether that is live: \
             is `switchyard serve` running, and is that its --admin-address?"
        )
    }

    fn to_text(&self) -> String {
        let Self {
            from,
            to,
            edited,
            took_ms,
            live,
            ..
        } = self;
        let live = live.as_ref().filter(|report| report.accepted);
        let live = live.map(|Report { live, of, .. }| format!("live on {live}/{of} proxies"));
        match (edited, live) {
            (true, Some(live)) => format!("{live} in {took_ms} ms"),
            (true, None) => format!("{}: {from} -> {to}", self.place()),
            (false, Some(live)) => format!("{}; {live}", self.already()),
            (false, None) => self.already(),
        }
    }

    fn already(&self) -> String {
        format!("{} is active already ({})", self.to, self.place())
    }

    /// What keeps the switch from being live; nothing where nobody asked.
    fn faults(&self, timeout: Duration) -> Vec<String> {
        match &self.live {
            None => Vec::new(),
            Some(Report { accepted: false, .. }) => vec![format!(
                "control has not taken the switch in {timeout:?}: its log says why (`switchyard check` does, too)"
            )],
            Some(Report { proxies, .. }) => {
                proxies.iter().filter_map(|proxy| fault(proxy, timeout)).collect()
            }
        }
    }
}

fn fault(ProxyReport { node, state }: &ProxyReport, timeout: Duration) -> Option<String> {
    match state {
        ProxyState::Live { .. } => None,
        ProxyState::Waiting => Some(format!("{node}: no answer in {timeout:?}")),
        ProxyState::Disconnected => Some(format!("{node}: disconnected")),
        ProxyState::Refused { reasons } => Some(format!("{node}: refused: {}", reasons.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_tells_a_directory_from_an_ingressroute() {
        let asked = |dir, root, matched, branch| Asked {
            dir,
            root,
            matched,
            branch,
        };
        for (words, want) in [
            ("shop blue", Some(asked(None, "shop", None, "blue"))),
            (
                "ns/shop /cart blue",
                Some(asked(None, "ns/shop", Some("/cart"), "blue")),
            ),
            (
                "dir shop blue",
                Some(asked(Some(Path::new("dir")), "shop", None, "blue")),
            ),
            (
                "/dir shop blue",
                Some(asked(Some(Path::new("/dir")), "shop", None, "blue")),
            ),
            (
                "dir shop /cart blue",
                Some(asked(Some(Path::new("dir")), "shop", Some("/cart"), "blue")),
            ),
            ("shop", None),
        ] {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(Asked::read(&words).ok(), want, "{words:?}");
        }
    }
}
