//! What every isolation tier needs of the host's kernel: control groups, mounts,
//! disks of a fixed size, process handles, the channel's socket pair.
//!
//! It knows no tier and no template. Everything here can be called again after it was
//! cut off in the middle: a node that was killed between two steps finds what it left by
//! name (a cell's id, a cell's directory), never by memory.
//! `unsafe` is allowed here, since this is where the kernel is called; each block says why
//! it is sound.

pub mod cell;
pub mod cgroup;
pub mod channel;
pub mod console;
pub mod disk;
pub mod error;
pub mod idmap;
pub mod mounts;
pub mod node;
pub mod orphans;
pub mod probe;
pub mod process;
pub mod root;
pub mod start;

pub use cell::{Family, Holdings, HostCell};
pub use cgroup::{Cgroup, CgroupLimits, Cgroups};
pub use console::Console;
pub use error::{HostError, Step};
pub use process::{Exit, Pid, Process};
pub use root::{Root, RootSpec};
