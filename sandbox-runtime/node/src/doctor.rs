//! What this machine can and cannot do, and what to do about it: for `soulbox doctor`.
//!
//! Everything is found out by looking or by trying, never by the name of a distribution.

use crate::{guest_files, options::NodeOptions, templates::Templates, tiers};
use soulbox_runtime::{TierStatus, tier::Finding};
use std::{fmt, fs, path::Path};

/// The report.
#[derive(Debug, Clone)]
pub struct DoctorReport {
    /// The machine and its kernel.
    pub machine: Vec<Finding>,
    /// What each tier's probe found.
    pub tiers: Vec<TierStatus>,
    /// The templates that are built.
    pub templates: Vec<Finding>,
}

/// Examines the machine. Starts test sandboxes when it runs as root. Must be called before
/// the process has other threads, as [`crate::run`].
pub fn doctor(options: &NodeOptions) -> DoctorReport {
    let machine = machine(options);
    let root = rustix::process::geteuid().is_root();
    if root {
        // Without its own mount namespace a probe would mount in the machine's.
        let _ = soulbox_host::node::prepare();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let tiers = match runtime {
        Ok(runtime) if root => {
            runtime.block_on(async { tiers::probe(&tiers::all(options).unwrap_or_default()).await })
        }
        _ => Vec::new(),
    };
    DoctorReport {
        machine,
        tiers,
        templates: templates(options),
    }
}

impl DoctorReport {
    /// Whether sandboxes can be started at all.
    pub fn is_usable(&self) -> bool {
        self.tiers.iter().any(|tier| tier.available)
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "machine", &self.machine)?;
        for tier in &self.tiers {
            let state = if tier.available {
                "available"
            } else {
                "not available"
            };
            let version = tier.version.as_deref().unwrap_or_default();
            section(
                f,
                format!("isolation {}: {state} {version}", tier.tier).trim(),
                &tier.findings,
            )?;
        }
        section(f, "templates", &self.templates)
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, findings: &[Finding]) -> fmt::Result {
    writeln!(f, "{title}")?;
    for finding in findings {
        let mark = if finding.ok { "ok  " } else { "MISS" };
        writeln!(f, "  {mark} {}: {}", finding.what, finding.seen)?;
        if let (false, Some(fix)) = (finding.ok, &finding.fix) {
            writeln!(f, "       fix: {fix}")?;
        }
    }
    Ok(())
}

fn machine(options: &NodeOptions) -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let mut findings = vec![finding(
        "rights",
        root,
        if root {
            "root"
        } else {
            "an ordinary user: the tiers were not probed"
        },
        "run `sudo soulbox doctor`",
    )];
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    findings.push(finding(
        "kernel",
        kernel_is_new_enough(&kernel),
        kernel.trim(),
        "use Linux 5.15 or newer: pidfds, clone3 and id-mapped mounts are needed",
    ));
    let cgroups = cgroup_version();
    findings.push(finding(
        "cgroups",
        cgroups.is_some(),
        cgroups.unwrap_or("not mounted"),
        "mount a cgroup hierarchy at /sys/fs/cgroup; without it nothing limits a sandbox",
    ));
    for (what, fix) in [
        ("overlay", "load the kernel module: modprobe overlay"),
        ("ext4", "load the kernel module: modprobe ext4"),
    ] {
        let there = file_system_is_known(what);
        let seen = if there {
            "known to the kernel"
        } else {
            "not known to the kernel (yet)"
        };
        findings.push(finding(&format!("file system {what}"), there, seen, fix));
    }
    let loops = Path::new("/dev/loop-control").exists();
    findings.push(finding(
        "loop devices",
        loops,
        if loops {
            "/dev/loop-control is there"
        } else {
            "no /dev/loop-control"
        },
        "load the kernel module: modprobe loop",
    ));
    let kvm = Path::new("/dev/kvm").exists();
    findings.push(Finding {
        what: "KVM".to_owned(),
        // Needed by a tier that is to come; its absence is no fault.
        ok: true,
        seen: if kvm {
            "/dev/kvm is there"
        } else {
            "not there; no tier needs it yet"
        }
        .to_owned(),
        fix: None,
    });
    let agent = guest_files::find_agent(options.agent.as_deref());
    findings.push(match agent {
        Ok(path) => finding("agent", true, &path.display().to_string(), ""),
        Err(error) => finding(
            "agent",
            false,
            &error.to_string(),
            "put `soulbox-agent` beside `soulbox`",
        ),
    });
    findings
}

fn templates(options: &NodeOptions) -> Vec<Finding> {
    let built = Templates::new(options).list();
    let mut findings: Vec<Finding> = options
        .pools
        .keys()
        .filter(|name| !built.iter().any(|template| &template.name == *name))
        .map(|name| {
            let fix = format!("sudo soulbox template build {name}");
            finding(name.as_str(), false, "not built", &fix)
        })
        .collect();
    for template in built {
        let seen = format!("build {}", template.build);
        findings.push(finding(template.name.as_str(), true, &seen, ""));
    }
    findings
}

fn finding(what: &str, ok: bool, seen: &str, fix: &str) -> Finding {
    Finding {
        what: what.to_owned(),
        ok,
        seen: seen.to_owned(),
        fix: (!ok).then(|| fix.to_owned()),
    }
}

fn kernel_is_new_enough(release: &str) -> bool {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 15)
}

fn cgroup_version() -> Option<&'static str> {
    let root = Path::new("/sys/fs/cgroup");
    let v1 = root.join("memory").is_dir() && root.join("pids").is_dir();
    let v2 = root.join("cgroup.controllers").is_file();
    match (v1, v2) {
        (_, true) => Some("version 2"),
        (true, false) => Some("version 1"),
        (false, false) => None,
    }
}

fn file_system_is_known(name: &str) -> bool {
    fs::read_to_string("/proc/filesystems")
        .unwrap_or_default()
        .lines()
        .any(|line| line.split_whitespace().next_back() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_number() {
        assert!(kernel_is_new_enough("6.1.0-13-amd64\n"));
        assert!(kernel_is_new_enough("5.15.0"));
        assert!(!kernel_is_new_enough("5.4.0"));
        assert!(!kernel_is_new_enough(""));
    }

    #[test]
    fn a_report_names_the_fix() {
        let report = DoctorReport {
            machine: vec![finding("cgroups", false, "not mounted", "mount them")],
            tiers: Vec::new(),
            templates: Vec::new(),
        };
        assert!(
            report
                .to_string()
                .contains("MISS cgroups: not mounted\n       fix: mount them")
        );
        assert!(!report.is_usable());
    }
}
