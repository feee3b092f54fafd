//! Whether an explanation says what was seen.

use super::requests::{Answer, Outcome as Seen};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use switchyard_xds::explain::{Changed, Explanation, Outcome, Setting, Upstream};

/// What there is to see of one request.
pub(super) struct Sight<'a> {
    pub(super) seen: &'a Seen,
    /// The line of the access log. None: the connection came to no route.
    pub(super) logged: Option<&'a Value>,
}

// === impl Sight ===

impl Sight<'_> {
    /// Whether the explanation says it.
    pub(super) fn is_as(&self, explanation: &Explanation) -> Result<()> {
        let answer = match (&explanation.outcome, self.seen) {
            (Outcome::Close { .. }, Seen::Closed) => return Ok(()),
            (_, Seen::Closed) => anyhow::bail!("the connection was closed"),
            (Outcome::Close { .. }, Seen::Answer(_)) => anyhow::bail!("the connection was not closed"),
            (_, Seen::Answer(answer)) => answer,
        };
        match &explanation.outcome {
            Outcome::Forward {
                upstreams,
                path,
                headers,
            } => {
                if is_unanswered(answer, upstreams) {
                    return Ok(());
                }
                self.is_forwarded(answer, upstreams)?;
                // Who speaks another protocol from then on says nothing of what it saw.
                if answer.status != 101 {
                    let seen = answer.seen.as_ref().context("no echo")?;
                    ensure!(seen.path == *path, "the upstream was asked for {}", seen.path);
                    is_changed(answer, headers)?;
                    is_timed(answer, explanation)?;
                }
            }
            Outcome::Proxy { upstreams, .. } => {
                let server = answer.headers.get("server").map(String::as_str);
                ensure!(server != Some("envoy"), "Envoy answered");
                // Some requests that Envoy mends are none to it.
                let backend = answer.backend();
                ensure!(
                    backend.is_none_or(|backend| is_one_of(backend, upstreams)),
                    "{backend:?} answered"
                );
                return Ok(());
            }
            Outcome::Respond { status, .. } | Outcome::Preflight { status } => {
                ensure!(answer.status == *status, "{} was answered", answer.status);
            }
            Outcome::Redirect { status, location } => {
                let told = answer.headers.get("location");
                ensure!(
                    (answer.status, told) == (*status, Some(location)),
                    "{} {told:?}",
                    answer.status
                );
            }
            Outcome::Refuse {
                status,
                why,
                level,
                part,
                ..
            } => {
                ensure!(answer.status == *status, "{} was answered", answer.status);
                let by = format!("{level} {part}");
                ensure!(
                    self.logged("policy") == by,
                    "refused by {}",
                    self.logged("policy")
                );
                ensure!(
                    self.logged("reason") == **why,
                    "refused because {}",
                    self.logged("reason")
                );
            }
            Outcome::Close { .. } => {}
        }
        if explanation.outcome.status().is_some() {
            ensure!(answer.backend().is_none(), "{:?} answered", answer.backend());
        }
        if !matches!(explanation.outcome, Outcome::Refuse { .. }) {
            ensure!(
                self.logged("policy") == Value::Null,
                "a policy: {}",
                self.logged("policy")
            );
        }
        self.is_through(explanation)
    }

    fn logged(&self, field: &str) -> Value {
        self.logged.map_or(Value::Null, |line| line[field].clone())
    }

    fn is_forwarded(&self, answer: &Answer, upstreams: &[Upstream]) -> Result<()> {
        ensure!(
            [200, 101].contains(&answer.status),
            "{} was answered",
            answer.status
        );
        let backend = answer.backend().context("no backend")?;
        ensure!(is_one_of(backend, upstreams), "{backend} answered");
        let cluster = self.logged("upstream_cluster");
        let is_told = |upstream: &Upstream| cluster == *upstream.cluster && backend == upstream.service;
        ensure!(upstreams.iter().any(is_told), "the cluster was {cluster}");
        Ok(())
    }

    /// The branches, and the route of the last: as the log has them.
    fn is_through(&self, explanation: &Explanation) -> Result<()> {
        let through: Vec<_> = explanation
            .chain
            .iter()
            .skip(1)
            .map(|link| &*link.ingress_route)
            .collect();
        let through = Some(through.join(", ")).filter(|through| !through.is_empty());
        let branches = self.logged("branch");
        ensure!(branches.as_str() == through.as_deref(), "through {branches}");
        if let (Some(_), Some(route)) = (
            through,
            explanation.chain.last().and_then(|link| link.route.as_ref()),
        ) {
            ensure!(
                self.logged("leaf") == *route.prefix,
                "to the leaf {}",
                self.logged("leaf")
            );
        }
        Ok(())
    }
}

/// Envoy found no endpoint where one of several upstreams has none.
fn is_unanswered(answer: &Answer, upstreams: &[Upstream]) -> bool {
    let has_none = |upstream: &Upstream| upstream.endpoints == Some(0);
    answer.status == 503 && answer.backend().is_none() && upstreams.iter().any(has_none)
}

fn is_one_of(backend: &str, upstreams: &[Upstream]) -> bool {
    upstreams.iter().any(|upstream| upstream.service == backend)
}

fn is_changed(answer: &Answer, Changed { set, removed }: &Changed) -> Result<()> {
    let headers = &answer.seen.as_ref().context("no echo")?.headers;
    for name in set {
        ensure!(headers.contains_key(name), "the upstream was not told {name}");
    }
    for name in removed {
        ensure!(!headers.contains_key(name), "the upstream was told {name}");
    }
    let is_unsaid = |name: &&str| headers.contains_key(*name) && !set.iter().any(|said| said == name);
    let unsaid: Vec<_> = ["x-switchyard-user", "x-switchyard-auth"]
        .into_iter()
        .filter(|name| is_unsaid(name))
        .collect();
    ensure!(unsaid.is_empty(), "the upstream was told {unsaid:?}");
    Ok(())
}

/// Envoy tells upstreams how long it will wait.
fn is_timed(answer: &Answer, explanation: &Explanation) -> Result<()> {
    let headers = &answer.seen.as_ref().context("no echo")?.headers;
    let told = headers.get("x-envoy-expected-rq-timeout-ms").map(String::as_str);
    let Some(Setting { value, .. }) = &explanation.timeout else {
        anyhow::bail!("no timeout, and the upstream was told {told:?}");
    };
    let want = match value.strip_suffix('s').map(str::parse::<u64>) {
        Some(Ok(seconds)) => Some((seconds * 1000).to_string()),
        _ => None,
    };
    ensure!(told == want.as_deref(), "the upstream was told {told:?} ms");
    Ok(())
}
