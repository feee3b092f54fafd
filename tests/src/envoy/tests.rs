use super::*;
use crate::{control::loopback, wait::until};
use serde_json::json;

#[tokio::test]
async fn it_starts_tells_and_starts_again() {
    let dir = paths::scratch("envoy").unwrap();
    let admin = loopback().unwrap();
    let options = EnvoyOptions {
        bootstrap: dir.join("bootstrap.json"),
        admin,
        concurrency: 1,
        log: dir.join("envoy.log"),
    };
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": admin.port()}});
    fs::write(
        &options.bootstrap,
        json!({"admin": {"address": address}}).to_string(),
    )
    .unwrap();
    let mut envoy = Envoy::start(&options).unwrap();
    for _ in 0..2 {
        envoy.restart().await.unwrap();
        until("it is live", async || {
            anyhow::ensure!(envoy.stat("server.live").await? == 1);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(envoy.stat("no.such.stat").await.unwrap(), 0);
        assert!(envoy.process.resident().unwrap() > 1_000_000);
        assert!(envoy.config_dump().await.unwrap()["configs"].is_array());
    }
}
