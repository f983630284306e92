//! The fresh Debian that an image without a parent starts from, made by mmdebstrap.
//!
//! Only the essential packages and apt: everything else is installed by later steps, which can be
//! resumed. mmdebstrap knows which mirror a release comes from, and writes it into the image's
//! sources; this project names none.

use std::process::Command;

use super::{
    BuildOptions, Reporter,
    commands::{self, Failure},
    workshop::{Workshop, in_own_processes},
};
use crate::recipe::Bootstrap;

/// What a person reads while it runs.
pub(crate) const TITLE: &str = "minimal Debian";
/// Lines beginning with `I:` that mmdebstrap writes on its way, for the bar.
const NOTES: usize = 9;
/// Files that mmdebstrap copies from the host; an image has its own.
const OF_THE_HOST: [&str; 2] = ["/etc/resolv.conf", "/etc/hostname"];

/// Makes the layer of an image without a parent.
pub(crate) fn run(
    bootstrap: &Bootstrap,
    options: &BuildOptions,
    workshop: &Workshop,
    reporter: &Reporter,
) -> Result<(), Failure> {
    // What an interrupted bootstrap has left cannot be gone on with.
    commands::remove_tree(&workshop.layer).map_err(|error| Failure::new(error.to_string()))?;
    let mut command: Command = in_own_processes(&[]);
    command.args([
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
    ]);
    command.args(
        bootstrap
            .dpkg_options
            .iter()
            .map(|option| format!("--dpkgopt={option}")),
    );
    command
        .arg(&bootstrap.suite)
        .arg(&workshop.layer)
        .args(&options.mirror);
    command
        .env("LANG", "C.UTF-8")
        .env("TMPDIR", workshop.scratch("tmp")?);

    let mut notes = 0;
    workshop.follow("mmdebstrap", command, &mut |line| {
        if let Some(note) = line.strip_prefix("I: ") {
            notes += 1;
            let percent = (notes * 100 / NOTES).min(99);
            reporter.advanced(u8::try_from(percent).ok(), note.trim_end_matches('.'));
        }
    })?;
    let files = workshop.files()?;
    for path in OF_THE_HOST {
        files
            .remove(path)
            .map_err(Failure::io("remove", path.as_ref()))?;
        files
            .write(path, "", Some(0o644))
            .map_err(Failure::io("write", path.as_ref()))?;
    }
    Ok(())
}

/// Programs that a bootstrap needs beyond those of every build.
pub(crate) const PROGRAMS: [&str; 1] = ["mmdebstrap"];

/// Programs that every build needs.
pub(crate) const EVERY_BUILD: [&str; 2] = ["unshare", "setpriv"];
