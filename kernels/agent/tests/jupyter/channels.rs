//! Channels: who gets which message, in both framings.

use crate::client::{Framing, streamed};
use crate::harness::Agent;
use serde_json::json;

#[tokio::test]
async fn a_cell_runs_in_both_framings_and_messages_before_the_kernel_is_ready_are_kept() {
    let agent = Agent::start().await;
    let id = agent.kernel(json!({})).await;
    for framing in [Framing::Default, Framing::V1] {
        let mut client = agent.open(&id, &format!("{framing:?}"), framing, &[]).await.unwrap();
        let got = client.run("print('hello'); 1 + 1").await;
        assert_eq!(streamed(&got), "hello\n");
        let kinds: Vec<&str> = got.iter().map(|one| one.kind()).collect();
        let (reply, rest) = (kinds.last().unwrap(), &kinds[..kinds.len() - 1]);
        assert_eq!(rest, ["status", "execute_input", "stream", "execute_result", "status"]);
        // Broadcasts are not overtaken by the answer.
        assert_eq!(*reply, "execute_reply");
        assert!(got.iter().all(|one| one.parent["unknown"] == "kept"));
        assert_eq!(got[3].content["data"]["text/plain"], "2");
        client.close().await;
    }
}
