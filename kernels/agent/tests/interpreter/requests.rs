//! Requests that make no sense get a clear text and change nothing.

use crate::harness::Agent;
use serde_json::json;

#[tokio::test]
async fn each_bad_request_gets_its_status_and_a_text() {
    let agent = Agent::start().await;
    let both = json!({"code": "1", "context_id": "x", "language": "python"}).to_string();
    for (method, path, body, status, text) in [
        (
            "POST",
            "/execute",
            both.as_bytes(),
            400,
            "Only one of context_id or language can be provided",
        ),
        (
            "POST",
            "/execute",
            b"{\"code\": \"\xff\"}",
            400,
            "not UTF-8",
        ),
        (
            "POST",
            "/execute",
            b"{\"code\": ",
            400,
            "not what this route takes",
        ),
        (
            "POST",
            "/execute",
            b"{\"code\": 5}",
            400,
            "expected a string",
        ),
        ("POST", "/execute", b"[]", 400, "not what this route takes"),
        ("POST", "/execute", b"", 400, "missing field `code`"),
        (
            "POST",
            "/execute",
            br#"{"code": "\ud800"}"#,
            400,
            "not what this route takes",
        ),
        (
            "POST",
            "/execute",
            br#"{"code": "1", "env_vars": {"A=B": "x"}}"#,
            400,
            "variable",
        ),
        (
            "POST",
            "/execute",
            br#"{"code": "1", "env_vars": {"A": "\u0000"}}"#,
            400,
            "variable",
        ),
        (
            "POST",
            "/execute",
            br#"{"code": "1", "language": "cobol"}"#,
            400,
            "Language cobol is not available in this sandbox; available: python",
        ),
        (
            "POST",
            "/execute",
            br#"{"code": "1", "context_id": "x"}"#,
            404,
            "Context x not found",
        ),
        (
            "POST",
            "/contexts",
            br#"{"language": "cobol"}"#,
            400,
            "available: python",
        ),
        (
            "POST",
            "/contexts",
            br#"{"cwd": "/no/such"}"#,
            400,
            "Working directory /no/such does not exist",
        ),
        (
            "POST",
            "/contexts/x/restart",
            b"",
            404,
            "Context x not found",
        ),
        ("GET", "/nowhere", b"", 404, ""),
        ("GET", "/execute", b"", 405, ""),
    ] {
        let (got, answer) = agent.ask(method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert!(answer.contains(text), "{method} {path}: {answer}");
    }
    let large = format!(r#"{{"code": "{}"}}"#, "x".repeat(65 << 20));
    assert_eq!(agent.ask("POST", "/execute", large.as_bytes()).await.0, 413);
    assert_eq!(agent.ask("OPTIONS", "/execute", b"").await.0, 200);
    assert_eq!(agent.value("1+1").await, "2");
}

#[tokio::test]
async fn names_of_languages_are_trimmed_and_lower_cased() {
    let agent = Agent::start().await;
    for name in ["python", " Python ", "PYTHON3"] {
        let request = json!({"code": "1", "language": name}).to_string();
        assert_eq!(
            agent.ask("POST", "/execute", request.as_bytes()).await.0,
            200,
            "{name}"
        );
    }
    assert_eq!(
        agent
            .get("http://interpreter/contexts")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
