//! Starting a cell: control group, root file system, bundle, `runsc run`, handles.
//!
//! A start that fails, or that nobody waits for any more, is undone by [`start::to_the_end`].

use crate::{Mechanism, bundle::Config};
use soulbox_host::{
    Cgroup, CgroupLimits, Console, Family, Holdings, HostCell, HostError, Pid, Process, Step,
    channel, orphans, start,
};
use soulbox_runtime::{CellSpec, StartError, StartedCell};
use std::{fs, os::unix::fs::DirBuilderExt, path::Path, process::Command, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long `runsc` may take; 0.2 s on a quiet machine, several seconds on a crowded one.
const RUN_WITHIN: Duration = Duration::from_secs(30);
/// The container's name. Its state directory is the cell's own, so one name does for all, and
/// a short one keeps the paths of its sockets short.
const CONTAINER: &str = "cell";
/// Threads of the sentry and the gofer themselves, counted by the host beside those of the
/// sandbox: about 55 were seen, more under load.
const OWN_THREADS: u32 = 192;
/// Threads of the host for each process inside, as seen on ptrace: three of its stub, one in
/// the first stub, and up to three of the sentry that serve it. 64 sleeping processes had
/// 481 with everything; a fork bomb must meet its own limit before this one.
const THREADS_PER_PROCESS: u32 = 8;
/// What the sentry and the gofer need for themselves, in bytes, so that the sandbox gets
/// all of the memory that it was promised.
const OWN_MEMORY_BYTES: u64 = 64 << 20;

pub async fn start(mechanism: Mechanism, spec: CellSpec) -> Result<StartedCell, StartError> {
    let holdings = mechanism.holdings(&spec);
    let steps = run(mechanism, spec, holdings.clone());
    start::to_the_end(holdings, steps).await
}

async fn run(
    mechanism: Mechanism,
    spec: CellSpec,
    holdings: Holdings,
) -> Result<StartedCell, HostError> {
    let limits = CgroupLimits {
        memory_bytes: spec.limits.memory_bytes() + OWN_MEMORY_BYTES,
        cpu_millis: spec.limits.cpu_millis,
        pids: spec.limits.pids * THREADS_PER_PROCESS + OWN_THREADS,
    };
    let cgroup = mechanism.cgroups.create(&spec.id, &limits)?;
    let root = start::root_of(&spec).await?;
    let step = "write the bundle";
    let bundle = spec.scratch.join("bundle");
    let state = mechanism.state_dir.join(spec.id.as_str());
    for dir in [&bundle, &state] {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o711).create(dir).step(step)?;
    }
    let config = serde_json::to_vec(&Config::new(&spec, &root)).step(step)?;
    fs::write(bundle.join("config.json"), config).step(step)?;

    let (ours, theirs) = channel::pair()?;
    let console = Console::at(root.disk.join("console"));
    let pid_file = bundle.join("pid");
    let mut command = mechanism
        .runsc
        .call(&state, mechanism.platform, console.path());
    command
        .args(["run", "--detach", "--bundle"])
        .arg(&bundle)
        .arg("--pid-file")
        .arg(&pid_file)
        .arg(CONTAINER)
        .current_dir("/")
        .stdin(theirs.try_clone().step(step)?)
        .stdout(theirs)
        // A file, never a pipe: the sentry keeps it open for as long as it lives.
        .stderr(console.open().step("open the console")?);
    cgroup.enter_on_exec(&mut command)?;
    call(command, &console).await?;
    let family = family(&cgroup, &pid_file)?;
    let cell = HostCell::watch(holdings, root, family, console);
    Ok(StartedCell {
        cell: Box::new(cell),
        channel: Box::new(ours),
    })
}

/// Runs `runsc` to its end, which comes when the container runs.
async fn call(command: Command, console: &Console) -> Result<(), HostError> {
    let step = "start the container";
    let deadline = Instant::now() + RUN_WITHIN;
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn().step(step)?;
    // The parent's copies of the cell's end of the channel are closed here, so that the
    // channel ends when the cell does.
    drop(command);
    let status = timeout_at(deadline, child.wait()).await;
    let status = status.map_err(|_| format!("runsc took more than {RUN_WITHIN:?}"));
    let status = status.step(step)?.step(step)?;
    if status.success() {
        return Ok(());
    }
    let said = console.last_line();
    Err(HostError {
        step,
        why: said.unwrap_or_else(|| format!("runsc ended with {status}")),
    })
}

/// Takes hold of the sentry and its companions. What `runsc` wrote is only a hint: the
/// sentry counts when it is a process of the cell's own control group, and ours.
fn family(cgroup: &Cgroup, pid_file: &Path) -> Result<Family, HostError> {
    let step = "take hold of the container's processes";
    let text = fs::read_to_string(pid_file).step(step)?;
    let sentry: Pid = text.parse::<Pid>().step(step)?;
    let main = Process::open(sentry).step(step)?;
    let members = cgroup.processes();
    if !members.contains(&sentry) {
        return Err(HostError {
            step,
            why: "the process that runsc names is not in the cell's control group".into(),
        });
    }
    let own = std::process::id();
    if orphans::parent_of(sentry) != Some(own) {
        return Err(HostError {
            step,
            why: "the sentry is not our child: the node is not a child subreaper".into(),
        });
    }
    let companions = members
        .into_iter()
        .filter(|pid| *pid != sentry && orphans::parent_of(*pid) == Some(own))
        .filter_map(|pid| Process::open(pid).ok())
        .collect();
    Ok(Family { main, companions })
}
