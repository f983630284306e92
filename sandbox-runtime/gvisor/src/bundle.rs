//! What `runsc` is told about a container: the part of the OCI runtime specification
//! (config.json) that this tier uses, as types.

use serde::Serialize;
use soulbox_host::{Root, idmap::ID_COUNT};
use soulbox_runtime::CellSpec;
use std::path::{Path, PathBuf};

/// What root may do inside: the usual set of containers, and ptrace, which gVisor emulates
/// and which never reaches the host. apt-get, dpkg, su and chroot need nothing else.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
];

/// Descriptors of one process inside; a program that loses them gets a clean error.
const OPEN_FILES: u64 = 65_536;
/// Size of `/run` in bytes: sockets and pid files.
const RUN_BYTES: u64 = 64 << 20;

/// The whole of config.json.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    oci_version: &'static str,
    process: Process,
    root: RootDir,
    hostname: String,
    mounts: Vec<Mount>,
    linux: Linux,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    terminal: bool,
    user: User,
    args: Vec<String>,
    env: Vec<String>,
    cwd: &'static str,
    capabilities: Capabilities,
    rlimits: Vec<Rlimit>,
    no_new_privileges: bool,
}

#[derive(Debug, Serialize)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Debug, Serialize)]
struct Capabilities {
    bounding: [&'static str; 14],
    effective: [&'static str; 14],
    permitted: [&'static str; 14],
}

#[derive(Debug, Serialize)]
struct Rlimit {
    #[serde(rename = "type")]
    kind: &'static str,
    soft: u64,
    hard: u64,
}

#[derive(Debug, Serialize)]
struct RootDir {
    path: PathBuf,
    readonly: bool,
}

#[derive(Debug, Serialize)]
struct Mount {
    destination: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    source: PathBuf,
    options: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Vec<Namespace>,
    uid_mappings: [IdMapping; 1],
    gid_mappings: [IdMapping; 1],
    resources: Resources,
}

#[derive(Debug, Serialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct IdMapping {
    #[serde(rename = "containerID")]
    container_id: u32,
    #[serde(rename = "hostID")]
    host_id: u32,
    size: u32,
}

/// Only told, so that the sandbox sees its own size; what holds is the host's control group.
#[derive(Debug, Serialize)]
struct Resources {
    memory: Memory,
    cpu: Cpu,
}

#[derive(Debug, Serialize)]
struct Memory {
    limit: u64,
}

#[derive(Debug, Serialize)]
struct Cpu {
    quota: u64,
    period: u64,
}

impl Config {
    /// Describes the container of a cell.
    pub fn new(spec: &CellSpec, root: &Root) -> Self {
        let mapping = IdMapping {
            container_id: 0,
            host_id: spec.first_host_id,
            size: ID_COUNT,
        };
        Self {
            oci_version: "1.0.2",
            process: Process::new(spec),
            root: RootDir {
                path: root.merged.clone(),
                readonly: false,
            },
            hostname: spec.hostname.clone(),
            mounts: mounts(spec, root),
            linux: Linux {
                namespaces: ["pid", "network", "ipc", "uts", "mount", "user"]
                    .map(|kind| Namespace { kind })
                    .into(),
                uid_mappings: [mapping],
                gid_mappings: [mapping],
                resources: Resources {
                    memory: Memory {
                        limit: spec.limits.memory_bytes(),
                    },
                    cpu: Cpu {
                        quota: u64::from(spec.limits.cpu_millis) * 100,
                        period: 100_000,
                    },
                },
            },
        }
    }
}

impl Process {
    fn new(spec: &CellSpec) -> Self {
        let pids = u64::from(spec.limits.pids);
        let limit = |kind, both| Rlimit {
            kind,
            soft: both,
            hard: both,
        };
        Self {
            terminal: false,
            user: User { uid: 0, gid: 0 },
            args: spec.command.clone(),
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
                "HOME=/root".into(),
            ],
            cwd: "/",
            capabilities: Capabilities {
                bounding: CAPABILITIES,
                effective: CAPABILITIES,
                permitted: CAPABILITIES,
            },
            rlimits: vec![
                limit("RLIMIT_NOFILE", OPEN_FILES),
                // A user's fork bomb gets EAGAIN inside, long before the host's limit would
                // end the sandbox. Root ignores it, there as everywhere.
                limit("RLIMIT_NPROC", pids),
                // A core file would only fill the disk.
                limit("RLIMIT_CORE", 0),
            ],
            // gVisor has no set-uid programs anyway; so say it.
            no_new_privileges: true,
        }
    }
}

/// Every file system in memory has a size, but for `/dev`: gVisor makes that one itself and
/// takes no size. Only root can write there, and what holds is the cell's memory limit.
/// `/tmp` is on the cell's disk: without a mount gVisor would put memory without a bound there.
fn mounts(spec: &CellSpec, root: &Root) -> Vec<Mount> {
    let half = spec.limits.memory_bytes() / 2;
    let mount = |destination, kind, source: &Path, options: &[&str]| Mount {
        destination,
        kind,
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    };
    let named =
        |destination, kind, options: &[&str]| mount(destination, kind, Path::new(kind), options);
    vec![
        named("/proc", "proc", &[]),
        named("/dev", "tmpfs", &["nosuid", "mode=755"]),
        named("/dev/pts", "devpts", &["nosuid", "noexec"]),
        named(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "nodev", "mode=1777", &format!("size={half}")],
        ),
        named("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        named(
            "/run",
            "tmpfs",
            &["nosuid", "nodev", "mode=755", &format!("size={RUN_BYTES}")],
        ),
        mount("/tmp", "bind", &root.tmp, &["rbind", "rw"]),
        mount("/opt/soulbox", "bind", &root.guest, &["rbind", "ro"]),
    ]
}
