//! Runs the package tools: output to the log, its end into errors, its lines to whoever counts them.
//!
//! A command is an argument vector, never a line for a shell. What it says is bounded, and one that
//! falls silent is killed, since a mirror that hangs must not hang the build for ever.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Read, Write},
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::error::BuildError;

/// A command that says nothing for this long, in seconds, is stuck: pip is silent while it unpacks
/// the largest wheels, but for minutes only.
const SILENCE_SECONDS: i64 = 15 * 60;
/// Lines of output that an error shows.
const TAIL_LINES: usize = 12;
/// Longer lines are cut, in bytes.
const LONGEST_LINE: usize = 2048;
/// Output of one command that is kept in the log, in bytes: far more than any package tool says,
/// and no more than a disk can take from one that never stops.
const LOGGED: usize = 32 << 20;
/// Bytes of output read at once.
const CHUNK: usize = 16 << 10;

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong, in one line.
    pub cause: String,
    /// The end of the output.
    pub tail: Vec<String>,
}

impl Failure {
    /// A failure of our own, without any output.
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            tail: Vec::new(),
        }
    }

    /// For `map_err`: what was being done to which path.
    pub(crate) fn io<E: std::fmt::Display>(doing: &str, path: &Path) -> impl FnOnce(E) -> Self {
        let what = format!("cannot {doing} {}", path.display());
        move |error| Self::new(format!("{what}: {error}"))
    }
}

/// Runs a command to its end; each line of its output goes to `log` and `on_line`.
pub(crate) fn run(
    program: &str,
    mut command: Command,
    log: &mut fs::File,
    on_line: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let unable = |error: io::Error| Failure::new(format!("cannot run {program}: {error}"));
    let (output, input) = io::pipe().map_err(unable)?;
    command
        .stdin(Stdio::null())
        .stdout(input.try_clone().map_err(unable)?)
        .stderr(input);
    let mut child = Running(command.spawn().map_err(unable)?);
    // The command holds the writing ends; the output would never end while it lives.
    drop(command);

    let mut lines = Lines {
        tail: VecDeque::new(),
        unfinished: Vec::new(),
    };
    let read = read_all(output, log, &mut lines, on_line);
    let failed = |cause: String, lines: Lines| {
        Err(Failure {
            cause,
            tail: lines.tail.into(),
        })
    };
    match read {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return failed(
                format!(
                    "{program} said nothing for {} minutes",
                    SILENCE_SECONDS / 60
                ),
                lines,
            );
        }
        Err(error) => return failed(format!("cannot follow {program}: {error}"), lines),
    }
    let status = child.0.wait().map_err(unable)?;
    if status.success() {
        Ok(())
    } else {
        failed(format!("{program} ended with {status}"), lines)
    }
}

/// A child that does not outlive its reader.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Lines {
    tail: VecDeque<String>,
    unfinished: Vec<u8>,
}

impl Lines {
    fn push(&mut self, byte: u8, on_line: &mut dyn FnMut(&str)) {
        if byte != b'\n' && byte != b'\r' {
            if self.unfinished.len() < LONGEST_LINE {
                self.unfinished.push(byte);
            }
            return;
        }
        let bytes = std::mem::take(&mut self.unfinished);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        on_line(line);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail
            .push_back(line.chars().filter(|c| !c.is_control()).collect());
    }
}

fn read_all(
    mut output: io::PipeReader,
    log: &mut fs::File,
    lines: &mut Lines,
    on_line: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let mut chunk = [0; CHUNK];
    let mut room = LOGGED;
    let patience = Timespec {
        tv_sec: SILENCE_SECONDS,
        tv_nsec: 0,
    };
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match poll(&mut waiting, Some(&patience)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let got = output.read(&mut chunk)?;
        if got == 0 {
            lines.push(b'\n', on_line);
            return Ok(());
        }
        log.write_all(&chunk[..got.min(room)])?;
        room = room.saturating_sub(got);
        chunk[..got]
            .iter()
            .for_each(|byte| lines.push(*byte, on_line));
    }
}

/// Fails early, by name, when a program that the build will need is not installed.
pub(crate) fn require(program: &str) -> Result<(), BuildError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    match there
        .map(|directory| directory.join(program))
        .any(|file| file.is_file())
    {
        true => Ok(()),
        false => Err(BuildError::ProgramMissing {
            program: program.to_owned(),
        }),
    }
}

/// Removes a directory with all in it; it is no mistake when it is not there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BuildError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_here(arguments: &[&str]) -> (Result<(), Failure>, Vec<String>) {
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]);
        let mut log = tempfile::tempfile().unwrap();
        let mut seen = Vec::new();
        let result = run(arguments[0], command, &mut log, &mut |line| {
            seen.push(line.to_owned())
        });
        (result, seen)
    }

    #[test]
    fn every_line_is_seen() {
        let (result, seen) = run_here(&["printf", "a\\nb\\n\\nlast"]);
        assert!(result.is_ok());
        assert_eq!(seen, ["a", "b", "last"]);
    }

    #[test]
    fn a_failure_names_the_program_and_shows_the_end_of_its_output() {
        let failure = run_here(&["ls", "/nowhere-at-all"]).0.unwrap_err();
        assert!(failure.cause.starts_with("ls ended with"), "{failure:?}");
        assert!(
            failure.tail.last().unwrap().contains("nowhere-at-all"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_flood_leaves_only_its_end() {
        let (result, seen) = run_here(&["seq", "5000"]);
        assert!(result.is_ok());
        assert_eq!(seen.len(), 5000);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert!(require("sh").is_ok());
        assert!(
            require("no-such-program")
                .unwrap_err()
                .to_string()
                .contains("no-such-program")
        );
    }
}
