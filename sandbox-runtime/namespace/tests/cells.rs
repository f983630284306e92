//! The namespace tier through its trait, on this machine's own kernel.

#[path = "../../host/tests/conformance/lib.rs"]
mod conformance;

use conformance::lab::Lab;
use soulbox_namespace::{Namespace, NamespaceOptions};
use std::path::PathBuf;

fn main() {
    conformance::be_guest_when_asked();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("namespace-init") {
        let fd = arguments.next().and_then(|fd| fd.parse().ok());
        soulbox_namespace::init_main(fd.expect("a descriptor"));
    }
    let mut stories = conformance::stories::all();
    stories.push(story!(root_keeps_few_capabilities_and_users_none));
    stories.push(story!(what_administers_the_machine_is_refused));
    conformance::tell(&stories, |dir, node| {
        Box::new(Namespace::new(NamespaceOptions {
            init_program: PathBuf::from("/proc/self/exe"),
            init_arguments: vec!["namespace-init".into()],
            state_dir: dir.to_owned(),
            node: node.clone(),
        }))
    });
}

async fn root_keeps_few_capabilities_and_users_none(lab: &Lab) {
    let mut guest = lab.start("caps").await;
    let status = guest.ask("read /proc/self/status").await;
    let field = |status: &str, name: &str| {
        let (_, rest) = status.split_once(name).expect(status);
        rest.split_whitespace().next().expect(status).to_owned()
    };
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE, SYS_CHROOT.
    let kept = "00000000000404fb";
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        println!("    {set} {}", field(&status, set));
    }
    assert_eq!(field(&status, "CapBnd:"), kept);
    assert_eq!(field(&status, "CapEff:"), kept);
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    assert_eq!(field(&status, "Seccomp:"), "2");
    let status = guest.ask("child become 1000; read /proc/self/status").await;
    for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    guest.finish().await;
    lab.assert_nothing_left("caps");
}

async fn what_administers_the_machine_is_refused(lab: &Lab) {
    let mut guest = lab.start("calls").await;
    assert_eq!(guest.ask("syscall getppid").await, "allowed");
    for call in [
        "mount",
        "umount",
        "pivot_root",
        "unshare_user",
        "unshare_mount",
        "setns",
        "bpf",
        "perf_event_open",
        "keyctl",
        "add_key",
        "kexec_load",
        "init_module",
        "open_by_handle_at",
        "reboot",
        "swapon",
        "settimeofday",
        "fsopen",
        "mknod_block",
    ] {
        for user in [0, 1000] {
            let answer = guest
                .ask(&format!("child become {user}; syscall {call}"))
                .await;
            assert!(
                matches!(answer.as_str(), "EPERM" | "Permission denied (os error 13)"),
                "{call}: {answer}"
            );
        }
    }
    for call in ["clone3", "clone_user", "userfaultfd", "io_uring_setup"] {
        assert_eq!(
            guest.ask(&format!("syscall {call}")).await,
            "ENOSYS",
            "{call}"
        );
    }
    for path in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger"] {
        let answer = guest.ask(&format!("write {path} x")).await;
        assert!(answer.starts_with("error"), "{path}: {answer}");
    }
    assert_eq!(guest.ask("read /proc/keys").await, "");
    guest.finish().await;
    lab.assert_nothing_left("calls");
}
