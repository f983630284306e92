//! A place where cells are started on a real tier, spoken with, and looked for afterwards.

use soulbox_host::{Cgroups, mounts};
use soulbox_runtime::{Cell, CellEnd, CellId, CellSpec, Channel, Limits, StartError, Tier};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

/// No answer of a guest takes longer, even on a crowded machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A cell's ids on the host.
pub const FIRST_HOST_ID: u32 = 0x2000_0000;

/// Small limits, so that stories reach them quickly.
pub const LIMITS: Limits = Limits {
    memory_mib: 128,
    cpu_millis: 2000,
    disk_mib: 64,
    pids: 64,
};

/// Makes the tier under test: its state directory, its node's name.
pub type MakeTier = fn(&Path, &CellId) -> Box<dyn Tier>;

/// One tier in one directory.
pub struct Lab {
    pub tier: Box<dyn Tier>,
    pub path: PathBuf,
    _dir: Option<TempDir>,
    pub node: CellId,
}

/// A guest that obeys.
pub struct Guest {
    pub cell: Box<dyn Cell>,
    channel: BufReader<Channel>,
}

impl Lab {
    pub fn new(make: MakeTier) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("lab")
            .tempdir()
            .expect("a directory");
        let node = CellId::new(format!("lab-{}", std::process::id())).expect("an id");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("passable");
        let layer = dir.path().join("layer");
        fs::create_dir_all(layer.join("etc")).expect("a layer");
        fs::write(layer.join("etc/origin"), "template").expect("a layer");
        let bin = dir.path().join("guest/bin");
        fs::create_dir_all(&bin).expect("guest files");
        let own = std::env::current_exe().expect("this program");
        fs::copy(own, bin.join("soulbox-agent")).expect("guest files");
        for path in ["layer", "layer/etc", "guest", "guest/bin"] {
            let path = dir.path().join(path);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("passable");
        }
        let tier = make(&dir.path().join("s"), &node);
        Self {
            tier,
            path: dir.path().to_owned(),
            _dir: Some(dir),
            node,
        }
    }

    /// The same place, seen by a second node of the same name, which takes nothing along
    /// when it ends.
    pub fn shared(dir: &Path, node: &CellId, make: MakeTier) -> Self {
        Self {
            tier: make(&dir.join("s"), node),
            path: dir.to_owned(),
            _dir: None,
            node: node.clone(),
        }
    }

    pub fn scratch(&self, id: &str) -> PathBuf {
        self.path.join("cells").join(id)
    }

    pub fn spec(&self, id: &str, limits: Limits) -> CellSpec {
        let scratch = self.scratch(id);
        fs::create_dir_all(&scratch).expect("scratch");
        let cells = self.path.join("cells");
        fs::set_permissions(cells, fs::Permissions::from_mode(0o711)).expect("passable");
        CellSpec {
            id: CellId::new(id).expect("an id"),
            layers: vec![self.path.join("layer")],
            scratch,
            guest_files: self.path.join("guest"),
            command: vec!["/opt/soulbox/bin/soulbox-agent".into(), "guest".into()],
            hostname: "lab".into(),
            limits,
            first_host_id: FIRST_HOST_ID,
        }
    }

    pub async fn try_start(&self, spec: CellSpec) -> Result<Guest, StartError> {
        let started = self.tier.start(spec).await?;
        Ok(Guest {
            cell: started.cell,
            channel: BufReader::new(started.channel),
        })
    }

    pub async fn start(&self, id: &str) -> Guest {
        let started = self.try_start(self.spec(id, LIMITS)).await;
        started.expect("the cell starts")
    }

    /// The host's users that a cell's processes run as, its mechanism's own included.
    pub fn users(&self, id: &str) -> Vec<u32> {
        let cgroups = Cgroups::new(&self.node).expect("control groups");
        let cell = CellId::new(id).expect("an id");
        let pids = cgroups.of(&cell).processes();
        assert!(!pids.is_empty());
        let users = pids
            .iter()
            .filter_map(|pid| fs::metadata(format!("/proc/{pid}")).ok());
        users.map(|user| user.uid()).collect()
    }

    /// Fails when anything of a cell is still on the host.
    pub fn assert_nothing_left(&self, id: &str) {
        let cell = CellId::new(id).expect("an id");
        let cgroups = Cgroups::new(&self.node).expect("control groups");
        assert!(!cgroups.of(&cell).exists(), "control group of {id}");
        let scratch = self.scratch(id);
        assert!(!mounts::any_below(&scratch), "mounts of {id}");
        let image = scratch.join("disk.img");
        assert!(
            !soulbox_host::disk::is_attached(&image),
            "loop device of {id}"
        );
        assert!(!scratch.exists(), "directory of {id}");
        assert!(!self.path.join("s").join(id).exists(), "state of {id}");
        assert_eq!(
            processes_of(FIRST_HOST_ID),
            Vec::<String>::new(),
            "processes"
        );
        assert_eq!(zombies(), Vec::<String>::new(), "zombies");
    }
}

impl Drop for Lab {
    /// Also after a story that failed: nothing of ours stays on the machine.
    fn drop(&mut self) {
        if self._dir.is_none() {
            return;
        }
        let clear = async {
            let cells = fs::read_dir(self.path.join("cells"));
            for cell in cells.into_iter().flatten().flatten() {
                let name = cell.file_name().to_string_lossy().into_owned();
                let id = CellId::new(name).expect("an id");
                let _ = self.tier.clear_leftover(&id, &cell.path()).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        std::thread::scope(|scope| {
            let cleared = scope.spawn(|| runtime.block_on(clear));
            let _ = cleared.join();
        });
    }
}

impl Guest {
    /// Sends one command and returns the answer; empty when the channel ended instead.
    pub async fn ask(&mut self, command: &str) -> String {
        let line = format!("{command}\n");
        if self
            .channel
            .get_mut()
            .write_all(line.as_bytes())
            .await
            .is_err()
        {
            return String::new();
        }
        let mut answer = String::new();
        let read = self.channel.read_line(&mut answer);
        match timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(_)) => answer.trim().to_owned(),
            Ok(Err(_)) => String::new(),
            Err(_) => panic!("no answer to `{command}`"),
        }
    }

    /// Reads one line with its end; empty when the channel ended.
    pub async fn hear(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(ANSWER_WITHIN, self.channel.read_line(&mut line)).await;
        let _ = read.expect("a line in time");
        line
    }

    pub async fn finish(self) -> CellEnd {
        self.cell.kill().await;
        let end = self.cell.ended().await;
        self.cell.clear().await.expect("cleared");
        end
    }
}

/// Processes of the host whose real user lies in the 65,536 ids from `first`.
fn processes_of(first: u32) -> Vec<String> {
    let pids = fs::read_dir("/proc").expect("proc").flatten();
    pids.filter_map(|entry| {
        let uid = entry.metadata().ok()?.uid();
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        (first..first + 65_536)
            .contains(&uid)
            .then(|| short(&status))
    })
    .collect()
}

/// Our children that nobody has reaped.
fn zombies() -> Vec<String> {
    let own = format!("PPid:\t{}\n", std::process::id());
    let pids = fs::read_dir("/proc").expect("proc").flatten();
    pids.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter(|status| status.contains(&own) && status.contains("State:\tZ"))
        .map(|status| short(&status))
        .collect()
}

fn short(status: &str) -> String {
    let wanted = ["Name", "State", "Pid", "PPid", "Uid"];
    let lines = status.lines().filter(|line| {
        let name = line.split(':').next();
        name.is_some_and(|name| wanted.contains(&name))
    });
    lines.collect::<Vec<_>>().join(", ").replace('\t', " ")
}
