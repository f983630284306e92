//! What the owner of a machine can set. The command line and the configuration file
//! are the gateway crate's; here are the values, their units and their defaults.

use crate::egress::EgressOptions;
use sha2::{Digest, Sha256};
use soulbox_gvisor::Platform;
use soulbox_protocol::control::IMAGE_SIDE;
use soulbox_runtime::{TemplateName, TierName};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// First host id that sandboxes get. Above what systemd gives to containers
/// (524,288 to 1,879,048,191) and below 2^31, where some programs stop counting.
pub const FIRST_HOST_ID: u32 = 0x7000_0000;

/// Where states of running things belong (Filesystem Hierarchy Standard 3.0, section 3.15).
const STATE_ROOT: &str = "/run/soulbox-node";

/// Characters of a node's name in machine-wide names, which end at 40.
const NAME_CHARACTERS: usize = 30;

/// Settings of one node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Where everything lives that the node writes.
    pub data_dir: PathBuf,
    /// The built templates; by default `images` in the data directory. Its last part must
    /// be `images`.
    pub images_dir: PathBuf,
    /// The Unix socket of the API.
    pub socket: PathBuf,
    /// Who may speak on it besides root.
    pub socket_owner: u32,
    /// Name of this node: its directory under `run`.
    pub name: String,
    /// The tier of sandboxes that name none; `None` picks the best one that works here,
    /// but never `namespace`, which must be asked for.
    pub isolation: Option<TierName>,
    /// gVisor's program; `None` looks in PATH.
    pub runsc: Option<PathBuf>,
    /// How gVisor intercepts system calls; `None` chooses by what works here.
    pub gvisor_platform: Option<Platform>,
    /// Where the tiers keep sockets and states of what runs: short, since a socket's path
    /// ends at 107 bytes, and not on a disk, since nothing of it outlives a restart of the
    /// machine.
    pub state_root: PathBuf,
    /// Warm sandboxes per template. A template that is not listed gets none.
    pub pools: BTreeMap<TemplateName, u32>,
    /// Sandboxes at one time, without the warm ones.
    pub max_sandboxes: u32,
    /// The agent's program; by default beside the running program.
    pub agent: Option<PathBuf>,
    /// Whether `soulbox serve` started this node, which then may end by itself.
    pub attached: bool,
    /// Cells that may start at the same time. A start takes a whole core for a while, and
    /// more of them at once make each one late.
    pub start_concurrency: u32,
    /// First of the host ids that stand for users of sandboxes.
    pub first_host_id: u32,
    /// How long a cell may take until its agent and its kernel answer.
    pub start_timeout: Duration,
    /// How long after its end the node waits for a gateway to end a sandbox.
    pub lease_grace: Duration,
    /// An attached node that serves nobody for so long ends itself.
    pub idle_shutdown: Duration,
    /// Longest side of an image in a result, in pixels; 0 for any.
    pub max_image_side: u32,
    /// What sandboxes may reach besides the public internet, and who knows its names.
    pub egress: EgressOptions,
}

impl NodeOptions {
    /// The defaults for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let pool = |name: &str, size| TemplateName::new(name).map(|name| (name, size));
        Self {
            images_dir: data_dir.join("images"),
            socket: data_dir.join("node.sock"),
            socket_owner: 0,
            name: "local".to_owned(),
            isolation: None,
            runsc: None,
            gvisor_platform: None,
            state_root: PathBuf::from(STATE_ROOT),
            pools: [pool("base", 1), pool("code-interpreter-v1", 2)]
                .into_iter()
                .flatten()
                .collect(),
            max_sandboxes: 100,
            agent: None,
            attached: false,
            start_concurrency: 2,
            first_host_id: FIRST_HOST_ID,
            start_timeout: Duration::from_secs(60),
            lease_grace: Duration::from_secs(10),
            idle_shutdown: Duration::from_secs(600),
            max_image_side: IMAGE_SIDE,
            egress: EgressOptions::default(),
            data_dir,
        }
    }

    /// Names this node in places that all nodes of a machine share, such as control groups.
    /// Made of its directory, so it is the same after a restart and another one's is
    /// different.
    pub fn machine_wide_name(&self) -> String {
        let run = self.run_dir();
        let run = std::path::absolute(&run).unwrap_or(run);
        let hash = Sha256::digest(run.as_os_str().as_encoded_bytes());
        let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{}-{hash}",
            self.name.chars().take(NAME_CHARACTERS).collect::<String>()
        )
    }

    /// This node's part of [`NodeOptions::state_root`].
    pub fn state_dir(&self) -> PathBuf {
        self.state_root.join(self.machine_wide_name())
    }

    /// The node's own directory: journal, scratch directories, guest files, lock.
    pub fn run_dir(&self) -> PathBuf {
        self.data_dir.join("run").join(&self.name)
    }
}
