//! The admin interface: whether control is well, what the proxies have, what the graph looks like, what becomes of a
//! request, where an IngressRoute stands, and when a switch is live.
//!
//! It answers on loopback, in JSON. What is logged can be changed here, and nothing else.

use crate::{
    cli::Format,
    engine::Question,
    explain,
    health::{self, Health},
    live::{self, Report, Wanted},
    log::LogLevel,
    place::{self, Place},
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
use switchyard_xds::ads::{Proxy, Server};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

/// The longest that `/live` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What the handlers need.
#[derive(Clone, Debug)]
pub struct Admin {
    pub server: Server,
    pub engine: mpsc::Sender<Question>,
    /// None: objects come from an API server.
    pub files: Option<Files>,
    pub log_level: LogLevel,
    /// How many proxies in front of Envoy are trusted.
    pub xff_trusted_hops: u32,
}

/// The query of `/live`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// The IngressRoute that the delegating route stands in, `namespace/name`.
    root: String,
    /// Its `match`.
    #[serde(rename = "match")]
    prefix: String,
    /// The IngressRoute that is to be active, `namespace/name`.
    branch: String,
    /// Milliseconds.
    #[serde(default = "ten_seconds")]
    timeout: u64,
}

/// The query of `/place`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceQuery {
    /// As `switchyard switch` takes it: a name, `namespace/name`, or the host name of a root.
    ingressroute: String,
    /// That of a name.
    #[serde(default = "default_namespace")]
    namespace: String,
}

/// The query of `/rehearsal`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RehearsalQuery {
    /// The IngressRoute that the delegating route stands in, `namespace/name`.
    root: String,
    /// Its `match`.
    #[serde(rename = "match")]
    prefix: String,
    /// The IngressRoute that would be active, `namespace/name`.
    branch: String,
}

/// The query of `/previous`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviousQuery {
    /// The IngressRoute that the delegating route stands in, `namespace/name`.
    root: String,
    /// Its `match`.
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

/// How the graph is shown.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GraphFormat {
    /// As `switchyard tree -o json` prints it.
    #[default]
    Json,
    /// For Graphviz.
    Dot,
}

/// The answer of `/rehearsal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// What would keep the branch from serving, a line each; nothing if it would serve.
    pub obstacles: Vec<String>,
}

/// The answer of `/previous`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The branch that was active before, `namespace/name`. None: control has seen no switch.
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

/// A resource that a proxy refused.
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
        .route("/rehearsal", get(rehearsal))
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
        xff_trusted_hops: _,
    }): State<Admin>,
    Query(PlaceQuery {
        ingressroute,
        namespace,
    }): Query<PlaceQuery>,
) -> Result<Json<Place>, (StatusCode, String)> {
    let unknown = || {
        (
            StatusCode::NOT_FOUND,
            format!("{ingressroute:?} stands in no file\n"),
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
    let wanted = Wanted {
        owner: name("root", &root)?,
        prefix,
        branch: name("branch", &branch)?,
    };
    let timeout = Duration::from_millis(timeout).min(LONGEST_WAIT);
    Ok(Json(live::report(wanted, &engine, &server, timeout).await))
}

async fn rehearsal(
    State(Admin { engine, .. }): State<Admin>,
    Query(RehearsalQuery { root, prefix, branch }): Query<RehearsalQuery>,
) -> Result<Json<Rehearsal>, (StatusCode, String)> {
    let wanted = Wanted {
        owner: name("root", &root)?,
        prefix,
        branch: name("branch", &branch)?,
    };
    let obstacles = ask(&engine, |reply| Question::Rehearse { wanted, reply }).await?;
    let no_route = || (StatusCode::NOT_FOUND, "no such route delegates\n".to_owned());
    let obstacles = obstacles.ok_or_else(no_route)?;
    Ok(Json(Rehearsal {
        obstacles: obstacles.iter().map(ToString::to_string).collect(),
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
    let picture = ask(&engine, Question::Picture).await?;
    let show = move || match format {
        GraphFormat::Json => ("application/json", picture.json()),
        GraphFormat::Dot => ("text/vnd.graphviz; charset=utf-8", picture.dot()),
    };
    // Of a big cluster it is megabytes.
    let (content_type, text) = spawn_blocking(show).await.map_err(|_| stopping())?;
    Ok(([(CONTENT_TYPE, content_type)], text))
}

/// What the command prints as JSON. What is secret of the request is not repeated.
async fn explain(
    State(Admin {
        engine,
        files,
        xff_trusted_hops,
        ..
    }): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let request = explain::request(&query);
    let request = request.map_err(|fault| (StatusCode::BAD_REQUEST, format!("{fault}\n")))?;
    let host = request.host();
    let excerpt = ask(&engine, |reply| Question::Excerpt { host, reply }).await?;
    let places = files.map(|files| files.places);
    let told = move || {
        let explanation = explain::explain_here(&excerpt, &request, xff_trusted_hops, places.as_ref());
        serde_json::to_value(&explanation).map(|explanation| Format::Json.document(&explanation))
    };
    // A password may take its time.
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

/// Asks the engine.
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
