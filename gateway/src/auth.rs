//! Who may ask: API keys, and the tokens of single sandboxes.
//!
//! This module knows what a key is and how one is checked; it knows no sandbox and no route.

mod keys;
mod secret;

pub use keys::{Caller, Keys};
pub use secret::{Secret, same};
