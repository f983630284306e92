//! The child that decodes a picture: this program under another argument, with one thread, bounds
//! on its time and memory, and the first to go when the sandbox's memory ends.
//!
//! A picture can be made to decode for ever or to need gigabytes. The first process of a sandbox
//! must survive that, and a thread of it could not be ended.

use super::{Kind, scale};
use crate::process::reaper::{Exit, Reaper};
use crate::process::spawn::{Program, Stdio, null};
use crate::process::user::User;
use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// First argument of the worker.
const CALLED: &str = "--scale-picture";

/// This program, whatever it is called in the sandbox.
const THIS: &str = "/proc/self/exe";

/// How long the worker may take: processor time, and then time by the clock, on machines where
/// everybody waits.
const PROCESSOR_SECONDS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(25);

/// Address space beside the decoded picture: the coded one, the small one, the program.
const BESIDE_BYTES: u64 = 512 << 20;

/// The largest coded picture, in either direction, in bytes.
const CODED_BYTES: u64 = 96 << 20;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// What the picture is, and stays.
    pub kind: Kind,
    /// The longest side that it may have, in pixels.
    pub side: u32,
    /// What it may take when it is decoded, in bytes.
    pub memory: u64,
}

impl Order {
    fn arguments(&self) -> Vec<String> {
        let (kind, side, memory) = (self.kind.suffix(), self.side, self.memory);
        vec![
            CALLED.into(),
            kind.into(),
            side.to_string(),
            memory.to_string(),
        ]
    }

    fn from_arguments(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let kind = words.next()?;
        Some(Self {
            kind: Kind::ALL.into_iter().find(|one| one.suffix() == kind)?,
            side: words.next()?.parse().ok()?,
            memory: words.next()?.parse().ok()?,
        })
    }
}

/// Whether this process is a worker.
pub fn is_called() -> bool {
    std::env::args().nth(1).is_some_and(|word| word == CALLED)
}

/// Scales the picture on standard input to standard output. Returns the status to leave with.
pub fn run() -> i32 {
    let Some(order) = Order::from_arguments(std::env::args().skip(2)) else {
        return 2;
    };
    bound(&order);
    let mut bytes = Vec::new();
    let read = io::stdin().take(CODED_BYTES).read_to_end(&mut bytes);
    let Ok(scaled) = read.map(|_| scale::scale(&bytes, &order)) else {
        return 1;
    };
    match scaled.map(|scaled| io::stdout().write_all(&scaled)) {
        Ok(Ok(())) => 0,
        _ => 1,
    }
}

fn bound(order: &Order) {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // What cannot be set here is bounded by the parent's patience and the sandbox.
    let _ = setrlimit(Resource::As, limit(2 * order.memory + BESIDE_BYTES));
    let _ = setrlimit(Resource::Cpu, limit(PROCESSOR_SECONDS));
    let _ = setrlimit(Resource::Fsize, limit(CODED_BYTES));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Has the picture in a file scaled.
pub async fn scale(order: &Order, picture: &Path, reaper: &Arc<Reaper>) -> io::Result<Bytes> {
    let scaled = File::from(memfd_create("picture", MemfdFlags::CLOEXEC)?);
    let child = Program {
        program: THIS.into(),
        args: order.arguments(),
        env: BTreeMap::new(),
        cwd: "/".into(),
        user: ours(),
        stdio: Stdio::Separate {
            stdin: File::open(picture)?.into(),
            stdout: scaled.try_clone()?.into(),
            stderr: null()?,
        },
    }
    .spawn(reaper)?;
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(Exit::Code(0)) => {}
        Ok(_) => {
            return Err(io::Error::other(
                "it could not be decoded within the bounds",
            ));
        }
        Err(_) => {
            child.signal_group(libc::SIGKILL);
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    let read = move || {
        let length = scaled.metadata()?.len();
        if !(1..=CODED_BYTES).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        scaled.read_exact_at(&mut bytes, 0)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// The rights of this process: in a sandbox, those of its kernels.
fn ours() -> User {
    User {
        name: String::new(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: vec![rustix::process::getegid().as_raw()],
        home: "/".into(),
        shell: String::new(),
    }
}
