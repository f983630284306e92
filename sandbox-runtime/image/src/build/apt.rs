//! Debian packages, by the image's own apt.
//!
//! Lists and downloads lie in the data directory's cache, mounted over the image's, so they are
//! neither fetched twice nor left in the image.

use super::{Reporter, commands::Failure, workshop::Workshop};

/// What fetching, unpacking and setting up take of the bar, in percent; 100 in all.
const SHARES: [(&str, usize); 3] = [("Get:", 25), ("Unpacking ", 45), ("Setting up ", 30)];

/// Installs packages, without those that they merely recommend.
pub(crate) fn install(
    packages: &[String],
    workshop: &Workshop,
    reporter: &Reporter,
) -> Result<(), Failure> {
    // An interrupted step may have left packages unpacked and not set up.
    workshop.run(&["dpkg", "--configure", "-a"], &mut |_| {})?;
    reporter.advanced(Some(0), "reading package lists");
    workshop.run(
        &["apt-get", "--quiet", "update", "--error-on=any"],
        &mut |_| {},
    )?;
    let mut arguments = vec![
        "apt-get",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "install",
    ];
    arguments.extend(packages.iter().map(String::as_str));
    let mut count = Count::default();
    workshop.run(&arguments, &mut |line| {
        if let Some((percent, doing)) = count.line(line) {
            reporter.advanced(Some(percent), doing);
        }
    })
}

/// How far apt is, told from its ordinary output. Its machine-readable status would be exact, but
/// apt closes the descriptor that it writes this to for the packages' scripts, which may be their
/// standard output.
#[derive(Debug, Default)]
struct Count {
    total: usize,
    seen: [usize; SHARES.len()],
}

impl Count {
    fn line<'a>(&mut self, line: &'a str) -> Option<(u8, &'a str)> {
        // "0 upgraded, 66 newly installed, 0 to remove and 0 not upgraded."
        if let Some((upgraded, rest)) = line.split_once(" upgraded, ") {
            let new = rest
                .split_once(" newly installed")
                .map_or("", |(new, _)| new);
            self.total = upgraded.parse::<usize>().unwrap_or(0) + new.parse::<usize>().unwrap_or(0);
            return None;
        }
        let kind = SHARES
            .iter()
            .position(|(prefix, _)| line.starts_with(prefix))?;
        self.seen[kind] = (self.seen[kind] + 1).min(self.total);
        if self.total == 0 {
            return None;
        }
        // What was unpacked need not be fetched any more: it came from the cache.
        self.seen[0] = self.seen[0].max(self.seen[1]);
        let percent = self
            .seen
            .iter()
            .zip(SHARES)
            .map(|(seen, (_, share))| seen * share / self.total)
            .sum::<usize>();
        Some((
            u8::try_from(percent).unwrap_or(100),
            line.trim_end_matches([' ', '.']),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apt_become_percents() {
        let mut count = Count::default();
        assert_eq!(count.line("Unpacking before.deb ..."), None);
        assert_eq!(
            count.line("0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded."),
            None
        );
        assert_eq!(count.line("Reading state information..."), None);
        assert_eq!(
            count.line("Get:1 mirror jq 1.7 [20 kB]"),
            Some((12, "Get:1 mirror jq 1.7 [20 kB]"))
        );
        assert_eq!(
            count.line("Unpacking jq (1.7) ..."),
            Some((34, "Unpacking jq (1.7)"))
        );
        assert_eq!(
            count.line("Unpacking yq (1.7) ..."),
            Some((70, "Unpacking yq (1.7)"))
        );
        assert_eq!(
            count.line("Setting up jq (1.7) ..."),
            Some((85, "Setting up jq (1.7)"))
        );
        assert_eq!(
            count.line("Setting up yq (1.7) ..."),
            Some((100, "Setting up yq (1.7)"))
        );
        assert_eq!(
            count.line("Setting up once more"),
            Some((100, "Setting up once more"))
        );
    }
}
