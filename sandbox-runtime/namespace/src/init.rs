//! The helper: a process with one thread that turns into the parent of a cell's first
//! process.
//!
//! ```text
//! helper (host's root)                     first process of the cell
//!   reads the plan, opens what it will need
//!   clone3, all namespaces ───────────────►  waits
//!   writes the id maps, says "pid N"
//!   says "go", ends      ─────────────────►  becomes root of its own users
//!                                            mounts, pivot_root, host name, loopback
//!                                            Landlock, capabilities, seccomp
//!                                            executes the agent
//! ```
//! The first process is made as the node's own child (CLONE_PARENT), so nobody stands
//! between it and the node.

mod jail;
mod mounts;
mod spawn;
mod syscalls;

use crate::plan::{MESSAGE_BYTES, Plan, Report};
use mounts::Sources;
use rustix::{
    fd::{FromRawFd, OwnedFd},
    io::{FdFlags, fcntl_setfd},
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use soulbox_host::{HostError, Step};
use std::{
    ffi::CString,
    fs::{self, File},
    io::{Read, Write},
    os::fd::RawFd,
    process::exit,
};

/// Descriptors of one process inside; a program that loses them gets a clean error.
const OPEN_FILES: u64 = 65_536;
/// The agent's whole environment; it sets what its own children get.
const ENVIRONMENT: [&std::ffi::CStr; 2] = [
    c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    c"HOME=/root",
];

/// The whole helper. To be called at the start of `main`, by a process that was started by
/// the tier and has made no thread; `talk` is the number that it got as its last argument.
pub fn init_main(talk: RawFd) -> ! {
    let inherited = talk;
    // SAFETY: the tier passed this descriptor to us alone, and nothing else here uses it.
    let talk = unsafe { OwnedFd::from_raw_fd(talk) };
    // The agent must not inherit it: its closing is the sign that the agent runs.
    let talk = fcntl_setfd(&talk, FdFlags::CLOEXEC).map(|()| File::from(talk));
    let Ok(mut talk) = talk else { exit(1) };
    match spawn::close_all_but(inherited).and_then(|()| help(&mut talk)) {
        Ok(()) => exit(0),
        Err(error) => {
            let _ = talk.write_all(Report::Error(error.to_string()).line().as_bytes());
            exit(1)
        }
    }
}

fn help(talk: &mut File) -> Result<(), HostError> {
    let step = "read the plan";
    let mut text = Vec::new();
    talk.take(MESSAGE_BYTES).read_to_end(&mut text).step(step)?;
    let plan: Plan = serde_json::from_slice(&text).step(step)?;
    let command = c_strings(&plan.command)?;
    set_limits()?;
    let sources = Sources::open(&plan)?;
    let (go, wait) = spawn::gate()?;
    match spawn::first_process()? {
        spawn::Side::Parent(pid) => {
            spawn::map_users(pid, plan.first_host_id)?;
            let line = Report::Pid(pid.to_string()).line();
            talk.write_all(line.as_bytes()).step("report")?;
            drop(wait);
            spawn::open_gate(&go)
        }
        spawn::Side::Child => {
            drop(go);
            become_agent(&plan, sources, &wait, &command)
        }
    }
}

/// The rest of the life of the cell's first process before it is the agent.
fn become_agent(
    plan: &Plan,
    sources: Sources,
    wait: &OwnedFd,
    command: &[CString],
) -> Result<(), HostError> {
    spawn::pass_gate(wait)?;
    jail::become_root()?;
    mounts::build(plan, sources)?;
    rustix::system::sethostname(plan.hostname.as_bytes()).step("set the host name")?;
    spawn::raise_loopback()?;
    rustix::process::setsid().step("make a session")?;
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    jail::close_doors()?;
    spawn::execute(command, &ENVIRONMENT)
}

fn c_strings(command: &[String]) -> Result<Vec<CString>, HostError> {
    let step = "read the plan";
    let strings: Result<Vec<_>, _> = command.iter().map(|s| CString::new(s.as_str())).collect();
    let strings = strings.step(step)?;
    match strings.is_empty() {
        true => Err("no command").step(step),
        false => Ok(strings),
    }
}

/// Limits and scores that the node may have set for itself.
fn set_limits() -> Result<(), HostError> {
    let step = "set the limits of the first process";
    for (resource, value) in [(Resource::Nofile, OPEN_FILES), (Resource::Core, 0)] {
        // Raising a hard limit is a right that containers often lack, root or not.
        let value = getrlimit(resource)
            .maximum
            .map_or(value, |max| max.min(value));
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit).step(step)?;
    }
    // A node that is protected from the out-of-memory killer does not pass that on; where
    // this is refused, the node was not protected either.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    Ok(())
}
