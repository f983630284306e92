//! Kernels that are lost: said by name, and back by themselves.

use crate::harness::{Agent, main_text, of};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_kernel_that_dies_under_a_cell_is_told_and_comes_back() {
    let agent = Agent::start().await;
    for (code, told) in [
        (
            "print('said')\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "SIGKILL",
        ),
        ("print('said')\nimport os; os._exit(7)", "exit status 7"),
        (
            "print('said')\nimport ctypes; ctypes.string_at(0)",
            "SIGSEGV",
        ),
    ] {
        let items = agent.run(code).await;
        let error = of(&items, "error")[0];
        assert_eq!(error["name"], "UnexpectedEndOfExecution");
        assert!(error["value"].as_str().unwrap().contains(told), "{error}");
        let begun = Instant::now();
        assert_eq!(agent.value("6*7").await, "42");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(
            agent.ask("GET", "/health", b"").await,
            (200, "\"OK\"".to_owned())
        );
    }
}

#[tokio::test]
async fn a_kernel_killed_between_cells_is_back_for_the_next_one() {
    let agent = Agent::start().await;
    let pid: i32 = agent.value("import os; os.getpid()").await.parse().unwrap();
    assert!(pid > 1);
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    // A large process takes some milliseconds to go. What is sent to it meanwhile is lost, and
    // said to be, since nobody can know whether it has begun.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(agent.value("'back'").await, "back");
}

#[tokio::test]
async fn a_kernel_that_leaves_on_its_own_account_is_replaced() {
    let agent = Agent::start().await;
    agent.run("x = 1").await;
    agent.run("exit()").await;
    let items = agent.run("x").await;
    assert_eq!(of(&items, "error")[0]["name"], "NameError", "{items:?}");
}

#[tokio::test]
async fn an_image_without_a_kernel_says_so() {
    let spec = json!({"argv": ["/bin/sh", "-c", "exit 3"], "metadata": {"soulbox": {"exit_no_kernel": 3}}});
    let agent = Agent::with_spec(spec).await;
    let patience = Instant::now() + Duration::from_secs(5);
    while agent.get("http://control/health").await["kernel"] != "none" {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, text) = agent.ask("POST", "/execute", br#"{"code": "1"}"#).await;
    assert_eq!(
        (status, text.as_str()),
        (500, "This template has no kernel of this language")
    );
}

#[tokio::test]
async fn a_kernel_that_never_lives_is_not_started_for_ever() {
    let agent = Agent::with_spec(json!({"argv": ["/bin/sh", "-c", "exit 1"]})).await;
    let patience = Instant::now() + Duration::from_secs(5);
    while agent.get("http://control/health").await["kernel"] != "failed" {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let items = agent.run("1").await;
    assert_eq!(
        of(&items, "error")[0]["value"],
        "The kernel ended with exit status 1"
    );
}

/// Writes these bytes into every socket of the kernel that leads somewhere.
fn sabotage(bytes: &str) -> String {
    format!(
        "import os, socket, stat, struct, time
for fd in range(3, 200):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            s = socket.socket(fileno=os.dup(fd))
            if s.family == socket.AF_UNIX:
                os.write(fd, {bytes})
    except OSError:
        pass
time.sleep(5)"
    )
}

#[tokio::test]
async fn a_kernel_that_announces_an_endless_frame_is_lost_and_the_agent_is_not() {
    let [forked, unforked] = Agent::both().await;
    let zmtp = sabotage("b'\\x02' + struct.pack('>Q', 1 << 40) + b'x' * 1000");
    let wire = sabotage("struct.pack('<BHII', 1, 2, 0xffffffff, 0xffffffff) + b'x' * 1000");
    for (agent, code) in [(unforked, zmtp), (forked, wire)] {
        let items = agent.run(&code).await;
        assert_eq!(of(&items, "error")[0]["name"], "UnexpectedEndOfExecution");
        assert_eq!(agent.value("'back'").await, "back");
    }
}

/// The pid of the process that a kernel was forked by.
async fn forker(agent: &Agent) -> String {
    agent.value("import os; os.getppid()").await
}

#[tokio::test]
async fn a_lost_warm_process_takes_no_kernel_along_and_is_replaced() {
    let agent = Agent::start().await;
    let first = forker(&agent).await;
    let code = format!("kept = 1; import os, signal; os.kill({first}, signal.SIGKILL)");
    assert!(of(&agent.run(&code).await, "error").is_empty());
    // At once a context starts from the beginning; the running one has lost nothing.
    let context = agent.context().await;
    let items = agent
        .execute(json!({"code": "'cold'", "context_id": context}))
        .await;
    assert_eq!(main_text(&items.finish().await), "cold");
    assert_eq!(agent.value("kept").await, "1");
    // Its kernel is an orphan now, and its end is still seen.
    let items = agent.run("os._exit(9)").await;
    assert_eq!(
        of(&items, "error")[0]["value"],
        "The kernel ended with exit status 9"
    );
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, text) = agent.ask("POST", "/contexts", br#"{"cwd": "/tmp"}"#).await;
        assert_eq!(status, 200, "{text}");
        let id = serde_json::from_str::<serde_json::Value>(&text).unwrap()["id"].clone();
        let code = "import os; open(f'/proc/{os.getppid()}/cmdline').read()";
        let items = agent.execute(json!({"code": code, "context_id": id})).await;
        let parent = main_text(&items.finish().await);
        let path = format!("/contexts/{}", id.as_str().unwrap());
        assert_eq!(agent.ask("DELETE", &path, b"").await.0, 200);
        if parent.contains("--fork-server") {
            break;
        }
        assert!(Instant::now() < patience, "no fork again: {parent}");
    }
}

#[tokio::test]
async fn the_end_of_a_forked_kernel_is_known_exactly() {
    let agent = Agent::start().await;
    let parent = forker(&agent).await;
    for (code, expected) in [
        (
            "import os; os._exit(7)",
            "The kernel ended with exit status 7",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "The kernel was killed by signal 11 (SIGSEGV)",
        ),
    ] {
        let items = agent.run(code).await;
        assert_eq!(of(&items, "error")[0]["value"], expected);
    }
    // No zombie is left, and the next kernel is a fork of the same process.
    assert_eq!(forker(&agent).await, parent);
    let code = format!(
        "import pathlib
sum('State:\\tZ' in p.read_text() for p in pathlib.Path('/proc').glob('[0-9]*/status')
    if f'PPid:\\t{parent}\\n' in p.read_text())"
    );
    assert_eq!(agent.value(&code).await, "0");
}
