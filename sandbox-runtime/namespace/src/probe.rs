//! What the namespace tier can do on this machine, found out by doing it.

use crate::{Mechanism, NamespaceOptions, start};
use soulbox_host::{Cgroups, Step, disk, node, probe};
use soulbox_runtime::{CellId, TierName, TierStatus, tier::Finding};
use std::{fs, time::Duration};
use tokio::time::timeout;

/// Longest start of the smallest sandbox.
const START_WITHIN: Duration = Duration::from_secs(5);
/// The probe's ids on the host; not those of the other tiers' probes.
const FIRST_HOST_ID: u32 = 0x7100_0000;
/// The probe's name.
const NAME: &str = "probe-namespace";

/// What was found, and what to start cells with.
#[derive(Debug)]
pub struct Verdict {
    pub status: TierStatus,
    pub mechanism: Result<Mechanism, String>,
}

/// Looks at everything that the tier needs, and goes on after the first thing that is
/// missing, so that an owner sees all of it at once.
pub async fn look(options: &NamespaceOptions) -> Verdict {
    let mut findings = Vec::new();
    let mut add = |what: &str, seen: Result<String, (String, &str)>| {
        let (ok, seen, fix) = match seen {
            Ok(seen) => (true, seen, None),
            Err((seen, fix)) => (false, seen, Some(fix.to_owned())),
        };
        findings.push(Finding {
            what: what.to_owned(),
            ok,
            seen,
            fix,
        });
        ok
    };
    let root = "run the node as root (`soulbox node`)";
    let mut fine = add("rights", node::is_prepared().map_err(|why| (why, root)));
    fine &= add(
        "mkfs.ext4",
        match disk::mkfs_program() {
            Some(program) => Ok(program.display().to_string()),
            None => Err(("not found".into(), "install e2fsprogs")),
        },
    );
    // Not a fault: disks are kept in memory then, and bounded all the same.
    let loops = match disk::loop_devices_work() {
        Ok(()) => "available".to_owned(),
        Err(error) => format!("not available ({error}): disks are kept in memory"),
    };
    add("loop devices", Ok(loops));
    let mount_groups = "mount the control groups memory, cpu and pids (systemd does), or, in a \
         container, start it with its own writable control group";
    let cgroups = Cgroups::new(&options.node).and_then(|cgroups| {
        let name = CellId::new("probe").step("name a control group")?;
        cgroups.check(&name).map(|()| cgroups)
    });
    let seen = cgroups.as_ref().map(|groups| groups.version().to_owned());
    let seen = seen.map_err(|error| (error.to_string(), mount_groups));
    fine &= add("control groups", seen);

    let mut mechanism = None;
    if let (true, Ok(cgroups)) = (fine, cgroups) {
        let candidate = Mechanism {
            options: options.clone(),
            cgroups,
        };
        let tried = try_start(&candidate).await;
        let kernel = "Linux 5.19 or newer is needed, with user namespaces, seccomp and Landlock \
             (`landlock` in the list of security modules)";
        let seen = tried.map(|()| "works".to_owned());
        if add("start of a cell", seen.map_err(|why| (why, kernel))) {
            mechanism = Some(candidate);
        }
    }
    let fault = findings.iter().find(|finding| !finding.ok);
    let why = fault.map_or_else(String::new, |fault| {
        let fix = fault.fix.as_deref().unwrap_or_default();
        format!("{}: {}; {fix}", fault.what, fault.seen)
    });
    Verdict {
        status: TierStatus {
            tier: TierName::Namespace,
            available: mechanism.is_some(),
            version: kernel_release(),
            findings,
        },
        mechanism: mechanism.ok_or(why),
    }
}

fn kernel_release() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!("Linux {}", release.trim()))
}

async fn try_start(mechanism: &Mechanism) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let id = CellId::new(NAME).map_err(|error| words(&error))?;
    let directory = mechanism.options.state_dir.join(NAME).with_extension("d");
    let spec = probe::spec(id, &directory, FIRST_HOST_ID).map_err(|error| words(&error))?;
    // What a probe of a killed node left.
    let cleared = mechanism.holdings(&spec).clear().await;
    cleared.map_err(|error| words(&error))?;
    let spec = probe::spec(spec.id, &directory, FIRST_HOST_ID).map_err(|error| words(&error))?;
    let tried = timeout(START_WITHIN, start::start(mechanism.clone(), spec)).await;
    let tried = match tried {
        Err(_) => Err(format!("did not start within {START_WITHIN:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(started)) => probe::check(started, START_WITHIN).await,
    };
    let _ = fs::remove_dir_all(&directory);
    tried
}
