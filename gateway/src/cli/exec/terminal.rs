//! The user's own terminal, which passes every key on while a command has one too.

use anyhow::{Context as _, bail};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use std::io::{stdin, stdout};

/// A terminal in raw mode; as it was before when this is dropped.
pub struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes it over.
    pub fn open() -> anyhow::Result<Self> {
        if !isatty(stdin()) {
            bail!("-t needs a terminal here too; leave it out to pass on plain streams");
        }
        let before = tcgetattr(stdin()).context("the terminal's settings can't be read")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)
            .context("the terminal's settings can't be changed")?;
        Ok(Self { before })
    }

    /// Its size, as a message has it.
    pub fn size(&self) -> Value {
        size().unwrap_or_else(|| json!({ "size": { "cols": 80, "rows": 24 } }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that has gone away needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// The size of the terminal that shows the output.
pub fn size() -> Option<Value> {
    let size = tcgetwinsize(stdout())
        .or_else(|_| tcgetwinsize(stdin()))
        .ok()?;
    Some(json!({ "size": { "cols": size.ws_col, "rows": size.ws_row } }))
}
