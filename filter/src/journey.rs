//! A request on its way through its policies to its route.

use crate::{
    abi::Action,
    calls,
    envoy::Envoy,
    filter, host,
    metrics::{Counting, Way},
    stream::{Answer, RequestHeaders},
};
use switchyard_policy::{
    auth::Completion,
    call::Reply,
    decide::{Forward, RouteError},
    edit::Edit,
    enforce::{
        Enforcement,
        context::{NextAction, PolicyContext},
        refusal::PolicyRefusal,
    },
    local_reply::LocalReply,
    names::{BRANCH, CLUSTER, ROUTE},
    request::Request,
    route::RouteOverrides,
};

/// For the access log: the request's original route, if Envoy names another one in the end.
pub(crate) const ROUTE_STATE: &str = "switchyard_route";
/// For the access log: why a request is refused.
const REASON_STATE: &str = "switchyard_reason";
/// For the access log: the policy that refuses a request, and which part of it.
const POLICY_STATE: &str = "switchyard_policy";

/// A request that has to meet policies, and may wait for them.
pub(crate) struct Journey {
    pub(crate) route_name: String,
    /// The branch taken at each switch.
    pub(crate) branches: String,
    pub(crate) headers: RequestHeaders,
    pub(crate) envoy: Envoy,
    pub(crate) enforcement: Enforcement,
    pub(crate) course: Course,
}

/// The routing decision that applies once the policies are met.
pub(crate) struct Course {
    pub(crate) outcome: Result<Forward, RouteError>,
    /// The branches to expose to the client.
    pub(crate) branches: Option<String>,
}

// === impl Journey ===

impl Journey {
    /// Advances the request until it waits or ends. `stream` must be the effective context of host calls.
    pub(crate) fn go_on(mut self, stream: u32) -> Action {
        loop {
            match self.step() {
                NextAction::Done => return self.arrive(stream),
                NextAction::Refuse(refusal) => return self.refuse(refusal),
                NextAction::LocalReply(response) => return self.answer(response),
                NextAction::Call(call) => match calls::ask(&call) {
                    Some(token) => {
                        filter::wait_for_reply(stream, token, self);
                        return Action::Pause;
                    }
                    None => self.enforcement.complete(Completion::Reply(Reply::Failed)),
                },
                NextAction::Work(work) => {
                    filter::wait_for_work(stream, work, self);
                    return Action::Pause;
                }
            }
        }
    }

    /// Resumes the request with the answer that it waited for.
    pub(crate) fn resume(mut self, stream: u32, answer: Completion) {
        self.enforcement.complete(answer);
        if self.go_on(stream) == Action::Continue {
            host::resume_request();
        }
    }

    fn step(&mut self) -> NextAction {
        let Self {
            route_name,
            branches,
            headers,
            envoy,
            enforcement,
            course: _,
        } = self;
        let way = Way {
            route: route_name,
            branches,
        };
        filter::with_worker(|worker, metrics| {
            enforcement.advance(&mut PolicyContext {
                request: Request { route_name, headers },
                host: envoy,
                worker,
                observer: &mut Counting { metrics, way },
            })
        })
    }

    fn arrive(self, stream: u32) -> Action {
        let Self {
            route_name,
            branches: _,
            headers,
            envoy: _,
            mut enforcement,
            course,
        } = self;
        let request = Request {
            route_name: &route_name,
            headers: &headers,
        };
        filter::hold(stream, enforcement.take_permits());
        course.take(stream, request, Some(enforcement))
    }

    fn refuse(self, refusal: PolicyRefusal) -> Action {
        host::set_filter_state(ROUTE_STATE, &self.route_name);
        host::set_filter_state(POLICY_STATE, &refusal.policy);
        host::set_filter_state(REASON_STATE, &refusal.details);
        let response = refusal.response(self.request());
        self.answer(response)
    }

    /// Sends a local response. API keys are removed from the query, so that they are not logged.
    fn answer(self, mut response: LocalReply) -> Action {
        if let Some(target) = self.enforcement.target(self.request()) {
            host::set_request_header(":path", Some(&target));
        }
        response.edit(&self.enforcement.response_edits());
        host::respond(&response);
        Action::Pause
    }

    fn request(&self) -> Request<'_> {
        Request {
            route_name: &self.route_name,
            headers: &self.headers,
        }
    }
}

// === impl Course ===

impl Course {
    /// Returns true if the decision failed before the policies of the request were known.
    pub(crate) fn is_fault(&self) -> bool {
        self.outcome
            .as_ref()
            .is_err_and(|error| !error.has_all_policies())
    }

    /// The settings that the request's route has of its own.
    pub(crate) fn overrides(&self) -> RouteOverrides {
        let forward = self.outcome.as_ref().ok();
        forward.map_or_else(RouteOverrides::default, |forward| forward.overrides)
    }

    /// Forwards or refuses the request, once it has met its policies, if any.
    pub(crate) fn take(self, stream: u32, request: Request<'_>, enforcement: Option<Enforcement>) -> Action {
        let Self { outcome, branches } = self;
        if let Some(target) = enforcement
            .as_ref()
            .and_then(|enforcement| enforcement.target(request))
        {
            host::set_request_header(":path", Some(&target));
        }
        match outcome {
            Ok(forward) => {
                if let Some(enforcement) = &enforcement {
                    host::edit_request(&enforcement.request_edits());
                }
                let answer = send_on(forward, request);
                let answer = Answer {
                    branches,
                    enforcement,
                    ..answer
                };
                if answer.says_something() {
                    filter::expect_answer(stream, answer);
                }
                Action::Continue
            }
            Err(refusal) => {
                let edits = enforcement.as_ref().map(Enforcement::response_edits);
                refuse(&refusal, request, branches.as_deref(), &edits.unwrap_or_default());
                Action::Pause
            }
        }
    }
}

/// Makes Envoy select the leaf's route, and returns the edits of the response.
fn send_on(forward: Forward, request: Request<'_>) -> Answer {
    let Forward {
        route,
        cluster,
        path,
        set_cookies,
        mapping,
        is_plain,
        overrides: _,
    } = forward;
    if let Some(path) = path {
        host::set_filter_state("switchyard_path", &path);
    }
    if !is_plain {
        host::set_request_header(CLUSTER, cluster.as_deref().map(str::as_bytes));
    }
    if let Some(route) = route {
        host::set_filter_state(ROUTE_STATE, request.route_name);
        host::set_request_header(ROUTE, Some(route.as_bytes()));
    }
    Answer {
        authority: mapping.as_ref().map_or("", |_| request.authority()).to_owned(),
        mapping,
        set_cookies,
        branches: None,
        enforcement: None,
    }
}

fn refuse(refusal: &RouteError, request: Request<'_>, branches: Option<&str>, edits: &[Edit<'_>]) {
    let reason = refusal.to_string();
    if refusal.is_config_error() {
        host::log_error(&format!("switchyard: request refused: {reason}"));
    }
    host::set_filter_state(ROUTE_STATE, request.route_name);
    host::set_filter_state(REASON_STATE, &reason);
    let exposed = branches.filter(|branches| !branches.is_empty());
    let mut response = LocalReply::empty(refusal.status());
    if let Some(branches) = exposed {
        response = response.with(BRANCH, branches.as_bytes());
    }
    response.edit(edits);
    host::respond(&response);
}
