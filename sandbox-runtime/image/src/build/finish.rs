//! The last hand on an image: what only the build needed goes, and the layer is made portable.
//!
//! An image must be the same whoever's machine built it, so nothing of the host stays in it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    commands::{Failure, remove_tree},
    ledger::LEDGER,
    rootfs::RootFs,
    steps::failed,
    workshop::Workshop,
};
use crate::{
    error::BuildError,
    hash::ImageHash,
    recipe::Recipe,
    store::{Description, ImageStore},
};

mod whiteouts;

/// Bytes of a block in `st_blocks`, whatever the file system's own are (stat(2)).
const BLOCK: u64 = 512;
/// Directories that are left empty.
const EMPTIED: [&str; 6] = [
    "/tmp",
    "/var/tmp",
    "/var/lib/apt/lists",
    "/var/cache/apt/archives",
    "/var/cache/ldconfig",
    "/root/.npm",
];
/// Files that differ from build to build and that nobody reads.
const REMOVED: [&str; 6] = [
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/debconf/config.dat-old",
    "/var/cache/debconf/templates.dat-old",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/diversions-old",
];
/// What a sandbox finds instead of the host's.
const WRITTEN: [(&str, &str); 3] = [
    ("/etc/hostname", "sandbox\n"),
    (
        "/etc/hosts",
        "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n",
    ),
    ("/etc/resolv.conf", ""),
];

/// Makes the unfinished directory a complete image, all but its name. Returns the layer's size.
pub(crate) fn finish(
    workshop: &Workshop,
    store: &ImageStore,
    recipe: &Recipe,
    hash: ImageHash,
    directory: &str,
) -> Result<u64, BuildError> {
    let steps = recipe.steps.len();
    tidy_up(workshop)
        .map_err(|failure| failed(recipe, workshop, steps, steps, "tidy up", failure))?;
    for scratch in ["work", "root", "tmp"] {
        remove_tree(&workshop.partial.join(scratch))?;
    }
    let size_bytes =
        size_of(&workshop.layer).map_err(BuildError::io("measure", &workshop.layer))?;
    let description = Description {
        name: recipe.name.clone(),
        hash,
        layers: layer_names(&workshop.parents, directory),
        size_bytes,
        built_at: Timestamp::now(),
        interpreter: recipe.interpreter,
        kernels: Some(recipe.kernels.clone()),
        defaults: recipe.defaults.clone(),
    };
    let unable = |doing| BuildError::io(doing, &workshop.partial);
    // A power cut after the rename must not leave an image with holes.
    fs::File::open(&workshop.partial)
        .and_then(|directory| Ok(rustix::fs::syncfs(&directory)?))
        .map_err(unable("sync"))?;
    store
        .describe(&workshop.partial, &description)
        .map_err(unable("describe"))?;
    fs::remove_file(workshop.partial.join(LEDGER)).map_err(unable("tidy up"))?;
    Ok(size_bytes)
}

fn tidy_up(workshop: &Workshop) -> Result<(), Failure> {
    workshop.close_inner()?;
    let files = workshop.files()?;
    for directory in EMPTIED {
        empty(&files, directory)?;
    }
    for file in REMOVED {
        files
            .remove(file)
            .map_err(Failure::io("remove", file.as_ref()))?;
    }
    remove_logs(&files, "/var/log")?;
    if workshop.parents.is_empty() {
        for (path, text) in WRITTEN {
            files
                .write(path, text, Some(0o644))
                .map_err(Failure::io("write", path.as_ref()))?;
        }
    }
    drop(files);
    workshop.close()?;
    whiteouts::spell_out(&workshop.layer, &workshop.parents)
        .map_err(Failure::io("tidy up", &workshop.layer))
}

fn empty(files: &RootFs, directory: &str) -> Result<(), Failure> {
    for name in files
        .names(directory)
        .map_err(Failure::io("list", directory.as_ref()))?
    {
        let path = format!("{directory}/{name}");
        files
            .remove(&path)
            .map_err(Failure::io("remove", path.as_ref()))?;
    }
    Ok(())
}

/// Removes log files and keeps their directories, which packages expect to be there.
fn remove_logs(files: &RootFs, directory: &str) -> Result<(), Failure> {
    for name in files
        .names(directory)
        .map_err(Failure::io("list", directory.as_ref()))?
    {
        let path = format!("{directory}/{name}");
        if files.is_file(&path) {
            files
                .remove(&path)
                .map_err(Failure::io("remove", path.as_ref()))?;
        } else {
            remove_logs(files, &path)?;
        }
    }
    Ok(())
}

/// The names of the directories of the builds that the parents' layers lie in, and this one's.
fn layer_names(parents: &[PathBuf], directory: &str) -> Vec<String> {
    let builds = parents
        .iter()
        .filter_map(|layer| layer.parent()?.file_name()?.to_str());
    builds.chain([directory]).map(str::to_owned).collect()
}

/// What a tree takes on disk, in bytes.
fn size_of(tree: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut waiting = vec![tree.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            bytes += metadata.blocks() * BLOCK;
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
