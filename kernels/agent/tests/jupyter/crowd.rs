//! A thousand clients of one kernel.

use crate::harness::Agent;

const CLIENTS: usize = 1000;

/// What an idle connection may cost the agent at most, in KiB. It is far less in a release
/// build; this only notices buffers that stay.
const MOST_KIB: u64 = 64;

#[tokio::test]
async fn a_thousand_sockets_stay_live_and_hear_the_same_cell() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut first = agent.channels(&id, "first").await;
    first.run("1").await;
    let before = agent.resident();
    let mut crowd = Vec::new();
    for number in 0..CLIENTS {
        crowd.push(agent.channels(&id, &format!("s{number}")).await);
    }
    agent.connections(&id, CLIENTS as u64 + 1).await;
    let each = agent.resident().saturating_sub(before) / CLIENTS as u64;
    println!("{each} KiB per socket");
    assert!(each <= MOST_KIB, "{each} KiB per socket");
    let asked = first.execute("print('everybody')").await;
    for client in &mut crowd {
        let heard = client.until(|got| got.kind() == "stream").await;
        assert_eq!(heard.parent_id(), asked);
    }
    let last = crowd.last_mut().unwrap();
    assert_eq!(last.run("2").await.last().unwrap().kind(), "execute_reply");
}
