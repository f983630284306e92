//! `Move` (section 4.5 of the contract), also from one file system to another.
//!
//! Within a file system it is a rename. Across two it is a copy beside the destination, which
//! then takes its place by a rename, and only then is the source removed: whatever goes wrong,
//! one of both is whole. Owner, mode, times and extended attributes move along.

use super::metadata;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, lchown, symlink,
};
use std::path::{Path, PathBuf};

/// Bytes of the names of a file's attributes, and of one value: what Linux allows.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Permission bits, with those of set-uid, set-gid and sticky.
const MODE: u32 = 0o7777;

/// Moves a file, link or directory.
pub fn relocate(source: &Path, destination: &Path) -> io::Result<()> {
    match fs::rename(source, destination) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => across(source, destination),
        other => other,
    }
}

fn across(source: &Path, destination: &Path) -> io::Result<()> {
    let beside = beside(destination);
    let moved = copy(source, &beside).and_then(|()| fs::rename(&beside, destination));
    if moved.is_err() {
        // As much as can be removed; the error that counts is the first one.
        let _ = remove(&beside);
        return moved;
    }
    remove(source)
}

/// A new name in the directory of another.
pub fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".soulbox-{}", uuid::Uuid::new_v4().simple()))
}

/// Removes a file or a directory with all that is in it.
pub fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Copies a tree. Not by recursion: a tree may be deeper than a stack.
fn copy(source: &Path, destination: &Path) -> io::Result<()> {
    let mut directories = Vec::new();
    let mut waiting = vec![(source.to_owned(), destination.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        let meta = fs::symlink_metadata(&from)?;
        if meta.is_dir() {
            // Open to nobody else until it has its mode.
            DirBuilder::new().mode(0o700).create(&to)?;
            for child in fs::read_dir(&from)? {
                let name = child?.file_name();
                waiting.push((from.join(&name), to.join(&name)));
            }
            directories.push((from, to, meta));
        } else {
            copy_one(&from, &to, &meta)?;
            describe(&from, &to, &meta)?;
        }
    }
    // What is put into a directory changes its time, so it comes last.
    for (from, to, meta) in directories.into_iter().rev() {
        describe(&from, &to, &meta)?;
    }
    Ok(())
}

fn copy_one(from: &Path, to: &Path, meta: &Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if kind.is_file() {
        let mut from = open(from)?;
        let mut options = OpenOptions::new();
        let mut to = options.write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut from, &mut to).map(drop)
    } else if kind.is_fifo() {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::mknodat(CWD, to, FileType::Fifo, mode, 0)?)
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "'{}' is a socket or a device and stays on its file system",
                from.display()
            ),
        ))
    }
}

/// Opens a file that must be a regular one, even if it was exchanged a moment ago.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not a regular file",
    ))
}

/// Gives a copy the owner, mode, attributes and times of the original, in the order in which
/// none undoes another.
fn describe(from: &Path, to: &Path, meta: &Metadata) -> io::Result<()> {
    lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    if !meta.is_symlink() {
        rustix::fs::chmod(to, Mode::from_raw_mode(meta.mode() & MODE))?;
    }
    copy_attributes(from, to)?;
    if meta.is_file() {
        metadata::carry(from, to)?;
    }
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(meta.atime(), meta.atime_nsec()),
        last_modification: time(meta.mtime(), meta.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; MAX_ATTRIBUTE];
    // A file system without attributes has none to copy.
    let Ok(length) = rustix::fs::llistxattr(from, &mut names) else {
        return Ok(());
    };
    for name in names[..length.min(MAX_ATTRIBUTE)].split(|byte| *byte == 0) {
        // Others belong to the system: capabilities, access lists, labels.
        if !name.starts_with(b"user.") {
            continue;
        }
        let mut value = vec![0; MAX_ATTRIBUTE];
        let Ok(length) = rustix::fs::lgetxattr(from, name, &mut value) else {
            continue;
        };
        match rustix::fs::lsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_copy_is_like_its_original_and_the_original_goes() {
        let place = tempfile::tempdir_in(".").unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/file"), "content").unwrap();
        let file = from.join("a/b/file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
        let tagged =
            rustix::fs::lsetxattr(&file, "user.e2b.key", b"value", XattrFlags::empty()).is_ok();
        symlink("nowhere", from.join("link")).unwrap();
        rustix::fs::mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let old = fs::metadata(&file).unwrap();
        across(&from, &to).unwrap();
        assert!(!from.exists());
        let file = to.join("a/b/file");
        let new = fs::metadata(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "content");
        assert_eq!(
            (new.mode(), new.mtime_nsec()),
            (old.mode(), old.mtime_nsec())
        );
        assert_eq!(fs::metadata(to.join("a")).unwrap().mode() & MODE, 0o555);
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("nowhere")
        );
        assert!(fs::metadata(to.join("pipe")).unwrap().file_type().is_fifo());
        if tagged {
            let mut value = [0; 8];
            assert_eq!(
                rustix::fs::lgetxattr(&file, "user.e2b.key", &mut value),
                Ok(5)
            );
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_move_leaves_the_source_and_nothing_else() {
        let place = tempfile::tempdir_in(".").unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::write(&from, "content").unwrap();
        fs::create_dir(&to).unwrap();
        assert!(across(&from, &to).is_err());
        assert_eq!(fs::read_to_string(&from).unwrap(), "content");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}
