//! What gVisor can do on this machine, found out by doing it.

use crate::{
    GvisorOptions, Mechanism, Platform,
    runsc::{self, Runsc},
    start,
};
use soulbox_host::{Cgroups, Step, disk, node, probe};
use soulbox_runtime::{CellId, TierName, TierStatus, tier::Finding};
use std::{fs, time::Duration};
use tokio::time::timeout;

/// Longest start of the smallest sandbox. Platforms that do not work tend to hang.
const PLATFORM_WITHIN: Duration = Duration::from_secs(5);
/// On so few cores the idle cost of systrap (5 % of a core for each sandbox) outweighs its
/// speed.
const SMALL_HOST_CORES: usize = 4;
/// The probe's ids on the host. Probes run alone, before any cell has ids.
const FIRST_HOST_ID: u32 = 0x7000_0000;
/// How to get a `runsc`.
const INSTALL: &str = "install gVisor of 2024 or newer: `apt-get install runsc` on Debian 13 and \
     Ubuntu 24.04, `apt-get install -t bookworm-backports runsc` on Debian 12; or put a `runsc` into PATH";

/// What was found, and what to start cells with.
#[derive(Debug)]
pub struct Verdict {
    pub status: TierStatus,
    pub mechanism: Result<Mechanism, String>,
}

/// Looks at everything that the tier needs, and goes on after the first thing that is
/// missing, so that an owner sees all of it at once.
pub async fn look(options: &GvisorOptions) -> Verdict {
    let mut report = Report::default();
    let runsc = report.runsc(options).await;
    report.host();
    let cgroups = report.cgroups(options);
    let mechanism = match (runsc, cgroups) {
        (Some(runsc), Some(cgroups)) if report.is_fine() => {
            report.platforms(options, runsc, cgroups).await
        }
        _ => None,
    };
    let why = report.first_fault();
    Verdict {
        status: TierStatus {
            tier: TierName::Gvisor,
            available: mechanism.is_some(),
            version: report.version,
            findings: report.findings,
        },
        mechanism: mechanism.ok_or(why),
    }
}

#[derive(Debug, Default)]
struct Report {
    version: Option<String>,
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, what: &str, seen: Result<String, (String, &str)>) {
        let (ok, seen, fix) = match seen {
            Ok(seen) => (true, seen, None),
            Err((seen, fix)) => (false, seen, Some(fix.to_owned())),
        };
        self.findings.push(Finding {
            what: what.to_owned(),
            ok,
            seen,
            fix: fix.filter(|fix| !fix.is_empty()),
        });
    }

    fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    fn first_fault(&self) -> String {
        let fault = self.findings.iter().find(|finding| !finding.ok);
        fault.map_or_else(String::new, |fault| match &fault.fix {
            Some(fix) => format!("{}: {}; {fix}", fault.what, fault.seen),
            None => format!("{}: {}", fault.what, fault.seen),
        })
    }

    async fn runsc(&mut self, options: &GvisorOptions) -> Option<Runsc> {
        let Some(runsc) = Runsc::find(options.runsc.as_deref()) else {
            self.add("runsc", Err(("not found in PATH".into(), INSTALL)));
            return None;
        };
        let place = runsc.program().display().to_string();
        match runsc.version().await {
            Err(error) => {
                self.add("runsc", Err((format!("{place}: {error}"), INSTALL)));
                return None;
            }
            Ok(version) => {
                let seen = format!("{place}, version {}", version.text);
                let too_old = version.is_too_old();
                self.version = Some(version.text);
                match too_old {
                    true => self.add("runsc", Err((format!("{seen} is too old"), INSTALL))),
                    false => self.add("runsc", Ok(seen)),
                }
            }
        }
        let present = runsc.flags().await.unwrap_or_default();
        let missing: Vec<_> = runsc::FLAGS
            .into_iter()
            .filter(|flag| !present.iter().any(|p| p == flag))
            .collect();
        match missing.is_empty() {
            true => self.add("flags of runsc", Ok("all there".into())),
            false => {
                let seen = format!("missing: {}", missing.join(", "));
                self.add("flags of runsc", Err((seen, INSTALL)));
            }
        }
        Some(runsc)
    }

    fn host(&mut self) {
        let prepared = node::is_prepared();
        self.add(
            "rights",
            prepared.map_err(|why| (why, "run the node as root (`soulbox node`)")),
        );
        self.add(
            "mkfs.ext4",
            match disk::mkfs_program() {
                Some(program) => Ok(program.display().to_string()),
                None => Err(("not found".into(), "install e2fsprogs")),
            },
        );
        // Not a fault: disks are kept in memory then, and bounded all the same.
        let seen = match disk::loop_devices_work() {
            Ok(()) => "available".to_owned(),
            Err(error) => format!("not available ({error}): disks are kept in memory"),
        };
        self.add("loop devices", Ok(seen));
    }

    fn cgroups(&mut self, options: &GvisorOptions) -> Option<Cgroups> {
        const FIX: &str = "mount the control groups memory, cpu and pids (systemd does), or, in a \
             container, start it with its own writable control group";
        let checked = Cgroups::new(&options.node).and_then(|cgroups| {
            let name = CellId::new("probe").step("name a control group")?;
            cgroups.check(&name).map(|()| cgroups)
        });
        match checked {
            Ok(cgroups) => {
                self.add("control groups", Ok(cgroups.version().to_owned()));
                Some(cgroups)
            }
            Err(error) => {
                self.add("control groups", Err((error.to_string(), FIX)));
                None
            }
        }
    }

    /// Tries the platforms in the order in which they would be chosen, and takes the first
    /// that works. The others are tried too, for the report.
    async fn platforms(
        &mut self,
        options: &GvisorOptions,
        runsc: Runsc,
        cgroups: Cgroups,
    ) -> Option<Mechanism> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let order: &[Platform] = match options.platform {
            Some(Platform::Systrap) => &[Platform::Systrap],
            Some(Platform::Ptrace) => &[Platform::Ptrace],
            Some(Platform::Kvm) => &[Platform::Kvm],
            None if cores <= SMALL_HOST_CORES => &[Platform::Ptrace, Platform::Systrap],
            None => &[Platform::Systrap, Platform::Ptrace],
        };
        let mut chosen = None;
        let mut faults = Vec::new();
        for platform in order {
            let mechanism = Mechanism {
                runsc: runsc.clone(),
                platform: *platform,
                cgroups: cgroups.clone(),
                state_dir: options.state_dir.clone(),
            };
            match try_platform(&mechanism).await {
                Err(why) => faults.push((*platform, why)),
                Ok(()) => {
                    let seen = match chosen {
                        None => "works, chosen",
                        Some(_) => "works",
                    };
                    self.add(&format!("platform {platform}"), Ok(seen.into()));
                    chosen.get_or_insert(mechanism);
                }
            }
        }
        for (platform, why) in faults {
            let what = format!("platform {platform}");
            // One that works is enough.
            let fix = match chosen {
                Some(_) => "",
                None => {
                    "user namespaces, mounts and ptrace must be allowed: in a container, run it \
                     privileged; on Ubuntu, see the sysctl kernel.apparmor_restrict_unprivileged_userns"
                }
            };
            self.add(&what, Err((why, fix)));
        }
        chosen
    }
}

async fn try_platform(mechanism: &Mechanism) -> Result<(), String> {
    let name = format!("probe-{}", mechanism.platform);
    let id = CellId::new(&name).map_err(|error| error.to_string())?;
    let directory = mechanism.state_dir.join(&name).with_extension("d");
    let spec = probe::spec(id, &directory, FIRST_HOST_ID).map_err(|error| error.to_string())?;
    // What a probe of a killed node left.
    let holdings = mechanism.holdings(&spec);
    holdings.clear().await.map_err(|error| error.to_string())?;
    let spec = probe::spec(spec.id, &directory, FIRST_HOST_ID).map_err(|e| e.to_string())?;
    let tried = timeout(PLATFORM_WITHIN, start::start(mechanism.clone(), spec)).await;
    let tried = match tried {
        Err(_) => Err(format!("did not start within {PLATFORM_WITHIN:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(started)) => probe::check(started, PLATFORM_WITHIN).await,
    };
    let _ = fs::remove_dir_all(&directory);
    tried
}
