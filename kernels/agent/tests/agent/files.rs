//! `/files` (section 4.7 of the contract).

use crate::harness::Agent;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use tempfile::TempDir;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

async fn get(agent: &Agent, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(format!("http://envd/files?path={path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(agent, request.body(Bytes::new()).unwrap()).await
}

async fn post(
    agent: &Agent,
    query: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::post(format!("http://envd/files?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(agent, request.body(body.into()).unwrap()).await
}

async fn answer(agent: &Agent, request: Request<Bytes>) -> Answer {
    let response = agent.send(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// A new directory of this story, in whatever isolation it runs; here it goes with the guard.
async fn root(agent: &Agent) -> (TempDir, String) {
    let guard = tempfile::tempdir().unwrap();
    let path = guard.path().display().to_string();
    agent
        .shell(&format!("mkdir -p {path}"))
        .await
        .finish()
        .await;
    (guard, path)
}

const RAW: (&str, &str) = ("content-type", "application/octet-stream");

fn form(parts: &[(&str, &str, &str)]) -> String {
    let mut body = String::new();
    for (name, file, content) in parts {
        body += &format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n"
        );
    }
    body + "--XX--\r\n"
}

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=XX");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn what_is_written_is_read_again() {
    let agent = Agent::start().await;
    let (_guard, root) = root(&agent).await;
    let path = format!("{root}/new/dir/hello.txt");
    let written = post(
        &agent,
        &format!("path={path}&username=nobody"),
        &[RAW],
        "hello",
    )
    .await;
    assert_eq!(written.status, 200, "{:?}", written.body);
    assert_eq!(
        written.json(),
        json!([{"path": path, "name": "hello.txt", "type": "file"}])
    );
    let look = format!("stat -c '%a %U' {path} {root}/new");
    let story = agent.shell(&look).await.finish().await;
    assert_eq!(story.stdout, b"644 nobody\n755 nobody\n");
    let read = get(&agent, &path, &[]).await;
    assert_eq!((read.status, &read.body[..]), (200, &b"hello"[..]));
    assert_eq!(read.header("content-length"), "5");
    assert_eq!(read.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        read.header("content-disposition"),
        "inline; filename=hello.txt"
    );
    assert_eq!(read.header("vary"), "Accept-Encoding");
    assert!(read.header("last-modified").ends_with("GMT"));
    let written = post(&agent, &format!("path={path}"), &[RAW], "").await;
    assert_eq!(written.status, 200);
    let empty = get(&agent, &path, &[]).await;
    assert_eq!((empty.header("content-length"), empty.body.len()), ("0", 0));
}

#[tokio::test]
async fn gzip_works_both_ways_and_ranges_are_never_compressed() {
    let agent = Agent::start().await;
    let (_guard, root) = root(&agent).await;
    let path = format!("{root}/big");
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7 % 251) as u8).collect();
    let headers = [RAW, ("content-encoding", "gzip")];
    let written = post(&agent, &format!("path={path}"), &headers, gzip(&content)).await;
    assert_eq!(written.status, 200);
    assert!(get(&agent, &path, &[]).await.body == content);
    let packed = get(&agent, &path, &[("accept-encoding", "gzip, deflate")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < content.len() && gunzip(&packed.body) == content);
    let plain = get(&agent, &path, &[]).await;
    assert_eq!(plain.header("content-length"), "3000000");
    assert!(plain.body == content);
    let both = [
        ("accept-encoding", "gzip"),
        ("range", "bytes=2000000-2000009"),
    ];
    let part = get(&agent, &path, &both).await;
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &content[2_000_000..2_000_010])
    );
    assert_eq!(
        part.header("content-range"),
        "bytes 2000000-2000009/3000000"
    );
    assert_eq!(
        get(&agent, &path, &[("range", "bytes=3000000-")])
            .await
            .status,
        416
    );
    assert_eq!(
        get(&agent, &path, &[("accept-encoding", "identity;q=0")])
            .await
            .status,
        406
    );
    let modified = plain.header("last-modified");
    assert_eq!(
        get(&agent, &path, &[("if-modified-since", modified)])
            .await
            .status,
        304
    );
}

#[tokio::test]
async fn a_form_holds_many_files_with_their_directories() {
    let agent = Agent::start().await;
    let (_guard, root) = root(&agent).await;
    let (one, two) = (format!("{root}/a/one.txt"), format!("{root}/two"));
    let body = form(&[
        ("file", &one, "1"),
        ("note", "x", "ignored"),
        ("file", &two, "22"),
    ]);
    for (headers, body) in [
        (vec![FORM], body.clone().into_bytes()),
        (
            vec![FORM, ("content-encoding", "gzip")],
            gzip(body.as_bytes()),
        ),
    ] {
        let written = post(&agent, "", &headers, body).await;
        assert_eq!(written.status, 200, "{:?}", written.body);
        assert_eq!(written.json()[0]["path"], one);
        assert_eq!(written.json()[1]["name"], "two");
        assert_eq!(written.json().as_array().unwrap().len(), 2);
        assert_eq!(get(&agent, &one, &[]).await.body, "1");
        assert_eq!(get(&agent, &two, &[]).await.body, "22");
    }
    let single = form(&[("file", "other", "333")]);
    let written = post(&agent, &format!("path={two}"), &[FORM], single).await;
    assert_eq!(written.json()[0]["path"], two);
    let twice = form(&[("file", &one, "1"), ("file", &one, "2")]);
    assert_eq!(post(&agent, "", &[FORM], twice).await.status, 400);
}

#[tokio::test]
async fn metadata_is_replaced_as_a_whole_and_shared_with_programs() {
    let agent = Agent::start().await;
    for directory in ["/root", "/tmp"] {
        let path = format!("{directory}/soulbox-agent-{}", std::process::id());
        let query = format!("path={path}");
        let stat = async |path: &str| {
            let (_, answer) = agent
                .call("filesystem.Filesystem/Stat", json!({"path": path}))
                .await;
            answer["entry"]["metadata"].clone()
        };
        let written = post(&agent, &query, &[RAW, ("X-Metadata-Author", "me")], "x").await;
        assert_eq!(written.json()[0]["metadata"], json!({"author": "me"}));
        assert_eq!(stat(&path).await, json!({"author": "me"}), "{directory}");
        let program = format!("import os; os.setxattr('{path}', 'user.e2b.more', b'1')");
        let process = json!({"process": {"cmd": "python3", "args": ["-c", program]}});
        let story = agent
            .stream("process.Process/Start", process, &[])
            .await
            .finish()
            .await;
        assert_eq!(story.end["exitCode"], 0, "{story:?}");
        assert_eq!(stat(&path).await, json!({"author": "me", "more": "1"}));
        let moved = format!("{path}-moved");
        let message = json!({"source": path, "destination": moved});
        assert_eq!(
            agent.call("filesystem.Filesystem/Move", message).await.0,
            200
        );
        assert_eq!(stat(&moved).await, json!({"author": "me", "more": "1"}));
        let bad = post(
            &agent,
            &query,
            &[RAW, ("x-metadata-a", &"v".repeat(5000))],
            "x",
        )
        .await;
        assert_eq!(bad.status, 400);
        assert!(
            bad.json()["message"]
                .as_str()
                .unwrap()
                .starts_with("invalid metadata: ")
        );
        let written = post(&agent, &format!("path={moved}"), &[RAW], "x").await;
        assert!(written.json()[0].get("metadata").is_none());
        assert_eq!(stat(&moved).await, Value::Null);
        agent
            .call("filesystem.Filesystem/Remove", json!({"path": moved}))
            .await;
    }
}

#[tokio::test]
async fn errors_have_their_status_and_text() {
    let agent = Agent::start().await;
    let (_guard, root) = root(&agent).await;
    agent
        .shell(&format!("echo x > {root}/file"))
        .await
        .finish()
        .await;
    for (path, status, message) in [
        (
            "/no/such".to_owned(),
            404,
            "path '/no/such' does not exist".to_owned(),
        ),
        (root.clone(), 400, format!("path '{root}' is a directory")),
        ("~other/x".to_owned(), 400, "home directories".to_owned()),
        (
            "/x&username=ghost".to_owned(),
            401,
            "error looking up user 'ghost': ".to_owned(),
        ),
        ("a%00b".to_owned(), 400, "NUL".to_owned()),
        ("/dev/zero".to_owned(), 400, "not a regular file".to_owned()),
    ] {
        let error = get(&agent, &path, &[]).await;
        assert_eq!(error.status, status, "{path}");
        assert_eq!(
            error.header("content-type"),
            "application/json; charset=utf-8"
        );
        let json = error.json();
        assert_eq!(json["code"], status);
        assert!(
            json["message"].as_str().unwrap().contains(&message),
            "{json}"
        );
    }
    for (query, headers, status, message) in [
        (
            format!("path={root}"),
            vec![RAW],
            400,
            format!("path is a directory: {root}"),
        ),
        (format!("path={root}/file/x"), vec![RAW], 500, String::new()),
        (
            "path=/dev/full".into(),
            vec![RAW],
            507,
            "not enough disk space available".to_owned(),
        ),
        (String::new(), vec![RAW], 400, "path".to_owned()),
        (
            format!("path={root}/y"),
            vec![("content-type", "text/plain")],
            400,
            "text/plain".to_owned(),
        ),
        (format!("path={root}/y"), vec![], 400, String::new()),
        (
            format!("path={root}/y"),
            vec![RAW, ("content-encoding", "br")],
            400,
            "br".to_owned(),
        ),
        (
            format!("path={root}/y"),
            vec![RAW, ("content-encoding", "gzip")],
            400,
            "body".to_owned(),
        ),
        (String::new(), vec![FORM], 400, String::new()),
        (
            String::new(),
            vec![("content-type", "multipart/form-data")],
            400,
            String::new(),
        ),
        (
            format!("path={root}/y&username=ghost"),
            vec![RAW],
            401,
            "ghost".to_owned(),
        ),
    ] {
        let error = post(&agent, &query, &headers, "not a form and not gzip").await;
        assert_eq!(error.status, status, "{query} {headers:?} {:?}", error.body);
        assert!(
            error.json()["message"].as_str().unwrap().contains(&message),
            "{query}"
        );
    }
}

#[tokio::test]
async fn files_whose_size_is_a_lie_are_read_to_their_end() {
    let agent = Agent::start().await;
    let status = get(&agent, "/proc/self/status", &[]).await;
    assert_eq!(status.status, 200);
    assert!(status.body.starts_with(b"Name:\tsoulbox-agent"));
    let packed = get(&agent, "/proc/self/status", &[("accept-encoding", "gzip")]).await;
    assert!(gunzip(&packed.body).starts_with(b"Name:"));
}

#[tokio::test]
async fn parts_are_joined_and_go() {
    let agent = Agent::start().await;
    let root = format!("/tmp/soulbox-agent-{}-compose", std::process::id());
    let compose = async |message: serde_json::Value| {
        let request = Request::post("http://envd/files/compose")
            .header("content-type", "application/json")
            .body(message.to_string())
            .unwrap();
        let answer = agent.send(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        )
    };
    let made = format!("mkdir {root} && cd {root} && printf a > 1 && printf b > 2 && mkdir d");
    agent.shell(&made).await.finish().await;
    let path = |name: &str| format!("{root}/{name}");
    for (sources, destination, status) in [
        (vec![path("1"), path("3")], path("new"), 404),
        (vec![path("1"), path("d")], path("new"), 400),
        (vec![path("1"), path("1")], path("new"), 400),
        (vec![path("1")], path("d"), 400),
        (vec![], path("new"), 400),
    ] {
        let message = serde_json::json!({"source_paths": sources, "destination": destination});
        assert_eq!(compose(message).await.0, status);
    }
    let (status, answer) = compose(serde_json::json!({
        "source_paths": [path("2"), path("1")], "destination": path("x/new"), "username": "root",
    }))
    .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer,
        serde_json::json!({"path": path("x/new"), "name": "new", "type": "file"})
    );
    let look = format!("cd {root} && cat x/new && ls -A . x && rm -r {root}");
    let story = agent.shell(&look).await.finish().await;
    assert_eq!(
        String::from_utf8_lossy(&story.stdout),
        "ba.:\nd\nx\n\nx:\nnew\n"
    );
}
