//! Large amounts, and clients that go away: the agent's own memory stays small.

use crate::harness::Agent;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::io::Write as _;

/// Enough to tell a buffer from a stream, in bytes.
const MUCH: usize = 96 << 20;

/// What the agent may ever have had in memory, in kilobytes: windows of a few streams and its
/// own code. Debug builds included.
const PEAK_KB: u64 = 48 << 10;

async fn peak_kb(agent: &Agent) -> u64 {
    let request = Request::get("http://envd/files?path=/proc/self/status");
    let answer = agent.send(request.body("").unwrap()).await;
    let status = answer.into_body().collect().await.unwrap().to_bytes();
    let status = String::from_utf8(status.to_vec()).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Reads a body piece by piece and forgets it.
async fn count(agent: &Agent, path: &str, encoding: &str) -> usize {
    let request = Request::get(format!("http://envd/files?path={path}"))
        .header("accept-encoding", encoding)
        .body("")
        .unwrap();
    let mut body = agent.send(request).await.into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        total += frame.unwrap().into_data().unwrap().len();
    }
    total
}

#[tokio::test]
async fn large_amounts_go_through_in_small_pieces() {
    let agent = Agent::start().await;
    let path = format!("/tmp/soulbox-agent-{}-much", std::process::id());
    let upload = |encoding: &str, body: Bytes| {
        Request::post(format!("http://envd/files?path={path}"))
            .header("content-type", "application/octet-stream")
            .header("content-encoding", encoding)
            .body(body)
            .unwrap()
    };
    let zeros = Bytes::from(vec![0; MUCH]);
    assert_eq!(
        agent.send(upload("identity", zeros.clone())).await.status(),
        200
    );
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&zeros).unwrap();
    let bomb = encoder.finish().unwrap();
    assert_eq!(agent.send(upload("gzip", bomb.into())).await.status(), 200);
    assert_eq!(count(&agent, &path, "identity").await, MUCH);
    assert!(count(&agent, &path, "gzip").await < MUCH / 50);
    let mut events = agent.shell(&format!("cat {path}; rm {path}")).await;
    let mut pieces = 0;
    while events.next().await.0 == 0 {
        pieces += 1;
    }
    assert!(pieces >= MUCH / (32 << 10));
    let peak = peak_kb(&agent).await;
    assert!(peak < PEAK_KB, "{peak} kB");
}

#[tokio::test]
async fn readers_that_stop_or_leave_hold_nothing_up() {
    let agent = Agent::start().await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut events = agent.shell("head -c 100000000 /dev/zero").await;
        events.pid().await;
        stalled.push(events);
    }
    let story = agent.shell("echo alive").await.finish().await;
    assert_eq!(story.stdout, b"alive\n");
    let (_, list) = agent.call("process.Process/List", json!({})).await;
    assert_eq!(list["processes"].as_array().unwrap().len(), 40);
    drop(stalled);
    for _ in 0..200 {
        let (_, list) = agent.call("process.Process/List", json!({})).await;
        if list["processes"] == json!([]) {
            let peak = peak_kb(&agent).await;
            // Each stalled reader has its queue and its window full.
            assert!(peak < 3 * PEAK_KB, "{peak} kB");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("processes whose readers left are still blocked");
}
