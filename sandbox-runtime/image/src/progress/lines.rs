//! Progress of a build on a terminal, or as plain lines in a log.
//!
//! A terminal gets one line that is written over. Anything else gets a line per step and, in a
//! long step, one each few seconds: enough to see that it lives, and no flood.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use super::{Event, Progress};

/// Time between two lines of one step where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two rewritings of the line on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(80);
/// Width of the bar, in characters.
const BAR: usize = 24;
/// Columns that the rewritten line may take: the width of the narrowest usual terminal.
const COLUMNS: usize = 79;

/// Writes the events of a build for a person.
#[derive(Debug)]
pub struct ProgressLines<W> {
    out: W,
    terminal: bool,
    step: String,
    last: Option<Instant>,
}

impl<W: Write> ProgressLines<W> {
    /// `terminal` says whether `out` is one, so that a line can be written over.
    pub fn new(out: W, terminal: bool) -> Self {
        Self {
            out,
            terminal,
            step: String::new(),
            last: None,
        }
    }

    /// Progress is a courtesy: a closed pipe must not stop a build.
    fn line(&mut self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(self.out, "{clear}{text}");
        let _ = self.out.flush();
    }

    fn advanced(&mut self, percent: Option<u8>, doing: &str) {
        let interval = if self.terminal {
            TERMINAL_INTERVAL
        } else {
            PLAIN_INTERVAL
        };
        if self.last.is_some_and(|last| last.elapsed() < interval) {
            return;
        }
        self.last = Some(Instant::now());
        if self.terminal {
            let line: String = format!("{} {}  {doing}", self.step, bar(percent))
                .chars()
                .take(COLUMNS)
                .collect();
            let _ = write!(self.out, "\r\x1b[K{line}");
            let _ = self.out.flush();
        } else {
            let percent = percent
                .map(|percent| format!("{percent:3} % "))
                .unwrap_or_default();
            self.line(&format!("        {percent}{doing}"));
        }
    }
}

impl<W: Write> Progress for ProgressLines<W> {
    fn report(&mut self, event: &Event) {
        match event {
            Event::Present { name, hash } => {
                self.line(&format!("{name} is there already (build {hash})"))
            }
            Event::Started {
                name,
                hash,
                finished: 0,
            } => self.line(&format!("{name}: building {hash}")),
            Event::Started {
                name,
                hash,
                finished,
            } => {
                self.line(&format!(
                    "{name}: going on with {hash} after its first {finished} steps"
                ));
            }
            Event::Step { number, of, title } => {
                self.step = format!("  [{number:2}/{of}] {title}");
                // The first word of a step comes at once on a terminal; a log waits for news.
                self.last = if self.terminal {
                    None
                } else {
                    Some(Instant::now())
                };
                if self.terminal {
                    self.advanced(None, "")
                } else {
                    self.line(&self.step.clone())
                }
            }
            Event::Advanced { percent, doing } => self.advanced(*percent, doing),
            Event::StepFinished { took } => {
                let line = format!("{} ({:.1} s)", self.step, took.as_secs_f32());
                if self.terminal || *took >= PLAIN_INTERVAL {
                    self.line(&line);
                }
            }
            Event::Finished {
                name,
                size_bytes,
                took,
            } => {
                self.line(&format!(
                    "{name}: ready, {} MB, {:.0} s",
                    size_bytes / 1_000_000,
                    took.as_secs_f32()
                ));
            }
        }
    }
}

fn bar(percent: Option<u8>) -> String {
    let Some(percent) = percent else {
        return String::new();
    };
    let full = usize::from(percent.min(100)) * BAR / 100;
    format!(
        "[{}{}] {percent:3} %",
        "=".repeat(full),
        " ".repeat(BAR - full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_whole_lines_without_control_characters() {
        let mut out = Vec::new();
        let mut lines = ProgressLines::new(&mut out, false);
        lines.report(&Event::Step {
            number: 1,
            of: 3,
            title: "tools".into(),
        });
        lines.report(&Event::Advanced {
            percent: Some(50),
            doing: "unpacking".into(),
        });
        lines.report(&Event::StepFinished {
            took: Duration::from_secs(7),
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "  [ 1/3] tools\n  [ 1/3] tools (7.0 s)\n"
        );
    }

    #[test]
    fn a_bar_is_never_longer_than_itself() {
        assert_eq!(bar(Some(0)).len(), bar(Some(255)).len());
        assert_eq!(bar(None), "");
    }
}
