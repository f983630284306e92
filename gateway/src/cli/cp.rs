//! `soulbox cp ID:PATH LOCAL` and `soulbox cp LOCAL ID:PATH`: files and whole directories,
//! streamed, through the same service as any client's.
//!
//! What comes out of a sandbox is not trusted: names are checked, no link is ever followed
//! here, and nothing is written outside of the directory that was named.

mod away;
mod here;
mod home;
mod links;

use super::remote::{Remote, block_on};
use anyhow::{Context as _, bail};
use clap::Args;
use std::{path::Path, process::ExitCode};

/// Files, directories and links in one copy. More is likelier an accident, or an attack.
const MOST_ENTRIES: usize = 1_000_000;
/// Directories in directories.
const DEEPEST: usize = 200;
/// Of those that were left out, so many are named.
const NAMED: usize = 20;

const ABOUT: &str = "\
Copies a file or a directory with everything below it. If the destination is a directory, the \
copy is made in it, under its own name; else the destination is the copy's name. Links that \
lead to another place in the copied directory stay links; other links, sockets, devices and \
the like are left out, which is told. Permissions are kept as far as they say who may read, \
write and execute; owners are not.";

/// Options of `cp`.
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub struct Options {
    /// From where: a file or directory here, or ID:PATH
    from: String,
    /// To where: a file or directory here, or ID:PATH
    to: String,
    /// Whose home a relative path is in, and who will own the copy [default: the template's user]
    #[arg(short, long)]
    user: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Copies.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let user = options.user.as_deref();
        let (from, to) = (there(&options.from), there(&options.to));
        let gateway = options.remote.gateway()?;
        let mut left_out = LeftOut::default();
        match (from, to) {
            (Some((id, path)), None) => {
                let mut away = away::Away::connect(&gateway, id, user).await?;
                home::copy(&mut away, path, Path::new(&options.to), &mut left_out).await?;
            }
            (None, Some((id, path))) => {
                let mut away = away::Away::connect(&gateway, id, user).await?;
                here::copy(&mut away, Path::new(&options.from), path, &mut left_out).await?;
            }
            _ => bail!("one side must be ID:PATH and the other a path here"),
        }
        left_out.tell();
        Ok(ExitCode::SUCCESS)
    })
}

/// What was not copied.
#[derive(Debug, Default)]
struct LeftOut {
    named: Vec<String>,
    more: usize,
}

impl LeftOut {
    fn add(&mut self, path: &str, why: &str) {
        if self.named.len() < NAMED {
            // A name must not steer the terminal of who looks at it.
            self.named.push(format!("{}: {why}", path.escape_debug()));
        } else {
            self.more += 1;
        }
    }

    fn tell(&self) {
        for line in &self.named {
            eprintln!("soulbox: left out {line}");
        }
        if self.more > 0 {
            eprintln!("soulbox: and {} more", self.more);
        }
    }
}

/// Counts what is copied, so that a tree without an end is noticed.
#[derive(Debug, Default)]
struct Count(usize);

impl Count {
    fn one_more(&mut self, depth: usize) -> anyhow::Result<()> {
        self.0 += 1;
        if self.0 > MOST_ENTRIES {
            bail!("more than {MOST_ENTRIES} files are not copied at once");
        }
        if depth > DEEPEST {
            bail!("more than {DEEPEST} directories in each other are not copied");
        }
        Ok(())
    }
}

/// `ID:PATH`. A local path with a colon can be given as `./a:b`.
fn there(text: &str) -> Option<(&str, &str)> {
    let (id, path) = text.split_once(':')?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (!id.is_empty() && id.bytes().all(plain)).then_some((id, path))
}

fn name(path: &str) -> anyhow::Result<String> {
    let name = Path::new(path).file_name();
    let name = name.with_context(|| format!("{path} names no file"))?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::there;

    #[test]
    fn a_side_with_an_id_is_in_a_sandbox() {
        assert_eq!(there("iabc:/tmp/a:b"), Some(("iabc", "/tmp/a:b")));
        assert_eq!(there("iabc:"), Some(("iabc", "")));
        for here in ["a/b", "./a:b", "/a:b", ":x"] {
            assert_eq!(there(here), None, "{here}");
        }
    }
}
