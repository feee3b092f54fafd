//! A request on its way through its policies to its route.

use super::{
    metrics::{Counting, MetricLabels, Metrics},
    response_edits::ResponseEdits,
};
use crate::{
    decide::{Forward, RouteError, Trail},
    edit::Edit,
    enforce::{
        Enforcement,
        context::{NextAction, PolicyContext, WorkerState},
        refusal::PolicyRefusal,
    },
    local_reply::LocalReply,
    names::{BRANCH, CLUSTER, ROUTE},
    proxy::{Flow, Proxy},
    request::Request,
    route::RouteOverrides,
};

/// For the access log: the request's original route, if Envoy names another one in the end.
pub(super) const ROUTE_STATE: &str = "switchyard_route";
/// For the access log: why a request is refused.
const REASON_STATE: &str = "switchyard_reason";
/// For the access log: the policy that refuses a request, and which part of it.
const POLICY_STATE: &str = "switchyard_policy";

/// A request that has to meet policies, if any, and may wait for them.
pub(super) struct RequestContext<P> {
    pub(super) stream: u32,
    pub(super) route_name: String,
    /// The branch taken at each switch.
    pub(super) branches: String,
    pub(super) proxy: P,
    pub(super) enforcement: Enforcement,
    pub(super) decision: RouteDecision,
}

/// The routing decision that applies once the policies are met.
pub(super) struct RouteDecision {
    pub(super) outcome: Result<Forward, RouteError>,
    /// The branches to expose to the client.
    pub(super) exposed: Option<String>,
}

/// Sets filter state for the access log.
pub(super) fn log(proxy: &impl Proxy, Trail { root, branches, leaf }: &Trail) {
    if !root.is_empty() {
        proxy.set_filter_state("switchyard_root", root);
    }
    if !branches.is_empty() {
        proxy.set_filter_state("switchyard_branch", branches);
        proxy.set_filter_state("switchyard_leaf", leaf);
    }
}

// === impl RequestContext ===

impl<P: Proxy> RequestContext<P> {
    pub(super) fn step(&mut self, worker: &mut WorkerState, metrics: &mut Metrics) -> NextAction {
        let Self {
            route_name,
            branches,
            proxy,
            enforcement,
            ..
        } = self;
        let labels = MetricLabels {
            route: route_name,
            branches,
        };
        enforcement.advance(&mut PolicyContext {
            request: Request {
                route_name,
                headers: proxy,
            },
            host: proxy,
            worker,
            observer: &mut Counting {
                metrics,
                labels,
                proxy,
            },
        })
    }

    /// Refuses the request, because of a policy.
    pub(super) fn refuse(&self, refusal: PolicyRefusal) -> Flow {
        self.proxy.set_filter_state(ROUTE_STATE, &self.route_name);
        self.proxy.set_filter_state(POLICY_STATE, &refusal.policy);
        self.proxy.set_filter_state(REASON_STATE, &refusal.details);
        self.respond(refusal.response(self.request()))
    }

    /// Answers the request. API keys are removed from the query, so that they are not logged.
    pub(super) fn respond(&self, mut response: LocalReply) -> Flow {
        self.withhold_credentials();
        response.edit(&self.enforcement.response_edits());
        self.proxy.respond(&response);
        Flow::Pause
    }

    /// Sends the request to its route, and returns the edits of the response; `None` if it is refused.
    pub(super) fn route(self) -> Option<ResponseEdits> {
        self.withhold_credentials();
        match &self.decision.outcome {
            Ok(forward) => self.forward(forward),
            Err(error) => self.refuse_route(error),
        }
        self.into_response_edits()
    }

    /// Makes Envoy select the leaf's route.
    fn forward(&self, forward: &Forward) {
        let Forward {
            route,
            cluster,
            path,
            is_plain,
            set_cookies: _,
            mapping: _,
            overrides: _,
        } = forward;
        self.proxy.edit_request(&self.enforcement.request_edits());
        if let Some(path) = path {
            self.proxy.set_filter_state("switchyard_path", path);
        }
        if !is_plain {
            let cluster = cluster.as_deref().map(str::as_bytes);
            self.proxy.edit_request(&[Edit::put(CLUSTER, cluster)]);
        }
        if let Some(route) = route {
            self.proxy.set_filter_state(ROUTE_STATE, &self.route_name);
            self.proxy.edit_request(&[Edit::Set(ROUTE, route.as_bytes())]);
        }
    }

    fn into_response_edits(self) -> Option<ResponseEdits> {
        let forward = self.decision.outcome.as_ref().ok()?;
        let authority = forward
            .mapping
            .as_ref()
            .map_or("", |_| self.request().authority());
        let authority = authority.to_owned();
        let Self {
            enforcement,
            decision,
            ..
        } = self;
        let Forward {
            mapping, set_cookies, ..
        } = decision.outcome.ok()?;
        Some(ResponseEdits {
            authority,
            mapping,
            set_cookies,
            branches: decision.exposed,
            enforcement,
        })
    }

    fn withhold_credentials(&self) {
        if let Some(target) = self.enforcement.target(self.request()) {
            self.proxy.edit_request(&[Edit::Set(":path", &target)]);
        }
    }

    fn refuse_route(&self, error: &RouteError) {
        let reason = error.to_string();
        if error.is_config_error() {
            self.proxy
                .log_error(&format!("switchyard: request refused: {reason}"));
        }
        self.proxy.set_filter_state(ROUTE_STATE, &self.route_name);
        self.proxy.set_filter_state(REASON_STATE, &reason);
        let exposed = self.decision.exposed.as_deref().unwrap_or_default();
        let mut response = LocalReply::empty(error.status());
        if !exposed.is_empty() {
            response = response.with(BRANCH, exposed.as_bytes());
        }
        response.edit(&self.enforcement.response_edits());
        self.proxy.respond(&response);
    }

    fn request(&self) -> Request<'_> {
        Request {
            route_name: &self.route_name,
            headers: &self.proxy,
        }
    }
}

// === impl RouteDecision ===

impl RouteDecision {
    /// Returns true if the decision failed before the policies of the request were known.
    pub(super) fn is_fault(&self) -> bool {
        self.outcome
            .as_ref()
            .is_err_and(|refusal| !refusal.has_all_policies())
    }

    /// The settings that the request's route has of its own.
    pub(super) fn overrides(&self) -> RouteOverrides {
        let forward = self.outcome.as_ref().ok();
        forward.map_or_else(RouteOverrides::default, |forward| forward.overrides)
    }
}
