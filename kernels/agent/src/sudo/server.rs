//! The agent's side of `sudo`: who may call, and what is run.
//!
//! The environment of the command is the caller's, since nothing is kept from somebody who may
//! run everything; only what names the user is set anew. So proxies and settings of the
//! sandbox hold for `sudo apt-get` too.

use super::{Answer, MAX_REQUEST, Request, SPACE, Shell, install, socket};
use crate::process::reaper::{Child, Exit, Reaper};
use crate::process::spawn::{DEFAULT_PATH, Program, Stdio};
use crate::process::user::{self, User};
use crate::sandbox::Sandbox;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Commands at a time. Each holds four descriptors of the agent for a moment.
const MAX_CALLS: usize = 256;

/// A caller sends its request at once.
const REQUEST: Duration = Duration::from_secs(10);

/// The user of every sandbox, who needs no group to call.
const SANDBOX_USER: u32 = 1000;

/// Members of this group may call.
const GROUP: &str = "sudo";

/// Signals that a caller may hand on to its command.
pub const FORWARDED: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Begins to listen, where that is needed. Without `sudo` everything else works.
pub fn start(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) {
    let is_named = std::env::var_os(super::SOCKET_VARIABLE).is_some();
    if !is_named && !install::is_needed() {
        return;
    }
    match listen(is_named) {
        Ok(listener) => drop(tokio::spawn(accept(listener, sandbox, reaper))),
        Err(error) => tracing::error!(%error, "sudo is not offered"),
    }
}

fn listen(is_named: bool) -> io::Result<UnixListener> {
    let path = PathBuf::from(socket());
    install::make_directory(&path)?;
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    // Everybody may ask; who it is decides.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    if !is_named {
        install::install()?;
    }
    Ok(listener)
}

async fn accept(listener: UnixListener, sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) {
    let calls = Arc::new(Semaphore::new(MAX_CALLS));
    loop {
        let Ok(place) = calls.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a call of sudo was lost");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (sandbox, reaper) = (sandbox.clone(), reaper.clone());
        tokio::spawn(async move {
            // Fails when the caller has gone, who needs no answer then.
            let _ = serve(stream, &sandbox, &reaper).await;
            drop(place);
        });
    }
}

async fn serve(mut stream: UnixStream, sandbox: &Sandbox, reaper: &Arc<Reaper>) -> io::Result<()> {
    let received = tokio::time::timeout(REQUEST, receive(&mut stream)).await??;
    let answer = match prepare(received, sandbox) {
        Ok(program) => match program.spawn(reaper) {
            Ok(child) => {
                let mut signals = [0; 16];
                loop {
                    tokio::select! {
                        exit = child.wait() => break match exit {
                            Exit::Code(code) => Answer::Exit(code),
                            Exit::Signal(signal) => Answer::Signal(signal),
                        },
                        read = stream.read(&mut signals) => match read {
                            Ok(count @ 1..) => {
                                hand_on(&child, &signals[..count]);
                            }
                            // The caller was killed, and its command is as well: it would
                            // have been in the same group.
                            _ => {
                                child.signal_group(libc::SIGKILL);
                                return Ok(());
                            }
                        },
                    }
                }
            }
            Err(error) => Answer::Refused(error.to_string()),
        },
        Err(why) => Answer::Refused(why),
    };
    let text = serde_json::to_vec(&answer).unwrap_or_default();
    stream.write_all(&text).await
}

/// Hands the caller's signals on to the command. A new size concerns everything in its
/// terminal, and is told once, however often it came.
fn hand_on(child: &Child, signals: &[u8]) {
    let is_resized = |signal: &i32| *signal == libc::SIGWINCH;
    let signals: Vec<i32> = signals.iter().map(|byte| i32::from(*byte)).collect();
    for signal in signals.iter().filter(|signal| !is_resized(signal)) {
        if FORWARDED.contains(signal) {
            child.signal_group(*signal);
        }
    }
    if signals.iter().any(is_resized) {
        tokio::task::block_in_place(|| child.signal_session(libc::SIGWINCH));
    }
}

/// A request with its descriptors, in order.
struct Received {
    request: Request,
    descriptors: Vec<OwnedFd>,
    /// User number, as the system vouches for it.
    caller: u32,
}

/// Reads a length with descriptors and credentials beside it, and then the request.
///
/// The credentials are those that the caller sent and the system has checked. `SO_PEERCRED`
/// would be shorter, but in gVisor it tells whoever asks about himself.
async fn receive(stream: &mut UnixStream) -> io::Result<Received> {
    let mut length = [0; 4];
    let mut descriptors = Vec::new();
    let mut caller = None;
    rustix::net::sockopt::set_socket_passcred(&*stream, true)?;
    let read = stream
        .async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let received = rustix::net::recvmsg(
                &*stream,
                &mut [io::IoSliceMut::new(&mut length)],
                &mut beside,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            for message in beside.drain() {
                match message {
                    RecvAncillaryMessage::ScmRights(rights) => descriptors.extend(rights),
                    RecvAncillaryMessage::ScmCredentials(who) => caller = Some(who.uid.as_raw()),
                    _ => {}
                }
            }
            Ok(received.bytes)
        })
        .await?;
    let length = u32::from_ne_bytes(length);
    let Some(caller) = caller.filter(|_| read == 4 && length <= MAX_REQUEST) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).await?;
    Ok(Received {
        request: serde_json::from_slice(&text)?,
        descriptors,
        caller,
    })
}

/// From a request to what is run. The error is shown to the caller.
fn prepare(received: Received, sandbox: &Sandbox) -> Result<Program, String> {
    let Received {
        request,
        descriptors,
        caller,
    } = received;
    let name = user::name_of(caller).unwrap_or_else(|| format!("#{caller}"));
    if !may_call(caller, &name) {
        return Err(format!("{name} is not in the {GROUP} group"));
    }
    let mut target = find_user(request.user.as_deref().unwrap_or("root"))?;
    if let Some(group) = &request.group {
        target.gid = find_group(group)?;
        target.groups.insert(0, target.gid);
    }
    let mut descriptors = descriptors.into_iter();
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err("the descriptors did not arrive".into());
    };
    let stdio = match descriptors.next().filter(|_| request.terminal) {
        None => Stdio::Separate {
            stdin,
            stdout,
            stderr,
        },
        Some(terminal) => Stdio::Attached {
            stdin,
            stdout,
            stderr,
            terminal,
        },
    };
    let is_login = request.shell == Shell::Login;
    let mut env = if is_login {
        login_environment(sandbox, &request.env)
    } else {
        request.env.clone()
    };
    describe(&mut env, &request, &target, caller, &name);
    let words = command(&request, &target, &env);
    let Some((program, args)) = words.split_first() else {
        return Err("there is no command".into());
    };
    if !program.contains('/') && !is_in_path(program, &env) {
        return Err(format!("{program}: command not found"));
    }
    let cwd = if is_login {
        target.home.clone()
    } else {
        PathBuf::from(&request.cwd)
    };
    Ok(Program {
        program: program.clone(),
        args: args.to_vec(),
        env,
        // The directory may have been removed under its caller.
        cwd: if cwd.is_dir() { cwd } else { "/".into() },
        user: target,
        stdio,
    })
}

fn may_call(caller: u32, name: &str) -> bool {
    caller == 0
        || caller == SANDBOX_USER
        || user::find(name).ok().flatten().is_some_and(|user| {
            let is_sudo = |gid: &u32| user::group_name_of(*gid).as_deref() == Some(GROUP);
            user.uid == caller && user.groups.iter().any(is_sudo)
        })
}

/// A user by name or by `#number`, which needs no entry.
fn find_user(name: &str) -> Result<User, String> {
    let number = name.strip_prefix('#').map(str::parse::<u32>);
    let known = match &number {
        Some(Ok(uid)) => user::name_of(*uid),
        Some(Err(_)) => None,
        None => Some(name.to_owned()),
    };
    if let Some(user) = known.and_then(|name| user::find(&name).ok().flatten()) {
        return Ok(user);
    }
    match number {
        // The number that stands for "no change" in system calls is no user.
        Some(Ok(uid)) if uid != u32::MAX => Ok(User {
            name: name.to_owned(),
            uid,
            gid: uid,
            groups: vec![uid],
            home: "/".into(),
            shell: String::new(),
        }),
        _ => Err(format!("unknown user {name}")),
    }
}

fn find_group(name: &str) -> Result<u32, String> {
    let number = name.strip_prefix('#').and_then(|text| text.parse().ok());
    number
        .filter(|gid| *gid != u32::MAX)
        .or_else(|| user::group_number_of(name))
        .ok_or_else(|| format!("unknown group {name}"))
}

/// Variables of a login: the sandbox's, and what belongs to the terminal and the language.
fn login_environment(
    sandbox: &Sandbox,
    callers: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let is_kept =
        |name: &str| matches!(name, "TERM" | "COLORTERM" | "LANG") || name.starts_with("LC_");
    let mut env = sandbox.identity().env.clone();
    let kept = callers.iter().filter(|(name, _)| is_kept(name));
    env.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
    env
}

/// Sets what names the user and the caller.
fn describe(
    env: &mut BTreeMap<String, String>,
    request: &Request,
    target: &User,
    caller: u32,
    name: &str,
) {
    let mut path = env.get("PATH").cloned().unwrap_or_default();
    for standard in DEFAULT_PATH.split(':') {
        if !path.split(':').any(|known| known == standard) {
            if !path.is_empty() {
                path.push(':');
            }
            path.push_str(standard);
        }
    }
    let gid = user::find(name)
        .ok()
        .flatten()
        .map_or(caller, |user| user.gid);
    let mut set = |name: &str, value: String| {
        env.insert(name.into(), value);
    };
    set("PATH", path);
    set("USER", target.name.clone());
    set("LOGNAME", target.name.clone());
    set("SUDO_USER", name.to_owned());
    set("SUDO_UID", caller.to_string());
    set("SUDO_GID", gid.to_string());
    set("SUDO_COMMAND", request.command.join(" "));
    if !request.keep_home || request.shell == Shell::Login {
        set("HOME", target.home.to_string_lossy().into_owned());
    }
    if request.shell == Shell::Login || !request.env.contains_key("SHELL") {
        set("SHELL", shell_of(target));
    }
}

fn shell_of(user: &User) -> String {
    if user.shell.is_empty() {
        "/bin/sh".into()
    } else {
        user.shell.clone()
    }
}

/// The program and its arguments.
fn command(request: &Request, target: &User, env: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = match request.shell {
        Shell::None => return request.command.clone(),
        Shell::Login => vec![shell_of(target), "-l".into()],
        Shell::Callers => vec![
            env.get("SHELL")
                .cloned()
                .unwrap_or_else(|| shell_of(target)),
        ],
    };
    if !request.command.is_empty() {
        let quoted: Vec<String> = request.command.iter().map(|word| quote(word)).collect();
        words.extend(["-c".into(), quoted.join(" ")]);
    }
    words
}

/// Keeps a word one word for the shell. As in `sudo`, letters, digits, `_`, `-` and `$` stay.
fn quote(word: &str) -> String {
    let mut quoted = String::with_capacity(word.len());
    for letter in word.chars() {
        if !letter.is_alphanumeric() && !matches!(letter, '_' | '-' | '$') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

fn is_in_path(program: &str, env: &BTreeMap<String, String>) -> bool {
    let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    !program.is_empty()
        && path
            .split(':')
            .any(|directory| Path::new(directory).join(program).is_file())
}
