//! System calls that code in a sandbox has no business with, each tried with arguments that
//! would work for the host's root.

use std::io;

/// Tries one by name; says `allowed` or the kernel's refusal.
pub fn attempt(name: &str) -> String {
    let null = std::ptr::null::<u8>();
    let path = c"/tmp".as_ptr();
    // SAFETY: every call gets null pointers, constants or C strings that live for ever; the
    // ones that would work change only this program.
    let result = unsafe {
        match name {
            "mount" => libc::syscall(
                libc::SYS_mount,
                c"none".as_ptr(),
                path,
                c"tmpfs".as_ptr(),
                0,
                null,
            ),
            "umount" => libc::syscall(libc::SYS_umount2, c"/tmp".as_ptr(), libc::MNT_DETACH),
            "pivot_root" => libc::syscall(libc::SYS_pivot_root, path, path),
            "unshare_user" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            "unshare_mount" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNS),
            "setns" => libc::syscall(libc::SYS_setns, 0, 0),
            "clone_user" => libc::syscall(
                libc::SYS_clone,
                libc::CLONE_NEWUSER | libc::SIGCHLD,
                0,
                0,
                0,
                0,
            ),
            "clone3" => libc::syscall(libc::SYS_clone3, null, 0),
            "bpf" => libc::syscall(libc::SYS_bpf, 0, null, 0),
            "perf_event_open" => libc::syscall(libc::SYS_perf_event_open, null, 0, -1, -1, 0),
            "userfaultfd" => libc::syscall(libc::SYS_userfaultfd, 0),
            "io_uring_setup" => libc::syscall(libc::SYS_io_uring_setup, 1, null),
            "keyctl" => libc::syscall(libc::SYS_keyctl, 0, 0, 0, 0, 0),
            "add_key" => libc::syscall(libc::SYS_add_key, null, null, null, 0, 0),
            "kexec_load" => libc::syscall(libc::SYS_kexec_load, 0, 0, null, 0),
            "init_module" => libc::syscall(libc::SYS_init_module, null, 0, null),
            "open_by_handle_at" => libc::syscall(libc::SYS_open_by_handle_at, -1, null, 0),
            "reboot" => libc::syscall(libc::SYS_reboot, 0, 0, 0, null),
            "swapon" => libc::syscall(libc::SYS_swapon, path, 0),
            "settimeofday" => libc::syscall(libc::SYS_settimeofday, null, null),
            "fsopen" => libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0),
            "mknod_block" => libc::syscall(
                libc::SYS_mknodat,
                libc::AT_FDCWD,
                c"/tmp/disk".as_ptr(),
                libc::S_IFBLK | 0o600,
                7 << 8,
            ),
            "chroot" => libc::syscall(libc::SYS_chroot, c"/".as_ptr()),
            "getppid" => libc::syscall(libc::SYS_getppid),
            _ => return "what?".into(),
        }
    };
    match result {
        -1 => {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EPERM) => "EPERM".into(),
                Some(libc::ENOSYS) => "ENOSYS".into(),
                _ => format!("{error}"),
            }
        }
        // A fork that worked after all: the child must not read our commands.
        0 if name == "clone_user" => std::process::exit(0),
        _ => "allowed".into(),
    }
}
