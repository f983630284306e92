//! An empty ext4 of a given size, made once by `mkfs.ext4` and from then on written from
//! memory.
//!
//! A fresh file system is some 60 blocks in a file of any size. Starting a program for each
//! cell would cost more than all other steps of its disk together. Copies share the file
//! system's UUID and hash seed, which nobody outside of their own cell sees.

use super::{BLOCK_BYTES, mkfs_program};
use crate::error::{HostError, Step};
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

/// One inode for so many bytes. Package trees have files of about this size; the tables
/// cost 256 bytes per inode.
const BYTES_PER_INODE: u32 = 16 << 10;
/// Sizes that are remembered. A node has as many as its templates have different limits;
/// others are formatted each time.
const SIZES: usize = 16;
/// The most that is kept for one size. 228 KiB were seen for 10 GiB; the descriptors of
/// groups grow with the disk.
const IMAGE_BYTES: usize = 4 << 20;

/// A piece of a sparse file that is not a hole.
type Piece = (u64, Vec<u8>);

static FORMATTED: Mutex<BTreeMap<u64, Arc<Vec<Piece>>>> = Mutex::new(BTreeMap::new());

/// Makes the file, which must not exist, an empty file system of `bytes`.
pub fn format(image: &Path, bytes: u64) -> Result<(), HostError> {
    let step = "format the cell's disk";
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(image)
        .step(step)?;
    file.set_len(bytes).step(step)?;
    let known = known().get(&bytes).cloned();
    if let Some(pieces) = known {
        for (at, piece) in pieces.iter() {
            file.write_all_at(piece, *at).step(step)?;
        }
        return Ok(());
    }
    make(image)?;
    if let Some(pieces) = read(&file, bytes).step(step)? {
        let mut known = self::known();
        if known.len() < SIZES {
            known.insert(bytes, Arc::new(pieces));
        }
    }
    Ok(())
}

fn known() -> std::sync::MutexGuard<'static, BTreeMap<u64, Arc<Vec<Piece>>>> {
    FORMATTED.lock().unwrap_or_else(|error| error.into_inner())
}

fn make(image: &Path) -> Result<(), HostError> {
    let step = "format the cell's disk";
    let program = mkfs_program().ok_or_else(|| HostError {
        step,
        why: "mkfs.ext4 is not installed (package e2fsprogs)".into(),
    })?;
    // No journal: the disk does not outlive its cell. Nothing is reserved for root, since
    // root is the user here. The tables stay unwritten, so the file stays sparse.
    let output = Command::new(program)
        .args(["-q", "-F", "-m", "0", "-i", &BYTES_PER_INODE.to_string()])
        .args(["-b", &BLOCK_BYTES.to_string()])
        .args(["-O", "^has_journal,^resize_inode"])
        .args(["-E", "lazy_itable_init=1,nodiscard"])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .step(step)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(HostError {
        step,
        why: said.lines().last().unwrap_or("mkfs.ext4 failed").to_owned(),
    })
}

/// Everything in the file that is not a hole; `None` when that is too much to keep, as on a
/// file system without holes.
fn read(file: &File, bytes: u64) -> std::io::Result<Option<Vec<Piece>>> {
    let mut pieces = Vec::new();
    let mut kept = 0;
    let mut at = 0;
    while at < bytes {
        let from = match seek(file, SeekFrom::Data(at)) {
            Ok(from) => from,
            // Only holes from here on.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let to = seek(file, SeekFrom::Hole(from))?.min(bytes);
        let length = usize::try_from(to - from).map_err(std::io::Error::other)?;
        kept += length;
        if kept > IMAGE_BYTES {
            return Ok(None);
        }
        let mut piece = vec![0; length];
        file.read_exact_at(&mut piece, from)?;
        pieces.push((from, piece));
        at = to;
    }
    Ok(Some(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_second_disk_of_a_size_is_the_first_one_again_and_as_sparse() {
        if mkfs_program().is_none() {
            println!("skipped: mkfs.ext4 is not installed");
            return;
        }
        const BYTES: u64 = 96 << 20;
        let dir = tempfile::tempdir().expect("a directory");
        let paths = [dir.path().join("first"), dir.path().join("second")];
        for path in &paths {
            format(path, BYTES).expect("formatted");
        }
        assert!(known().contains_key(&BYTES));
        let [first, second] = paths.map(|path| std::fs::read(path).expect("written"));
        assert!(first == second);
        let used = std::fs::metadata(dir.path().join("second")).expect("there");
        assert!(used.blocks() * 512 < 8 << 20, "{used:?}");
    }
}
