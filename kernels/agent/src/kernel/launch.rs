//! Starts the process of a kernel.
//!
//! Kernels run as root in the context's directory, as the contract has it, and see the
//! variables of the sandbox; nothing of the agent's own environment reaches them. What the
//! process writes before Jupyter takes its output over is evidence when it does not start,
//! so the end of it is kept.

use super::connection::Connection;
use super::spec::Spec;
use crate::process::reaper::{Child, Reaper};
use crate::process::spawn::{DEFAULT_PATH, Program, Stdio, null};
use crate::process::user::{self, User};
use crate::sandbox::Identity;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt as _;

/// How much of a kernel's console is kept, in bytes from its end.
const CONSOLE_BYTES: usize = 4096;

/// Whose rights kernels have.
const KERNEL_USER: &str = "root";

/// Variable in which ipykernel reads the process with which it has to end.
pub const PARENT: &str = "JPY_PARENT_PID";

/// The end of what a process wrote to its standard output and error.
#[derive(Clone, Default)]
pub struct Console(Arc<Mutex<VecDeque<u8>>>);

impl Console {
    /// The text that is kept.
    pub fn text(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(CONSOLE_BYTES);
        kept.drain(..surplus);
    }
}

/// Starts a process for this kernelspec.
pub fn launch(
    spec: &Spec,
    connection: &Connection,
    cwd: &Path,
    identity: &Identity,
    own: &BTreeMap<String, String>,
    warm: bool,
    reaper: &Arc<Reaper>,
) -> io::Result<(Child, Console)> {
    let file = connection.file();
    let place = |argument: &String| {
        let argument = argument.replace("{connection_file}", &file.to_string_lossy());
        argument.replace("{resource_dir}", &spec.directory.to_string_lossy())
    };
    let further = if warm {
        spec.beyond.warm_argv.as_slice()
    } else {
        &[]
    };
    let argv = spec.argv.iter().chain(further).map(place).collect();
    let env = environment(spec, identity, own);
    start(argv, null()?, cwd, env, reaper)
}

/// Starts the process that forks kernels. It is the tenant's no more than the kernelspec is:
/// every kernel is handed its variables at its birth.
pub fn launch_forker(
    spec: &Spec,
    agent: OwnedFd,
    reaper: &Arc<Reaper>,
) -> io::Result<(Child, Console)> {
    let env = environment(spec, &Identity::default(), &BTreeMap::new());
    let argv = spec.beyond.fork_argv.clone();
    start(argv, agent, Path::new("/"), env, reaper)
}

fn start(
    argv: Vec<String>,
    stdin: OwnedFd,
    cwd: &Path,
    env: BTreeMap<String, String>,
    reaper: &Arc<Reaper>,
) -> io::Result<(Child, Console)> {
    let mut argv = argv.into_iter();
    let program = argv
        .next()
        .ok_or_else(|| io::Error::other("the kernelspec has no command"))?;
    let (console, writer) = console()?;
    let child = Program {
        program,
        args: argv.collect(),
        env,
        cwd: cwd.to_owned(),
        user: root(),
        stdio: Stdio::Separate {
            stdin,
            stdout: writer.try_clone()?,
            stderr: writer,
        },
    }
    .spawn(reaper)?;
    Ok((child, console))
}

/// A console, and the end that a process writes to.
pub fn console() -> io::Result<(Console, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let console = Console::default();
    tokio::spawn(listen(reader.into(), console.clone()));
    Ok((console, writer.into()))
}

/// The whole environment of a kernel: defaults, the kernelspec's, the sandbox's, its own.
pub fn environment(
    spec: &Spec,
    identity: &Identity,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let home = root().home.to_string_lossy().into_owned();
    let defaults = [
        ("PATH", DEFAULT_PATH),
        ("HOME", home.as_str()),
        ("USER", KERNEL_USER),
        ("LOGNAME", KERNEL_USER),
        ("SHELL", "/bin/bash"),
        ("LANG", "C.UTF-8"),
    ];
    let mut env: BTreeMap<String, String> = defaults
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    env.extend(spec.env.clone());
    env.extend(identity.env.clone());
    env.extend(own.clone());
    // As the first process the agent takes everything with it. Elsewhere, in tests, a kernel
    // is told whom to follow.
    if std::process::id() != 1 {
        env.insert(PARENT.into(), std::process::id().to_string());
    }
    env
}

fn root() -> User {
    // A template whose passwd file was broken by its own user still has a kernel.
    let fallback = || User {
        name: KERNEL_USER.into(),
        uid: 0,
        gid: 0,
        groups: vec![0],
        home: "/root".into(),
        shell: "/bin/bash".into(),
    };
    match user::find(KERNEL_USER) {
        Ok(Some(user)) if user.uid == 0 => user,
        _ => fallback(),
    }
}

/// Reads to the end, so that the process never waits for a reader.
async fn listen(reader: OwnedFd, console: Console) {
    let Ok(mut reader) = tokio::net::unix::pipe::Receiver::from_owned_fd(reader) else {
        return;
    };
    let mut buffer = [0; CONSOLE_BYTES];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        console.keep(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_keeps_its_end_only() {
        let console = Console::default();
        console.keep(&[b'a'; CONSOLE_BYTES]);
        console.keep(b"the end");
        assert_eq!(console.text().len(), CONSOLE_BYTES);
        assert!(console.text().ends_with("athe end"));
    }
}
