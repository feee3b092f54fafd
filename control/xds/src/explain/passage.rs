//! The way of a request through the filter: what `filter/policy/src/runtime.rs` does, by the same decisions and the
//! same policies, with a model of Envoy in the place of Envoy.

use super::{
    Canaries, Case, Changed, Choice, Chosen, Explanation, Link, NO_UPGRADE, Outcome, changes,
    levels::Levels,
    proxy::{Headers, Manager, Selected, Way},
    respond,
    surroundings::{Guide, Notes, Stand, yes},
    weights,
};
use crate::sections::Sections;
use std::{rc::Rc, sync::Arc};
use switchyard_core::{
    Name,
    table::{self, HostRoute, SwitchKey, Target},
};
use switchyard_policy::{
    auth::Completion,
    call::Reply,
    decide::{Decision, Forward, RouteError, decide_with},
    enforce::{
        Enforcement,
        context::{NextAction, PolicyContext, WorkerState},
        refusal::PolicyRefusal,
    },
    local_reply::LocalReply,
    names,
    request::Request,
    scope::PolicyScope,
    store::Store,
    switch::BranchChoice,
};

/// A request on a route that the filter is on for.
pub(super) struct Passage<'a, 'p> {
    case: Case<'a>,
    manager: &'p Manager<'p>,
    route: Selected,
    headers: Headers,
}

/// What the policies of all levels come to.
enum Met {
    Done,
    Refused(PolicyRefusal),
    Answered(LocalReply),
}

/// The route that a request ends at.
struct End<'a> {
    owner: Name,
    prefix: String,
    leaf: Option<&'a table::Leaf>,
}

// === impl Passage ===

impl<'a, 'p> Passage<'a, 'p> {
    pub(super) fn new(
        case: Case<'a>,
        (manager, route): (&'p Manager<'p>, Selected),
        headers: Headers,
    ) -> Self {
        Self {
            case,
            manager,
            route,
            headers,
        }
    }

    pub(super) fn explain(self, sections: &Sections) -> Explanation {
        let mut explanation = self
            .case
            .answered(respond(503, "the filter has no configuration"));
        self.headers.path().clone_into(&mut explanation.request.path);
        let bytes = sections.packed().ok();
        let store = bytes.and_then(|bytes| Store::new(bytes, Rc::default()).ok());
        let Some(store) = store else {
            return explanation;
        };
        let mut guide = Guide {
            canaries: &self.case.request.canaries,
            taken: Vec::new(),
        };
        let decision = decide_with(&store, self.request(), &mut guide);
        let end = self.chain(&guide, &decision, &mut explanation.chain);
        explanation.assumed = unmet(&self.case.request.canaries, &explanation.chain);
        let Decision {
            trail: _,
            scopes: levels,
            outcome,
        } = decision;
        let mut notes = Notes::default();
        // Where it is not known what there is to meet, nothing is.
        let is_fault = outcome.as_ref().is_err_and(|error| !error.has_all_policies());
        let met = (!is_fault).then(|| self.meet(&levels, &outcome, &mut notes));
        if let Some((enforcement, met)) = &met {
            explanation.answer = self.answer(enforcement, met, &outcome);
        }
        let mut told = Levels {
            case: self.case,
            levels: &levels,
            notes: &notes,
            overrides: outcome
                .as_ref()
                .map(|forward| forward.overrides)
                .unwrap_or_default(),
            request: self.request(),
            forwards: false,
            heard: met
                .as_ref()
                .map_or(0, |(enforcement, _)| enforcement.responding_scopes().len()),
        };
        if let (Ok(_), Some(host), Some(end)) = (&outcome, self.case.host, &end) {
            let template = self.template(end);
            explanation.timeout = Some(told.timeout(host, (&end.owner, &end.prefix), template));
            explanation.retry = told.retry(host, (&end.owner, &end.prefix), template);
        }
        explanation.outcome = match (met, outcome) {
            (Some((_, Met::Refused(refusal))), _) => told.refusal(&refusal),
            (Some((_, Met::Answered(LocalReply { status, .. }))), _) => Outcome::Preflight { status },
            (_, Err(refusal)) => self.stopped(&refusal, end.as_ref()),
            (Some((enforcement, Met::Done)), Ok(forward)) => self.arrive(forward, &enforcement, end.as_ref()),
            (None, Ok(_)) => respond(503, "the policies are not known"),
        };
        told.forwards = matches!(explanation.outcome, Outcome::Forward { .. });
        told.tell(&mut explanation);
        explanation
    }

    fn request(&self) -> Request<'_> {
        Request {
            route_name: self.route.name(),
            headers: &self.headers,
        }
    }

    /// The IngressRoutes that the request comes through, and where it ends.
    fn chain(&self, guide: &Guide<'_>, decision: &Decision, chain: &mut Vec<Link>) -> Option<End<'a>> {
        let case = self.case;
        let host = case.host?;
        let mut link = case.root(host);
        let mut owner = host.root.clone();
        let mut branch = None;
        for (key, name, choice) in &guide.taken {
            let switch = case
                .host_snapshot
                .table
                .switches
                .get(&SwitchKey(key.as_str().into()))?;
            link.route = Some(case.route(&owner, &switch.prefix));
            chain.push(link);
            owner = full_name(name);
            branch = switch.branches.get(&owner);
            link = case.link(&owner);
            link.chosen = Some(chosen(switch, &owner, *choice));
        }
        let prefix = match branch {
            Some(_) => decision.trail.leaf.clone(),
            None => self.route.prefix().to_owned(),
        };
        link.route = (!prefix.is_empty()).then(|| case.route(&owner, &prefix));
        chain.push(link);
        let leaf = match branch.and_then(|branch| branch.routes.get(prefix.as_str())) {
            Some(Target::Leaf(leaf)) => Some(leaf),
            _ => None,
        };
        Some(End { owner, prefix, leaf })
    }

    /// What the route says that it ends at.
    fn template(&self, End { prefix, leaf, .. }: &End<'a>) -> Option<&'a table::Template> {
        match (leaf, self.case.host_route(prefix)) {
            (Some(leaf), _) => Some(&leaf.template),
            (None, Some((_, HostRoute::Plain(route)))) => Some(&route.template),
            (None, _) => None,
        }
    }

    fn meet(
        &self,
        levels: &[PolicyScope],
        outcome: &Result<Forward, RouteError>,
        notes: &mut Notes,
    ) -> (Enforcement, Met) {
        let overrides = outcome
            .as_ref()
            .map(|forward| forward.overrides)
            .unwrap_or_default();
        let stand = Stand::new(self.case.around, self.case.client_ip);
        let mut worker = WorkerState::new(&stand);
        let mut enforcement = Enforcement::new(levels.into(), overrides);
        loop {
            let step = enforcement.advance(&mut PolicyContext {
                request: self.request(),
                host: &stand,
                worker: &mut worker,
                observer: notes,
            });
            match step {
                NextAction::Done => return (enforcement, Met::Done),
                NextAction::Refuse(refusal) => return (enforcement, Met::Refused(refusal)),
                NextAction::LocalReply(response) => return (enforcement, Met::Answered(response)),
                NextAction::Call(call) => {
                    notes.asking(&call.cluster);
                    enforcement.complete(Completion::Reply(yes(&call)));
                }
                NextAction::Work(work) => {
                    let _is_done = worker.auth_cache.verify(|| false);
                    let failed = Completion::Reply(Reply::Failed);
                    enforcement.complete(work.outcome().map_or(failed, Completion::Work));
                }
            }
        }
    }

    /// What the answer says for policies, and for sessions that start.
    fn answer(&self, enforcement: &Enforcement, met: &Met, outcome: &Result<Forward, RouteError>) -> Changed {
        let edits = enforcement.response_edits();
        match (met, outcome) {
            (Met::Refused(refusal), _) => {
                let LocalReply { headers, .. } = refusal.clone().response(self.request());
                changes::of_answer(Some(&headers), 0, &edits)
            }
            (Met::Answered(response), _) => changes::of_answer(Some(&response.headers), 0, &edits),
            (Met::Done, Err(_)) => changes::of_answer(Some(&[]), 0, &edits),
            (Met::Done, Ok(forward)) => changes::of_answer(None, forward.set_cookies.len(), &edits),
        }
    }

    /// Once it has met all: the route that Envoy selects now, and what that does.
    fn arrive(&self, forward: Forward, enforcement: &Enforcement, end: Option<&End<'a>>) -> Outcome {
        let Forward {
            route,
            cluster,
            path,
            set_cookies: _,
            mapping: _,
            is_plain,
            overrides: _,
        } = forward;
        let mut headers = self.headers.clone();
        if let Some(target) = enforcement.target(self.request()) {
            headers.set(":path", target);
        }
        for edit in enforcement.request_edits() {
            edit.apply(&mut headers.0);
        }
        let changed = changes::of_request(&self.headers, &headers);
        if !is_plain {
            headers.remove(names::CLUSTER);
            headers
                .0
                .extend(cluster.map(|cluster| (names::CLUSTER.to_owned(), cluster.into_bytes())));
        }
        if let Some(route) = route {
            headers.set(names::ROUTE, route);
        }
        let selected = self.manager.route(&headers);
        let way = selected.and_then(|route| route.way(&headers, path.as_deref()));
        match way {
            Some(Way::Forward { clusters, path }) => {
                // The filter has drawn one of several.
                let upstreams = match end.and_then(|end| end.leaf) {
                    Some(leaf) => self.case.upstreams(weights(&leaf.clusters)),
                    None => self.case.upstreams(clusters),
                };
                self.case.forward(upstreams, path, changed)
            }
            Some(Way::Redirect { status, location }) => Outcome::Redirect { status, location },
            Some(Way::Respond(403)) => respond(403, NO_UPGRADE),
            Some(Way::Respond(status)) => respond(status, "the route is in error"),
            None => respond(404, "the filter names a route that there is not"),
        }
    }

    /// It is sent nowhere.
    fn stopped(&self, refusal: &RouteError, end: Option<&End<'a>>) -> Outcome {
        let why = match (refusal, end) {
            (RouteError::NoRoute, Some(End { owner, .. })) => format!("no route of {owner} takes the path"),
            _ => refusal.to_string(),
        };
        let mut faults = Vec::new();
        if let (RouteError::Unavailable(_), Some(End { owner, prefix, .. })) = (refusal, end)
            && let Some(field) = self.case.host_snapshot.field(owner, Some(prefix))
        {
            faults = self.case.faults_of(owner, &field);
        }
        Outcome::Respond {
            status: refusal.status(),
            why,
            faults,
        }
    }
}

/// Canaries that were named, and are none of those that the request comes by.
fn unmet(canaries: &Canaries, chain: &[Link]) -> Vec<String> {
    let Canaries::Of(names) = canaries else {
        return Vec::new();
    };
    let has = |name: &&String| {
        let by_chance = |link: &&Link| {
            link.chosen
                .as_ref()
                .is_some_and(|chosen| chosen.by == Choice::Canary)
        };
        chain
            .iter()
            .filter(by_chance)
            .any(|link| link.ingress_route == **name)
    };
    let unmet = names.iter().filter(|name| !has(name));
    unmet
        .map(|name| format!("{name} makes no difference: it is not a canary that this request can get"))
        .collect()
}

fn full_name(name: &str) -> Name {
    Name::qualified(name, &Arc::from(""))
}

fn without_effect(switch: &table::Switch) -> Vec<String> {
    let preview = switch.preview.is_some() && switch.preview_in_effect().is_none();
    let canary = switch.canary.is_some() && switch.canary_in_effect().is_none();
    let fields = [("preview", preview), ("canary", canary)];
    let idle = fields.into_iter().filter(|(_, is_idle)| *is_idle);
    idle.map(|(field, _)| field.to_owned()).collect()
}

fn chosen(switch: &table::Switch, branch: &Name, choice: BranchChoice) -> Chosen {
    let by = match choice {
        BranchChoice::Preview => Choice::Preview,
        BranchChoice::Session => Choice::Session,
        BranchChoice::New if *branch == switch.active => Choice::Active,
        BranchChoice::New => Choice::Canary,
    };
    let name = match by {
        Choice::Preview => switch.preview.as_ref().map(|preview| preview.header.to_string()),
        Choice::Session => switch.sticky.as_ref().map(|sticky| sticky.cookie.to_string()),
        Choice::Active | Choice::Canary => None,
    };
    let canary = switch
        .canary_in_effect()
        .map_or(0, |canary| canary.percent.min(100));
    let percent = match by {
        Choice::Active => Some(100 - canary),
        Choice::Canary => Some(canary),
        Choice::Preview | Choice::Session => None,
    };
    let others = switch.branches.keys().filter(|other| *other != branch);
    Chosen {
        by,
        name,
        percent,
        others: others.map(Name::to_string).collect(),
        without_effect: without_effect(switch),
    }
}
