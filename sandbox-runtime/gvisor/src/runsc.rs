//! The program `runsc`: where it is, how old it is, how it is called.
//!
//! Global flags are the same on every call for a container, so they are put together in
//! one place.

use serde::{Deserialize, Serialize};
use soulbox_host::{HostError, Step};
use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
    time::Duration,
};
use tokio::time::timeout;

/// The oldest release that can run the images and save a live kernel: January 2024.
pub const OLDEST: u32 = 20_240_101;
/// A question to `runsc` itself takes some 20 ms; this much means that it hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How gVisor intercepts the system calls of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// By seccomp traps. Faster, and uses about 5 % of a core for each idle sandbox.
    Systrap,
    /// By ptrace. No cost when idle.
    Ptrace,
    /// By hardware virtualisation. Hangs on some machines, so it is never chosen by itself.
    Kvm,
}

impl Platform {
    /// The word for `--platform`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Systrap => "systrap",
            Self::Ptrace => "ptrace",
            Self::Kvm => "kvm",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Systrap, Self::Ptrace, Self::Kvm]
            .into_iter()
            .find(|platform| platform.as_str() == text)
            .ok_or_else(|| format!("unknown platform `{text}`: expected systrap, ptrace or kvm"))
    }
}

/// A `runsc` that was found.
#[derive(Debug, Clone)]
pub struct Runsc {
    program: PathBuf,
}

/// What `runsc --version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version in its own words.
    pub text: String,
    /// The date in it, as one number; a build by hand may have none.
    pub date: Option<u32>,
}

impl Runsc {
    /// Takes the given program, or the first in PATH.
    pub fn find(wanted: Option<&Path>) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = match wanted {
            Some(program) => Some(program.to_owned()),
            None => std::env::split_paths(&path)
                .map(|dir| dir.join("runsc"))
                .find(|program| program.is_file()),
        };
        program.map(|program| Self { program })
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Asks for the version.
    ///
    /// # Errors
    /// When it can't be run or says something else.
    pub async fn version(&self) -> Result<Version, HostError> {
        let text = self.ask("--version").await?;
        Version::parse(&text).ok_or_else(|| HostError {
            step: "ask runsc for its version",
            why: "it says something else".into(),
        })
    }

    /// Asks for the names of the global flags.
    ///
    /// # Errors
    /// When it can't be run.
    pub async fn flags(&self) -> Result<Vec<String>, HostError> {
        Ok(parse_flags(&self.ask("flags").await?))
    }

    async fn ask(&self, question: &str) -> Result<String, HostError> {
        let step = "ask runsc";
        let output = tokio::process::Command::new(&self.program)
            .arg(question)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(ANSWER_WITHIN, output)
            .await
            .step(step)?
            .step(step)?;
        // The version goes to standard output, the flags to standard error.
        let said = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// A call for a container whose state is below `root`. The file `panics` takes what the
    /// sentry says when it breaks.
    pub fn call(&self, root: &Path, platform: Platform, panics: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(root)
            .arg("--panic-log")
            .arg(panics)
            .arg(format!("--platform={platform}"))
            // No network at all: what a sandbox may reach goes through its channel.
            .arg("--network=none")
            // The control group is made by us and entered before runsc starts.
            .arg("--ignore-cgroups")
            // What is written goes to the root file system that we give, whose disk has a
            // size; gVisor's own overlay has none.
            .arg("--overlay2=none")
            // Nobody else changes the files of a running cell, so they can be cached.
            .arg("--file-access=exclusive")
            .arg("--file-access-mounts=exclusive");
        command
    }
}

/// The flags that [`Runsc::call`] uses.
pub const FLAGS: [&str; 8] = [
    "root",
    "panic-log",
    "platform",
    "network",
    "ignore-cgroups",
    "overlay2",
    "file-access",
    "file-access-mounts",
];

impl Version {
    /// Whether it is too old, as far as its date says.
    pub fn is_too_old(&self) -> bool {
        self.date.is_some_and(|date| date < OLDEST)
    }

    fn parse(said: &str) -> Option<Self> {
        let first = said.lines().next()?;
        let text = first.strip_prefix("runsc version ")?.trim().to_owned();
        let date = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| digits.len() == 8)
            .find_map(|digits| digits.parse().ok());
        Some(Self { text, date })
    }
}

fn parse_flags(said: &str) -> Vec<String> {
    said.lines()
        .filter_map(|line| line.trim_start().strip_prefix('-'))
        .filter_map(|line| line.split_whitespace().next())
        .map(|flag| flag.trim_start_matches('-').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages_and_of_releases_are_read() {
        let debian = "runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n";
        assert!(Version::parse(debian).expect("read").is_too_old());
        let release = "runsc version release-20240729.0\nspec: 1.1.0-rc.1\n";
        assert!(!Version::parse(release).expect("read").is_too_old());
        let by_hand = Version::parse("runsc version 1a2b3c-dirty\n").expect("read");
        assert_eq!(by_hand.date, None);
        assert_eq!(Version::parse("not runsc"), None);
    }

    #[test]
    fn flags_are_read_from_the_help_text() {
        let said = "  -root string\n    \troot directory\n  -overlay2 value\n";
        assert_eq!(parse_flags(said), ["root", "overlay2"]);
    }
}
