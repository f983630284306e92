//! Which steps of an unfinished build have ended, so that an interrupted build can go on.
//!
//! One line per finished step, synced before the next step begins. The directory's name carries
//! the hash of the recipe, so the numbers always mean the same steps.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

/// The list, in the directory of the unfinished build.
pub(crate) const LEDGER: &str = "finished-steps";

/// The list of finished steps.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    finished: usize,
}

impl Ledger {
    /// Reads the list of an unfinished build, or begins one.
    pub(crate) fn open(partial: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(partial.join(LEDGER))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let finished = text
            .lines()
            .enumerate()
            .take_while(|(index, line)| line.parse() == Ok(*index))
            .count();
        Ok(Self { file, finished })
    }

    /// How many steps have ended, counted from the first.
    pub(crate) fn finished(&self) -> usize {
        self.finished
    }

    /// Notes that the next step has ended.
    pub(crate) fn finish_one(&mut self) -> io::Result<()> {
        writeln!(self.file, "{}", self.finished)?;
        self.file.sync_data()?;
        self.finished += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_steps_are_remembered() {
        let partial = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(partial.path()).unwrap();
        assert_eq!(ledger.finished(), 0);
        ledger.finish_one().unwrap();
        ledger.finish_one().unwrap();
        assert_eq!(Ledger::open(partial.path()).unwrap().finished(), 2);
    }

    #[test]
    fn a_line_that_was_cut_short_does_not_count() {
        let partial = tempfile::tempdir().unwrap();
        std::fs::write(partial.path().join(LEDGER), "0\n1\n7").unwrap();
        assert_eq!(Ledger::open(partial.path()).unwrap().finished(), 2);
    }
}
