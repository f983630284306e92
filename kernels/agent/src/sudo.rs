//! `sudo` where set-uid programs gain nothing: in gVisor and under `no_new_privs`.
//!
//! `/usr/bin/sudo` is this very program under another name. It hands its descriptors, its
//! command line, its directory and its variables to the agent over a socket; the agent, which
//! is root, looks at who calls (the system says it, not the caller) and runs the command on
//! these descriptors. With a terminal the caller opens another one for the command and carries
//! between both, as `sudo` itself does with `use_pty`: a process cannot enter the session of
//! another, but in a terminal of its own everything works, `^C` and full-screen programs too.

pub mod client;
mod command_line;
mod install;
mod relay;
pub mod server;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the agent listens. The directory belongs to root.
const SOCKET: &str = "/run/soulbox/sudo.sock";

/// Names another socket, for agents that are not alone in their file system.
const SOCKET_VARIABLE: &str = "SOULBOX_SUDO_SOCKET";

/// Bytes of a request: more than the system takes for arguments and variables.
const MAX_REQUEST: u32 = 4 << 20;

/// Descriptors that come with a request: input, output, errors, and perhaps a terminal.
const MAX_DESCRIPTORS: usize = 4;

/// Bytes of what is sent beside the length: descriptors, and who sends them.
const SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS), ScmCredentials(1));

/// What a caller wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    /// Name or `#number`; root when absent.
    user: Option<String>,
    /// Name or `#number`; the user's own when absent.
    group: Option<String>,
    /// What to run.
    command: Vec<String>,
    /// Run it by a shell, or only the shell when there is no command.
    shell: Shell,
    /// Keep `HOME` too.
    keep_home: bool,
    /// The caller's variables, with those of the command line.
    env: BTreeMap<String, String>,
    /// The caller's directory.
    cwd: String,
    /// Whether the fourth descriptor is the command's terminal.
    terminal: bool,
}

/// Which shell runs a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Shell {
    /// None: the command is a program.
    #[default]
    None,
    /// The caller's.
    Callers,
    /// The other user's, as a login.
    Login,
}

/// What a caller is told, once.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// The command left with this status.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was not run.
    Refused(String),
}

/// The socket of this sandbox.
fn socket() -> String {
    std::env::var(SOCKET_VARIABLE).unwrap_or_else(|_| SOCKET.into())
}
