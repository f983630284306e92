//! Watching directories (section 4.5 of the contract, section 8 rows 22 and 23).

use crate::harness::{Agent, Events};
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;

/// A directory of its own for each story, made and removed inside the sandbox.
struct Place<'a> {
    agent: &'a Agent,
    root: String,
}

impl<'a> Place<'a> {
    async fn new(agent: &'a Agent, name: &str) -> Self {
        let root = format!("/tmp/soulbox-agent-{}-watch-{name}", std::process::id());
        let place = Self { agent, root };
        place.make("").await;
        place
    }

    async fn call(&self, method: &str, message: Value) -> (u16, Value) {
        let method = format!("filesystem.Filesystem/{method}");
        self.agent.call(&method, message).await
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.root)
    }

    async fn make(&self, below: &str) {
        let (status, answer) = self
            .call("MakeDir", json!({"path": self.path(below)}))
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn upload(&self, below: &str, content: &str) {
        let request = Request::post(format!("http://envd/files?path={}", self.path(below)))
            .header("content-type", "application/octet-stream")
            .body(content.to_owned())
            .unwrap();
        assert_eq!(self.agent.send(request).await.status(), 200);
    }

    async fn watcher(&self, options: Value) -> String {
        let (status, answer) = self.call("CreateWatcher", self.request(options)).await;
        assert_eq!(status, 200, "{answer}");
        answer["watcherId"].as_str().unwrap().to_owned()
    }

    async fn stream(&self, options: Value) -> Events {
        let message = self.request(options);
        let mut events = self
            .agent
            .stream("filesystem.Filesystem/WatchDir", message, &[])
            .await;
        assert_eq!(events.next().await, (0, json!({"start": {}})));
        events
    }

    fn request(&self, mut options: Value) -> Value {
        options["path"] = self.root.clone().into();
        options
    }

    async fn events(&self, id: &str) -> Vec<Value> {
        let (status, answer) = self
            .call("GetWatcherEvents", json!({"watcherId": id}))
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["events"].as_array().unwrap().clone()
    }

    async fn short(&self, id: &str) -> Vec<String> {
        self.events(id).await.iter().map(short).collect()
    }

    async fn run(&self, command: &str) {
        let command = format!("cd {} && {command}", self.root);
        let story = self.agent.shell(&command).await.finish().await;
        assert_eq!(
            story.end["exitCode"],
            0,
            "{}",
            String::from_utf8_lossy(&story.stderr)
        );
    }

    async fn remove(self) {
        assert_eq!(self.call("Remove", json!({"path": self.root})).await.0, 200);
    }
}

/// `CREATE name`
fn short(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap();
    let name = event["name"].as_str().unwrap();
    format!("{} {name}", kind.trim_start_matches("EVENT_TYPE_"))
}

#[tokio::test]
async fn an_upload_is_exactly_create_chmod_write_and_is_there_at_once() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "upload").await;
    let id = place.watcher(json!({})).await;
    for round in 0..40 {
        let name = format!("file{round}");
        place.upload(&name, "content").await;
        let new = [
            format!("CREATE {name}"),
            format!("CHMOD {name}"),
            format!("WRITE {name}"),
        ];
        assert_eq!(place.short(&id).await, new);
        place.upload(&name, "other").await;
        assert_eq!(place.short(&id).await, new[1..]);
    }
    assert_eq!(
        place.call("RemoveWatcher", json!({"watcherId": id})).await,
        (200, json!({}))
    );
    for method in ["RemoveWatcher", "GetWatcherEvents"] {
        let (status, error) = place.call(method, json!({"watcherId": id})).await;
        assert_eq!((status, error["code"].as_str()), (404, Some("not_found")));
    }
    place.remove().await;
}

#[tokio::test]
async fn a_stream_tells_the_same_as_it_happens() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "stream").await;
    let mut events = place.stream(json!({"includeEntry": true})).await;
    for content in ["new", "old"] {
        place.upload("file", content).await;
    }
    for expected in [
        "CREATE file",
        "CHMOD file",
        "WRITE file",
        "CHMOD file",
        "WRITE file",
    ] {
        let (flag, event) = events.next().await;
        let event = &event["filesystem"];
        assert_eq!((flag, short(event).as_str()), (0, expected));
        assert_eq!(event["entry"]["path"], place.path("file"));
        assert_eq!(event["entry"]["type"], "FILE_TYPE_FILE");
    }
    place
        .call("Remove", json!({"path": place.path("file")}))
        .await;
    let (_, event) = events.next().await;
    assert_eq!(
        event["filesystem"],
        json!({"name": "file", "type": "EVENT_TYPE_REMOVE"})
    );
    place.remove().await;
    assert_eq!(short(&events.next().await.1["filesystem"]), "REMOVE .");
}

#[tokio::test]
async fn directories_made_later_are_covered_before_the_next_write_into_them() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "recursive").await;
    place.make("old/deep").await;
    let id = place.watcher(json!({"recursive": true})).await;
    place.upload("old/deep/file", "x").await;
    assert_eq!(
        place.short(&id).await,
        [
            "CREATE old/deep/file",
            "CHMOD old/deep/file",
            "WRITE old/deep/file"
        ]
    );
    for round in 0..20 {
        let new = format!("new{round}");
        place.make(&new).await;
        place.upload(&format!("{new}/a/b/file"), "x").await;
        let expected: Vec<String> = ["", "/a", "/a/b", "/a/b/file"]
            .iter()
            .flat_map(|below| {
                [
                    format!("CREATE {new}{below}"),
                    format!("CHMOD {new}{below}"),
                ]
            })
            .chain([format!("WRITE {new}/a/b/file")])
            .collect();
        assert_eq!(place.short(&id).await, expected);
    }
    // A program does not wait until we have seen its directories, yet nothing is missed or
    // told twice.
    for round in 0..20 {
        let top = format!("fast{round}");
        place
            .run(&format!("mkdir -p {top}/b/c && echo x > {top}/b/c/file"))
            .await;
        let told = place.short(&id).await;
        for created in ["", "/b", "/b/c", "/b/c/file"] {
            let line = format!("CREATE {top}{created}");
            assert_eq!(
                told.iter().filter(|told| **told == line).count(),
                1,
                "{told:?}"
            );
        }
        assert!(told.contains(&format!("WRITE {top}/b/c/file")), "{told:?}");
    }
    // A moved directory keeps being covered, under its new name.
    place.run("mv old moved && echo y > moved/deep/file").await;
    assert_eq!(
        place.short(&id).await,
        ["RENAME old", "CREATE moved", "WRITE moved/deep/file"]
    );
    let away = "mv moved ../gone-$$ && echo z > ../gone-$$/deep/file && mv ../gone-$$ back";
    place.run(away).await;
    assert_eq!(place.short(&id).await, ["RENAME moved", "CREATE back"]);
    place.run("echo z > back/deep/newer").await;
    assert_eq!(
        place.short(&id).await,
        ["CREATE back/deep/newer", "WRITE back/deep/newer"]
    );
    place.remove().await;
}

#[tokio::test]
async fn thousands_of_files_are_told_and_too_many_are_told_to_be_lost() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "many").await;
    let id = place.watcher(json!({})).await;
    place.run("for i in $(seq 4000); do : > $i; done").await;
    let told = place.events(&id).await;
    assert_eq!(told.len(), 4000);
    place.run("for i in $(seq 20000); do : > x$i; done").await;
    let (status, error) = place
        .call("GetWatcherEvents", json!({"watcherId": id}))
        .await;
    assert_eq!((status, error["code"].as_str()), (500, Some("data_loss")));
    place.events(&id).await;
    place.upload("after", "x").await;
    assert_eq!(
        place.short(&id).await,
        ["CREATE after", "CHMOD after", "WRITE after"]
    );
    place.remove().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_and_watchers_are_bounded() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "refused").await;
    place.upload("file", "x").await;
    for (below, status, code) in [
        ("file", 400, "invalid_argument"),
        ("missing", 404, "not_found"),
    ] {
        let message = json!({"path": place.path(below)});
        let (got, error) = place.call("CreateWatcher", message.clone()).await;
        assert_eq!((got, error["code"].as_str()), (status, Some(code)));
        let mut events = agent
            .stream("filesystem.Filesystem/WatchDir", message, &[])
            .await;
        assert_eq!(events.next().await.1["error"]["code"], code);
    }
    let mut last = Value::Null;
    for _ in 0..65 {
        last = place
            .call("CreateWatcher", place.request(json!({})))
            .await
            .1;
    }
    assert_eq!(last["code"], "resource_exhausted");
    place.remove().await;
}

#[tokio::test]
async fn a_stream_has_its_deadline_and_frees_its_place() {
    let agent = Agent::start().await;
    let place = Place::new(&agent, "deadline").await;
    let mut events = agent
        .stream(
            "filesystem.Filesystem/WatchDir",
            place.request(json!({})),
            &[("connect-timeout-ms", "100")],
        )
        .await;
    events.next().await;
    assert_eq!(events.next().await.1["error"]["code"], "deadline_exceeded");
    for _ in 0..100 {
        drop(place.stream(json!({})).await);
        // The place is free a moment after the client has gone.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    place.remove().await;
}
