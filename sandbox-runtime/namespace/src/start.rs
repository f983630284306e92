//! Starting a cell, the node's side: control group, root file system, helper, handle.
//!
//! A start that fails, or that nobody waits for any more, is undone by [`start::to_the_end`].

use crate::{
    Mechanism,
    plan::{MESSAGE_BYTES, Plan, Report},
};
use rustix::fd::{AsRawFd, OwnedFd};
use soulbox_host::{
    Cgroup, CgroupLimits, Console, Family, Holdings, HostCell, HostError, Pid, Process, Step,
    channel, orphans, start,
};
use soulbox_runtime::{CellSpec, StartError, StartedCell};
use std::{process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// How long the helper may take; 5 ms on a quiet machine.
const HELPER_WITHIN: Duration = Duration::from_secs(20);

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
        memory_bytes: spec.limits.memory_bytes(),
        cpu_millis: spec.limits.cpu_millis,
        pids: spec.limits.pids,
    };
    let cgroup = mechanism.cgroups.create(&spec.id, &limits)?;
    let root = start::root_of(&spec).await?;
    let plan = serde_json::to_vec(&Plan::new(&spec, &root)).step("write the plan")?;
    let console = Console::at(root.disk.join("console"));
    let (ours, theirs) = channel::pair()?;
    let (talk, helper_end) = channel::pair()?;
    let command = helper(&mechanism, &cgroup, &console, theirs, helper_end)?;
    let talked = timeout(HELPER_WITHIN, talk_to_helper(command, talk, &plan)).await;
    let reports = talked.step("start the cell's helper")??;
    let main = first_process(&cgroup, &reports)?;
    let family = Family {
        main,
        companions: Vec::new(),
    };
    let cell = HostCell::watch(holdings, root, family, console);
    Ok(StartedCell {
        cell: Box::new(cell),
        channel: Box::new(ours),
    })
}

fn helper(
    mechanism: &Mechanism,
    cgroup: &Cgroup,
    console: &Console,
    channel: OwnedFd,
    talk: OwnedFd,
) -> Result<Command, HostError> {
    let step = "prepare the cell's helper";
    let mut command = Command::new(&mechanism.options.init_program);
    command
        .args(&mechanism.options.init_arguments)
        .arg(talk.as_raw_fd().to_string())
        .env_clear()
        .current_dir("/")
        .stdin(channel.try_clone().step(step)?)
        .stdout(channel)
        .stderr(console.open().step(step)?);
    channel::inherit(&mut command, talk);
    cgroup.enter_on_exec(&mut command)?;
    Ok(command)
}

/// Runs the helper, gives it its plan, and reads its report to the end.
async fn talk_to_helper(
    command: Command,
    mut talk: UnixStream,
    plan: &[u8],
) -> Result<Vec<Report>, HostError> {
    let step = "start the cell's helper";
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn().step(step)?;
    // The parent's copies of the cell's descriptors are closed here, so that both sockets
    // end when the other side does.
    drop(command);
    talk.write_all(plan).await.step(step)?;
    talk.shutdown().await.step(step)?;
    let mut text = String::new();
    let read = talk.take(MESSAGE_BYTES).read_to_string(&mut text).await;
    read.step(step)?;
    let status = child.wait().await.step(step)?;
    let mut reports = Report::parse(&text);
    if !status.success() && reports.iter().all(|r| matches!(r, Report::Pid(_))) {
        reports.push(Report::Error(format!("the helper ended with {status}")));
    }
    Ok(reports)
}

/// Takes hold of the cell's first process. It must be in the cell's own control group and
/// our child; the number alone proves nothing.
fn first_process(cgroup: &Cgroup, reports: &[Report]) -> Result<Process, HostError> {
    let step = "start the cell's first process";
    let fail = |why: String| HostError { step, why };
    let mut pid = None;
    for report in reports {
        match report {
            Report::Error(why) => return Err(fail(why.clone())),
            Report::Pid(number) => pid = Some(number.parse::<Pid>().step(step)?),
        }
    }
    let pid = pid.ok_or_else(|| fail("the helper reported nothing".into()))?;
    let process = Process::open(pid).step(step)?;
    if orphans::parent_of(pid) != Some(std::process::id()) {
        return Err(fail("it is not our child".into()));
    }
    if !cgroup.processes().contains(&pid) && !process.is_gone() {
        return Err(fail("it is not in the cell's control group".into()));
    }
    Ok(process)
}
