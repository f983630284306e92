//! Channels: who gets which message.

use crate::client::{Framing, streamed};
use crate::harness::Agent;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_cell_runs_in_both_framings_and_messages_before_the_kernel_is_ready_are_kept() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    for framing in [Framing::Default, Framing::V1] {
        let session = format!("{framing:?}");
        let mut client = agent.open(&id, &session, framing, &[]).await.unwrap();
        let got = client.run("print('hello'); 1 + 1").await;
        assert_eq!(streamed(&got), "hello\n");
        let kinds: Vec<&str> = got.iter().map(|one| one.kind()).collect();
        let (reply, rest) = (kinds.last().unwrap(), &kinds[..kinds.len() - 1]);
        let cell = [
            "status",
            "execute_input",
            "stream",
            "execute_result",
            "status",
        ];
        assert_eq!(rest, cell);
        // Broadcasts are not overtaken by the answer.
        assert_eq!(*reply, "execute_reply");
        assert!(got.iter().all(|one| one.parent["unknown"] == "kept"));
        assert_eq!(got[3].content["data"]["text/plain"], "2");
        client.close().await;
    }
}

#[tokio::test]
async fn two_people_share_a_kernel_with_a_program() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut asker = agent.channels(&id, "asker").await;
    let mut other = agent.open(&id, "other", Framing::V1, &[]).await.unwrap();
    agent.connections(&id, 2).await;

    // Broadcasts are for all, questions and answers for the asker.
    let asked = asker
        .execute("x = input('name? '); print('it is', x)")
        .await;
    let question = asker.until(|got| got.kind() == "input_request").await;
    assert_eq!(
        (question.channel.as_str(), question.parent_id()),
        ("stdin", asked.as_str())
    );
    let model = agent.get(&format!("/kernels/{id}")).await;
    assert_eq!(model["execution_state"], "busy");
    asker
        .ask("stdin", "input_reply", json!({"value": "Ada"}))
        .await;
    let got = asker.finish(&asked).await;
    assert_eq!(streamed(&got), "it is Ada\n");
    let printed = other.until(|got| got.kind() == "stream").await;
    assert_eq!(
        (printed.channel.as_str(), printed.parent_id()),
        ("iopub", asked.as_str())
    );
    let got = other.run("x").await;
    assert!(
        got.iter()
            .all(|got| got.channel == "iopub" || got.kind() == "execute_reply")
    );

    // A program of the code interpreter sees the variable, and both see its output.
    let lines = agent.interpret("print(x + '!')").await;
    assert!(lines.contains("Ada!"), "{lines}");
    for client in [&mut asker, &mut other] {
        let printed = client.until(|got| got.kind() == "stream" && got.content["text"] == "Ada!\n");
        assert_eq!(printed.await.channel, "iopub");
    }
    assert_eq!(agent.state(&id, "idle").await["connections"], 2);
}

#[tokio::test]
async fn a_busy_kernel_says_what_it_is_and_is_interrupted() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut client = agent.channels(&id, "s").await;
    let running = client
        .execute("import time\nprint('in', flush=True)\nwhile True: time.sleep(0.01)")
        .await;
    client.until(|got| got.kind() == "stream").await;
    let mut newcomer = agent.channels(&id, "newcomer").await;
    for channel in ["control", "shell"] {
        let info = newcomer
            .ask(channel, "kernel_info_request", json!({}))
            .await;
        let mut states = Vec::new();
        let answer = loop {
            let got = newcomer.until(|got| got.parent_id() == info).await;
            if got.kind() == "kernel_info_reply" {
                break got;
            }
            states.push(got.content["execution_state"].clone());
        };
        assert_eq!(answer.channel, channel);
        assert_eq!(answer.content["language_info"]["name"], "python");
        if channel == "shell" {
            // From memory: the shell itself answers when the cell has ended.
            assert_eq!(states, ["busy"]);
            // And what the kernel does, which is no matter of this question.
            let told = newcomer
                .until(|got| got.kind() == "status" && got.parent_id().is_empty())
                .await;
            assert_eq!(told.content["execution_state"], "busy");
        }
    }
    // Much that is sent meanwhile waits, and is all there in the end.
    for number in 0..1500 {
        let content = json!({"code": format!("n = {number}"), "silent": true});
        newcomer.ask("shell", "execute_request", content).await;
    }
    let interrupt = format!("/kernels/{id}/interrupt");
    assert_eq!(agent.ask(Method::POST, &interrupt, "{}").await.0, 204);
    let got = client.finish(&running).await;
    let error = got.iter().find(|got| got.kind() == "error").unwrap();
    assert_eq!(error.content["ename"], "KeyboardInterrupt");
    let last = client.execute("n").await;
    let value = client
        .until(|got| got.kind() == "execute_result" && got.parent_id() == last)
        .await;
    assert_eq!(value.content["data"]["text/plain"], "1499");
}
