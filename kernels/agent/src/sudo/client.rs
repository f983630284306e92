//! The program `sudo`: asks the agent, waits, and ends as the command ended.
//!
//! It is started by anybody and trusted with nothing. It has one thread and no runtime.

use super::command_line::{Asked, parse};
use super::relay::{Relay, Signals};
use super::{Answer, MAX_REQUEST, Request, SPACE, socket};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, UCred};
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Status when the command was not run.
const REFUSED: i32 = 1;

/// What shells add to a signal's number.
const SIGNALLED: i32 = 128;

/// Whether this program was called as `sudo`.
pub fn is_called() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name)
        .file_name()
        .is_some_and(|name| name == "sudo")
}

/// Runs to the end of the command, and returns the status to leave with.
pub fn run() -> i32 {
    let outcome = read_arguments().and_then(|asked| match asked {
        Asked::Nothing => Ok(Answer::Exit(0)),
        Asked::Say(text) => {
            print!("{text}");
            Ok(Answer::Exit(0))
        }
        Asked::Run(request) => ask(*request).map_err(|error| error.to_string()),
    });
    match outcome {
        Ok(Answer::Exit(status)) => status,
        Ok(Answer::Signal(signal)) => die(signal),
        Ok(Answer::Refused(why)) | Err(why) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(io::stderr(), "sudo: {why}");
            REFUSED
        }
    }
}

fn read_arguments() -> Result<Asked, String> {
    let words: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect();
    parse(&words.map_err(|_| "an argument is not UTF-8")?)
}

fn ask(mut request: Request) -> io::Result<Answer> {
    let path = socket();
    let mut stream = UnixStream::connect(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    // Before anything can be signalled, so that no signal is lost.
    let signals = Signals::take()?;
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    request.cwd = here.join(&request.cwd).to_string_lossy().into_owned();
    for (name, value) in std::env::vars_os() {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            // Those of the command line win.
            request.env.entry(name).or_insert(value);
        }
    }
    let mut relay = Relay::begin()?;
    request.terminal = relay.is_some();
    send(&stream, &request, relay.as_mut())?;
    let told = match &mut relay {
        Some(relay) => relay.carry(&stream, &signals),
        None => signals.forward(&stream),
    };
    told?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    if let Some(relay) = &mut relay {
        relay.finish();
    }
    drop(relay);
    serde_json::from_slice(&text)
        .map_err(|_| io::Error::other("the agent did not tell how the command ended"))
}

/// Sends the descriptors beside the length, and then the request.
fn send(stream: &UnixStream, request: &Request, relay: Option<&mut Relay>) -> io::Result<()> {
    let text = serde_json::to_vec(request)?;
    let length = u32::try_from(text.len()).ok();
    let length = length
        .filter(|length| *length <= MAX_REQUEST)
        .ok_or_else(|| io::Error::other("the command and its variables are too long"))?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let terminal = relay.and_then(Relay::take_terminal);
    let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
    for descriptor in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        match &terminal {
            Some(terminal) if rustix::termios::isatty(descriptor) => {
                descriptors.push(terminal.as_fd());
            }
            _ => descriptors.push(descriptor),
        }
    }
    descriptors.extend(terminal.as_ref().map(|terminal| terminal.as_fd()));
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    beside.push(SendAncillaryMessage::ScmRights(&descriptors));
    // The system refuses a lie.
    beside.push(SendAncillaryMessage::ScmCredentials(UCred {
        pid: rustix::process::getpid(),
        uid: rustix::process::getuid(),
        gid: rustix::process::getgid(),
    }));
    rustix::net::sendmsg(
        stream,
        &[io::IoSlice::new(&length.to_ne_bytes())],
        &mut beside,
        SendFlags::NOSIGNAL,
    )?;
    let mut stream = stream;
    stream.write_all(&text)
}

/// Ends as the command did.
fn die(signal: i32) -> i32 {
    // SAFETY: plain system calls on this process's own signals; the set is live for the call.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut all);
        libc::signal(signal, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        libc::raise(signal);
    }
    SIGNALLED + signal
}
