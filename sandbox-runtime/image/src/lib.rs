//! Root file systems of the templates: recipes, the builder, and the store that sandboxes start from.
//!
//! A recipe (TOML) says what a template holds; [`build`] turns it into a directory of files, one
//! layer on top of its parent's; [`ImageStore`] tells a node which layers a template has now.
//! An image is named after the hash of all that went into it, so a build that is there is never
//! made again, and one that is in use never changes under a running sandbox.
//!
//! The node needs only the store. Building needs root, mmdebstrap and a package mirror, and is
//! asked for by `soulbox template build` alone: nothing of it runs while sandboxes are served.
//! This crate knows nothing of tiers or sandboxes. All of it blocks; call it off the event loop.

#![forbid(unsafe_code)]

mod build;
mod error;
mod hash;
mod progress;
mod recipe;
mod store;

pub use build::{BuildOptions, build};
pub use error::{BuildError, FailedStep, RecipeError, StoreError};
pub use hash::ImageHash;
pub use progress::{Event, Progress, ProgressLines};
pub use recipe::{Action, Bootstrap, Defaults, Origin, PythonLock, Recipe, Step, recipes};
pub use store::{Image, ImageStore};
