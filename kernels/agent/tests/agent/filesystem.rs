//! `filesystem.Filesystem` (section 4.5 of the contract).

use crate::harness::Agent;
use serde_json::json;

#[tokio::test]
async fn directories_are_made_listed_moved_and_removed() {
    let agent = Agent::start().await;
    let root = format!("/tmp/soulbox-agent-{}-fs", std::process::id());
    let call = async |method: &str, message| {
        agent
            .call(&format!("filesystem.Filesystem/{method}"), message)
            .await
    };
    let (status, made) = call("MakeDir", json!({"path": format!("{root}/a/b")})).await;
    assert_eq!(
        (status, made["entry"]["type"].as_str()),
        (200, Some("FILE_TYPE_DIRECTORY"))
    );
    let entry = &made["entry"];
    assert_eq!(entry["permissions"], "drwxr-xr-x");
    assert_eq!(entry["mode"], 0o755);
    assert_eq!(
        (entry["owner"].as_str(), entry["group"].as_str()),
        (Some("root"), Some("root"))
    );
    let again = call("MakeDir", json!({"path": format!("{root}/a/b")})).await;
    assert_eq!(
        (again.0, again.1["code"].as_str()),
        (409, Some("already_exists"))
    );
    agent
        .shell(&format!(
            "cd {root}; echo hi > file; chmod 644 file; ln -s file link; ln -s nowhere gone"
        ))
        .await
        .finish()
        .await;
    let (_, listed) = call("ListDir", json!({"path": root, "depth": 2})).await;
    let names: Vec<_> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b", "file", "gone", "link"]);
    let link = call("Stat", json!({"path": format!("{root}/link")}))
        .await
        .1["entry"]
        .clone();
    assert_eq!(link["type"], "FILE_TYPE_FILE");
    assert_eq!(link["mode"], 0o644);
    assert_eq!(link["symlinkTarget"], format!("{root}/file"));
    assert_eq!(link["permissions"], "Lrwxrwxrwx");
    let gone = call("Stat", json!({"path": format!("{root}/gone")}))
        .await
        .1["entry"]
        .clone();
    assert_eq!(gone["type"], "FILE_TYPE_UNSPECIFIED");
    let message = json!({"source": format!("{root}/file"), "destination": format!("{root}/x/y")});
    let (status, moved) = call("Move", message.clone()).await;
    assert_eq!((status, moved["entry"]["size"].as_str()), (200, Some("3")));
    assert_eq!(call("Move", message).await.1["code"], "not_found");
    assert_eq!(
        call("ListDir", json!({"path": format!("{root}/x/y")}))
            .await
            .1["code"],
        "invalid_argument"
    );
    assert_eq!(
        call("MakeDir", json!({"path": format!("{root}/x/y")}))
            .await
            .1["code"],
        "invalid_argument"
    );
    assert_eq!(
        call("MakeDir", json!({"path": format!("{root}/x/y/z")}))
            .await
            .1["code"],
        "internal"
    );
    assert_eq!(
        call("Stat", json!({"path": "~x/y"})).await.1["code"],
        "invalid_argument"
    );
    for _ in 0..2 {
        assert_eq!(
            call("Remove", json!({"path": root})).await,
            (200, json!({}))
        );
    }
    assert_eq!(
        call("Stat", json!({"path": root})).await.1["code"],
        "not_found"
    );
    assert_eq!(
        call("ListDir", json!({"path": root})).await.1["code"],
        "not_found"
    );
}

#[tokio::test]
async fn a_move_to_another_file_system_keeps_content_and_metadata() {
    let agent = Agent::start().await;
    let name = format!("soulbox-agent-{}-across", std::process::id());
    let (here, there) = (format!("/tmp/{name}"), format!("/dev/shm/{name}"));
    let made = format!("mkdir -p {there}/a; echo hi > {there}/a/file; chmod 640 {there}/a/file");
    agent.shell(&made).await.finish().await;
    let message = json!({"source": there, "destination": here});
    let (status, answer) = agent.call("filesystem.Filesystem/Move", message).await;
    assert_eq!(status, 200, "{answer}");
    let look = format!("stat -c %a {here}/a/file && cat {here}/a/file && ls {there}; rm -r {here}");
    let story = agent.shell(&look).await.finish().await;
    assert_eq!(String::from_utf8_lossy(&story.stdout), "640\nhi\n");
}
