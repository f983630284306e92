//! Files of an image, touched from the outside.
//!
//! A link in an image may point to `/etc/passwd`, which from outside is the host's. Every path is
//! therefore resolved by the kernel as if the image were the root (`RESOLVE_IN_ROOT`).

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, open, openat2};

/// The root of an image.
#[derive(Debug)]
pub(crate) struct RootFs(OwnedFd);

impl RootFs {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self(open(
            root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?))
    }

    /// Reads a whole text file.
    pub(crate) fn read(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        File::from(self.resolve(path, OFlags::RDONLY, Mode::empty())?).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes a whole file, with the directories above it. Without a mode, a file that is there
    /// keeps its own.
    pub(crate) fn write(&self, path: &str, text: &str, mode: Option<u32>) -> io::Result<()> {
        let path = Path::new(path);
        self.make_directories(path.parent().unwrap_or(Path::new("/")))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = self.resolve(path, flags, Mode::from_raw_mode(0o644))?;
        if let Some(mode) = mode {
            fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        File::from(file).write_all(text.as_bytes())
    }

    /// Removes a file or a directory with all in it; it is no mistake when it is not there.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let Some(path) = self.outside(Path::new(path))? else {
            return Ok(());
        };
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Names in a directory; none when it is not there.
    pub(crate) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = match self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let entries = fs::read_dir(descriptor_path(&directory))?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Whether a path is an ordinary file.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        let found = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
        found
            .ok()
            .and_then(|file| fstat(&file).ok())
            .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
    }

    fn resolve(&self, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        Ok(openat2(
            &self.0,
            path.as_ref(),
            flags | OFlags::CLOEXEC,
            mode,
            ResolveFlags::IN_ROOT,
        )?)
    }

    fn make_directories(&self, path: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::from("/");
        for part in path
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
        {
            let parent = self.resolve(&so_far, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            match mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
                _ => so_far.push(part),
            }
        }
        Ok(())
    }

    /// A path that reaches the last name of `path` from outside, through the directory that the
    /// rest of it means inside. The descriptor is duplicated for the time of the call by /proc.
    fn outside(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        match self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Ok(directory) => {
                let real = fs::read_link(descriptor_path(&directory))?;
                Ok(Some(real.join(name)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn descriptor_path(descriptor: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_link_stays_in_the_image() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        let target = outside.path().join("victim");
        fs::write(&target, "host").unwrap();
        std::os::unix::fs::symlink(&target, root.join("etc/resolv.conf")).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("etc/up")).unwrap();

        let files = RootFs::open(&root).unwrap();
        // The link leads to a place that is not in the image, so there is nothing to write to.
        assert!(files.write("/etc/resolv.conf", "image", None).is_err());
        files.write("/etc/up/made", "image", None).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "host");
        assert!(root.join("made").exists());
        files.remove("/etc/resolv.conf").unwrap();
        assert!(target.exists() && fs::symlink_metadata(root.join("etc/resolv.conf")).is_err());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let root = tempfile::tempdir().unwrap();
        let files = RootFs::open(root.path()).unwrap();
        files.remove("/a/b").unwrap();
        files.write("/a/b/c", "x", Some(0o440)).unwrap();
        assert_eq!(files.read("/a/b/c").unwrap(), "x");
        files.remove("/a").unwrap();
        assert!(files.names("/").unwrap().is_empty());
    }
}
