//! Which system calls a cell may make.
//!
//! Two filters, so that each refusal is the one that programs expect. The first says "not
//! permitted" to what administers a machine. The second lets through what programs need and
//! says "not implemented" to all else: what this list does not know (clone3, whose flags a
//! filter can't see; io_uring; every call that a later kernel brings) looks like an older
//! kernel, and C libraries fall back.

mod allowed;

use allowed::ALLOWED;
#[cfg(target_arch = "x86_64")]
use allowed::ALLOWED_X86;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use soulbox_host::{HostError, Step};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const STEP: &str = "set the filter on system calls";

/// Puts both filters into force, for this process and all its children.
pub fn filter() -> Result<(), HostError> {
    // The last one set is asked first, and the strictest answer wins: so the first of the
    // two, which answers "not permitted", must outrank by being asked last.
    let allowed = program(allowed()?, refuse(libc::ENOSYS), SeccompAction::Allow)?;
    let forbidden = program(forbidden(), SeccompAction::Allow, refuse(libc::EPERM))?;
    // What is forbidden must pass the other filter, whose refusal would hide its own.
    apply_filter(&forbidden).step(STEP)?;
    apply_filter(&allowed).step(STEP)
}

fn refuse(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno.unsigned_abs())
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, HostError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).step(STEP)?;
    let filter = SeccompFilter::new(rules, otherwise, matching, arch).step(STEP)?;
    filter.try_into().step(STEP)
}

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, HostError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value).step(STEP)
}

fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, HostError> {
    let rule = |value: &u64| {
        let condition = condition(argument, SeccompCmpOp::Eq, *value)?;
        SeccompRule::new(vec![condition]).step(STEP)
    };
    values.iter().map(rule).collect()
}

/// Flags of clone(2) that make namespaces.
const NAMESPACE_FLAGS: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;
/// Address families: local, internet, and what lists interfaces. Others (kernel crypto,
/// raw packets, virtual machines) are kernel code that nobody here needs.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];
/// Execution domains of personality(2) that change nothing of weight, and asking for it.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn allowed() -> Result<Rules, HostError> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.extend(ALLOWED_X86.iter().map(|call| (*call, Vec::new())));
    // They pass here and are refused by the other filter.
    rules.extend(FORBIDDEN.iter().map(|call| (*call, Vec::new())));
    let mask = SeccompCmpOp::MaskedEq(u64::from(NAMESPACE_FLAGS.unsigned_abs()));
    let no_namespace = SeccompRule::new(vec![condition(0, mask, 0)?]).step(STEP)?;
    rules.insert(libc::SYS_clone, vec![no_namespace]);
    let families = FAMILIES.map(|family| u64::from(family.unsigned_abs()));
    rules.insert(libc::SYS_socket, one_of(0, &families)?);
    rules.insert(libc::SYS_personality, one_of(0, &PERSONALITIES)?);
    Ok(rules)
}

fn forbidden() -> Rules {
    FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect()
}

/// What administers a machine: programs that try it expect "not permitted".
const FORBIDDEN: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_set_mempolicy,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_vhangup,
];
