//! The place where one image is built: its root with everything mounted that a package tool needs.
//!
//! A layer on top of a parent is the upper directory of an overlay, so that it holds exactly what
//! the build has changed. All mounts are made in the builder's own mount namespace.

use std::{
    cell::RefCell,
    ffi::CString,
    fs::{self, File, OpenOptions},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
    },
    thread::UnshareFlags,
};

use super::{
    commands::{self, Failure},
    host,
    rootfs::RootFs,
};
use crate::{error::BuildError, store::layer_of};

/// Devices that package scripts use. Nothing else of the host's /dev is to be seen.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Longer options of a mount are refused by the kernel: one page, in bytes.
const MOUNT_OPTIONS: usize = 4095;

/// Gives this thread mounts of its own, and the processes that it starts from now on.
pub(crate) fn leave_the_hosts_mounts() -> Result<(), BuildError> {
    // The call is marked for what it does to descriptors with another flag. These two change only
    // which mounts this thread sees, and it was started for the build.
    #[expect(
        deprecated,
        reason = "safe with these flags, and this crate forbids unsafe code"
    )]
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::FS)
        .and_then(|()| {
            mount_change(
                "/",
                MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
            )
        })
        .map_err(|error| BuildError::io("make private mounts under", "/")(error.into()))
}

/// The directories and mounts of one unfinished build.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// What becomes the image's own layer.
    pub layer: PathBuf,
    /// Layers below it, the lowest first.
    pub parents: Vec<PathBuf>,
    /// The directory of the unfinished build.
    pub partial: PathBuf,
    /// Where the whole output of the commands is.
    pub log_path: PathBuf,
    /// The root that commands see: the layer itself, or an overlay with the layer on top.
    pub root: PathBuf,
    cache: PathBuf,
    log: RefCell<File>,
    mounts: RefCell<Vec<PathBuf>>,
}

impl Workshop {
    pub(crate) fn new(
        cache: &Path,
        partial: &Path,
        parents: &[PathBuf],
        log: &Path,
    ) -> Result<Self, BuildError> {
        let layer = layer_of(partial);
        let root = if parents.is_empty() {
            layer.clone()
        } else {
            partial.join("root")
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .map_err(BuildError::io("write", log))?;
        Ok(Self {
            layer,
            parents: parents.to_vec(),
            partial: partial.to_owned(),
            log_path: log.to_owned(),
            root,
            cache: cache.to_owned(),
            log: RefCell::new(file),
            mounts: RefCell::default(),
        })
    }

    /// Mounts everything. The layer of an image without parents must have been bootstrapped.
    pub(crate) fn open(&self) -> Result<(), Failure> {
        if !self.parents.is_empty() {
            self.mount_overlay()?;
        }
        let devices = self.root.join("dev");
        self.mount_tmpfs(&devices)?;
        for name in DEVICES {
            let target = devices.join(name);
            File::create(&target).map_err(Failure::io("create", &target))?;
            self.bind(&Path::new("/dev").join(name), &target)?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            let link = devices.join(name);
            std::os::unix::fs::symlink(target, &link).map_err(Failure::io("create", &link))?;
        }
        make_directory(&devices.join("shm"))?;

        self.mount_tmpfs(&self.root.join("run"))?;
        // In memory, since such files may hold a password.
        let inside = self.handed_in();
        make_directory(&inside)?;
        host::copy_files(&inside).map_err(Failure::io("copy this host's settings to", &inside))?;
        for tool in ["pip", "npm"] {
            make_directory(&inside.join(tool))?;
            self.bind(&self.cache_of(tool)?, &inside.join(tool))?;
        }
        self.bind(
            &self.cache_of("apt")?,
            &self.root.join("var/cache/apt/archives"),
        )?;
        self.bind(
            &self.cache_of("apt-lists")?,
            &self.root.join("var/lib/apt/lists"),
        )?;
        self.bind(&self.scratch("tmp")?, &self.root.join("tmp"))?;
        if inside.join("resolv.conf").exists() {
            self.bind(
                &inside.join("resolv.conf"),
                &self.root.join("etc/resolv.conf"),
            )?;
        }
        Ok(())
    }

    /// Takes down what hides files of the image; the overlay stays.
    pub(crate) fn close_inner(&self) -> Result<(), Failure> {
        self.unmount_down_to(usize::from(!self.parents.is_empty()))
    }

    /// Takes down everything.
    pub(crate) fn close(&self) -> Result<(), Failure> {
        self.unmount_down_to(0)
    }

    /// Runs a command in the image's root, as root, with the host's network.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Failure> {
        let mut command = in_own_processes(&["--root", &self.root.to_string_lossy()]);
        command
            .args(arguments)
            .env_clear()
            .envs(host::variables(&self.handed_in()));
        self.follow(
            arguments.first().copied().unwrap_or_default(),
            command,
            on_line,
        )
    }

    /// Runs a command, with its output in the log.
    pub(crate) fn follow(
        &self,
        program: &str,
        command: Command,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Failure> {
        commands::run(program, command, &mut self.log.borrow_mut(), on_line)
    }

    /// The image's files, looked at from outside without ever leaving them.
    pub(crate) fn files(&self) -> Result<RootFs, Failure> {
        RootFs::open(&self.root).map_err(Failure::io("open", &self.root))
    }

    /// A directory for the time of the build.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.partial.join(name);
        make_directory(&path)?;
        Ok(path)
    }

    /// Where the host's files are handed in, seen from outside.
    fn handed_in(&self) -> PathBuf {
        self.root.join(host::HANDED_IN.trim_start_matches('/'))
    }

    fn cache_of(&self, tool: &str) -> Result<PathBuf, Failure> {
        let path = self.cache.join(tool);
        // apt wants to find its directory for unfinished downloads.
        let deepest = if tool.starts_with("apt") {
            path.join("partial")
        } else {
            path.clone()
        };
        fs::create_dir_all(&deepest).map_err(Failure::io("create", &deepest))?;
        Ok(path)
    }

    fn mount_overlay(&self) -> Result<(), Failure> {
        for path in [&self.layer, &self.root] {
            make_directory(path)?;
        }
        let work = self.scratch("work")?;
        let lower: Vec<_> = self
            .parents
            .iter()
            .rev()
            .map(|parent| escaped(parent))
            .collect();
        // Nothing that only some kernels, or only the mount that wrote it, would understand.
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off,index=off",
            lower.join(":"),
            escaped(&self.layer),
            escaped(&work)
        );
        if options.len() > MOUNT_OPTIONS {
            return Err(Failure::new(
                "the paths of the layers are too long for one mount",
            ));
        }
        let options = CString::new(options).map_err(|_| Failure::new("a path has a zero byte"))?;
        mount(
            "overlay",
            &self.root,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(Failure::io("mount an overlay at", &self.root))?;
        self.mounts.borrow_mut().push(self.root.clone());
        Ok(())
    }

    fn mount_tmpfs(&self, target: &Path) -> Result<(), Failure> {
        make_directory(target)?;
        mount(
            "tmpfs",
            target,
            "tmpfs",
            MountFlags::empty(),
            c"mode=0755,size=64m",
        )
        .map_err(Failure::io("mount a tmpfs at", target))?;
        self.mounts.borrow_mut().push(target.to_owned());
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path) -> Result<(), Failure> {
        mount_bind(source, target).map_err(Failure::io("mount something at", target))?;
        self.mounts.borrow_mut().push(target.to_owned());
        Ok(())
    }

    fn unmount_down_to(&self, keep: usize) -> Result<(), Failure> {
        let mut mounts = self.mounts.borrow_mut();
        while mounts.len() > keep {
            let Some(target) = mounts.pop() else { break };
            unmount(&target, UnmountFlags::DETACH).map_err(Failure::io("unmount", &target))?;
        }
        Ok(())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // The mounts die with the thread's namespace; this is for the next template in the chain.
        let _ = self.close();
    }
}

/// A command whose processes die with it, and which dies with this thread. `options` are further
/// ones of `unshare`; what is added to the command is run.
pub(crate) fn in_own_processes(options: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "--",
        "unshare",
        "--fork",
        "--pid",
        "--kill-child=KILL",
        "--mount-proc",
    ]);
    command.args(options).arg("--");
    command
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::io("create", path))
}

/// A path as the options of an overlay mount take it.
fn escaped(path: &Path) -> String {
    let text = String::from_utf8_lossy(path.as_os_str().as_bytes());
    text.replace('\\', "\\\\")
        .replace(':', "\\:")
        .replace(',', "\\,")
}
