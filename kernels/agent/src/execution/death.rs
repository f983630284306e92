//! Which name the loss of a kernel gets, and what is seen of it.
//!
//! A SIGKILL alone does not say who sent it: memory is counted by the host, so the host is
//! asked (see [`crate::hardship`]). A full disk is seen from inside. The order is that of
//! certainty.

use crate::hardship::Counters;
use crate::kernel::loss::Loss;
use crate::process::reaper::Exit;
use soulbox_protocol::execution::{Death, Evidence, Reason};

/// Free bytes below which a disk counts as full.
const DISK_FULL_BYTES: u64 = 1 << 20;

/// Longest line of a console that is evidence, in bytes.
const CONSOLE_BYTES: usize = 400;

/// A disk that everything of the interpreter writes to.
const DISK: &str = "/";

/// Bytes that are free on the sandbox's disk.
pub fn disk_free() -> Option<u64> {
    let disk = rustix::fs::statvfs(DISK).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// Names a loss. The counters are those of before it and of now.
pub fn of(loss: &Loss, before: Counters, now: Counters, disk_free: Option<u64>) -> Death {
    let grown = |before: Option<u64>, now: Option<u64>| {
        now.map(|now| now.saturating_sub(before.unwrap_or(0)))
    };
    let mut evidence = Evidence {
        oom_kills: grown(before.oom_kills, now.oom_kills),
        forks_refused: grown(before.forks_refused, now.forks_refused),
        disk_free_bytes: disk_free,
        ..Evidence::default()
    };
    if let Loss::Ended { exit, console } = loss {
        match exit {
            Exit::Code(status) => evidence.exit_status = Some(*status),
            Exit::Signal(signal) => evidence.signal = Some(*signal),
        }
        evidence.console = last_line(console);
    }
    let reason = reason(loss, &evidence);
    let message = match reason {
        Reason::Oom => "The kernel was killed, because the sandbox used up its memory".into(),
        Reason::Disk => format!("{loss}; the disk of the sandbox is full"),
        Reason::Pids => format!("{loss}; the sandbox used up its processes"),
        _ => loss.to_string(),
    };
    Death {
        reason,
        message,
        evidence,
    }
}

fn reason(loss: &Loss, evidence: &Evidence) -> Reason {
    let killed = evidence.signal == Some(libc::SIGKILL);
    // An early out-of-memory kill of a child does not explain a crash by another signal.
    let oom = evidence.oom_kills.is_some_and(|kills| kills > 0);
    let refused = evidence.forks_refused.is_some_and(|forks| forks > 0);
    let full = evidence
        .disk_free_bytes
        .is_some_and(|free| free < DISK_FULL_BYTES);
    match loss {
        Loss::Restarted => Reason::Restarted,
        Loss::Removed => Reason::Removed,
        Loss::Ended { .. } | Loss::Broken if oom && (killed || evidence.signal.is_none()) => {
            Reason::Oom
        }
        Loss::Ended { .. } | Loss::Broken if killed => Reason::KernelCrash,
        Loss::Ended { .. } | Loss::Broken | Loss::Spawn(_) | Loss::Unready if full => Reason::Disk,
        Loss::Ended { .. } | Loss::Broken | Loss::Spawn(_) | Loss::Unready if refused => {
            Reason::Pids
        }
        Loss::Ended { .. } | Loss::Broken => Reason::KernelCrash,
        Loss::Spawn(_) | Loss::Unready | Loss::Unavailable => Reason::NoKernel,
    }
}

fn last_line(console: &str) -> Option<String> {
    let line = console.lines().rev().find(|line| !line.trim().is_empty())?;
    let mut end = line.len().min(CONSOLE_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    Some(line[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: Exit) -> Loss {
        let console = "first\nMemoryError: no\n\n".into();
        Loss::Ended { exit, console }
    }

    fn counted(oom_kills: u64, forks_refused: u64) -> Counters {
        Counters {
            oom_kills: Some(oom_kills),
            forks_refused: Some(forks_refused),
        }
    }

    fn named(loss: &Loss, before: Counters, now: Counters, free: u64) -> Reason {
        of(loss, before, now, Some(free)).reason
    }

    #[test]
    fn what_the_host_counted_meanwhile_names_a_kill() {
        let killed = ended(Exit::Signal(libc::SIGKILL));
        let roomy = 1 << 30;
        let before = counted(1, 0);
        assert_eq!(named(&killed, before, counted(2, 0), roomy), Reason::Oom);
        assert_eq!(named(&killed, before, before, roomy), Reason::KernelCrash);
        assert_eq!(
            named(&killed, Counters::default(), Counters::default(), roomy),
            Reason::KernelCrash
        );
        let crashed = ended(Exit::Signal(libc::SIGSEGV));
        assert_eq!(
            named(&crashed, before, counted(2, 0), roomy),
            Reason::KernelCrash
        );
    }

    #[test]
    fn a_full_disk_and_refused_forks_name_what_they_may_have_caused() {
        let left = ended(Exit::Code(1));
        let none = Counters::default();
        assert_eq!(named(&left, none, none, 0), Reason::Disk);
        assert_eq!(named(&left, none, counted(0, 3), 1 << 30), Reason::Pids);
        assert_eq!(named(&left, none, none, 1 << 30), Reason::KernelCrash);
        assert_eq!(named(&Loss::Spawn("x".into()), none, none, 0), Reason::Disk);
        assert_eq!(named(&Loss::Unready, none, none, 1 << 30), Reason::NoKernel);
        assert_eq!(named(&Loss::Restarted, none, none, 0), Reason::Restarted);
    }

    #[test]
    fn the_evidence_is_what_was_seen() {
        let none = Counters::default();
        let death = of(&ended(Exit::Code(7)), none, none, None);
        assert_eq!(death.evidence.exit_status, Some(7));
        assert_eq!(death.evidence.console.as_deref(), Some("MemoryError: no"));
        assert_eq!(death.evidence.oom_kills, None);
        assert!(death.message.contains("exit status 7"));
    }
}
