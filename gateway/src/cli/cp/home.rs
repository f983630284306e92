//! From a sandbox to here. Names and links are what hostile code may have chosen, so every
//! file is made by its plain name in a directory that is held open, and no link is followed.

use super::{
    Count, LeftOut,
    away::{Away, Entry, Kind},
    links, name,
};
use anyhow::{Context as _, bail};
use http_body_util::BodyExt;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, symlinkat, unlinkat},
    io::Errno,
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};
use tokio::{fs::File, io::AsyncWriteExt};

/// A file has this name until it is whole, so that a broken copy never looks like a good one.
const PARTIAL: &str = ".soulbox-cp.part";
/// Never copied: bits that make a program run as somebody else.
const PERMISSIONS: u32 = 0o777;
const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Copies a file or a directory of the sandbox to a path here.
pub async fn copy(
    away: &mut Away,
    from: &str,
    to: &Path,
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let what = away.look(from).await?;
    let what = what.with_context(|| format!("{from} does not exist in the sandbox"))?;
    let to = match to.is_dir() {
        true => to.join(name(from).or_else(|_| name(&what.path))?),
        false => to.to_owned(),
    };
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let own = to.file_name().and_then(|name| name.to_str());
    let own = own.with_context(|| format!("{} names no file", to.display()))?;
    // What the user names may be a link; what is below it may not.
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat(CWD, &parent, flags, Mode::empty())
        .with_context(|| format!("{}", parent.display()))?;
    match what.kind {
        Kind::File => file(away, &what.path, what.mode, &parent, own).await,
        Kind::Directory => {
            let root = what.symlink_target.unwrap_or(what.path);
            tree(away, root, parent, own, left_out).await
        }
        Kind::Other => bail!("{from} is neither a file nor a directory"),
    }
}

/// A directory that is still to be copied.
struct Todo {
    from: String,
    parent: std::sync::Arc<OwnedFd>,
    name: String,
    depth: usize,
}

async fn tree(
    away: &mut Away,
    root: String,
    parent: OwnedFd,
    own: &str,
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let mut count = Count::default();
    let mut todo = vec![Todo {
        from: root.clone(),
        parent: parent.into(),
        name: own.to_owned(),
        depth: 0,
    }];
    while let Some(Todo {
        from,
        parent,
        name,
        depth,
    }) = todo.pop()
    {
        let here = std::sync::Arc::new(directory(&parent, &name).with_context(|| from.clone())?);
        for entry in away.list(&from).await? {
            count.one_more(depth)?;
            let shown = format!("{from}/{}", entry.name);
            if !is_plain(&entry.name) {
                left_out.add(&shown, "a name that no file here can have");
                continue;
            }
            match (&entry.symlink_target, entry.kind) {
                (Some(target), _) => link(&root, &shown, target, &here, &entry, left_out)?,
                (None, Kind::Directory) => todo.push(Todo {
                    from: shown,
                    parent: here.clone(),
                    name: entry.name,
                    depth: depth + 1,
                }),
                (None, Kind::File) => file(away, &shown, entry.mode, &here, &entry.name).await?,
                (None, Kind::Other) => left_out.add(&shown, "neither a file nor a directory"),
            }
        }
    }
    Ok(())
}

/// Makes a directory, unless it is there, and opens it.
fn directory(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Err(error) if error != Errno::EXIST => return Err(error),
        _ => {}
    }
    openat(parent, name, DIRECTORY, Mode::empty())
}

fn link(
    root: &str,
    shown: &str,
    target: &str,
    here: &OwnedFd,
    entry: &Entry,
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let Some(text) = links::within(root, shown, target) else {
        left_out.add(shown, "a link that leads out of the directory, or nowhere");
        return Ok(());
    };
    match unlinkat(here, entry.name.as_str(), AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error).with_context(|| shown.to_owned()),
        _ => {}
    }
    symlinkat(text, here, entry.name.as_str()).with_context(|| shown.to_owned())
}

async fn file(
    away: &mut Away,
    from: &str,
    mode: u32,
    parent: &OwnedFd,
    name: &str,
) -> anyhow::Result<()> {
    let mut body = away.read(from).await.with_context(|| from.to_owned())?;
    let copying = async {
        match unlinkat(parent, PARTIAL, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => return Err(error.into()),
            _ => {}
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(mode & PERMISSIONS);
        let made = openat(parent, PARTIAL, flags | OFlags::CLOEXEC, mode)?;
        let mut file = File::from_std(made.into());
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the copy broke off")?;
            if let Ok(data) = frame.into_data() {
                file.write_all(&data).await?;
            }
        }
        file.flush().await?;
        renameat(parent, PARTIAL, parent, name)?;
        anyhow::Ok(())
    };
    let copied = copying.await;
    if copied.is_err() {
        let _ = unlinkat(parent, PARTIAL, AtFlags::empty());
    }
    copied.with_context(|| from.to_owned())
}

/// A name that stays where it is put.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | PARTIAL) && !name.contains(['/', '\0'])
}
