//! The comparison of an explanation with the observed behavior.

use super::requests::{Answer, Asked, FAILURE, Outcome as Seen, SAID};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use switchyard_tests::gatekeeper::Told;
use switchyard_xds::explain::{Changed, Explanation, Outcome, Setting, Upstream};

/// Headers that policies change in the requests and responses of these tests.
const OF_REQUESTS: [&str; 5] = ["x-one", "x-two", "x-sub", "x-api-key", "authorization"];
const OF_ANSWERS: [&str; 12] = [
    "x-one",
    "x-two",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "vary",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "www-authenticate",
    "set-cookie",
];

/// The observations of a request.
pub(super) struct Sight<'a> {
    pub(super) asked: &'a Asked,
    /// The number of requests to upstreams.
    pub(super) attempts: usize,
    /// The requests to authorization and rate limit services.
    pub(super) questions: &'a [(String, Told)],
    pub(super) seen: &'a Seen,
    /// The access log line. None if no route matched the connection.
    pub(super) logged: Option<&'a Value>,
}

// === impl Sight ===

impl Sight<'_> {
    /// Checks that the explanation matches the observations.
    pub(super) fn is_as(&self, explanation: &Explanation) -> Result<()> {
        let answer = match (&explanation.outcome, self.seen) {
            (Outcome::Close { .. }, Seen::Closed) => return Ok(()),
            (_, Seen::Closed) => anyhow::bail!("the connection was closed"),
            (Outcome::Close { .. }, Seen::Answer(_)) => anyhow::bail!("the connection was not closed"),
            (_, Seen::Answer(answer)) => answer,
        };
        if let Outcome::Proxy { upstreams, .. } = &explanation.outcome {
            return is_proxied(answer, upstreams);
        }
        self.is_asked(explanation)?;
        if self.is_left_open(explanation, answer)? {
            return Ok(());
        }
        self.is_tried(answer, explanation)?;
        match &explanation.outcome {
            Outcome::Forward { upstreams, .. } if is_unanswered(answer, upstreams) => return Ok(()),
            Outcome::Forward {
                upstreams,
                path,
                headers,
            } => {
                self.is_forwarded(answer, upstreams)?;
                // An upgraded connection does not return the echo.
                if answer.status != 101 {
                    let seen = answer.seen.as_ref().context("no echo")?;
                    ensure!(seen.path == *path, "the upstream was asked for {}", seen.path);
                    self.is_changed(answer, headers)?;
                    is_timed(answer, explanation)?;
                }
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
            Outcome::Proxy { .. } | Outcome::Close { .. } => {}
        }
        self.is_answered(answer, &explanation.answer)?;
        let copies = explanation.mirrors.is_empty() || matches!(explanation.outcome, Outcome::Forward { .. });
        ensure!(copies, "copies of what is not sent on");
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

    pub(super) fn logged(&self, field: &str) -> Value {
        self.logged.map_or(Value::Null, |line| line[field].clone())
    }

    fn is_forwarded(&self, answer: &Answer, upstreams: &[Upstream]) -> Result<()> {
        let fails = self.asked.header(FAILURE.0).is_some();
        let want = if fails { [503, 101] } else { [200, 101] };
        ensure!(want.contains(&answer.status), "{} was answered", answer.status);
        let backend = answer.backend().context("no backend")?;
        ensure!(is_one_of(backend, upstreams), "{backend} answered");
        let cluster = self.logged("upstream_cluster");
        let is_told = |upstream: &Upstream| cluster == *upstream.cluster && backend == upstream.service;
        ensure!(upstreams.iter().any(is_told), "the cluster was {cluster}");
        Ok(())
    }

    /// Checks the number of requests to upstreams: one, plus the explained retries if the upstream fails.
    fn is_tried(&self, answer: &Answer, explanation: &Explanation) -> Result<()> {
        let tries = match (answer.backend(), answer.status) {
            (None, _) => 0,
            (Some(_), 503) => 1 + retries(explanation)?.0,
            (Some(_), _) => 1,
        };
        ensure!(
            self.attempts == tries,
            "upstreams were asked {} times",
            self.attempts
        );
        Ok(())
    }

    /// Checks that the upstream received the explained headers, and otherwise those of the client.
    fn is_changed(&self, answer: &Answer, Changed { set, removed }: &Changed) -> Result<()> {
        let headers = &answer.seen.as_ref().context("no echo")?.headers;
        let internal = headers.keys().filter(|name| name.starts_with("x-switchyard-"));
        let internal = internal.filter(|name| !name.starts_with("x-switchyard-mirror-"));
        let names = OF_REQUESTS.into_iter().chain(internal.map(String::as_str));
        for name in names.chain(set.iter().chain(removed).map(String::as_str)) {
            let is_said = self.asked.header(name).is_some() && !name.starts_with("x-switchyard-");
            let want = is_there(name, is_said, set, removed);
            ensure!(
                headers.contains_key(name) == want,
                "the upstream was told, or not, {name}"
            );
        }
        Ok(())
    }

    /// Checks that the response has the explained headers, and otherwise those of the upstream.
    fn is_answered(&self, answer: &Answer, Changed { set, removed }: &Changed) -> Result<()> {
        let said = self.asked.headers.iter().filter(|(name, _)| name == SAID);
        let said = said.filter_map(|(_, line)| line.split_once('=').map(|(name, _)| name));
        let said: Vec<_> = said.filter(|_| answer.seen.is_some()).collect();
        for name in OF_ANSWERS.into_iter().chain(set.iter().map(String::as_str)) {
            let want = is_there(name, said.contains(&name), set, removed);
            ensure!(
                answer.headers.contains_key(name) == want,
                "the answer said, or not, {name}"
            );
        }
        Ok(())
    }

    /// Checks the branches, and the route of the last, against the log.
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

/// Returns true for Envoy's own 503 if one of several upstreams has no endpoints.
fn is_unanswered(answer: &Answer, upstreams: &[Upstream]) -> bool {
    let has_none = |upstream: &Upstream| upstream.endpoints == Some(0);
    answer.status == 503 && answer.backend().is_none() && upstreams.iter().any(has_none)
}

fn is_one_of(backend: &str, upstreams: &[Upstream]) -> bool {
    upstreams.iter().any(|upstream| upstream.service == backend)
}

/// Returns true if a header must be present after these edits.
fn is_there(name: &str, is_said: bool, set: &[String], removed: &[String]) -> bool {
    let is_in = |names: &[String]| names.iter().any(|other| other == name);
    is_in(set) || is_said && !is_in(removed)
}

fn is_proxied(answer: &Answer, upstreams: &[Upstream]) -> Result<()> {
    let server = answer.headers.get("server").map(String::as_str);
    ensure!(server != Some("envoy"), "Envoy answered");
    // Some requests that Envoy repairs are invalid for the backend.
    let backend = answer.backend();
    let is_told = backend.is_none_or(|backend| is_one_of(backend, upstreams));
    ensure!(is_told, "{backend:?} answered");
    Ok(())
}

/// The explained number of retries, and the limit of each try in milliseconds.
fn retries(explanation: &Explanation) -> Result<(usize, Option<u64>)> {
    let Some(Setting { value, .. }) = &explanation.retry else {
        return Ok((0, None));
    };
    let (times, each) = match value.split_once(", each try within ") {
        Some((times, each)) => (times, milliseconds(each)),
        None => (value.as_str(), None),
    };
    let times = match times.split_once(' ') {
        Some(("once", _)) => 1,
        Some((times, _)) => times.parse()?,
        None => anyhow::bail!("{value:?} says no number"),
    };
    Ok((times, each))
}

/// Returns None if there is no limit.
fn milliseconds(value: &str) -> Option<u64> {
    let seconds: u64 = value.strip_suffix('s')?.parse().ok()?;
    Some(seconds * 1000)
}

/// Checks the timeout that Envoy announces to upstreams.
fn is_timed(answer: &Answer, explanation: &Explanation) -> Result<()> {
    let headers = &answer.seen.as_ref().context("no echo")?.headers;
    let told = headers.get("x-envoy-expected-rq-timeout-ms").map(String::as_str);
    let Some(Setting { value, .. }) = &explanation.timeout else {
        anyhow::bail!("no timeout, and the upstream was told {told:?}");
    };
    let (retries, each) = retries(explanation)?;
    let want = milliseconds(value).into_iter().chain(each).min();
    let told = told.map(str::parse::<u64>).transpose()?;
    // Retries have less time left.
    let is_less = retries > 0 && answer.status == 503 && told <= want && told.is_some();
    ensure!(told == want || is_less, "the upstream was told {told:?} ms");
    Ok(())
}
