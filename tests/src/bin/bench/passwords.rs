//! The time for which a worker that verifies a password cannot serve other requests.

use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Encoding};
use serde_json::json;
use switchyard_tests::{
    client::{Connection, get},
    manifests::object,
    report::{Figure, quantile},
};

use crate::{
    asked::{ASKED, Asked, is_refused},
    awake::Awake,
    turns::Watch,
};

/// The salt and hash that follow the cost in a bcrypt string. It was made with another cost than most of these, so no
/// password matches; the passwords that are tried do not match anyway.
const HASH: &str = "e498EQckyy.8tEqYsWaqeOyJEWv45Vlk.TGRvY1bWoKKZKoEVoAmG";
/// The costs, each with the number of passwords to try. One more doubles the time; 10 is common.
const COSTS: [(u32, usize); 3] = [(5, 60), (10, 15), (12, 3)];
/// The minimum number of turns for a meaningful result: a password of cost 10 takes some hundred.
const TURNS: usize = 1_000;

pub(crate) async fn measure_stall() -> Result<Vec<Figure>> {
    let lines = COSTS.map(|(cost, _)| format!("user{cost}:$2y${cost:02}${HASH}\n"));
    let secret = object(
        "v1",
        "Secret",
        "staff",
        json!({"stringData": {"auth": lines.concat()}}),
    );
    let policy = json!({"auth": [{"basic": {"secretName": "staff"}}]});
    let asked = Asked::start("bench-password-stall", &[(ASKED, policy)], &secret).await?;
    is_refused(asked.world.http(), ASKED, 401).await?;
    let envoy = asked.world.envoys.first().context("an Envoy")?;
    let mut connection = Connection::open(asked.world.http()).await?;
    let _awake = Awake::start()?;
    let (mut all, mut left_out, mut told) = (Vec::new(), 0, Vec::new());
    for (cost, count) in COSTS {
        // The first attempt opens the connection.
        attempt(&mut connection, cost, count).await?;
        let watch = Watch::start(envoy, 0)?;
        for number in 0..count {
            attempt(&mut connection, cost, number).await?;
        }
        let turns = watch.stop()?;
        told.push(format!("{cost} {:.3} ms", quantile(&turns.single, 1.0)));
        all.extend(turns.single);
        left_out += turns.left_out;
    }
    let seen = all.len();
    ensure!(
        seen >= TURNS,
        "{seen} turns were seen, {left_out} were not: the worker hardly sleeps, or others take its CPU"
    );
    let method = format!(
        "One worker, otherwise idle, on CPUs that a thread of the lowest priority keeps from going idle; passwords that it has not seen before, one after the other, by hashes of these \
         costs. The value is the most CPU time (`schedstat`) that the worker thread used from one sleep to the next, as its counts of context switches tell them apart: whatever else came \
         meanwhile would have waited for as long. All that the worker did in that time counts. {seen} such turns were seen, 99.9 % of them below {:.3} ms; {left_out} more could not be told \
         apart, or others broke in on them. (CPU time, because on a busy machine wall time also counts what others took.) The longest of each cost: {}.",
        quantile(&all, 0.999),
        told.join(", "),
    );
    Ok(vec![Figure::new(
        "Longest stall of a worker by a bcrypt password",
        quantile(&all, 1.0),
        1.0,
        "ms",
        method,
    )])
}

/// Tries a different password each time, so that each is verified.
async fn attempt(connection: &mut Connection, cost: u32, number: usize) -> Result<()> {
    let pair = Base64::encode_string(format!("user{cost}:wrong {number}").as_bytes());
    let request = get(ASKED, "/item").header("authorization", format!("Basic {pair}"));
    let answer = connection.send(request).await?;
    ensure!(answer.status == 401, "{answer:?}");
    Ok(())
}
