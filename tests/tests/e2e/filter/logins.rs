//! Logins while another client guesses passwords.

use super::{PATHS, Proxy, SOURCE, filter};
use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use switchyard_tests::{
    client::{Answer, Connection, empty, get},
    statics::HOST,
    wait::until,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// The bcrypt hash of `wonderland` with a cost of 12.
const SLOW: &str = "$2b$12$p7AqlxKOTHmOWPJsfgeVWu0gzbJidaT3YWcYeFPcb1MO9dbh3I4Zi";
const USER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const CONNECTIONS: usize = 64;
/// The pause between a rejection and the next guess of a connection, which leaves the CPU to the proxy.
const PAUSE: Duration = Duration::from_millis(20);

fn config() -> Value {
    let basic = json!({"basic": {"realm": "r", "users": {"alice": SLOW}}});
    filter(&json!({"auth": [{"anyOf": [basic]}]}))
}

fn pair(name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        Base64::encode_string(format!("{name}:{password}").as_bytes())
    )
}

async fn attempt(connection: &mut Connection, path: &str, authorization: &str) -> Result<Answer> {
    connection
        .send(get(HOST, path).header("authorization", authorization))
        .await
}

/// Tries different passwords, and counts the answers by status.
async fn guess(
    server: SocketAddr,
    name: &str,
    number: usize,
    is_over: &AtomicBool,
) -> Result<BTreeMap<u16, usize>> {
    let mut connection = Connection::open_from(ATTACKER, server).await?;
    let mut statuses = BTreeMap::new();
    for guess in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let shown = pair(name, &format!("guess {number} {guess}"));
        let request = get(HOST, "/plain").header("authorization", shown);
        // It may wait behind all others while they keep arriving.
        let answer = connection.start(request, empty());
        let Ok(answer) = timeout(Duration::from_secs(5), answer).await else {
            connection = Connection::open_from(ATTACKER, server).await?;
            continue;
        };
        let status = answer?.status().as_u16();
        *statuses.entry(status).or_default() += 1;
        if status == 429 {
            sleep(PAUSE).await;
        }
    }
    Ok(statuses)
}

/// Logs in on enough connections for both workers to verify the password.
async fn log_in(proxy: &Proxy) -> Result<()> {
    for number in 0..8 {
        let mut connection = Connection::open_from(USER, proxy.envoy.http).await?;
        let path = PATHS[number % 2];
        let answer = attempt(&mut connection, path, &pair("alice", "wonderland")).await?;
        ensure!(answer.status == 200, "login {number}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_succeeds_while_another_client_guesses_passwords() -> Result<()> {
    // The attacker guesses for another name, and for the user's.
    for name in ["mallory", "alice"] {
        let proxy = Proxy::start(&config()).await?;
        let is_over: &'static AtomicBool = Box::leak(Box::default());
        let mut guessing = JoinSet::new();
        for number in 0..CONNECTIONS {
            guessing.spawn(guess(proxy.envoy.http, name, number, is_over));
        }
        until("guesses are refused", async || {
            let refused = proxy.envoy.counted(SOURCE, "denied_busy").await?;
            ensure!(usize::try_from(refused)? > CONNECTIONS, "{refused}");
            Ok(())
        })
        .await?;
        log_in(&proxy).await?;
        is_over.store(true, Ordering::Relaxed);
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        for counted in guessing.join_all().await {
            for (status, count) in counted? {
                *statuses.entry(status).or_default() += count;
            }
        }
        let refused = statuses.remove(&429).unwrap_or_default();
        statuses.remove(&401);
        ensure!(
            refused > CONNECTIONS && statuses.is_empty(),
            "{name}: {refused} {statuses:?}"
        );
        ensure!(proxy.blue.requests() == 8, "{name}: {}", proxy.blue.requests());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overloaded_password_check_answers_429() -> Result<()> {
    let proxy = Proxy::start(&config()).await?;
    let is_over: &'static AtomicBool = Box::leak(Box::default());
    let mut guessing = JoinSet::new();
    for number in 0..CONNECTIONS {
        guessing.spawn(guess(proxy.envoy.http, "mallory", number, is_over));
    }
    let mut refused = String::new();
    for (kind, (headers, body)) in [
        (&[][..], "too many requests\n"),
        (
            &[("accept", "application/json")],
            "{\"error\":\"resource_exhausted\",\"message\":\"too many requests\",\"status\":429}\n",
        ),
        (&[("content-type", "application/grpc")], ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut number = 0;
        until("a guess is refused", async || {
            number += 1;
            // The first guesses may find room.
            refused = format!("/refused-{kind}-{number}");
            let shown = pair("mallory", &format!("{body} {number}"));
            let request = headers.iter().fold(
                get(HOST, &refused).header("authorization", shown),
                |request, (name, value)| request.header(*name, *value),
            );
            let mut connection = Connection::open_from(ATTACKER, proxy.envoy.http).await?;
            let answer = connection.start(request, empty());
            let answer = timeout(Duration::from_secs(5), answer)
                .await
                .context("it waits")??;
            let status = answer.headers().get("grpc-status").cloned();
            let answer = Answer::collect(answer).await?;
            ensure!(answer.header("retry-after") == "5", "{answer:?}");
            if body.is_empty() {
                ensure!(status.is_some_and(|status| status == "8"), "{answer:?}");
            } else {
                ensure!(answer.status == 429 && answer.body == body, "{answer:?}");
            }
            Ok(())
        })
        .await?;
    }
    is_over.store(true, Ordering::Relaxed);
    let logged = proxy.envoy.logged(&refused).await?;
    ensure!(logged["policy"] == format!("{SOURCE} auth[0]"), "{logged}");
    ensure!(
        logged["reason"] == "too many passwords wait to be verified",
        "{logged}"
    );
    Ok(())
}
