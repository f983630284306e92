//! Clients that vanish and come back.

use crate::client::{Framing, streamed};
use crate::harness::Agent;

#[tokio::test]
async fn a_session_that_comes_back_finds_everything_once_and_in_order() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut watcher = agent.channels(&id, "watcher").await;
    let mut client = agent.channels(&id, "s").await;
    let running = client
        .execute("import time\nfor n in range(60):\n    print(n, flush=True); time.sleep(0.02)")
        .await;
    let mut heard = Vec::new();
    while heard.len() < 10 {
        heard.extend(Some(client.next().await).filter(|got| got.kind() == "stream"));
    }
    client.vanish();
    agent.connections(&id, 1).await;
    // Somebody else stays, and hears the end before the first one comes back.
    let idle = |got: &crate::client::Got| {
        got.parent_id() == running && got.content["execution_state"] == "idle"
    };
    watcher.until(idle).await;
    let mut client = agent.open(&id, "s", Framing::V1, &[]).await.unwrap();
    let rest = client.finish(&running).await;
    // What was on its way when the first connection vanished comes again, from there on in order.
    let all: Vec<u32> = streamed(&rest)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let first = all[0];
    assert!(first <= 10, "{first}");
    assert_eq!(all, (first..60).collect::<Vec<_>>());
    assert_eq!(rest.last().unwrap().kind(), "execute_reply");
    client.settle().await;

    // Another session gets nothing of the past.
    let mut stranger = agent.channels(&id, "stranger").await;
    let asked = stranger.execute("'now'").await;
    assert_eq!(stranger.next().await.parent_id(), asked);

    // The second connection of a session wins.
    let mut second = agent.channels(&id, "s").await;
    assert_eq!(client.closed().await, 1001);
    assert_eq!(streamed(&second.run("print('mine')").await), "mine\n");
    // Who says goodbye is told nothing twice.
    second.close().await;
    let mut again = agent.channels(&id, "s").await;
    let asked = again.execute("1").await;
    assert_eq!(again.next().await.parent_id(), asked);
}
