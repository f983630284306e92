//! From here into a sandbox.

use super::{
    Count, LeftOut,
    away::{Away, Kind},
    links, name,
};
use anyhow::{Context as _, bail};
use axum::body::Body;
use std::{
    fs::{self, Metadata},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// Bytes that are read from a file at a time.
const PIECE_BYTES: usize = 256 << 10;
const EXECUTABLE: u32 = 0o111;

/// Copies a file or a directory to a path in the sandbox.
pub async fn copy(
    away: &mut Away,
    from: &Path,
    to: &str,
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let shown = from.display();
    let what = fs::metadata(from).with_context(|| format!("{shown}"))?;
    let into = to.is_empty() || to.ends_with('/') || is_directory(away, to).await?;
    let to = if into {
        let real = fs::canonicalize(from).with_context(|| format!("{shown}"))?;
        let parent = to.trim_end_matches('/');
        let name = name(&real.to_string_lossy())?;
        match (parent, to.starts_with('/')) {
            ("", true) => format!("/{name}"),
            ("", false) => name,
            _ => format!("{parent}/{name}"),
        }
    } else {
        to.to_owned()
    };
    if what.is_file() {
        file(away, from, &to).await?;
        return executable(away, is_executable(&what).then_some(to).as_slice()).await;
    }
    if !what.is_dir() {
        bail!("{shown} is neither a file nor a directory");
    }
    tree(away, from, &to, left_out).await
}

async fn is_directory(away: &mut Away, path: &str) -> anyhow::Result<bool> {
    let found = away.look(path).await?;
    Ok(found.is_some_and(|entry| entry.kind == Kind::Directory))
}

async fn tree(
    away: &mut Away,
    from: &Path,
    to: &str,
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let mut count = Count::default();
    let (mut executables, mut found) = (Vec::new(), Vec::new());
    let mut directories: Vec<(PathBuf, String, usize)> = vec![(from.to_owned(), to.to_owned(), 0)];
    while let Some((here, there, depth)) = directories.pop() {
        away.make_directory(&there).await?;
        let entries = fs::read_dir(&here).with_context(|| format!("{}", here.display()))?;
        for entry in entries {
            let entry = entry?;
            count.one_more(depth)?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(ToOwned::to_owned) else {
                left_out.add(&path.to_string_lossy(), "its name is not UTF-8");
                continue;
            };
            let target = format!("{there}/{name}");
            let what =
                fs::symlink_metadata(&path).with_context(|| format!("{}", path.display()))?;
            if what.is_dir() {
                directories.push((path, target, depth + 1));
            } else if what.is_file() {
                file(away, &path, &target).await?;
                executables.extend(is_executable(&what).then_some(target));
            } else if what.is_symlink() {
                let text = fs::read_link(&path)?;
                match text
                    .to_str()
                    .filter(|text| links::stays_inside(depth, text))
                {
                    Some(text) => found.push((text.to_owned(), target)),
                    None => left_out.add(&path.to_string_lossy(), "a link that leads out"),
                }
            } else {
                left_out.add(&path.to_string_lossy(), "neither a file nor a directory");
            }
        }
    }
    executable(away, &executables).await?;
    for (text, link) in found {
        away.run(&["ln", "-sfn", "--", &text, &link]).await?;
    }
    Ok(())
}

async fn file(away: &mut Away, from: &Path, to: &str) -> anyhow::Result<()> {
    let shown = from.display();
    let file = File::open(from).await.with_context(|| format!("{shown}"))?;
    let content = Body::from_stream(ReaderStream::with_capacity(file, PIECE_BYTES));
    away.write(to, content)
        .await
        .with_context(|| format!("{shown}"))
}

async fn executable(away: &mut Away, paths: &[String]) -> anyhow::Result<()> {
    away.run_on(&["chmod", "a+x", "--"], paths).await
}

fn is_executable(what: &Metadata) -> bool {
    what.permissions().mode() & EXECUTABLE != 0
}
