//! How a kernel's process was lost, in words that its user understands.

use crate::process::reaper::Exit;
use thiserror::Error;

/// Why there is no kernel, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Loss {
    /// The process ended by itself or was killed.
    #[error("{}", ended(*exit))]
    Ended {
        /// How.
        exit: Exit,
        /// The last of what it wrote to its standard output and error.
        console: String,
    },
    /// It did not answer in time after its start.
    #[error("The kernel did not become ready in time")]
    Unready,
    /// It could not be started.
    #[error("The kernel could not be started: {0}")]
    Spawn(String),
    /// Its protocol failed.
    #[error("The connection to the kernel failed")]
    Broken,
    /// The image lacks what the kernel needs, by its own word.
    #[error("This template has no kernel of this language")]
    Unavailable,
    /// Restarted on request.
    #[error("The context was restarted")]
    Restarted,
    /// Removed on request.
    #[error("The context was removed")]
    Removed,
}

/// Signal numbers that users meet, by name.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGINT => " (SIGINT)",
        _ => "",
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(status) => format!("The kernel ended with exit status {status}"),
        Exit::Signal(signal) => format!(
            "The kernel was killed by signal {signal}{}",
            signal_name(signal)
        ),
    }
}
