//! Kernels as a list: started, shown, interrupted, restarted, removed.

use crate::harness::Agent;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_kernel_starts_by_itself_and_its_model_is_what_clients_parse() {
    let agent = Agent::start().await;
    let id = "5b0f6a3e-8a52-4c1b-9a3f-0d8e3c1a7e55";
    let env = json!({"KERNEL_USERNAME": "it's \"me\"\n", "KERNEL_WORKING_DIR": "/nowhere/at/all"});
    let asked = json!({"name": "python3", "kernel_id": id, "env": env});
    assert_eq!(agent.kernel(asked.clone()).await, id);
    assert_eq!(
        agent
            .ask(Method::POST, "/kernels", &asked.to_string())
            .await
            .0,
        409
    );
    let model = agent.state(id, "idle").await;
    assert_eq!(
        (&model["connections"], &model["name"]),
        (&json!(0), &json!("python"))
    );
    let time = model["last_activity"].as_str().unwrap();
    let fraction = time.rsplit('.').next().unwrap();
    assert!(fraction.len() == 7 && fraction.ends_with('Z'), "{time}");
    let list = agent.get("/kernels").await;
    assert!(list.as_array().unwrap().iter().any(|one| one["id"] == id));
    let contexts = agent.get("/contexts").await;
    assert!(
        contexts
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == id)
    );

    let mut client = agent.channels(id, "s").await;
    agent.connections(id, 1).await;
    let got = client
        .run("import os; print(os.environ['KERNEL_USERNAME'], end='')")
        .await;
    assert_eq!(crate::client::streamed(&got), "it's \"me\"\n");
    let before = agent.get(&format!("/kernels/{id}")).await["last_activity"].clone();
    let info = client.ask("shell", "kernel_info_request", json!({})).await;
    client.finish(&info).await;
    assert_eq!(
        agent.get(&format!("/kernels/{id}")).await["last_activity"],
        before
    );

    assert_eq!(
        agent
            .ask(Method::DELETE, &format!("/kernels/{id}"), "")
            .await,
        (204, Value::Null)
    );
    for (method, path) in [
        (Method::DELETE, format!("/kernels/{id}")),
        (Method::GET, format!("/kernels/{id}")),
        (Method::POST, format!("/kernels/{id}/interrupt")),
        (Method::POST, format!("/kernels/{id}/restart")),
    ] {
        let (status, body) = agent.ask(method, &path, "{}").await;
        assert_eq!((status, &body["reason"]), (404, &json!("Not Found")));
    }
    assert_eq!(
        agent
            .open(id, "s", crate::client::Framing::Default, &[])
            .await
            .err(),
        Some(404)
    );
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_in_json() {
    let agent = Agent::start().await;
    for (body, status) in [
        (r#"{"name": "cobol"}"#, 404),
        (r#"{"kernel_id": "five"}"#, 400),
        (r#"{"env": ["A"]}"#, 400),
        (r#"{"env": {"A=B": ""}}"#, 400),
        ("{", 400),
    ] {
        let (got, answer) = agent.ask(Method::POST, "/kernels", body).await;
        assert_eq!(got, status, "{body}");
        assert!(
            answer["message"].is_string() && answer["reason"].is_string(),
            "{answer}"
        );
    }
    // An empty body means the default kernel.
    assert_eq!(
        agent.ask(Method::POST, "/kernels", "").await.1["name"],
        "python"
    );
}
