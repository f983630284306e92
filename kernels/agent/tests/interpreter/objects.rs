//! `/executions`: the routes of the golden file are there, and no others.

use crate::harness::Agent;
use serde_json::{Value, json};

#[tokio::test]
async fn every_route_of_the_golden_file_is_there() {
    let document: Value =
        serde_json::from_str(include_str!("../../../protocol/openapi/executions.json")).unwrap();
    let agent = Agent::start().await;
    let body = json!({"code": "print('a')\n1/0"}).to_string();
    let (status, text) = agent.ask("POST", "/executions", body.as_bytes()).await;
    assert_eq!(status, 201, "{text}");
    let started: Value = serde_json::from_str(&text).unwrap();
    let id = started["id"].as_str().unwrap();

    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", id);
        for method in ["get", "post", "put", "delete"] {
            let described = &methods[method]["responses"];
            let (status, text) = agent
                .ask(&method.to_uppercase(), &path, b"{\"code\": \"1\"}")
                .await;
            let known = !described.is_null();
            assert_eq!(known, status != 405, "{method} {path}: {status} {text}");
            if known {
                let status = status.to_string();
                assert!(!described[&status].is_null(), "{method} {path}: {status}");
            }
        }
    }

    let (_, lines) = agent
        .ask("GET", &format!("/executions/{id}/events"), b"")
        .await;
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let schema = &document["components"]["schemas"]["Event"]["properties"]["type"]["enum"];
    for event in &events {
        assert!(
            schema.as_array().unwrap().contains(&event["type"]),
            "{event}"
        );
    }
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["end"]),
        (&json!("end_of_execution"), &json!("error"))
    );
}
