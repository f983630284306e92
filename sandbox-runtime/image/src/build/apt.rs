//! Debian packages, by the image's own apt.
//!
//! Lists and downloads lie in the data directory's cache, mounted over the image's, so they are
//! neither fetched twice nor left in the image.

use super::{Reporter, commands::Failure, workshop::Workshop};

/// Share of the bar that fetching takes; the rest is unpacking and setting up, in percent.
const FETCHING: f32 = 25.0;

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
    workshop.run(&arguments, &mut |line| {
        if let Some((percent, doing)) = status(line) {
            reporter.advanced(Some(percent), doing);
        }
    })
}

/// A line of `APT::Status-Fd`: `dlstatus:N:PERCENT:TEXT` or `pmstatus:PACKAGE[:ARCH]:PERCENT:TEXT`.
fn status(line: &str) -> Option<(u8, &str)> {
    let (fetching, mut rest) = match line.strip_prefix("dlstatus:") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("pmstatus:")?),
    };
    // The package may itself have a colon in its name, so the first field is always skipped.
    (_, rest) = rest.split_once(':')?;
    let (percent, doing) = loop {
        let (field, after) = rest.split_once(':')?;
        rest = after;
        if let Ok(percent) = field.parse::<f32>() {
            break (percent.clamp(0.0, 100.0), after);
        }
    };
    let whole = if fetching {
        percent * FETCHING / 100.0
    } else {
        FETCHING + percent * (100.0 - FETCHING) / 100.0
    };
    // Clamped above: it fits.
    Some((whole as u8, doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apt_become_percents() {
        assert_eq!(
            status("dlstatus:1:50.0:Retrieving file 1 of 2"),
            Some((12, "Retrieving file 1 of 2"))
        );
        assert_eq!(
            status("pmstatus:libc6:amd64:100:Installed libc6"),
            Some((100, "Installed libc6"))
        );
        assert_eq!(
            status("pmstatus:jq:0.0:Preparing jq: now"),
            Some((25, "Preparing jq: now"))
        );
        assert_eq!(status("Setting up jq (1.7) ..."), None);
        assert_eq!(status("pmstatus:jq"), None);
    }
}
