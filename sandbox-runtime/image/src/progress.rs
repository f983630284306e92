//! What a build tells while it runs.
//!
//! The builder reports events; who shows them, and how, is the caller's affair. [`ProgressLines`]
//! is the showing that a command line wants.

mod lines;

use std::time::Duration;

use soulbox_runtime::TemplateName;

use crate::hash::ImageHash;

pub use lines::ProgressLines;

/// Somebody who is told how a build is getting on.
pub trait Progress {
    /// Called from the thread that called [`crate::build`], in the order of events.
    fn report(&mut self, event: &Event);
}

/// Something that happened in a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The template is there already, built from the same recipe.
    Present {
        /// Which template.
        name: TemplateName,
        /// Its build.
        hash: ImageHash,
    },
    /// The build of a template begins; its parents' builds come first.
    Started {
        /// Which template.
        name: TemplateName,
        /// Its build.
        hash: ImageHash,
        /// Steps that an interrupted build has left finished.
        finished: usize,
    },
    /// A step begins.
    Step {
        /// Number of the step, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        title: String,
    },
    /// A step got further.
    Advanced {
        /// How far the step is, from 0 to 100, where that is known.
        percent: Option<u8>,
        /// What is being done.
        doing: String,
    },
    /// A step ended.
    StepFinished {
        /// How long it took.
        took: Duration,
    },
    /// The template is ready for use.
    Finished {
        /// Which template.
        name: TemplateName,
        /// Size of its own layer, in bytes.
        size_bytes: u64,
        /// How long the build took.
        took: Duration,
    },
}
