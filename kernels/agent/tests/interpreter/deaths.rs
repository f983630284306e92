//! Kernels that are lost: said by name, and back by themselves.

use crate::harness::{Agent, of};
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

#[tokio::test]
async fn a_kernel_that_announces_an_endless_frame_is_lost_and_the_agent_is_not() {
    let agent = Agent::start().await;
    let code = "import os, socket, stat, struct, time
for fd in range(3, 200):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            s = socket.socket(fileno=os.dup(fd))
            if s.family == socket.AF_UNIX and s.getsockname():
                os.write(fd, b'\\x02' + struct.pack('>Q', 1 << 40) + b'x' * 1000)
    except OSError:
        pass
time.sleep(5)";
    let items = agent.run(code).await;
    assert_eq!(of(&items, "error")[0]["name"], "UnexpectedEndOfExecution");
    assert_eq!(agent.value("'back'").await, "back");
}
