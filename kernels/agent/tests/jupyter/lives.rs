//! What clients see of a kernel's life: restarts, deaths, and its end.

use crate::client::streamed;
use crate::harness::Agent;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn the_same_socket_goes_on_after_restarts_and_hears_of_deaths() {
    let agent = Agent::start().await;
    let asked = json!({"env": {"KERNEL_USERNAME": "ada"}});
    let id = agent.kernel(asked).await;
    let mut client = agent.channels(&id, "s").await;
    client.run("x = 1").await;

    let (status, model) = agent
        .ask(Method::POST, &format!("/kernels/{id}/restart"), "{}")
        .await;
    assert_eq!(
        (status, &model["id"], &model["execution_state"]),
        (200, &json!(id), &json!("idle"))
    );
    let got = client
        .run("import os; print(os.environ['KERNEL_USERNAME'], 'x' in globals())")
        .await;
    assert_eq!(streamed(&got), "ada False\n");

    // A crash is announced, and what is sent meanwhile waits for the next process.
    client
        .execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        .await;
    let told = client
        .until(|got| got.content["execution_state"] == "restarting")
        .await;
    assert_eq!(
        (told.kind(), told.parent.as_object().unwrap().len()),
        ("status", 0)
    );
    assert_eq!(streamed(&client.run("print('back')").await), "back\n");

    // The end of the kernel is the end of the connection.
    assert_eq!(
        agent
            .ask(Method::DELETE, &format!("/kernels/{id}"), "")
            .await
            .0,
        204
    );
    client
        .until(|got| got.content["execution_state"] == "dead")
        .await;
    assert_eq!(client.closed().await, 1000);
    let list = agent.get("/kernels").await;
    assert!(list.as_array().unwrap().iter().all(|one| one["id"] != id));

    // The same when the code interpreter's clients remove the context.
    let id = agent.default_kernel().await;
    let mut client = agent.channels(&id, "s").await;
    client.run("1").await;
    assert_eq!(
        agent
            .ask(Method::DELETE, &format!("/contexts/{id}"), "")
            .await
            .0,
        200
    );
    assert_eq!(client.closed().await, 1000);
}
