//! One request and its answer.

use crate::{filter, host};
use proxy_wasm::types::Action;
use std::cell::OnceCell;
use switchyard_policy::{
    answer::Mapping,
    decide::{Decision, Forward, Headers, Refusal, Request, Trail, decide},
};

/// What the Envoy route that a request is sent on to matches.
const ROUTE: &str = "x-switchyard-route";
/// What that route takes its cluster from.
const CLUSTER: &str = "x-switchyard-cluster";
/// For the access log, where the route that Envoy names in the end is not the one that the request came to.
const ROUTE_STATE: &str = "switchyard_route";
/// Tells a client which branch answered, where the configuration says so.
const BRANCH: &str = "x-switchyard-branch";

/// Those of the request, each got when first asked for.
#[derive(Default)]
struct RequestHeaders {
    target: OnceCell<Vec<u8>>,
    all: OnceCell<host::Headers>,
}

/// What the answer to a request is to say.
pub(crate) struct Answer {
    /// The host that was asked for, if there is a mapping.
    authority: String,
    mapping: Option<Mapping>,
    set_cookies: Vec<String>,
    branches: Option<String>,
}

/// Decides the request of a stream.
pub(crate) fn on_request_headers(stream: u32) -> Action {
    let Some(store) = filter::store() else {
        host::respond(503, Vec::new());
        return Action::Pause;
    };
    let route_name = host::route_name();
    let request = Request {
        route_name: &route_name,
        headers: &RequestHeaders::default(),
    };
    let Decision { trail, outcome } = filter::with_rng(|rng| decide(&store, request, rng));
    note(&trail);
    let branches = store.expose_branch().then_some(trail.branches);
    match outcome {
        Ok(forward) => {
            if let Some(answer) = send_on(forward, request, branches) {
                filter::expect_answer(stream, answer);
            }
            Action::Continue
        }
        Err(refusal) => {
            host::set_filter_state(ROUTE_STATE, &route_name);
            refuse(&refusal, branches.as_deref());
            Action::Pause
        }
    }
}

/// Says on the answer to a stream what its request left to be said.
pub(crate) fn on_response_headers(stream: u32) -> Action {
    if let Some(answer) = filter::take_answer(stream) {
        answer.apply();
    }
    Action::Continue
}

// === impl RequestHeaders ===

impl Headers for RequestHeaders {
    fn target(&self) -> &[u8] {
        self.target.get_or_init(|| host::request_header(":path"))
    }

    fn all(&self) -> &[(String, Vec<u8>)] {
        self.all.get_or_init(host::request_headers)
    }
}

// === impl Answer ===

impl Answer {
    fn apply(self) {
        let Self {
            authority,
            mapping,
            set_cookies,
            branches,
        } = self;
        if let Some(mapping) = mapping {
            map_back(&mapping, &authority);
        }
        for cookie in set_cookies {
            host::add_response_header("set-cookie", cookie.as_bytes());
        }
        if let Some(branches) = branches {
            host::set_response_header(BRANCH, Some(branches.as_bytes()));
        }
    }
}

/// For the access log.
fn note(Trail { root, branches, leaf }: &Trail) {
    if !root.is_empty() {
        host::set_filter_state("switchyard_root", root);
    }
    host::set_filter_state("switchyard_branch", branches);
    host::set_filter_state("switchyard_leaf", leaf);
}

/// Makes Envoy select the leaf's route, and says what is left to do on the answer.
fn send_on(forward: Forward, request: Request<'_>, branches: Option<String>) -> Option<Answer> {
    let Forward {
        route,
        cluster,
        path,
        set_cookies,
        mapping,
    } = forward;
    if let Some(path) = path {
        host::set_filter_state("switchyard_path", &path);
    }
    host::set_request_header(CLUSTER, cluster.as_deref());
    if let Some(route) = route {
        host::set_filter_state(ROUTE_STATE, request.route_name);
        host::set_request_header(ROUTE, Some(&route));
    }
    let is_needed = mapping.is_some() || !set_cookies.is_empty() || branches.is_some();
    is_needed.then(|| Answer {
        authority: mapping.as_ref().map_or("", |_| request.authority()).to_owned(),
        mapping,
        set_cookies,
        branches,
    })
}

fn refuse(refusal: &Refusal, branches: Option<&str>) {
    let reason = refusal.to_string();
    if refusal.is_fault() {
        host::log_error(&format!("switchyard: request refused: {reason}"));
    }
    host::set_filter_state("switchyard_reason", &reason);
    let exposed = branches.filter(|branches| !branches.is_empty());
    host::respond(
        refusal.status(),
        exposed.map(|branches| (BRANCH, branches)).into_iter().collect(),
    );
}

/// Puts the paths in the answer's headers as the client sees them.
fn map_back(mapping: &Mapping, authority: &str) {
    let headers = host::response_headers();
    let is_place = |name: &str| name == "location" || name == "content-location";
    for (name, value) in headers.iter().filter(|(name, _)| is_place(name)) {
        if let Some(mapped) = mapping.location(value, authority) {
            host::set_response_header(name, Some(mapped.as_bytes()));
        }
    }
    map_cookies(mapping, headers);
}

/// All of them are set anew where one of them changes: the host can replace only all headers of a name.
fn map_cookies(mapping: &Mapping, headers: host::Headers) {
    let cookies = headers.into_iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies
        .map(|(_, value)| (mapping.set_cookie(&value), value))
        .collect();
    if cookies.iter().all(|(mapped, _)| mapped.is_none()) {
        return;
    }
    host::set_response_header("set-cookie", None);
    for (mapped, value) in cookies {
        host::add_response_header("set-cookie", &mapped.unwrap_or(value));
    }
}
