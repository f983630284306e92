//! The connection file of a kernel: where its sockets are, and the key to sign with.
//!
//! Sockets are files (`ipc://`), so there is no race for ports, nothing on the sandbox's
//! loopback, and a path is known before the kernel starts. Every process has a directory and a
//! key of its own, so that what a dead one left is never mistaken for its successor's.

use super::message::{Key, hex};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Where connection directories live. Short, since a socket's path may have 107 bytes.
const RUNTIME_DIRECTORIES: [&str; 2] = ["/run/soulbox", "/tmp/.soulbox"];

/// Names another directory to use before these. For tests, whose agents are killed and leave
/// what a sandbox would take with it.
const RUNTIME_VARIABLE: &str = "SOULBOX_AGENT_RUNTIME";

/// Bytes of entropy in a key.
const KEY_BYTES: usize = 32;

/// Numbers of the sockets in the connection file, which `ipc://` appends to the path prefix.
const SHELL: u8 = 1;
const IOPUB: u8 = 2;
const STDIN: u8 = 3;
const CONTROL: u8 = 4;
const HEARTBEAT: u8 = 5;

/// Where one kernel is reached. The directory is removed with it.
pub struct Connection {
    directory: PathBuf,
    key_text: String,
}

impl Connection {
    /// Makes a directory that only this user can enter.
    pub fn create(id: &str) -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        let mut filled = 0;
        while filled < KEY_BYTES {
            filled += getrandom(&mut key[filled..], GetRandomFlags::empty())?;
        }
        let mut last = io::Error::other("no runtime directory");
        let named = std::env::var_os(RUNTIME_VARIABLE).map(PathBuf::from);
        for base in named
            .into_iter()
            .chain(RUNTIME_DIRECTORIES.map(PathBuf::from))
        {
            let directory = base.join(id);
            match std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
            {
                Ok(()) => {
                    return Ok(Self {
                        directory,
                        key_text: hex(&key),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The key, to sign and check with.
    pub fn key(&self) -> Key {
        Key::new(&self.key_text)
    }

    /// Path of the file that the kernel is given.
    pub fn file(&self) -> PathBuf {
        self.directory.join("connection.json")
    }

    fn socket(&self, number: u8) -> PathBuf {
        self.directory.join(format!("k-{number}"))
    }

    /// Socket of the shell channel.
    pub fn shell(&self) -> PathBuf {
        self.socket(SHELL)
    }

    /// Socket of the iopub channel.
    pub fn iopub(&self) -> PathBuf {
        self.socket(IOPUB)
    }

    /// Socket of the stdin channel.
    pub fn stdin(&self) -> PathBuf {
        self.socket(STDIN)
    }

    /// Socket of the control channel.
    pub fn control(&self) -> PathBuf {
        self.socket(CONTROL)
    }

    /// Writes the file that the kernel is given.
    pub fn write(&self, kernel_name: &str) -> io::Result<()> {
        let text = json!({
            "transport": "ipc",
            "ip": self.directory.join("k"),
            "shell_port": SHELL,
            "iopub_port": IOPUB,
            "stdin_port": STDIN,
            "control_port": CONTROL,
            "hb_port": HEARTBEAT,
            "key": self.key_text,
            "signature_scheme": "hmac-sha256",
            "kernel_name": kernel_name,
        });
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.file())?;
        file.write_all(text.to_string().as_bytes())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Nothing depends on it: the names are never used again.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_and_its_directory_are_private_and_keys_differ() {
        let mode = |path: &std::path::Path| {
            std::fs::metadata(path)
                .expect("it exists")
                .permissions()
                .mode()
                & 0o777
        };
        let first =
            Connection::create(&format!("test-{}-a", std::process::id())).expect("a directory");
        let second =
            Connection::create(&format!("test-{}-b", std::process::id())).expect("a directory");
        first.write("python").expect("a file");
        assert_eq!(mode(&first.file()), 0o600);
        assert_eq!(mode(&first.directory), 0o700);
        assert_ne!(first.key_text, second.key_text);
        let directory = first.directory.clone();
        drop(first);
        assert!(!directory.exists());
    }
}
