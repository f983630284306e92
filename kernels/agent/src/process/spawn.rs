//! Starts a child: user, groups, directory, descriptors, terminal, limits, then the program.
//!
//! Written on `fork` itself and not on `std::process`, for two reasons. The reaper takes every
//! exit, so nobody else may wait (see [`super::reaper`]). And what fails in the child must look
//! like a shell's failure: a missing command is a process with a pid that ends with status 127
//! (section 4.4 of the contract), not a start that is refused.
//!
//! Between `fork` and `execve` only async-signal-safe calls are made: everything that
//! allocates is prepared before.

use super::reaper::{Child, Pid, Reaper};
use super::user::User;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

/// Where programs are looked for when the environment has no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Status of a process whose program is not there, as shells have it.
const NOT_FOUND: i32 = 127;

/// Status of a process whose program cannot be run, as shells have it.
const NOT_RUNNABLE: i32 = 126;

/// Processes and threads of a user who is not root: enough for builds and thread pools, and a
/// fork bomb ends in `EAGAIN` for its own user before the sandbox is out of memory.
const MAX_USER_PROCESSES: u64 = 2048;

/// Open files that a process starts with; it may raise this to the hard limit itself. The
/// agent's own limit must not be inherited: programs loop over it.
const OPEN_FILES: u64 = 1024;

/// Descriptors of the child.
pub enum Stdio {
    /// Standard input, output and error.
    Separate {
        /// Becomes descriptor 0.
        stdin: OwnedFd,
        /// Becomes descriptor 1.
        stdout: OwnedFd,
        /// Becomes descriptor 2.
        stderr: OwnedFd,
    },
    /// The child's end of a terminal: all three, and its controlling terminal.
    Terminal(OwnedFd),
    /// As `Separate`, with a controlling terminal that some of them may be.
    Attached {
        /// Becomes descriptor 0.
        stdin: OwnedFd,
        /// Becomes descriptor 1.
        stdout: OwnedFd,
        /// Becomes descriptor 2.
        stderr: OwnedFd,
        /// Becomes the controlling terminal.
        terminal: OwnedFd,
    },
}

/// What to run, as whom and where. The child leads a session and a process group of its own.
pub struct Program {
    /// A path, or a name that is looked for in `PATH` of `env`.
    pub program: String,
    /// Arguments without the program's name.
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Whose rights it has.
    pub user: User,
    /// Descriptors. The agent's copies are closed once the child has them.
    pub stdio: Stdio,
}

impl Program {
    /// Starts it. Errors mean that no process came to be.
    pub fn spawn(self, reaper: &Arc<Reaper>) -> io::Result<Child> {
        let prepared = Prepared::new(self)?;
        reaper.adopt(|| prepared.fork())
    }
}

/// Everything the child needs, in the shape that the system calls want.
struct Prepared {
    /// Keep the strings alive that the pointers below point to.
    _strings: Vec<CString>,
    candidates: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    cwd: CString,
    user: User,
    stdio: Stdio,
    name: Vec<u8>,
}

impl Prepared {
    fn new(program: Program) -> io::Result<Self> {
        let candidates = candidates(&program)?;
        let mut strings = Vec::with_capacity(1 + program.args.len() + program.env.len());
        strings.push(text(program.program.clone())?);
        for arg in program.args {
            strings.push(text(arg)?);
        }
        let args = strings.len();
        for (name, value) in program.env {
            if name.is_empty() || name.contains('=') {
                return Err(invalid("a variable's name is empty or holds '='"));
            }
            strings.push(text(format!("{name}={value}"))?);
        }
        let pointers = |range: &[CString]| {
            let mut list: Vec<_> = range.iter().map(|string| string.as_ptr()).collect();
            list.push(ptr::null());
            list
        };
        let (argv, envp) = (pointers(&strings[..args]), pointers(&strings[args..]));
        Ok(Self {
            candidates,
            argv,
            envp,
            cwd: text(program.cwd.as_os_str().as_bytes())?,
            user: program.user,
            stdio: program.stdio,
            name: program.program.into_bytes(),
            _strings: strings,
        })
    }

    fn fork(&self) -> io::Result<Pid> {
        // SAFETY: the child calls nothing but async-signal-safe functions (see `run`).
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.run(),
            pid => Pid::new(pid).ok_or_else(|| invalid("fork returned no usable pid")),
        }
    }

    /// The child's side. Never returns, never allocates, never takes a lock.
    fn run(&self) -> ! {
        let step = self.set_up();
        let (status, why): (i32, &[u8]) = match step {
            Err(why) => (NOT_RUNNABLE, why),
            Ok(()) => self.execute(),
        };
        for part in [b"soulbox: ".as_slice(), &self.name, b": ", why, b"\n"] {
            // SAFETY: the buffer is live; a failed write changes nothing that matters here.
            unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
        }
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(status) }
    }

    /// Makes the child what was asked for; the error says which step failed.
    fn set_up(&self) -> Result<(), &'static [u8]> {
        let (stdin, stdout, stderr, terminal) = self.descriptors();
        // SAFETY: plain system calls on live descriptors and buffers. They are all
        // async-signal-safe, and this process has one thread and no other user of them.
        unsafe {
            libc::setsid();
            if let Some(terminal) = terminal
                && libc::ioctl(terminal, libc::TIOCSCTTY, 0) < 0
            {
                return Err(b"cannot take its terminal");
            }
            for (from, to) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
                if libc::dup2(from, to) < 0 {
                    return Err(b"cannot take its descriptors");
                }
            }
            // The agent ignores some signals, and ignoring is inherited.
            for signal in 1..=libc::SIGRTMAX() {
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
            libc::umask(0o022);
            limit(libc::RLIMIT_NOFILE, OPEN_FILES, u64::MAX);
            if self.user.uid != 0 {
                limit(libc::RLIMIT_NPROC, MAX_USER_PROCESSES, MAX_USER_PROCESSES);
            }
            if libc::setgroups(self.user.groups.len(), self.user.groups.as_ptr()) < 0
                || libc::setgid(self.user.gid) < 0
                || libc::setuid(self.user.uid) < 0
            {
                return Err(b"cannot become its user");
            }
            if libc::chdir(self.cwd.as_ptr()) < 0 {
                return Err(b"cannot enter its working directory");
            }
        }
        Ok(())
    }

    /// Tries the candidates in turn; returns only when none could be run.
    fn execute(&self) -> (i32, &'static [u8]) {
        let mut answer: (i32, &'static [u8]) = (NOT_FOUND, b"command not found");
        for candidate in &self.candidates {
            // SAFETY: all three are live, terminated by a null, and made by `new`.
            unsafe {
                libc::execve(candidate.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => answer = (NOT_RUNNABLE, b"permission denied"),
                Some(libc::E2BIG) => return (NOT_RUNNABLE, b"argument list too long"),
                Some(libc::ENOEXEC) => return (NOT_RUNNABLE, b"not a program"),
                _ => return (NOT_RUNNABLE, b"cannot be run"),
            }
        }
        answer
    }

    /// Input, output, errors, and the controlling terminal if there is one.
    fn descriptors(&self) -> (RawFd, RawFd, RawFd, Option<RawFd>) {
        match &self.stdio {
            Stdio::Separate {
                stdin,
                stdout,
                stderr,
            } => (
                stdin.as_raw_fd(),
                stdout.as_raw_fd(),
                stderr.as_raw_fd(),
                None,
            ),
            Stdio::Terminal(end) => {
                let end = end.as_raw_fd();
                (end, end, end, Some(end))
            }
            Stdio::Attached {
                stdin,
                stdout,
                stderr,
                terminal,
            } => (
                stdin.as_raw_fd(),
                stdout.as_raw_fd(),
                stderr.as_raw_fd(),
                Some(terminal.as_raw_fd()),
            ),
        }
    }
}

/// Sets a limit, but never above the hard one. Failure leaves the inherited limit.
///
/// # Safety
/// Async-signal-safe; only for the child, whose limits nobody else looks at.
unsafe fn limit(which: libc::__rlimit_resource_t, soft: u64, hard: u64) {
    // SAFETY: both structures are live for the calls.
    unsafe {
        let mut now: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(which, &mut now) == 0 {
            now.rlim_max = now.rlim_max.min(hard);
            now.rlim_cur = soft.min(now.rlim_max);
            libc::setrlimit(which, &now);
        }
    }
}

/// The paths that a program's name stands for.
fn candidates(program: &Program) -> io::Result<Vec<CString>> {
    if program.program.contains('/') {
        return Ok(vec![text(program.program.clone())?]);
    }
    if program.program.is_empty() {
        return Ok(Vec::new());
    }
    let path = program.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| text(format!("{directory}/{}", program.program)))
        .collect()
}

fn text(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(text).map_err(|_| invalid("a NUL character has no place in a command"))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// `/dev/null`, for a child that has nothing to read or that nobody listens to.
pub fn null() -> io::Result<OwnedFd> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    Ok(file.into())
}
