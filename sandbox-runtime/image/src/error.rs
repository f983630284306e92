//! What can go wrong with a recipe, the store and a build.
//!
//! Each variant names the thing and what was wanted of it, since its text is all that the person
//! at `soulbox template build` gets to see. A failing command brings the end of its own output.

use std::{io, path::PathBuf};

use soulbox_runtime::TemplateName;
use thiserror::Error;

/// A recipe that cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// Not TOML, a key that is not known, or one of the wrong type. The text has line and column.
    #[error("recipe {recipe}: {problem}")]
    Syntax {
        /// File name of the recipe.
        recipe: String,
        /// What the parser says.
        problem: String,
    },
    /// A key whose value makes no sense.
    #[error("recipe {recipe}: key `{key}`: {problem}")]
    Key {
        /// File name of the recipe.
        recipe: String,
        /// Path of the key, such as `step[2].packages`.
        key: String,
        /// Why its value cannot be used.
        problem: String,
    },
    /// Two recipes, or a recipe and a built-in one, have the same name.
    #[error("recipe {recipe}: the template {name} is already described by {other}")]
    Twice {
        /// File name of the second recipe.
        recipe: String,
        /// The name that both have.
        name: TemplateName,
        /// Where the first one is.
        other: String,
    },
    /// The parent is not there, or the chain of parents never ends.
    #[error("template {name}: its parent {parent} is not a recipe, or is built on {name} itself")]
    Parent {
        /// The template whose parent is missing.
        name: TemplateName,
        /// The parent it names.
        parent: TemplateName,
    },
    /// A file of a recipe could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A store that cannot be read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system said no.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A description that is not one of ours.
    #[error("{} is damaged ({problem}); build the template again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A build that did not end with an image.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Files of other users, device nodes and mounts need root.
    #[error("building an image needs root (mmdebstrap, mounts): run `sudo soulbox template build`")]
    NotRoot,
    /// Another process builds in the same data directory.
    #[error("another build is running in {}; wait for it, or stop it", directory.display())]
    Busy {
        /// The directory of images.
        directory: PathBuf,
    },
    /// A program that the builder drives is not installed.
    #[error("{program} is not installed; sandbox-runtime/image/setup.sh installs it")]
    ProgramMissing {
        /// Its name.
        program: String,
    },
    /// The mirror that was asked for cannot be written into a list of sources.
    #[error("mirror: {0}")]
    Mirror(&'static str),
    /// A step of the recipe failed.
    #[error(transparent)]
    Step(Box<FailedStep>),
    /// The operating system said no to something around the steps.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A step that failed, with what its command last said.
#[derive(Debug, Error)]
#[error("template {name}, step {step}/{steps} ({title}) failed: {cause}{}\nThe whole output is in {}", tail_text(tail), log.display())]
pub struct FailedStep {
    /// The template.
    pub name: TemplateName,
    /// Number of the step, from 1.
    pub step: usize,
    /// How many there are.
    pub steps: usize,
    /// What the step does.
    pub title: String,
    /// What went wrong.
    pub cause: String,
    /// The last lines of its output; may be empty.
    pub tail: Vec<String>,
    /// Where the whole output is.
    pub log: PathBuf,
}

impl BuildError {
    /// For `map_err`: what was being done to which path.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

fn tail_text(tail: &[String]) -> String {
    let mut text = String::new();
    for line in tail {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}
