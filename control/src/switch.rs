//! `switchyard switch`: edits a delegate in its file, and waits until that is live.

mod find;

use self::find::Spot;
use crate::{
    cli::{ADMIN_ADDRESS, Output, parse_duration},
    client::Control,
    live::{ProxyReport, ProxyState, Report},
    load::{Loaded, load, load_file, load_with_words},
    manifests::manifest_name,
    place::Place,
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
/// Edits the name of the delegate in its file, and nothing else of the file. If the new branch stood in `standby`, the
/// old one takes its place there. Then waits until every proxy that is connected to `switchyard serve` has acknowledged
/// the switch. Exits with 1 if one refuses it or does not answer in time, and says which and why. If
/// the branch is active already, nothing is edited, and the proxies are waited for all the same.
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
    file: PathBuf,
    line: usize,
    /// False where the branch was active already.
    edited: bool,
    /// From the start of the command.
    took_ms: u64,
    /// What control says. None where it was not to be asked.
    live: Option<Report>,
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
        let mut control = Control::new(&self.control);
        let (spot, target) = self.locate(&mut control, matched, branch).await?;
        let mut outcome = Outcome::before(&spot, branch);
        if outcome.edited {
            spot.edit(branch)?;
        }
        if !self.no_wait {
            let asked = self.ask(&mut control, &spot, &target).await;
            outcome.live = Some(asked.with_context(|| outcome.unasked(control.url()))?);
        }
        outcome.took_ms = started.elapsed().as_millis().try_into()?;
        self.tell(&outcome)
    }

    /// Where to edit, and what becomes active. Control knows; where it cannot say, the directory is searched.
    async fn locate(
        &self,
        control: &mut Control,
        matched: Option<&str>,
        branch: &str,
    ) -> Result<(Spot, Name)> {
        let asked = tokio::time::timeout(PATIENCE, self.locate_by_control(control, matched, branch));
        match asked.await {
            Ok(Ok(located)) => Ok(located),
            // Whatever is wrong, the search finds out, too.
            Ok(Err(_)) | Err(_) => self.search(matched, branch),
        }
    }

    /// Reads no other file than the one that control names.
    async fn locate_by_control(
        &self,
        control: &mut Control,
        matched: Option<&str>,
        branch: &str,
    ) -> Result<(Spot, Name)> {
        let (owner, file) = self.place(control, &self.root).await?;
        let directory = load_file(&self.dir, &file)?;
        let spot = find::spot(&directory, &owner, matched)?;
        let target = Name::new(spot.namespace.as_str(), branch);
        if !self.force && directory.entry(&find::id(&target)).is_none() {
            self.place(control, &target.to_string()).await?;
        }
        Ok((spot, target))
    }

    /// What an IngressRoute is called in full, and its file, as control has it.
    async fn place(&self, control: &mut Control, ingressroute: &str) -> Result<(Name, String)> {
        let Place {
            namespace,
            name,
            directory,
            file,
        } = control.get("/place", &[("ingressroute", ingressroute)]).await?;
        ensure!(
            self.dir.canonicalize()? == Path::new(&directory),
            "control serves another directory: {directory}"
        );
        let is_of_directory = manifest_name(Path::new(&file)).as_deref() == Some(&file);
        ensure!(is_of_directory, "{file:?} is no file of the directory");
        Ok((Name::new(namespace, name), file))
    }

    /// Looks for the words of what is asked for first, so that the size of the directory hardly matters; names that
    /// are written with escapes are found when all is read.
    fn search(&self, matched: Option<&str>, branch: &str) -> Result<(Spot, Name)> {
        let root = self.root.rsplit('/').next().unwrap_or(&self.root);
        let some = load_with_words(&self.dir, &[root, branch], Settings::default())?;
        self.locate_in(&some, matched, branch).or_else(|_| {
            let all = load(&self.dir, Settings::default())?;
            self.locate_in(&all, matched, branch)
        })
    }

    fn locate_in(&self, loaded: &Loaded, matched: Option<&str>, branch: &str) -> Result<(Spot, Name)> {
        let owner = find::owner(loaded, &self.root)?;
        let spot = find::spot(&loaded.directory, &owner, matched)?;
        let target = Name::new(spot.namespace.as_str(), branch);
        if !self.force {
            find::refuse_unknown(&loaded.graph, &target)?;
        }
        Ok((spot, target))
    }

    async fn ask(&self, control: &mut Control, spot: &Spot, branch: &Name) -> Result<Report> {
        let query = [
            ("root", &*spot.owner.to_string()),
            ("match", &*spot.prefix),
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

// === impl Outcome ===

impl Outcome {
    fn before(
        Spot {
            file,
            line,
            owner,
            prefix,
            active,
            ..
        }: &Spot,
        branch: &str,
    ) -> Self {
        Self {
            owner: owner.to_string(),
            prefix: prefix.clone(),
            from: active.clone(),
            to: branch.to_owned(),
            file: file.clone(),
            line: *line,
            edited: *active != *branch,
            took_ms: 0,
            live: None,
        }
    }

    /// Why nothing is known of what is live.
    fn unasked(&self, control: &str) -> String {
        let done = if self.edited {
            "the file is edited".to_owned()
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
            file,
            line,
            edited,
            took_ms,
            live,
            ..
        } = self;
        let live = live.as_ref().filter(|report| report.accepted);
        let live = live.map(|Report { live, of, .. }| format!("live on {live}/{of} proxies"));
        match (edited, live) {
            (true, Some(live)) => format!("{live} in {took_ms} ms"),
            (true, None) => format!("{}:{line}: {from} -> {to}", file.display()),
            (false, Some(live)) => format!("{}; {live}", self.already()),
            (false, None) => self.already(),
        }
    }

    fn already(&self) -> String {
        let Self { to, file, line, .. } = self;
        format!("{to} is active already ({}:{line})", file.display())
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
