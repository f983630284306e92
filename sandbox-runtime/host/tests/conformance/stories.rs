//! The stories themselves.

use super::{
    Story,
    lab::{Guest, LIMITS, Lab},
};
use crate::story;
use soulbox_runtime::{CellId, Limits};
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// All of them.
pub fn all() -> Vec<Story> {
    vec![
        story!(the_probe_finds_a_tier_that_works),
        story!(the_channel_carries_lines_both_ways),
        story!(what_is_written_stays_off_the_template),
        story!(the_disk_ends_where_it_was_said_to_end),
        story!(files_in_memory_have_a_size),
        story!(nothing_of_the_host_is_seen),
        story!(root_inside_is_nobody_outside),
        story!(memory_that_runs_out_is_told),
        story!(a_fork_bomb_stays_inside),
        story!(an_agent_that_ends_ends_the_cell),
        story!(what_a_dead_node_left_is_cleared),
        story!(a_node_that_is_killed_leaves_nothing_for_good),
        story!(a_start_that_fails_leaves_nothing),
        story!(a_start_that_nobody_waits_for_leaves_nothing),
        story!(a_distribution_works),
        story!(starts_are_measured),
    ]
}

async fn the_probe_finds_a_tier_that_works(lab: &Lab) {
    let status = lab.tier.probe().await;
    for finding in &status.findings {
        println!("    {finding:?}");
    }
    assert!(status.available, "{status:?}");
}

async fn the_channel_carries_lines_both_ways(lab: &Lab) {
    let mut guest = lab.start("echo").await;
    assert_eq!(guest.ask("echo hello there").await, "hello there");
    let usage = guest.cell.usage();
    assert!(
        usage.memory_bytes > 0 && usage.disk_total_bytes > 0,
        "{usage:?}"
    );
    let end = guest.finish().await;
    assert_eq!(end.evidence.signal, Some(libc::SIGKILL), "{end:?}");
    lab.assert_nothing_left("echo");
}

async fn what_is_written_stays_off_the_template(lab: &Lab) {
    let mut guest = lab.start("write").await;
    assert_eq!(guest.ask("read /etc/origin").await, "template");
    assert_eq!(guest.ask("write /etc/origin mine").await, "ok");
    assert_eq!(guest.ask("write /new mine").await, "ok");
    assert_eq!(guest.ask("read /etc/origin").await, "mine");
    assert_eq!(guest.ask("mode /tmp").await, "41777");
    assert_eq!(guest.ask("write /tmp/x mine").await, "ok");
    let refused = guest.ask("write /opt/soulbox/bin/x y").await;
    assert!(refused.starts_with("error"), "{refused}");
    guest.finish().await;
    let layer = lab.path.join("layer");
    let origin = fs::read_to_string(layer.join("etc/origin"));
    assert_eq!(origin.expect("still there"), "template");
    assert!(!layer.join("new").exists());
    lab.assert_nothing_left("write");
}

async fn the_disk_ends_where_it_was_said_to_end(lab: &Lab) {
    let mut guest = lab.start("disk").await;
    for path in ["/tmp/big", "/big"] {
        let answer = guest.ask(&format!("fill {path} 100")).await;
        let words: Vec<_> = answer.split(' ').collect();
        assert_eq!((words[0], words[2]), ("full", "StorageFull"), "{answer}");
        let written: u64 = words[1].parse().expect("a number");
        if path == "/tmp/big" {
            assert!((40..=64).contains(&written), "{answer}");
        }
        // The whole sandbox goes on.
        assert_eq!(guest.ask("echo alive").await, "alive");
    }
    let usage = guest.cell.usage();
    assert!(usage.disk_used_bytes > 40 << 20, "{usage:?}");
    guest.finish().await;
    lab.assert_nothing_left("disk");
}

async fn files_in_memory_have_a_size(lab: &Lab) {
    let mut guest = lab.start("shm").await;
    let answer = guest.ask("fill /dev/shm/big 100").await;
    assert_eq!(answer, "full 64 StorageFull");
    assert_eq!(guest.ask("echo alive").await, "alive");
    guest.finish().await;
    lab.assert_nothing_left("shm");
}

async fn nothing_of_the_host_is_seen(lab: &Lab) {
    let mut guest = lab.start("view").await;
    assert_eq!(guest.ask("list /").await, "dev etc opt proc run sys tmp");
    assert_eq!(guest.ask("list /tmp").await, "");
    let host_file = lab.path.join("layer/etc/origin");
    let answer = guest.ask(&format!("read {}", host_file.display())).await;
    assert!(answer.starts_with("error No such file"), "{answer}");
    assert_eq!(guest.ask("read /proc/sys/kernel/hostname").await, "lab");
    assert_eq!(
        guest
            .ask("read /proc/self/net/dev")
            .await
            .matches(':')
            .count(),
        1,
        "only lo"
    );
    let own = std::process::id().to_string();
    assert!(
        !guest
            .ask("list /proc")
            .await
            .split(' ')
            .any(|name| name == own)
    );
    assert_eq!(guest.ask("descriptors").await, "");
    guest.finish().await;
    lab.assert_nothing_left("view");
}

async fn root_inside_is_nobody_outside(lab: &Lab) {
    use std::os::unix::fs::MetadataExt;
    let mut guest = lab.start("ids").await;
    assert_eq!(guest.ask("write /mine x").await, "ok");
    assert_eq!(
        guest.ask("child become 1000; write /tmp/users x").await,
        "ok"
    );
    let denied = guest.ask("child become 1000; write /etc/x y").await;
    assert!(denied.contains("Permission denied"), "{denied}");
    let disk = lab.scratch("ids").join("disk");
    let owner = |path: &str| fs::metadata(disk.join(path)).expect("written").uid();
    assert_eq!(owner("upper/mine"), super::lab::FIRST_HOST_ID);
    assert_eq!(owner("tmp/users"), super::lab::FIRST_HOST_ID + 1000);
    for user in lab.users("ids") {
        let ours = super::lab::FIRST_HOST_ID..super::lab::FIRST_HOST_ID + 65_536;
        assert!(ours.contains(&user), "a process of the cell runs as {user}");
    }
    guest.finish().await;
    lab.assert_nothing_left("ids");
}

/// Asks for more than there is. The cell may die of it, or only the process that asked.
async fn memory_that_runs_out_is_told(lab: &Lab) {
    let mut guest = lab.start("memory").await;
    let answer = guest.ask("child alloc 400").await;
    assert!(!answer.starts_with("ok"), "{answer}");
    let hardship = guest.cell.hardship();
    println!("    child: {answer:?}, {hardship:?}");
    assert!(hardship.oom_kills > Some(0), "{hardship:?}");
    guest.finish().await;
    lab.assert_nothing_left("memory");

    let mut guest = lab.start("memory").await;
    let answer = timeout(Duration::from_secs(10), guest.ask("alloc 400")).await;
    let hardship = guest.cell.hardship();
    println!("    first process: {answer:?}, {hardship:?}");
    assert_ne!(answer.as_deref(), Ok("ok 2800"));
    let end = guest.finish().await;
    assert!(end.evidence.oom_kills > Some(0), "{end:?}");
    assert!(end.evidence.memory_peak_bytes > Some(64 << 20), "{end:?}");
    lab.assert_nothing_left("memory");
}

async fn a_fork_bomb_stays_inside(lab: &Lab) {
    let limits = Limits {
        memory_mib: 512,
        ..LIMITS
    };
    let mut guest = lab
        .try_start(lab.spec("forks", limits))
        .await
        .expect("starts");
    let answer = guest.ask("child become 1000; sleepers 400").await;
    println!("    as a user: {answer:?}, {:?}", guest.cell.hardship());
    let started: u32 = answer
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect(&answer);
    assert!(started <= limits.pids, "{answer}");
    assert_eq!(guest.ask("echo alive").await, "alive");
    let began = Instant::now();
    guest.finish().await;
    println!(
        "    killed and cleared in {} ms",
        began.elapsed().as_millis()
    );
    lab.assert_nothing_left("forks");
}

async fn an_agent_that_ends_ends_the_cell(lab: &Lab) {
    let mut guest = lab.start("end").await;
    assert_eq!(guest.ask("exit 3").await, "");
    let end = ended(&guest).await;
    println!("    {end:?}");
    guest.finish().await;
    lab.assert_nothing_left("end");
}

async fn ended(guest: &Guest) -> soulbox_runtime::CellEnd {
    timeout(Duration::from_secs(20), guest.cell.ended())
        .await
        .expect("the cell ends")
}

/// The handle is forgotten, as by a node that was killed; only names are left.
async fn what_a_dead_node_left_is_cleared(lab: &Lab) {
    let mut guest = lab.start("left").await;
    assert_eq!(guest.ask("echo alive").await, "alive");
    let id = CellId::new("left").expect("an id");
    lab.tier
        .clear_leftover(&id, &lab.scratch("left"))
        .await
        .expect("cleared");
    ended(&guest).await;
    lab.assert_nothing_left("left");
    // Nothing is there any more, and that is fine.
    lab.tier
        .clear_leftover(&id, &lab.scratch("left"))
        .await
        .expect("cleared");
}

/// A real second process is the node, and dies as if by `kill -9`.
async fn a_node_that_is_killed_leaves_nothing_for_good(lab: &Lab) {
    use std::io::Read;
    let mut node = std::process::Command::new("/proc/self/exe")
        .arg("node")
        .arg(&lab.path)
        .arg(lab.node.as_str())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let mut word = [0; 5];
    let mut out = node.stdout.take().expect("piped");
    out.read_exact(&mut word).expect("the node's cell runs");
    node.kill().expect("it ran");
    node.wait().expect("it is our child");
    let id = CellId::new("lost").expect("an id");
    let scratch = lab.scratch("lost");
    assert!(soulbox_host::disk::is_attached(&scratch.join("disk.img")));
    let cleared = lab.tier.clear_leftover(&id, &scratch).await;
    cleared.expect("cleared");
    // Its orphans went to the next reaper above, which is this test; elsewhere it is init.
    let gone = async {
        while soulbox_host::orphans::reap_users(super::lab::FIRST_HOST_ID) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.expect("dead");
    lab.assert_nothing_left("lost");
}

/// The node of that story.
pub async fn be_a_node(lab: &Lab) {
    let mut guest = lab.start("lost").await;
    assert_eq!(guest.ask("echo alive").await, "alive");
    println!("ready");
    std::future::pending::<()>().await;
}

async fn a_start_that_fails_leaves_nothing(lab: &Lab) {
    let mut spec = lab.spec("fail", LIMITS);
    spec.command = vec!["/not/there".into()];
    let error = lab
        .try_start(spec)
        .await
        .err()
        .expect("there is no such program");
    println!("    {error}");
    lab.assert_nothing_left("fail");
    let mut spec = lab.spec("fail", LIMITS);
    spec.layers.push(lab.path.join("not-there"));
    let error = lab
        .try_start(spec)
        .await
        .err()
        .expect("there is no such layer");
    println!("    {error}");
    lab.assert_nothing_left("fail");
}

async fn a_start_that_nobody_waits_for_leaves_nothing(lab: &Lab) {
    // Otherwise the first start would only probe.
    lab.tier.probe().await;
    for wait in [1, 20, 60, 150] {
        let start = lab.try_start(lab.spec("drop", LIMITS));
        let started = timeout(Duration::from_millis(wait), start).await;
        if let Ok(started) = started {
            started.expect("starts").finish().await;
        }
        let gone = async {
            while lab.scratch("drop").exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), gone)
            .await
            .expect("cleared");
        tokio::time::sleep(Duration::from_millis(100)).await;
        lab.assert_nothing_left("drop");
    }
}

/// What people do in a shell, on a real root file system. `LAB_LAYERS` names its layers,
/// base first, divided by colons; without it there is nothing to run.
async fn a_distribution_works(lab: &Lab) {
    const SCRIPT: &str = r#"
        cd /root
        id -u; uname -n; nproc; grep MemTotal /proc/meminfo; df -h / /tmp /dev/shm | tail -n 3
        touch /tmp/x && ls -ld /tmp /root /usr
        mv /usr/games /usr/games2 2>&1 && ls -d /usr/games2
        su user -c 'id; cd; touch mine && ls -l mine' 2>&1
        su user -c 'touch /etc/not' 2>&1
        chown user:user /tmp/x && stat -c %U /tmp/x
        python3 -c 'import os,tempfile,multiprocessing as m; print(os.cpu_count(), tempfile.gettempdir()); q=m.Queue(); q.put(1); print(q.get())' 2>&1
        python3 -c 'import pty,os; pid,fd=pty.fork(); print(os.ttyname(0)) if pid==0 else print(os.read(fd,99))' 2>&1
        python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",80)); s.listen(); c=socket.create_connection(("127.0.0.1",80)); print("tcp ok")' 2>&1
        dpkg --audit 2>&1; apt-get check 2>&1 | tail -n 1
        mkdir /tmp/p /tmp/p/DEBIAN /tmp/p/opt; printf 'Package: lab\nVersion: 1\nArchitecture: all\nMaintainer: lab\nDescription: lab\n' > /tmp/p/DEBIAN/control
        dpkg-deb -b /tmp/p /tmp/p.deb 2>&1 && dpkg -i /tmp/p.deb 2>&1 | tail -n 1
        echo "the end"
    "#;
    let Ok(layers) = std::env::var("LAB_LAYERS") else {
        println!("    skipped: LAB_LAYERS is not set");
        return;
    };
    let mut spec = lab.spec("debian", Limits::default());
    spec.layers = layers.split(':').map(Into::into).collect();
    spec.command = ["/bin/bash", "-c", SCRIPT].map(Into::into).into();
    let mut guest = lab.try_start(spec).await.expect("starts");
    let mut last = String::new();
    loop {
        let line = guest.hear().await;
        if line.is_empty() {
            break;
        }
        println!("    | {}", line.trim_end());
        last = line;
    }
    assert_eq!(last.trim_end(), "the end");
    guest.finish().await;
    lab.assert_nothing_left("debian");
}

/// Prints what a start costs, with a disk of the usual size; promises nothing. `LAB_ROUNDS`
/// says how often.
async fn starts_are_measured(lab: &Lab) {
    let rounds: Option<usize> = std::env::var("LAB_ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok());
    let rounds = rounds.unwrap_or(3);
    lab.tier.probe().await;
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let spec = lab.spec("timed", Limits::default());
        let began = Instant::now();
        let mut guest = lab.try_start(spec).await.expect("starts");
        assert_eq!(guest.ask("echo there").await, "there");
        starts.push(began.elapsed());
        let began = Instant::now();
        guest.finish().await;
        ends.push(began.elapsed());
    }
    for (what, times) in [
        ("to the first answer", &mut starts),
        ("to nothing left", &mut ends),
    ] {
        times.sort();
        println!("    {what}: median {:?}, all {times:?}", times[rounds / 2]);
    }
    lab.assert_nothing_left("timed");
}
