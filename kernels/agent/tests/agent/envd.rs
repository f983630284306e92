//! Small routes, and requests that make no sense.

use crate::harness::Agent;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn health_and_variables() {
    let agent = Agent::start().await;
    let health = agent
        .send(Request::get("http://envd/health").body("").unwrap())
        .await;
    assert_eq!(health.status(), 204);
    assert_eq!(health.headers()["cache-control"], "no-store");
    let envs = agent
        .send(Request::get("http://envd/envs").body("").unwrap())
        .await;
    let envs = envs.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        serde_json::from_slice::<Value>(&envs).unwrap(),
        json!({
            "GREETING": "hello", "E2B_SANDBOX": "true", "E2B_SANDBOX_ID": "itest",
            "E2B_TEMPLATE_ID": "base",
        })
    );
}

#[tokio::test]
async fn metrics_have_the_limits_of_the_claim_and_measured_use() {
    let agent = Agent::start().await;
    let metrics = async || {
        let request = Request::get("http://envd/metrics").body("").unwrap();
        let answer = agent.send(request).await;
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let first = metrics().await;
    assert_eq!(first["cpu_count"], 2);
    assert_eq!(first["mem_total"], 64u64 << 30);
    assert_eq!(first["mem_total_mib"], 64 << 10);
    let eat = "import time\nx = bytearray(b'x') * (200 << 20)\nend = time.time() + 1.5\n\
               while time.time() < end: pass\nprint('full', flush=True)\ntime.sleep(60)";
    let mut eater = agent.shell(&format!("exec python3 -c \"{eat}\"")).await;
    eater.until("full").await;
    let second = metrics().await;
    let number = |metrics: &Value, name: &str| metrics[name].as_f64().unwrap();
    assert!(number(&second, "cpu_used_pct") > 5.0, "{second}");
    let grown = number(&second, "mem_used") - number(&first, "mem_used");
    // On a machine that is shared with others these come and go meanwhile.
    let is_alone = std::env::var_os("SOULBOX_TEST_AGENT").is_some();
    assert!(
        grown > f64::from(100 << 20) || !is_alone,
        "{first} {second}"
    );
    // A root without a size of its own, as under a bare runsc, shows nothing as used.
    let is_unbounded = second["disk_total"] == 1u64 << 50;
    assert!(number(&second, "disk_used") > 0.0 || is_unbounded);
    assert!(number(&second, "disk_total") >= number(&second, "disk_used"));
    assert!(number(&second, "ts") > 1.6e9);
}

#[tokio::test]
async fn nonsense_gets_an_answer_and_changes_nothing() {
    let agent = Agent::start().await;
    for (uri, status) in [
        ("http://elsewhere/health", 421),
        ("http://envd/nothing", 404),
        ("http://envd/process.Process/List", 405),
    ] {
        let answer = agent.send(Request::get(uri).body("").unwrap()).await;
        assert_eq!(answer.status(), status, "{uri}");
    }
    let post = |body: &'static [u8], kind: &str| {
        Request::post("http://envd/process.Process/SendInput")
            .header("content-type", kind)
            .body(body)
            .unwrap()
    };
    for (body, kind, status) in [
        (&b"{"[..], "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 400),
        (br#"{"process":{"pid":-1}}"#, "application/json", 400),
        (br#"{"process":{"pid":1}}"#, "application/json", 404),
        (
            br#"{"process":{"pid":4294967295}}"#,
            "application/json",
            404,
        ),
        (b"{}", "application/json", 400),
        (b"{}", "application/proto", 415),
    ] {
        let answer = agent.send(post(body, kind)).await;
        assert_eq!(answer.status(), status, "{}", String::from_utf8_lossy(body));
    }
    let (status, error) = agent
        .call("filesystem.Filesystem/Nonsense", json!({}))
        .await;
    assert_eq!(
        (status, error["code"].as_str()),
        (501, Some("unimplemented"))
    );
    let mut events = agent
        .stream("process.Process/Nonsense", json!({}), &[])
        .await;
    assert_eq!(events.next().await.1["error"]["code"], "unimplemented");
    assert_eq!(agent.call("process.Process/List", json!({})).await.0, 200);
}

#[tokio::test]
async fn a_port_is_reached_through_a_tunnel() {
    let agent = Agent::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = |authority: String| Request::connect(authority).body("").unwrap();
    let answer = agent.send(connect(format!("127.0.0.1:{port}"))).await;
    assert_eq!(answer.status(), 200);
    let (mut server, _) = listener.accept().await.unwrap();
    let mut tunnel = hyper_util::rt::TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    tunnel.write_all(b"ping").await.unwrap();
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"ping");
    server.write_all(b"pong").await.unwrap();
    drop(server);
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"pong");
    // Port 1 is not one that is handed out while this test runs.
    assert_eq!(
        agent.send(connect("127.0.0.1:1".into())).await.status(),
        502
    );
    assert_eq!(
        agent
            .send(connect(format!("10.0.0.1:{port}")))
            .await
            .status(),
        400
    );
}
