//! What a template's root file system holds: a parent or a fresh Debian, and steps on top.
//!
//! A recipe is data. It says what is to be there, in steps that the builder knows; there is no
//! shell in it, and a command is a list of arguments. Everything in it that decides what ends up
//! in the image is part of the image's hash.

mod file;
mod known;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use soulbox_runtime::{Limits, TemplateName};

pub use known::recipes;

/// A checked recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Name of the template.
    pub name: TemplateName,
    /// One line on what it is for.
    #[serde(skip)]
    pub summary: String,
    /// What the steps start from.
    pub origin: Origin,
    /// Whether code interpreters can run in it.
    pub interpreter: bool,
    /// The kernels that run in it: names of directories under `kernels/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<String>,
    /// What its sandboxes get when their creator asks for nothing else.
    pub defaults: Defaults,
    /// What is done, in this order. Each ends before the next begins.
    pub steps: Vec<Step>,
}

/// What the first step finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A fresh, minimal Debian.
    Bootstrap(Bootstrap),
    /// The files of another template; the build makes a layer on top of them.
    Parent(TemplateName),
}

/// How the fresh Debian is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The release, such as `trixie`.
    pub suite: String,
    /// Options that dpkg has in this image from its first package on.
    #[serde(default)]
    pub dpkg_options: Vec<String>,
}

/// What sandboxes of a template get when their creator asks for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// Whom commands run as.
    pub user: String,
    /// Where they run.
    pub workdir: String,
    /// Variables of every process in the sandbox.
    pub env: BTreeMap<String, String>,
    /// Memory, processor, disk, processes.
    pub limits: Limits,
}

impl Default for Defaults {
    /// The user and home directory that E2B's clients count on.
    fn default() -> Self {
        Self {
            user: "user".into(),
            workdir: "/home/user".into(),
            env: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What a person reads while it runs.
    #[serde(skip)]
    pub title: String,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Installs Debian packages, without the ones that they merely recommend.
    Packages(Vec<String>),
    /// Installs exactly the wheels of a lock file, and compiles them.
    Python(PythonLock),
    /// Installs npm packages for everybody, each `name@version`.
    Node(Vec<String>),
    /// Makes a user with a group of the same name and number, bash and a home directory.
    User {
        /// Login name.
        name: String,
        /// Number of the user and of the group.
        id: u32,
        /// Permission bits of the home directory.
        home_mode: u32,
    },
    /// Runs a command as root; its first item is the program.
    Run(Vec<String>),
    /// Writes a file, and the directories above it.
    Write {
        /// Absolute path.
        path: String,
        /// The whole content.
        text: String,
        /// Permission bits.
        mode: u32,
    },
    /// Replaces text that is in a file exactly once.
    Replace {
        /// Absolute path.
        path: String,
        /// What is there.
        old: String,
        /// What is to be there.
        new: String,
    },
    /// Removes files and directories; it is no mistake when one is not there.
    Remove(Vec<String>),
}

/// A requirements file in which every package has one version and the hash of its wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonLock {
    /// The file's text.
    pub text: String,
}

impl Serialize for PythonLock {
    /// What goes into the hash of an image: the requirements, and not the comments.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.requirements())
    }
}

impl PythonLock {
    /// How many packages it names.
    pub fn packages(&self) -> usize {
        self.requirements().count()
    }

    /// Its requirements, with the lines that a backslash joins made one.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = String> {
        let joined = self.text.replace("\\\n", " ");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = joined.lines().map(words).collect();
        lines
            .into_iter()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
    }
}
