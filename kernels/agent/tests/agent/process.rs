//! `process.Process` (section 4.4 of the contract).

use crate::harness::{Agent, envelope};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const START: &str = "process.Process/Start";
const CONNECT: &str = "process.Process/Connect";

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// Asked inside the sandbox, so that these stories run in any isolation.
async fn alive(agent: &Agent, pid: u64) -> bool {
    agent
        .shell(&format!("kill -0 {pid}"))
        .await
        .finish()
        .await
        .end["exitCode"]
        == 0
}

#[tokio::test]
async fn a_command_gives_its_output_and_then_its_end() {
    let agent = Agent::start().await;
    let story = agent
        .shell("echo out; echo err >&2; exit 3")
        .await
        .finish()
        .await;
    assert!(story.pid > 1);
    assert_eq!(
        (story.stdout.as_slice(), story.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(
        story.end,
        json!({"exitCode": 3, "exited": true, "status": "exit status 3", "error": "exit status 3"})
    );
    assert_eq!(story.trailer, json!({}));
}

#[tokio::test]
async fn a_missing_command_ends_with_127_and_a_forbidden_one_with_126() {
    let agent = Agent::start().await;
    for (cmd, code) in [
        ("no-such-command", 127),
        ("/no/such", 127),
        ("/etc/passwd", 126),
        ("", 127),
    ] {
        let message = json!({"process": {"cmd": cmd}});
        let story = agent.stream(START, message, &[]).await.finish().await;
        assert_eq!(story.end["exitCode"], code, "{cmd}");
        assert!(!story.stderr.is_empty());
    }
}

#[tokio::test]
async fn wrong_starts_are_told_in_the_end_envelope() {
    let agent = Agent::start().await;
    let auth = format!("Basic {}", base64("nobody-here:"));
    for (process, headers, code, message) in [
        (
            json!({"cmd": "true", "cwd": "/no/dir"}),
            vec![],
            "invalid_argument",
            "cwd '/no/dir' does not exist",
        ),
        (
            json!({"cmd": "true"}),
            vec![("authorization", auth.as_str())],
            "unauthenticated",
            "invalid username: 'nobody-here'",
        ),
        (
            json!({"cmd": "tr\u{0}ue"}),
            vec![],
            "invalid_argument",
            "NUL",
        ),
        (
            json!({"cmd": "true", "envs": {"A=B": "c"}}),
            vec![],
            "invalid_argument",
            "variable",
        ),
        (
            json!({"cmd": "true"}),
            vec![("connect-timeout-ms", "x")],
            "invalid_argument",
            "Timeout",
        ),
    ] {
        let mut events = agent
            .stream(START, json!({"process": process}), &headers)
            .await;
        let (flag, end) = events.next().await;
        assert_eq!(
            (flag, end["error"]["code"].as_str()),
            (2, Some(code)),
            "{end}"
        );
        assert!(
            end["error"]["message"].as_str().unwrap().contains(message),
            "{end}"
        );
    }
}

#[tokio::test]
async fn variables_follow_the_order_and_nothing_else_is_inherited() {
    let agent = Agent::start().await;
    let process = json!({"cmd": "env", "envs": {"A": "a b\n=", "HOME": "/x"}, "cwd": "/tmp"});
    let story = agent
        .stream(START, json!({"process": process}), &[])
        .await
        .finish()
        .await;
    let text = String::from_utf8(story.stdout).unwrap();
    for line in [
        "A=a b\n=",
        "HOME=/x",
        "USER=root",
        "LOGNAME=root",
        "GREETING=hello",
        "E2B_SANDBOX_ID=itest",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    assert!(!text.contains("SOULBOX_AGENT_LOG"), "{text}");
    let story = agent.shell("echo ${A-unset}").await.finish().await;
    assert_eq!(story.stdout, b"unset\n");
}

#[tokio::test]
async fn another_user_has_his_own_rights() {
    let agent = Agent::start().await;
    let auth = format!("Basic {}", base64("nobody:"));
    let process = json!({"cmd": "/bin/sh", "args": ["-c", "id -un; id -gn; cat /etc/shadow; ulimit -u"], "cwd": "/"});
    let headers = [("authorization", auth.as_str())];
    let story = agent
        .stream(START, json!({"process": process}), &headers)
        .await
        .finish()
        .await;
    let text = String::from_utf8(story.stdout).unwrap();
    assert!(text.starts_with("nobody\nnogroup\n"), "{text}");
    assert!(String::from_utf8_lossy(&story.stderr).contains("ermission denied"));
}

#[tokio::test]
async fn bytes_arrive_as_they_were_written_in_bounded_pieces() {
    let agent = Agent::start().await;
    let story = agent
        .shell("head -c 8191 /dev/zero | tr '\\0' a; printf '\\342'")
        .await
        .finish()
        .await;
    assert_eq!(story.stdout.len(), 8192);
    assert_eq!(story.stdout[8191], 0xe2);
    let mut events = agent.shell("head -c 5000000 /dev/zero").await;
    events.pid().await;
    let mut total = 0;
    loop {
        let (flag, event) = events.next().await;
        if flag == 2 {
            break;
        }
        if let Some(data) = event["event"]["data"]["stdout"].as_str() {
            let length = BASE64_STANDARD.decode(data).unwrap().len();
            assert!(length <= 32 << 10);
            total += length;
        }
    }
    assert_eq!(total, 5_000_000);
}

#[tokio::test]
async fn input_goes_in_until_it_is_closed() {
    let agent = Agent::start().await;
    let mut events = agent
        .stream(
            START,
            json!({"process": {"cmd": "cat"}, "tag": "reader"}),
            &[],
        )
        .await;
    let pid = events.pid().await;
    let input = |text: &str| json!({"process": {"pid": pid}, "input": {"stdin": base64(text)}});
    assert_eq!(
        agent
            .call("process.Process/SendInput", input("one\n"))
            .await,
        (200, json!({}))
    );
    let pty = json!({"process": {"tag": "reader"}, "input": {"pty": base64("x")}});
    assert_eq!(
        agent.call("process.Process/SendInput", pty).await.1["code"],
        "internal"
    );
    let mut body = envelope(&json!({"start": {"process": {"tag": "reader"}}}));
    body.extend(envelope(
        &json!({"data": {"input": {"stdin": base64("two\n")}}}),
    ));
    body.extend(envelope(&json!({"keepalive": {}})));
    body.extend(envelope(
        &json!({"data": {"input": {"stdin": base64("three\n")}}}),
    ));
    let request = Request::post("http://envd/process.Process/StreamInput")
        .header("content-type", "application/connect+json")
        .body(body)
        .unwrap();
    let answer = agent
        .send(request)
        .await
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(&answer[..], b"\0\0\0\0\x02{}\x02\0\0\0\x02{}");
    for _ in 0..2 {
        let close = agent
            .call(
                "process.Process/CloseStdin",
                json!({"process": {"pid": pid}}),
            )
            .await;
        assert_eq!(close.0, 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if !alive(&agent, pid).await {
            break;
        }
    }
    let story = events.finish().await;
    assert_eq!(story.stdout, b"one\ntwo\nthree\n");
    assert_eq!(story.end["exitCode"], 0);
    assert_eq!(
        agent.call("process.Process/SendInput", input("x")).await.1["code"],
        "not_found"
    );
}

#[tokio::test]
async fn without_stdin_a_reader_is_at_the_end_at_once() {
    let agent = Agent::start().await;
    let mut events = agent.shell("cat; echo done; sleep 60").await;
    let pid = events.pid().await;
    events.until("done").await;
    let input = json!({"process": {"pid": pid}, "input": {"stdin": "eA=="}});
    assert_eq!(
        agent.call("process.Process/SendInput", input).await.1["code"],
        "internal"
    );
}

#[tokio::test]
async fn a_signal_ends_the_process_with_its_children_and_it_is_reaped_at_once() {
    let agent = Agent::start().await;
    let mut events = agent.shell("sleep 61 & echo $!; wait").await;
    let pid = events.pid().await;
    let child: u64 = events.until("\n").await.trim().parse().unwrap();
    let list = agent.call("process.Process/List", json!({})).await.1;
    assert_eq!(list["processes"][0]["pid"], pid);
    assert_eq!(
        list["processes"][0]["config"]["args"][1],
        "sleep 61 & echo $!; wait"
    );
    let signal = |name: Value| json!({"process": {"pid": pid}, "signal": name});
    let unknown = agent
        .call("process.Process/SendSignal", signal(json!("SIGNAL_SIGHUP")))
        .await;
    assert_eq!(unknown.1["code"], "unimplemented");
    assert_eq!(
        agent
            .call(
                "process.Process/SendSignal",
                signal(json!("SIGNAL_SIGKILL"))
            )
            .await
            .0,
        200
    );
    assert!(!alive(&agent, pid).await);
    let story = events.finish().await;
    assert_eq!(
        story.end,
        json!({"exitCode": -1, "exited": false, "status": "signal: killed", "error": "signal: killed"})
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!alive(&agent, child).await);
    let again = agent
        .call("process.Process/SendSignal", signal(json!(9)))
        .await
        .1;
    assert_eq!(again["code"], "not_found");
    assert_eq!(
        again["message"],
        format!("process with pid {pid} not found")
    );
    assert_eq!(
        agent.call("process.Process/List", json!({})).await.1,
        json!({"processes": []})
    );
}

#[tokio::test]
async fn termination_is_a_signal_with_its_own_words() {
    let agent = Agent::start().await;
    let mut events = agent
        .stream(
            START,
            json!({"process": {"cmd": "sleep", "args": ["62"]}}),
            &[],
        )
        .await;
    let pid = events.pid().await;
    let signal = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"});
    assert_eq!(
        agent.call("process.Process/SendSignal", signal).await.0,
        200
    );
    assert_eq!(events.finish().await.end["status"], "signal: terminated");
}

#[tokio::test]
async fn the_deadline_of_start_kills_and_that_of_connect_does_not() {
    let agent = Agent::start().await;
    let process = json!({"process": {"cmd": "sleep", "args": ["63"]}});
    let mut events = agent
        .stream(START, process, &[("connect-timeout-ms", "700")])
        .await;
    let pid = events.pid().await;
    let select = json!({"process": {"pid": pid}});
    let watch = agent
        .stream(CONNECT, select, &[("connect-timeout-ms", "100")])
        .await;
    assert_eq!(
        watch.finish().await.trailer["error"]["code"],
        "deadline_exceeded"
    );
    assert!(alive(&agent, pid).await);
    let story = events.finish().await;
    assert!(story.end.is_null());
    assert_eq!(story.trailer["error"]["code"], "deadline_exceeded");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!alive(&agent, pid).await);
}

#[tokio::test]
async fn a_process_outlives_its_client_and_can_be_joined_again() {
    let agent = Agent::start().await;
    let mut first = agent
        .shell("for i in $(seq 60); do echo tick; sleep 0.05; done; exit 7")
        .await;
    let pid = first.pid().await;
    first.until("tick").await;
    drop(first);
    let select = json!({"process": {"pid": pid}});
    let mut one = agent.stream(CONNECT, select.clone(), &[]).await;
    let mut two = agent.stream(CONNECT, select.clone(), &[]).await;
    assert_eq!((one.pid().await, two.pid().await), (pid, pid));
    one.until("tick").await;
    two.until("tick").await;
    assert_eq!(one.finish().await.end["exitCode"], 7);
    assert_eq!(two.finish().await.end["exitCode"], 7);
    let late = agent.stream(CONNECT, select, &[]).await.finish().await;
    assert_eq!((late.pid, late.end["exitCode"].as_i64()), (pid, Some(7)));
    assert!(late.stdout.is_empty());
}

#[tokio::test]
async fn output_that_nobody_reads_never_blocks() {
    let agent = Agent::start().await;
    let done = format!("/tmp/soulbox-agent-{}", std::process::id());
    let mut events = agent
        .shell(&format!(
            "sleep 0.2; head -c 30000000 /dev/zero; echo > {done}"
        ))
        .await;
    events.pid().await;
    drop(events);
    let patience = Instant::now() + Duration::from_secs(10);
    while agent.shell(&format!("rm {done}")).await.finish().await.end["exitCode"] != 0 {
        assert!(Instant::now() < patience, "the process is blocked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn silence_is_filled_with_keepalives() {
    let agent = Agent::start().await;
    let process = json!({"process": {"cmd": "sleep", "args": ["2.5"]}});
    let story = agent
        .stream(START, process, &[("keepalive-ping-interval", "1")])
        .await
        .finish()
        .await;
    assert_eq!(story.keepalives, 2);
}

#[tokio::test]
async fn a_terminal_is_a_terminal() {
    let agent = Agent::start().await;
    let process = json!({"cmd": "/bin/bash", "args": ["--norc", "-i"], "envs": {"TERM": "xterm", "PS1": "$ "}});
    let message = json!({"process": process, "pty": {"size": {"cols": 81, "rows": 25}}});
    let mut events = agent.stream(START, message, &[]).await;
    let pid = events.pid().await;
    let select = json!({"pid": pid});
    let write = async |text: &str| {
        let input = json!({"process": select, "input": {"pty": base64(text)}});
        assert_eq!(agent.call("process.Process/SendInput", input).await.0, 200);
    };
    write("tty; stty size\n").await;
    let text = events.until("25 81").await;
    assert!(text.contains("/dev/pts/"), "{text}");
    let resize = json!({"process": select, "pty": {"size": {"cols": 100, "rows": 30}}});
    assert_eq!(agent.call("process.Process/Update", resize).await.0, 200);
    write("stty size\n").await;
    events.until("30 100").await;
    let wrong = json!({"process": select, "input": {"stdin": base64("x")}});
    assert_eq!(
        agent.call("process.Process/SendInput", wrong).await.1["code"],
        "internal"
    );
    let close = agent
        .call("process.Process/CloseStdin", json!({"process": select}))
        .await;
    assert_eq!(close.1["code"], "unknown");
    write("sleep 64\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    write("\u{3}").await;
    write("exit 0\n").await;
    let story = events.finish().await;
    assert_eq!(story.end["exitCode"], 0, "{story:?}");
    assert!(story.stdout.is_empty() && story.stderr.is_empty());
}

#[tokio::test]
async fn many_short_processes_at_once_all_end_as_they_should() {
    let agent = Agent::start().await;
    let runs = (0..100).map(|code| {
        let agent = &agent;
        async move {
            let story = agent.shell(&format!("exit {code}")).await.finish().await;
            assert_eq!(story.end["exitCode"].as_i64(), Some(code));
        }
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn orphans_are_reaped_and_nobody_can_signal_the_agent_away() {
    let agent = Agent::start().await;
    // The shell leaves a child behind that ends on its own later.
    let story = agent
        .shell("(sleep 0.3 & echo $!) >&1; true")
        .await
        .finish()
        .await;
    let orphan: u64 = String::from_utf8(story.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!alive(&agent, orphan).await);
    // Only where it is the first process: elsewhere this would be somebody else.
    if agent.shell("test $PPID = 1").await.finish().await.end["exitCode"] == 0 {
        let signals =
            "for s in HUP INT QUIT TERM USR1 USR2 ALRM PIPE; do kill -$s 1; done; echo sent";
        assert_eq!(agent.shell(signals).await.finish().await.stdout, b"sent\n");
    }
    let story = agent
        .shell("trap -p; ulimit -n; umask; exit 4")
        .await
        .finish()
        .await;
    assert_eq!(story.end["exitCode"], 4);
    assert_eq!(story.stdout, b"1024\n0022\n");
}
