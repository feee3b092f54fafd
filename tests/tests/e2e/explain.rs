//! Explanations match Envoy's behavior: random manifests and random requests, to both.
//!
//! The seed is fixed, so each run is the same. `EXPLAIN_SEED=7 EXPLAIN_WORLDS=100` tries others, and more.

mod dice;
mod holds;
mod log;
mod manifests;
mod neighbours;
mod open;
mod requests;
mod tokens;

use self::{
    dice::Dice,
    holds::Sight,
    log::Log,
    neighbours::Neighbours,
    open::{Copies, is_copy},
    requests::{Asked, Outcome as Seen},
    tokens::Tokens,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::Duration,
};
use switchyard_tests::{
    client::{get, once},
    control::switchyard,
    echo::Echo,
    manifests::{object, service, tls_secret},
    tls::Authority,
    wait::{until, within},
    world::{Builder, Source, World},
};
use switchyard_xds::explain::{Choice, Chosen, Explanation, Outcome};

use crate::{
    fixture::{BlueGreen, HOST},
    scenarios,
};

scenarios![explain_prints_the_location_of_the_route,];

const SEED: u64 = 20_261_127;
const WORLDS: u64 = 45;
const REQUESTS: usize = 40;
/// The time in which a worker applies an update after acknowledging it.
const SETTLING: Duration = Duration::from_secs(10);

/// An installation whose manifests change.
struct Place {
    world: World,
    authority: Authority,
    log: Log,
    tokens: Tokens,
    neighbours: Neighbours,
    backends: Vec<Echo>,
}

/// A request with its observed outcome and its explanations.
#[derive(Debug)]
struct Case {
    id: String,
    asked: Asked,
    seen: Seen,
    /// The number of requests to upstreams.
    attempts: usize,
    explanations: Vec<Explanation>,
}

/// The result of a case whose explanation was right.
#[derive(Debug)]
struct Held {
    id: String,
    copies: Copies,
    /// The kinds of behavior that the case covers.
    kinds: Vec<String>,
}

/// The totals over all cases.
#[derive(Debug, Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    /// The mirrored requests by request ID.
    copies: Vec<(String, Copies)>,
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text}")),
        Err(_) => Ok(default),
    }
}

// === impl Place ===

impl Place {
    async fn start(trusted_hops: u64) -> Result<Self> {
        let authority = Authority::new()?;
        let tokens = Tokens::new()?;
        let neighbours = Neighbours::start().await?;
        let mut backends = Vec::new();
        let mut all = neighbours.manifests();
        for namespace in manifests::NAMESPACES {
            for name in manifests::BACKENDS {
                let backend = Echo::start(&format!("{namespace}/{name}")).await?;
                all += &service(namespace, name, &[backend.address]);
                backends.push(backend);
            }
            all += &service(namespace, "idle", &[]);
            all += &manifests::secrets(namespace, &tokens.jwks);
            for host in manifests::HOSTS {
                all += &tls_secret(namespace, &format!("cert-{host}"), &authority.issue(host)?);
            }
        }
        let builder = Builder::new(Source::Directory)?;
        let log = builder.dir.join("access.log");
        let world = builder
            .flag(&format!("--access-log={}", log.display()))
            .flag(&format!("--xff-trusted-hops={trusted_hops}"))
            .manifest("services.yaml", &all)?
            .start()
            .await?;
        Ok(Self {
            world,
            authority,
            log: Log::new(log),
            tokens,
            neighbours,
            backends,
        })
    }

    /// Replaces the manifests, and waits until Envoy has them: they include a branch with the number of the world,
    /// which is then live.
    async fn become_world(&self, number: u64, manifests: &str) -> Result<()> {
        let spec = |spec: Value| serde_json::json!({ "spec": spec });
        let marker = |name: &str, content: Value| {
            object("contour.heptio.com/v1beta1", "IngressRoute", name, spec(content))
        };
        let branch = format!("m{number}");
        let root = serde_json::json!({
            "virtualhost": {"fqdn": "marker.test"}, "routes": [{"match": "/", "delegate": {"name": branch}}],
        });
        let leaf = serde_json::json!({"routes": [{"match": "/", "services": []}]});
        self.world.write(
            "world.yaml",
            &(manifests.to_owned() + &marker("marker", root) + &marker(&branch, leaf)),
        )?;
        let question = format!("/live?root=default/marker&match=/&branch=default/{branch}&timeout=20000");
        until("the manifests are live", async || {
            let report: Value = serde_json::from_str(&self.admin(&question).await?)?;
            ensure!(report["accepted"] == true && report["live"] == 1, "{report}");
            Ok(())
        })
        .await
    }

    async fn admin(&self, target: &str) -> Result<String> {
        let answer = once(self.world.control.options.admin, get("admin", target)).await?;
        let body = String::from_utf8(answer.body.into())?;
        ensure!(answer.status == 200, "{target}: {} {body}", answer.status);
        Ok(body)
    }

    /// Control's explanations of a request, one for each combination of canaries that it may be sampled for.
    async fn explain(&self, id: &str, asked: &Asked) -> Result<Vec<Explanation>> {
        let Asked {
            https,
            host: _,
            authority,
            target,
            method,
            headers,
        } = asked;
        let mut query = format!(
            "/debug/explain?host={authority}&path={}&method={method}&https={https}",
            escape(target)
        );
        let id = ("x-request-id".to_owned(), id.to_owned());
        for (name, value) in headers.iter().chain([&id]) {
            query.push_str(&format!("&header={}", escape(&format!("{name}: {value}"))));
        }
        let mut ways = vec![BTreeSet::new()];
        let mut all = Vec::new();
        while let Some(canaries) = ways.get(all.len()).cloned() {
            let named = canaries.iter().map(|name| format!("&canary={name}"));
            let target = named.fold(query.clone(), |query, canary| query + &canary);
            let explanation: Explanation = serde_json::from_str(&self.admin(&target).await?)?;
            for canary in drawn(&explanation) {
                let with_it: BTreeSet<_> = canaries.iter().cloned().chain([canary]).collect();
                if !ways.contains(&with_it) {
                    ways.push(with_it);
                }
            }
            all.push(explanation);
        }
        Ok(all)
    }

    async fn ask(&self, id: String, asked: Asked) -> Result<Case> {
        let ports = requests::Ports {
            http: self.world.http(),
            https: self.world.https(),
        };
        let before = self.asked();
        let seen = asked.send(ports, &self.authority, &id).await?;
        let attempts = self.asked() - before;
        let explanations = self.explain(&id, &asked).await?;
        Ok(Case {
            id,
            asked,
            seen,
            attempts,
            explanations,
        })
    }

    /// The number of requests to upstreams so far.
    fn asked(&self) -> usize {
        self.backends.iter().map(Echo::requests).sum()
    }

    /// Checks a case, once its access log line and all its mirrored requests have arrived.
    async fn check(&self, case: &Case) -> Result<Held> {
        let logged = if case.is_logged() {
            let line = until("it is logged", async || {
                self.log.line(&case.id)?.context("not yet")
            });
            Some(line.await.with_context(|| format!("{case:#?}"))?)
        } else {
            None
        };
        let questions = self.neighbours.questions(&case.id)?;
        let sight = Sight {
            asked: &case.asked,
            attempts: case.attempts,
            questions: &questions,
            seen: &case.seen,
            logged: logged.as_ref(),
        };
        let explanation = case.holds(&sight)?;
        let copies = sight.copies(explanation);
        let come = async || {
            let came = self.neighbours.copies(&case.id)?;
            came.iter().try_for_each(|(_, told)| is_copy(told, explanation))?;
            copies.are(&came)
        };
        let come = until("the copies have come", come).await;
        come.with_context(|| format!("{case:#?}"))?;
        let mut kinds = case.kinds(explanation);
        kinds.extend(sight.kinds(explanation));
        kinds.extend(copies.is_certain().then(|| "copied".to_owned()));
        Ok(Held {
            id: case.id.clone(),
            copies,
            kinds,
        })
    }

    /// Checks a case, and repeats its request if a worker may not have had the update yet.
    async fn check_in_time(&self, case: Case) -> Result<Held> {
        let first = self.check(&case).await;
        if first.is_ok() {
            return first;
        }
        let mut again = 0;
        within(SETTLING, "it is as it is explained", async || {
            again += 1;
            let id = format!("{}-again{again}", case.id);
            self.check(&self.ask(id, case.asked.clone()).await?).await
        })
        .await
    }
}

// === impl Case ===

impl Case {
    /// Returns true if the access log has the request's ID. It is missing if Envoy considers the request invalid, or if
    /// the connection's bytes are tunneled.
    fn is_logged(&self) -> bool {
        let is_proxied = matches!(self.explanations[0].outcome, Outcome::Proxy { .. });
        let is_request = !self.asked.headers.iter().any(|(name, _)| name.contains('_'));
        matches!(self.seen, Seen::Answer(_)) && is_request && !is_proxied
    }

    /// The first explanation that matches the observations.
    fn holds(&self, sight: &Sight<'_>) -> Result<&Explanation> {
        let mut unlike = Vec::new();
        for explanation in &self.explanations {
            match sight.is_as(explanation) {
                Ok(()) => return Ok(explanation),
                Err(error) => unlike.push(format!("{error:#}: {explanation:#?}")),
            }
        }
        bail!(
            "{self:#?}\nlogged: {:#?}\nasked: {:#?}\nexplained otherwise, {}",
            sight.logged,
            sight.questions,
            unlike.join("\nand ")
        )
    }

    fn is_upgraded(&self) -> bool {
        matches!(&self.seen, Seen::Answer(answer) if answer.status == 101)
    }

    /// The kinds of behavior that the case covers, for counting.
    fn kinds(&self, explanation: &Explanation) -> Vec<String> {
        let of_outcome = match &explanation.outcome {
            Outcome::Forward { .. } if self.is_upgraded() => "upgraded".to_owned(),
            Outcome::Forward { .. } => "forwarded".to_owned(),
            Outcome::Refuse { part, .. } => {
                format!("refused by {}", part.split('[').next().unwrap_or_default())
            }
            Outcome::Preflight { .. } => "preflight".to_owned(),
            Outcome::Proxy { .. } => "proxied".to_owned(),
            Outcome::Close { .. } => "closed".to_owned(),
            other => other
                .status()
                .map_or_else(String::new, |status| status.to_string()),
        };
        let chosen = explanation.chain.iter().filter_map(|link| link.chosen.as_ref());
        let twice = (self.explanations.len() > 3).then(|| "by chance, twice".to_owned());
        let branches = chosen.map(|chosen| format!("by {:?}", chosen.by).to_lowercase());
        [of_outcome].into_iter().chain(twice).chain(branches).collect()
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, Held { id, copies, kinds }: Held) {
        self.copies.push((id, copies));
        for kind in kinds {
            *self.counts.entry(kind).or_default() += 1;
        }
    }
}

/// Canaries that the request might have been sampled for, at the switches on its way.
fn drawn(explanation: &Explanation) -> Vec<String> {
    let is_drawn = |chosen: &&Chosen| chosen.percent.is_some_and(|percent| percent < 100);
    let chosen = explanation.chain.iter().filter_map(|link| link.chosen.as_ref());
    let active = chosen
        .filter(|chosen| chosen.by == Choice::Active)
        .filter(is_drawn);
    active.flat_map(|chosen| chosen.others.clone()).collect()
}

/// Escapes a text for a query string.
fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explanation_matches_envoy_behavior() -> Result<()> {
    let seed = number("EXPLAIN_SEED", SEED)?;
    let worlds = number("EXPLAIN_WORLDS", WORLDS)?;
    // Odd seeds have a trusted proxy in front.
    let place = Place::start(seed % 2).await?;
    let mut tally = Tally::default();
    for number in 0..worlds {
        // Each world has its own seed, so that a failing one can be repeated alone.
        let dice = &mut Dice::new(seed.wrapping_add(number << 32));
        let manifests = manifests::world(dice);
        place.become_world(number, &manifests).await?;
        let mut cases = Vec::new();
        for request in 0..REQUESTS {
            let id = format!("w{number}-r{request}");
            cases.push(place.ask(id, Asked::any(dice, &place.tokens)).await?);
        }
        for case in cases {
            let id = case.id.clone();
            let held = place.check_in_time(case).await;
            tally.add(held.with_context(|| format!("seed {seed}, world {number}, {id}:\n{manifests}"))?);
        }
    }
    let Tally { counts, copies } = tally;
    for (id, copies) in copies {
        let came = place.neighbours.copies(&id)?;
        copies.are_no_more_than(&came).with_context(|| id)?;
    }
    eprintln!("{counts:#?}");
    is_varied(&counts, worlds)
}

/// Checks that every kind of behavior occurred.
fn is_varied(counts: &BTreeMap<String, usize>, worlds: u64) -> Result<()> {
    if worlds < WORLDS {
        return Ok(());
    }
    for kind in [
        "forwarded",
        "copied",
        "tried again",
        "let through by a service",
        "kept by a service",
        "let through by a service that counts",
        "kept by a service that counts",
        "kept by a limit",
        "known by a token",
        "upgraded",
        "refused by auth",
        "refused by cors",
        "preflight",
        "proxied",
        "closed",
        "301",
        "307",
        "400",
        "403",
        "404",
        "503",
        "by active",
        "by chance, twice",
        "by preview",
        "by session",
    ] {
        ensure!(counts.contains_key(kind), "none was {kind}: {counts:#?}");
    }
    Ok(())
}

/// The command evaluates the objects itself; with `--control`, a running control does.
async fn explain_prints_the_location_of_the_route(source: Source) -> Result<()> {
    let BlueGreen { world, .. } = &BlueGreen::start(source).await?;
    let url = format!("{HOST}/x");
    let field = match source {
        Source::Directory => "root.yaml:11",
        Source::ApiServer => "default/blue-green-root spec.routes[0]",
    };
    let told = world.ask("explain", &[&url]).await?.succeeded()?.stdout;
    let want = [
        format!("\n  /  {field}\n"),
        "\n    * default/blue active".to_owned(),
        "\n-> default/blue/80, path /x\n".to_owned(),
    ];
    for want in want {
        ensure!(told.contains(&want), "no {want:?}: {told}");
    }
    let control = format!("http://{}", world.control.options.admin);
    let asked = switchyard(&["explain", "--control", &control, &url])
        .await?
        .succeeded()?;
    ensure!(asked.stdout == told, "control says otherwise: {}", asked.stdout);
    Ok(())
}
