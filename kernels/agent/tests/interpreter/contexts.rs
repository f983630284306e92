//! Contexts: made, listed, restarted, removed, independent of each other.

use crate::harness::{Agent, main_text, of};
use serde_json::{Value, json};

async fn listed(agent: &Agent) -> Vec<String> {
    let list = agent.get("http://interpreter/contexts").await;
    list.as_array()
        .unwrap()
        .iter()
        .map(|context| context["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_context_has_a_life_of_its_own() {
    let agent = Agent::start().await;
    let list = agent.get("http://interpreter/contexts").await;
    assert_eq!(
        (&list[0]["language"], &list[0]["cwd"]),
        (&json!("python"), &json!("/home/user"))
    );
    agent.run("x = 1").await;
    let id = agent.context().await;
    assert_eq!(listed(&agent).await.last(), Some(&id));
    let run = async |code: &str| {
        agent
            .execute(json!({"code": code, "context_id": id}))
            .await
            .finish()
            .await
    };
    let items = run("x").await;
    assert_eq!(of(&items, "error")[0]["value"], "name 'x' is not defined");
    assert_eq!(main_text(&run("import os; os.getcwd()").await), "/tmp");
    assert_eq!(main_text(&run("os.environ['GREETING']").await), "hello");
    run("x = 2").await;
    assert_eq!(agent.value("x").await, "1");

    let (status, text) = agent
        .ask("POST", &format!("/contexts/{id}/restart"), b"")
        .await;
    assert_eq!((status, text.as_str()), (200, "null"));
    let items = run("x").await;
    assert_eq!(items[0]["execution_count"], 1);
    assert_eq!(of(&items, "error")[0]["value"], "name 'x' is not defined");
    assert_eq!(main_text(&run("import os; os.getcwd()").await), "/tmp");

    let (status, text) = agent.ask("DELETE", &format!("/contexts/{id}"), b"").await;
    assert_eq!((status, text.as_str()), (200, "null"));
    assert!(!listed(&agent).await.contains(&id));
    let unknown = (404, format!("Context {id} not found"));
    assert_eq!(
        agent.ask("DELETE", &format!("/contexts/{id}"), b"").await,
        unknown
    );
    assert_eq!(
        agent
            .ask("POST", &format!("/contexts/{id}/restart"), b"")
            .await,
        unknown
    );
    let request = json!({"code": "1", "context_id": id}).to_string();
    assert_eq!(
        agent.ask("POST", "/execute", request.as_bytes()).await,
        unknown
    );
}

#[tokio::test]
async fn a_restart_ends_what_runs_by_its_name() {
    let agent = Agent::start().await;
    let id = listed(&agent).await.remove(0);
    let mut answer = agent
        .execute(json!({"code": "import time\nprint('in')\ntime.sleep(600)"}))
        .await;
    answer.until("stdout").await;
    let (status, _) = agent
        .ask("POST", &format!("/contexts/{id}/restart"), b"")
        .await;
    assert_eq!(status, 200);
    let items: Vec<Value> = answer.finish().await;
    assert_eq!(items[0]["name"], "ContextRestarting");
    assert_eq!(agent.value("'back'").await, "back");
}
