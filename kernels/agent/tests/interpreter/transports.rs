//! A kernel that was forked and one that speaks ZeroMQ are the same to whoever runs code.

use crate::harness::{Agent, main_text, of};
use serde_json::{Value, json};
use std::time::Duration;

/// What happens in a session that touches every kind of message, without what differs by time.
async fn session(agent: &Agent) -> Vec<Vec<Value>> {
    let cells = [
        json!({"code": "1 + 1"}),
        json!({"code": "print('out'); import sys; sys.stderr.write('err'); display('shown'); 'main'"}),
        json!({"code": "import os; os.environ['ONCE']", "env_vars": {"ONCE": "é\n"}}),
        json!({"code": "os.environ.get('ONCE'), os.environ['GREETING']"}),
        json!({"code": "input()"}),
        json!({"code": "1 / 0"}),
        json!({"code": "import subprocess; subprocess.run(['echo', 'child']);"}),
        json!({"code": "print('a\\ud800')"}),
        json!({"code": "import pandas as pd; pd.DataFrame({'a': [1, None]})"}),
        json!({"code": "import asyncio; await asyncio.sleep(0.01); 'awaited'"}),
    ];
    let mut answers = Vec::new();
    for cell in cells {
        let mut answer = agent.execute(cell).await;
        let mut bytes = Vec::new();
        while let Some(more) = answer.next_raw().await {
            bytes.extend_from_slice(&more);
        }
        // A lone surrogate is passed on as it is; this parser would refuse it.
        let text = String::from_utf8(bytes).unwrap().replace("\\ud800", "?");
        let mut items: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|item: &Value| item["type"] != "keepalive")
            .collect();
        for item in &mut items {
            item.as_object_mut().unwrap().remove("timestamp");
        }
        // The two streams are side by side.
        items.sort_by_key(|item| item["type"] == "stderr");
        answers.push(items);
    }
    answers
}

#[tokio::test]
async fn a_session_is_the_same_over_both() {
    let [forked, unforked] = Agent::both().await;
    let seen = session(&forked).await;
    assert_eq!(seen, session(&unforked).await);
    assert_eq!(of(&seen[1], "stdout")[0]["text"], "out\n");
    assert_eq!(main_text(&seen[2]), "é\\n");
    assert_eq!(main_text(&seen[3]), "(None, 'hello')");
    assert_eq!(of(&seen[7], "stdout")[0]["text"], "a?\n");
    let parent = "open(f'/proc/{os.getppid()}/cmdline').read()";
    assert!(forked.value(parent).await.contains("--fork-server"));
    assert!(!unforked.value(parent).await.contains("--fork-server"));
}

#[tokio::test]
async fn a_hang_up_ends_a_flood_over_zeromq_as_well() {
    let agent = Agent::unforked().await;
    for code in [
        "print('in')\nwhile True: pass",
        "while True: print('x' * 1000)",
    ] {
        let mut answer = agent.execute(json!({"code": code})).await;
        answer.until("stdout").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(answer);
        assert_eq!(agent.value("'next'").await, "next");
    }
}
