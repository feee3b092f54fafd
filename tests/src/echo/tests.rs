use super::*;
use crate::{
    client::{Connection, Http2, empty, get, once},
    load::Load,
    tls::Authority,
};

#[tokio::test]
async fn it_tells_what_it_saw() {
    let echo = Echo::start("blue").await.unwrap();
    let request = get("bar.com", "/x?y=z").header("a", "1").header("a", "2");
    let answer = once(echo.address, request).await.unwrap();
    let seen = answer.seen().unwrap();
    assert_eq!((answer.status, answer.backend()), (200, "blue"));
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/x?y=z"));
    assert_eq!(seen.headers["a"], "1, 2");
}

#[tokio::test]
async fn it_answers_as_it_is_asked_to() {
    let echo = Echo::start("blue").await.unwrap();
    let request = get("bar.com", "/")
        .header("echo-status", "302")
        .header("echo-header", "location=/a=b");
    let answer = once(echo.address, request).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (302, "/a=b"));
}

#[tokio::test]
async fn it_fails_as_often_as_it_is_told_to() {
    let echo = Echo::start("blue").await.unwrap();
    let status = async |path| once(echo.address, get("bar.com", path)).await.unwrap().status;
    echo.fail_next(1);
    echo.set_healthy(false);
    assert_eq!(
        [status("/healthz").await, status("/").await, status("/").await],
        [503, 503, 200]
    );
    echo.set_healthy(true);
    assert_eq!((status("/healthz").await, echo.requests()), (200, 2));
}

#[tokio::test]
async fn it_speaks_http2_with_trailers() {
    let echo = Echo::start("blue").await.unwrap();
    let mut client = Http2::open(echo.address).await.unwrap();
    let request = Request::post("http://bar.com/").header("content-type", "application/grpc");
    let answer = client.start(request, empty()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn it_serves_over_tls() {
    let authority = Authority::new().unwrap();
    let certificate = authority.issue("bar.com").unwrap();
    let echo = Echo::start_tls("blue", certificate.acceptor().unwrap())
        .await
        .unwrap();
    let stream = authority.connect(echo.address, "bar.com").await.unwrap();
    assert!(certificate.was_presented(&stream));
    let answer = Connection::over(stream)
        .await
        .unwrap()
        .send(get("bar.com", "/"))
        .await
        .unwrap();
    assert_eq!(answer.backend(), "blue");
}

#[tokio::test]
async fn load_counts_every_answer_and_every_failure() {
    let echo = Echo::start("blue").await.unwrap();
    let running = Load::new(echo.address, "bar.com", "/").start().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let samples = running.stop().await;
    samples.all_succeeded().unwrap();
    assert!(samples.0.len() >= 32);
    assert_eq!(samples.tally().into_keys().collect::<Vec<_>>(), ["200 blue"]);
}
