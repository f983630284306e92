//! The rights of a cell's first process: which it takes, and which it gives away for good
//! before it executes the agent.

use super::syscalls;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus,
};
use rustix::{
    io::Errno,
    process::{Gid, Uid},
    thread::{
        CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
        set_thread_res_gid, set_thread_res_uid,
    },
};
use soulbox_host::{HostError, Step};

/// What root may do, within its own users only. Everything else is gone, for every process
/// of the cell.
const KEPT: CapabilitySet = CapabilitySet::CHOWN // package managers; files of users
    .union(CapabilitySet::DAC_OVERRIDE) // the agent serves the files of every user
    .union(CapabilitySet::FOWNER) // and sets their modes
    .union(CapabilitySet::FSETID) // without losing set-gid bits of directories
    .union(CapabilitySet::KILL) // the agent ends processes of every user
    .union(CapabilitySet::SETGID) // and starts them
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE) // port 80 of a network that is its own
    .union(CapabilitySet::SYS_CHROOT); // package managers with another root

/// Capabilities that a kernel may know; numbers past its last one are refused.
const CAPABILITY_NUMBERS: std::ops::Range<u32> = 0..64;

/// The newest Landlock that this program knows. An older kernel enforces what it can.
const LANDLOCK: ABI = ABI::V5;

/// Becomes root of the cell's own users. Only from there does a later change to an ordinary
/// user drop all capabilities.
pub fn become_root() -> Result<(), HostError> {
    let step = "become the cell's root";
    let (user, group) = (Uid::ROOT, Gid::ROOT);
    set_thread_groups(&[]).step(step)?;
    set_thread_res_gid(group, group, group).step(step)?;
    set_thread_res_uid(user, user, user).step(step)
}

/// Gives away everything that the agent does not need. Cannot be undone.
pub fn close_doors() -> Result<(), HostError> {
    // Set-uid bits mean nothing from here on.
    set_no_new_privs(true).step("give up gaining rights")?;
    stay_below_root()?;
    drop_capabilities()?;
    syscalls::filter()
}

/// Landlock: whatever directory of the host should ever leak in, as a descriptor or a mount,
/// can't be opened, since it is not below this root. And no device file is made anywhere.
fn stay_below_root() -> Result<(), HostError> {
    let step = "set the Landlock rule";
    let all = AccessFs::from_all(LANDLOCK);
    let without_devices = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let root = PathFd::new("/").step(step)?;
    let dev = PathFd::new("/dev").step(step)?;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .step(step)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .step(step)?
        .create()
        .step(step)?
        .add_rule(PathBeneath::new(root, without_devices))
        .step(step)?
        .add_rule(PathBeneath::new(dev, AccessFs::IoctlDev))
        .step(step)?
        .restrict_self()
        .step(step)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel does not enforce Landlock").step(step),
        _ => Ok(()),
    }
}

fn drop_capabilities() -> Result<(), HostError> {
    let step = "drop capabilities";
    for number in CAPABILITY_NUMBERS {
        let Some(capability) = CapabilitySet::from_bits(1 << number) else {
            continue;
        };
        match capability_is_in_bounding_set(capability) {
            // This kernel knows no more.
            Err(Errno::INVAL) => break,
            Ok(true) if !KEPT.contains(capability) => {
                remove_capability_from_bounding_set(capability).step(step)?;
            }
            Ok(_) => {}
            Err(error) => return Err(error).step(step),
        }
    }
    clear_ambient_capability_set().step(step)?;
    let sets = CapabilitySets {
        effective: KEPT,
        permitted: KEPT,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).step(step)
}
