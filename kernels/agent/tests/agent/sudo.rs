//! `sudo` through the agent (section 4.3 of the contract: `user` has it without a password).

use crate::harness::{Agent, Events, Story};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

/// An agent that offers `sudo`, and how a shell gets there.
struct Place {
    agent: Agent,
    /// Put before commands.
    before: String,
    _directory: TempDir,
}

impl Place {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // In a sandbox of its own the agent has put it into its place itself.
        let before = if std::env::var_os("SOULBOX_TEST_AGENT").is_some() {
            String::new()
        } else {
            std::fs::copy(env!("CARGO_BIN_EXE_soulbox-agent"), path.join("sudo")).unwrap();
            let path = path.display();
            format!("export SOULBOX_SUDO_SOCKET={path}/run/sudo.sock PATH={path}:$PATH; ")
        };
        let socket = path.join("run/sudo.sock");
        let agent = Agent::start_with(&[("SOULBOX_SUDO_SOCKET", socket.as_os_str())]).await;
        Self {
            agent,
            before,
            _directory: directory,
        }
    }

    /// A command of an ordinary user, who may or may not be known by name.
    fn as_user(&self, uid: u32, command: &str) -> String {
        let quoted = command.replace('\'', r"'\''");
        format!(
            "{}exec setpriv --reuid={uid} --regid={uid} --clear-groups bash -c '{quoted}'",
            self.before
        )
    }

    async fn run(&self, command: &str) -> Story {
        let command = self.as_user(1000, command);
        self.agent.shell(&command).await.finish().await
    }

    async fn terminal(&self, command: &str) -> Events {
        let command = self.as_user(1000, command);
        let message = json!({
            "process": {"cmd": "/bin/bash", "args": ["-c", command], "envs": {"TERM": "xterm"}},
            "pty": {"size": {"cols": 80, "rows": 24}},
        });
        self.agent
            .stream("process.Process/Start", message, &[])
            .await
    }

    async fn type_in(&self, pid: u64, text: &str) {
        let input =
            json!({"process": {"pid": pid}, "input": {"pty": BASE64_STANDARD.encode(text)}});
        let (status, answer) = self.agent.call("process.Process/SendInput", input).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn commands_run_as_root_with_everything_of_the_caller() {
    let place = Place::new().await;
    for (command, status, stdout) in [
        ("id -u; sudo id -u", 0, "1000\n0\n"),
        (
            "sudo -u '#1000' id -u; sudo --user=root id -un",
            0,
            "1000\nroot\n",
        ),
        (
            "cd /usr/bin; sudo pwd; sudo -D /etc pwd",
            0,
            "/usr/bin\n/etc\n",
        ),
        (
            "A=1 sudo B=2 sh -c 'echo $A$B$HOME$USER'",
            0,
            "12/rootroot\n",
        ),
        ("sudo sh -c 'echo $SUDO_UID:$SUDO_GID'", 0, "1000:1000\n"),
        ("HOME=/x sudo -E sh -c 'echo $HOME'", 0, "/x\n"),
        (
            "sudo -i pwd; sudo -i echo 'a  \"b\";'",
            0,
            "/root\na  \"b\";\n",
        ),
        ("SHELL=/bin/sh sudo -s echo 'x  y'", 0, "x  y\n"),
        ("echo in | sudo cat", 0, "in\n"),
        ("sudo -n true && sudo -v && sudo -k", 0, ""),
        ("sudo sh -c 'exit 7'", 7, ""),
        ("sudo sh -c 'kill -9 $$'; echo $?", 0, "137\n"),
        ("sudo -- sh -c 'echo out; echo err >&2'", 0, "out\n"),
        ("sudo -u nobody-here true", 1, ""),
        ("sudo no-such-command", 1, ""),
        ("sudo", 1, ""),
        ("yes | head -c 3000000 | sudo cat | wc -c", 0, "3000000\n"),
        ("sudo sudo sudo id -u", 0, "0\n"),
    ] {
        let story = place.run(command).await;
        let shown = format!("{command}: {}", text(&story.stderr));
        assert_eq!(
            story.end["exitCode"].as_i64().unwrap_or(0),
            status,
            "{shown}"
        );
        assert_eq!(text(&story.stdout), stdout, "{shown}");
    }
    let story = place.run("sudo no-such-command").await;
    assert_eq!(
        text(&story.stderr),
        "sudo: no-such-command: command not found\n"
    );
}

#[tokio::test]
async fn whoever_is_not_in_the_group_is_refused() {
    let place = Place::new().await;
    let command = place.as_user(4321, "sudo id -u");
    let story = place.agent.shell(&command).await.finish().await;
    assert_eq!(story.end["exitCode"], 1);
    assert_eq!(
        text(&story.stderr),
        "sudo: #4321 is not in the sudo group\n"
    );
    assert!(story.stdout.is_empty());
}

#[tokio::test]
async fn nobody_passes_for_somebody_else() {
    let place = Place::new().await;
    // Sends a request by hand, with credentials of its own choice or without any.
    let forger = r#"
import array, json, os, socket, struct, sys
path = os.environ.get("SOULBOX_SUDO_SOCKET", "/run/soulbox/sudo.sock")
request = {"command": ["id", "-u"], "shell": "None", "keep_home": False, "env": {}, "cwd": "/", "terminal": False}
text = json.dumps(request).encode()
rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
for uid in [None, 0, 1000, 4321]:
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    beside = [rights]
    if uid is not None:
        beside.append((socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), uid, uid)))
    try:
        s.sendmsg([struct.pack("I", len(text))], beside)
        s.sendall(text)
        answer = s.recv(4096)
        print(uid, "Exit" in answer.decode(), flush=True)
    except OSError as error:
        print(uid, False, flush=True)
"#;
    let command = format!("python3 -c '{forger}'");
    let command = place.as_user(4321, &command);
    let story = place.agent.shell(&command).await.finish().await;
    assert_eq!(
        text(&story.stdout),
        "None False\n0 False\n1000 False\n4321 False\n",
        "{}",
        text(&story.stderr)
    );
}

#[tokio::test]
async fn signals_reach_the_command_and_its_caller_takes_it_along() {
    let place = Place::new().await;
    let trap = "sudo bash -c 'trap \"echo got; exit 5\" TERM; echo ready; \
                while :; do sleep 0.05; done' & sleep 1; kill -TERM $!; wait $!; echo $?";
    let story = place.run(trap).await;
    assert_eq!(text(&story.stdout), "ready\ngot\n5\n");
    let command = place.as_user(1000, "sudo sh -c 'echo $$; exec sleep 4242'");
    let mut events = place.agent.shell(&command).await;
    let pid = events.pid().await;
    let root: u64 = events.until("\n").await.trim().parse().unwrap();
    let message = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"});
    assert_eq!(
        place
            .agent
            .call("process.Process/SendSignal", message)
            .await
            .0,
        200
    );
    events.finish().await;
    let gone = format!("for i in $(seq 50); do kill -0 {root} || exit 0; sleep 0.1; done; exit 1");
    let story = place.agent.shell(&gone).await.finish().await;
    assert_eq!(story.end["exitCode"], 0);
}

#[tokio::test]
async fn a_terminal_is_a_terminal_for_the_command_too() {
    let place = Place::new().await;
    let interrupted = "sudo bash -c 'trap \"echo interrupted; exit 3\" INT; tty; stty size; \
                       echo ready; while :; do sleep 0.05; done'; echo left $?; stty -a";
    let mut events = place.terminal(interrupted).await;
    let pid = events.pid().await;
    let seen = events.until("ready").await;
    assert!(
        seen.contains("/dev/pts/") && seen.contains("24 80"),
        "{seen}"
    );
    place.type_in(pid, "\x03").await;
    let story = events.finish().await;
    let seen = text(&story.pty);
    assert!(
        seen.contains("interrupted") && seen.contains("left 3"),
        "{seen}"
    );
    // The caller's terminal is as it was.
    assert!(
        seen.contains(" icanon") && seen.contains(" echo "),
        "{seen}"
    );

    let mut events = place.terminal("sudo bash -i; echo left $?").await;
    let pid = events.pid().await;
    place.type_in(pid, "echo $((40 + 2)) $(id -u)\r").await;
    events.until("42 0").await;
    let size = json!({"process": {"pid": pid}, "pty": {"size": {"cols": 101, "rows": 33}}});
    assert_eq!(
        place.agent.call("process.Process/Update", size).await.0,
        200
    );
    for _ in 0..20 {
        place.type_in(pid, "stty size\r").await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    events.until("33 101").await;
    place.type_in(pid, "exit 6\r").await;
    events.until("left 6").await;
}
