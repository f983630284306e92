//! What the first process of a sandbox sets for itself before it starts anything.
//!
//! All of this is undone for children in [`crate::process::spawn`]: they start with default
//! signals and an ordinary limit of open files.

use std::io;

/// Open files of the agent: three per process that it watches, and one per tunnel and
/// transfer. More than this is more than the other bounds allow.
const OPEN_FILES: u64 = 1 << 16;

/// Signals that would end or stop an ordinary process. A sandbox's root may send them to
/// anybody, and not every kernel protects the first process from them as Linux does. Those
/// that tell of a fault of the process itself are not among them, nor can SIGKILL and SIGSTOP be.
const SURVIVED: [libc::c_int; 18] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];

/// Called once, before there are threads.
pub fn prepare() -> io::Result<()> {
    // SAFETY: system calls on this process's own settings, before anybody else looks at them;
    // the structure is live for both calls.
    unsafe {
        libc::umask(0o022);
        if std::process::id() == 1 {
            for signal in SURVIVED
                .into_iter()
                .chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
            {
                libc::signal(signal, libc::SIG_IGN);
            }
            // Nobody inside may trace it, write to its memory or take its descriptors, where
            // root has no capabilities. It makes that harder; nothing outside depends on it.
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
        }
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(OPEN_FILES).max(limit.rlim_cur);
            // Without it the agent works too, with fewer processes at a time.
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
        // Orphans become ours. PID 1 gets them anyway; elsewhere (tests) it must be asked for.
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 || std::process::id() == 1 {
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}
