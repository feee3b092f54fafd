//! The admin interface: health, proxies, the graph, explanations of requests, places of IngressRoutes, and the state of
//! switches.
//!
//! It answers on loopback, in JSON. The only thing that it can change is the log level.

use crate::{
    args::Format,
    explain,
    health::{self, Health},
    live::{self, Report},
    log::LogLevel,
    place::{self, Place},
    question::{Question, SwitchTarget},
    source::Files,
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use switchyard_core::Name;
use switchyard_xds::{
    ads::{Proxy, Server},
    translate::Settings,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

/// The maximum timeout of `/live`.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The state of the handlers.
#[derive(Clone, Debug)]
pub struct Admin {
    pub server: Server,
    pub engine: mpsc::Sender<Question>,
    /// The manifests; `None` if objects come from an API server.
    pub files: Option<Files>,
    pub log_level: LogLevel,
    /// The settings of the proxies.
    pub proxies: Settings,
}

/// The query of `/live`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// The IngressRoute with the delegating route, `namespace/name`.
    root: String,
    /// The `match` of the delegating route.
    #[serde(rename = "match")]
    prefix: String,
    /// The IngressRoute that should be active, `namespace/name`.
    branch: String,
    /// The timeout in milliseconds.
    #[serde(default = "ten_seconds")]
    timeout: u64,
}

/// The query of `/place`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceQuery {
    /// The IngressRoute, in the forms that `switchyard switch` accepts: a name, `namespace/name`, or the host name of a
    /// root.
    ingressroute: String,
    /// The namespace of an IngressRoute given by name only.
    #[serde(default = "default_namespace")]
    namespace: String,
}

/// The query of `/dry-run`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DryRunQuery {
    /// The IngressRoute with the delegating route, `namespace/name`.
    root: String,
    /// The `match` of the delegating route.
    #[serde(rename = "match")]
    prefix: String,
    /// The IngressRoute that would be active, `namespace/name`.
    branch: String,
}

/// The query of `/previous`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviousQuery {
    /// The IngressRoute with the delegating route, `namespace/name`.
    root: String,
    /// The `match` of the delegating route.
    #[serde(rename = "match")]
    prefix: String,
}

/// The query of `/debug/graph`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphQuery {
    #[serde(default)]
    format: GraphFormat,
}

/// The format of the graph.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GraphFormat {
    /// JSON, as printed by `switchyard tree -o json`.
    #[default]
    Json,
    /// The language of Graphviz.
    Dot,
}

/// The answer of `/dry-run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// The reasons why the branch would not serve, one line each; empty if it would serve.
    pub blockers: Vec<String>,
}

/// The answer of `/previous`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The previously active branch, `namespace/name`; `None` if control has seen no switch.
    pub branch: Option<String>,
}

/// One entry of `/proxies`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyView {
    node: String,
    cluster: String,
    address: Option<String>,
    connected_seconds: u64,
    acknowledged: u64,
    refused: Vec<RefusedView>,
    silent_seconds: Option<u64>,
}

/// A resource that a proxy rejected.
#[derive(Debug, Serialize)]
struct RefusedView {
    #[serde(rename = "type")]
    type_url: &'static str,
    name: String,
    reason: String,
}

/// The routes of the admin interface.
pub fn router(admin: Admin, health: Health) -> Router {
    Router::new()
        .route("/proxies", get(proxies))
        .route("/place", get(place))
        .route("/live", get(live))
        .route("/dry-run", get(dry_run))
        .route("/previous", get(previous))
        .route("/debug/graph", get(graph))
        .route("/debug/explain", get(explain))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(admin)
        .merge(health::router(health))
}

fn ten_seconds() -> u64 {
    10_000
}

fn default_namespace() -> String {
    place::NAMESPACE.to_owned()
}

async fn proxies(State(admin): State<Admin>) -> Json<Vec<ProxyView>> {
    Json(admin.server.proxies().into_iter().map(ProxyView::from).collect())
}

async fn place(
    State(Admin {
        engine,
        files,
        server: _,
        log_level: _,
        proxies: _,
    }): State<Admin>,
    Query(PlaceQuery {
        ingressroute,
        namespace,
    }): Query<PlaceQuery>,
) -> Result<Json<Place>, (StatusCode, String)> {
    let unknown = || {
        (
            StatusCode::NOT_FOUND,
            format!("no file defines IngressRoute {ingressroute:?}\n"),
        )
    };
    let files = files.ok_or_else(unknown)?;
    let place = place::find(&ingressroute, &namespace, &files, &engine).await;
    place.map(Json).ok_or_else(unknown)
}

async fn live(
    State(Admin { server, engine, .. }): State<Admin>,
    Query(LiveQuery {
        root,
        prefix,
        branch,
        timeout,
    }): Query<LiveQuery>,
) -> Result<Json<Report>, (StatusCode, String)> {
    let wanted = SwitchTarget {
        owner: name("root", &root)?,
        prefix,
        branch: name("branch", &branch)?,
    };
    let timeout = Duration::from_millis(timeout).min(LONGEST_WAIT);
    Ok(Json(live::report(wanted, &engine, &server, timeout).await))
}

async fn dry_run(
    State(Admin { engine, .. }): State<Admin>,
    Query(DryRunQuery { root, prefix, branch }): Query<DryRunQuery>,
) -> Result<Json<DryRun>, (StatusCode, String)> {
    let wanted = SwitchTarget {
        owner: name("root", &root)?,
        prefix,
        branch: name("branch", &branch)?,
    };
    let blockers = ask(&engine, |reply| Question::DryRun { wanted, reply }).await?;
    let no_route = || (StatusCode::NOT_FOUND, "no such delegating route\n".to_owned());
    let blockers = blockers.ok_or_else(no_route)?;
    Ok(Json(DryRun {
        blockers: blockers.iter().map(ToString::to_string).collect(),
    }))
}

async fn previous(
    State(Admin { engine, .. }): State<Admin>,
    Query(PreviousQuery { root, prefix }): Query<PreviousQuery>,
) -> Result<Json<Previous>, (StatusCode, String)> {
    let owner = name("root", &root)?;
    let question = |reply| Question::Previous { owner, prefix, reply };
    let branch = ask(&engine, question).await?;
    Ok(Json(Previous {
        branch: branch.map(|branch| branch.to_string()),
    }))
}

async fn graph(
    State(Admin { engine, .. }): State<Admin>,
    Query(GraphQuery { format }): Query<GraphQuery>,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let snapshot = ask(&engine, Question::GraphSnapshot).await?;
    let show = move || match format {
        GraphFormat::Json => ("application/json", snapshot.json()),
        GraphFormat::Dot => ("text/vnd.graphviz; charset=utf-8", snapshot.dot()),
    };
    // For a large cluster this is megabytes of text.
    let (content_type, text) = spawn_blocking(show).await.map_err(|_| stopping())?;
    Ok(([(CONTENT_TYPE, content_type)], text))
}

/// Answers with the JSON that `switchyard explain` prints, without the secrets in the request.
async fn explain(
    State(Admin {
        engine,
        files,
        proxies,
        ..
    }): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let request = explain::request(&query);
    let request = request.map_err(|fault| (StatusCode::BAD_REQUEST, format!("{fault}\n")))?;
    let host = request.host();
    let host_snapshot = ask(&engine, |reply| Question::HostSnapshot { host, reply }).await?;
    let places = files.map(|files| files.places);
    let told = move || {
        let explanation = explain::explain_here(&host_snapshot, &request, &proxies, places.as_ref());
        serde_json::to_value(&explanation).map(|explanation| Format::Json.document(&explanation))
    };
    // Checking a password takes a while.
    let told = spawn_blocking(told).await.map_err(|_| stopping())?;
    let told = told.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
    Ok(([(CONTENT_TYPE, "application/json")], told))
}

async fn log_level(State(Admin { log_level, .. }): State<Admin>) -> String {
    format!("{}\n", log_level.get())
}

async fn set_log_level(
    State(Admin { log_level, .. }): State<Admin>,
    level: String,
) -> Result<String, (StatusCode, String)> {
    let refused = |error| (StatusCode::BAD_REQUEST, format!("{error:#}\n"));
    log_level.set(&level).map_err(refused)?;
    Ok(format!("{}\n", log_level.get()))
}

/// Sends a question to the engine, and waits for the answer.
async fn ask<T>(
    engine: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, (StatusCode, String)> {
    let (reply, answer) = oneshot::channel();
    engine.send(question(reply)).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())
}

fn stopping() -> (StatusCode, String) {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "control is stopping\n".to_owned(),
    )
}

fn name(parameter: &str, text: &str) -> Result<Name, (StatusCode, String)> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Name::new(namespace, name))
        }
        _ => Err((
            StatusCode::BAD_REQUEST,
            format!("{parameter}: {text:?} is not namespace/name\n"),
        )),
    }
}

// === impl ProxyView ===

impl From<Proxy> for ProxyView {
    fn from(
        Proxy {
            node_id,
            cluster,
            address,
            connected,
            acked,
            nacks,
            silent_for,
        }: Proxy,
    ) -> Self {
        let refused = nacks.into_iter().map(|nack| RefusedView {
            type_url: nack.resource_type.type_url(),
            name: nack.name.to_string(),
            reason: nack.reason.to_string(),
        });
        Self {
            node: node_id,
            cluster,
            address: address.map(|address| address.to_string()),
            connected_seconds: SystemTime::now()
                .duration_since(connected)
                .unwrap_or_default()
                .as_secs(),
            acknowledged: acked,
            refused: refused.collect(),
            silent_seconds: silent_for.map(|silent| silent.as_secs()),
        }
    }
}
