//! The connection file of a kernel: where its sockets are, and the key to sign with.
//!
//! Sockets are files (`ipc://`) where the kernel takes them, so there is no race for ports, nothing
//! on the sandbox's loopback, and a path is known before the kernel starts. Other kernels get
//! ports of the loopback. Every process has a directory, a key and ports of its own, so that what
//! a dead one left is never mistaken for its successor's.

use super::message::{Key, hex};
use super::spec::Transport;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
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

/// Sockets of a kernel.
const SOCKETS: usize = 5;

/// Where ports are looked for: below those that systems give to outgoing connections, gVisor's
/// from 16000 on among them. One that waits for a kernel must not meet itself.
const PORTS: std::ops::Range<u16> = 10_000..16_000;

/// Ports that are tried.
const MOST_TRIES: usize = 200;

/// Where one socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file.
    File(PathBuf),
    /// A port of the loopback.
    Port(SocketAddrV4),
}

/// Where one kernel is reached. The directory is removed with it.
pub struct Connection {
    directory: PathBuf,
    key_text: String,
    /// None for files.
    ports: Option<[u16; SOCKETS]>,
}

impl Connection {
    /// Makes a directory that only this user can enter.
    pub fn create(id: &str, transport: Transport) -> io::Result<Self> {
        let ports = match transport {
            Transport::Ipc => None,
            Transport::Tcp => Some(free_ports()?),
        };
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
                        ports,
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

    fn socket(&self, number: u8) -> Address {
        match self.ports {
            None => Address::File(self.directory.join(format!("k-{number}"))),
            Some(ports) => {
                let port = ports[usize::from(number) - 1];
                Address::Port(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
            }
        }
    }

    /// Socket of the shell channel.
    pub fn shell(&self) -> Address {
        self.socket(SHELL)
    }

    /// Socket of the iopub channel.
    pub fn iopub(&self) -> Address {
        self.socket(IOPUB)
    }

    /// Socket of the stdin channel.
    pub fn stdin(&self) -> Address {
        self.socket(STDIN)
    }

    /// Socket of the control channel.
    pub fn control(&self) -> Address {
        self.socket(CONTROL)
    }

    /// Writes the file that the kernel is given.
    pub fn write(&self, kernel_name: &str) -> io::Result<()> {
        let numbers = [SHELL, IOPUB, STDIN, CONTROL, HEARTBEAT];
        let (transport, ip, ports) = match self.ports {
            None => (
                "ipc",
                json!(self.directory.join("k")),
                numbers.map(u16::from),
            ),
            Some(ports) => ("tcp", json!(Ipv4Addr::LOCALHOST), ports),
        };
        let [shell, iopub, stdin, control, heartbeat] = ports;
        let text = json!({
            "transport": transport,
            "ip": ip,
            "shell_port": shell,
            "iopub_port": iopub,
            "stdin_port": stdin,
            "control_port": control,
            "hb_port": heartbeat,
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

/// Ports on which nobody listens at the moment. A kernel that finds one taken after all ends, and
/// the next process gets others.
fn free_ports() -> io::Result<[u16; SOCKETS]> {
    let mut kept: Vec<TcpListener> = Vec::with_capacity(SOCKETS);
    let mut ports = [0; SOCKETS];
    for _ in 0..MOST_TRIES {
        let mut random = [0; 2];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let port = PORTS.start + u16::from_ne_bytes(random) % (PORTS.end - PORTS.start);
        // Held until all are found, so that none is found twice.
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        ports[kept.len()] = port;
        kept.push(listener);
        if kept.len() == SOCKETS {
            return Ok(ports);
        }
    }
    Err(io::Error::other("no free ports for a kernel"))
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
        let first = Connection::create(&format!("test-{}-a", std::process::id()), Transport::Ipc)
            .expect("a directory");
        let second = Connection::create(&format!("test-{}-b", std::process::id()), Transport::Ipc)
            .expect("a directory");
        first.write("python").expect("a file");
        assert_eq!(mode(&first.file()), 0o600);
        assert_eq!(mode(&first.directory), 0o700);
        assert_ne!(first.key_text, second.key_text);
        let directory = first.directory.clone();
        drop(first);
        assert!(!directory.exists());
    }
    #[test]
    fn ports_are_free_different_and_in_the_file() {
        let id = format!("test-{}-c", std::process::id());
        let connection = Connection::create(&id, Transport::Tcp).expect("a directory");
        connection.write("deno").expect("a file");
        let text = std::fs::read(connection.file()).expect("the file");
        let file: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            (&file["transport"], &file["ip"]),
            (&json!("tcp"), &json!("127.0.0.1"))
        );
        let ports = connection.ports.expect("ports");
        assert_eq!(file["iopub_port"], ports[1]);
        let different: std::collections::HashSet<u16> = ports.into_iter().collect();
        assert_eq!(different.len(), SOCKETS);
        let Address::Port(address) = connection.iopub() else {
            panic!("no port")
        };
        assert_eq!(address.port(), ports[1]);
        TcpListener::bind(address).expect("it is free");
    }
}
