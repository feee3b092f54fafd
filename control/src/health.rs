//! Liveness and readiness of control: `/healthz` and `/readyz`.

use crate::question::Question;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// The time for which the engine may be busy. Building the graph of a large cluster takes a second or two.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of the handlers.
#[derive(Clone, Debug)]
pub struct Health {
    pub engine: mpsc::Sender<Question>,
    /// True once proxies are answered.
    pub ready: watch::Receiver<bool>,
}

/// The two routes.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
}

async fn healthz(State(Health { engine, .. }): State<Health>) -> (StatusCode, &'static str) {
    answer(alive(&engine, PATIENCE).await)
}

async fn readyz(State(Health { ready, .. }): State<Health>) -> (StatusCode, &'static str) {
    let not_yet = Err("not all objects have been read yet\n");
    answer(if *ready.borrow() { Ok(()) } else { not_yet })
}

fn answer(well: Result<(), &'static str>) -> (StatusCode, &'static str) {
    match well {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

/// Checks that the engine answers in time; the error is the reason why not.
async fn alive(engine: &mpsc::Sender<Question>, patience: Duration) -> Result<(), &'static str> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        let ended = "the engine has stopped\n";
        engine.send(Question::Alive(reply)).await.map_err(|_| ended)?;
        answer.await.map_err(|_| ended)
    };
    timeout(patience, asked)
        .await
        .unwrap_or(Err("the engine does not answer\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use switchyard_core::{Graph, Settings, object::Batch};
    use switchyard_xds::{
        ads::{Config, Server, WasmCode},
        translate::{Settings as Proxies, Translator},
    };

    const SOON: Duration = Duration::from_secs(10);
    const BRIEFLY: Duration = Duration::from_millis(50);

    fn engine() -> Engine {
        let server = Server::new(Config::new(WasmCode {
            bytes: Default::default(),
            sha256: String::new(),
        }));
        let translator = Translator::new(Proxies::default());
        Engine::new(Graph::new(Settings::default()), translator, server)
    }

    #[tokio::test]
    async fn engine_is_alive_while_running_and_ready_after_first_batch() {
        let engine = engine();
        let ready = engine.readiness();
        let (batches, source) = mpsc::channel::<Batch>(1);
        let (asking, questions) = mpsc::channel(1);
        let running = tokio::spawn(engine.run(source, questions));
        assert_eq!(alive(&asking, SOON).await, Ok(()));
        let health = Health {
            engine: asking.clone(),
            ready: ready.clone(),
        };
        assert_eq!(
            readyz(State(health.clone())).await.0,
            StatusCode::SERVICE_UNAVAILABLE
        );
        batches.send(Batch::default()).await.unwrap();
        ready.clone().wait_for(|ready| *ready).await.unwrap();
        assert_eq!(readyz(State(health.clone())).await.0, StatusCode::OK);
        assert_eq!(healthz(State(health.clone())).await.0, StatusCode::OK);
        drop(batches);
        running.await.unwrap();
        assert_eq!(alive(&asking, SOON).await, Err("the engine has stopped\n"));
        assert_eq!(healthz(State(health)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn hung_engine_fails_every_liveness_probe() {
        let (asking, questions) = mpsc::channel(2);
        for _ in 0..4 {
            assert_eq!(alive(&asking, BRIEFLY).await, Err("the engine does not answer\n"));
        }
        drop(questions);
    }
}
