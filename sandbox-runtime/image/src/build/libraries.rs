//! Python wheels and npm packages, by the image's own pip and npm.
//!
//! pip installs exactly what the lock file says: it resolves nothing, builds nothing from source,
//! and refuses a wheel whose hash is another. What it installs is compiled once here, since a
//! sandbox could not keep what it compiles for itself.

use super::{Reporter, commands::Failure, host::HANDED_IN, workshop::Workshop};
use crate::recipe::PythonLock;

/// Where pip and npm install for everybody.
const LIBRARIES: &str = "/usr/local/lib";
/// Share of the bar that collecting wheels takes, in percent; then come unpacking and compiling.
const COLLECTING: usize = 50;
/// Where the bar stands when compiling begins, in percent.
const COMPILING: u8 = 80;

/// Installs the wheels of a lock file.
pub(crate) fn install_python(
    lock: &PythonLock,
    workshop: &Workshop,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let path = format!("{HANDED_IN}/python.lock");
    workshop
        .files()?
        .write(&path, &lock.text, None)
        .map_err(Failure::io("write", path.as_ref()))?;
    let total = lock.packages();
    let mut collected = 0;
    let arguments = [
        "python3",
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        // Debian's own packages stay where they are; ours are found before them.
        "--ignore-installed",
        "--no-compile",
        "--no-input",
        "--progress-bar",
        "off",
        "--root-user-action",
        "ignore",
        "--no-warn-script-location",
        "--requirement",
        &path,
    ];
    workshop.run(&arguments, &mut |line| {
        if let Some(package) = line.strip_prefix("Collecting ") {
            collected += 1;
            let percent = (collected * COLLECTING / total.max(1)).min(COLLECTING);
            let package = package.split_whitespace().next().unwrap_or_default();
            reporter.advanced(
                u8::try_from(percent).ok(),
                format!("{package} ({collected} of {total})"),
            );
        } else if line.starts_with("Installing collected packages") {
            reporter.advanced(
                u8::try_from(COLLECTING).ok(),
                format!("unpacking {total} packages"),
            );
        }
    })?;
    reporter.advanced(Some(COMPILING), "compiling");
    // Some packages ship templates that are no valid Python; pip ignores that too.
    let _ = workshop.run(
        &["python3", "-m", "compileall", "-q", "-j", "0", LIBRARIES],
        &mut |_| {},
    );
    Ok(())
}

/// Installs npm packages for everybody.
pub(crate) fn install_node(
    packages: &[String],
    workshop: &Workshop,
    reporter: &Reporter,
) -> Result<(), Failure> {
    reporter.advanced(None, packages.join(" "));
    let mut arguments = vec![
        "npm",
        "install",
        "--global",
        "--no-fund",
        "--no-audit",
        "--no-update-notifier",
    ];
    arguments.extend(packages.iter().map(String::as_str));
    workshop.run(&arguments, &mut |_| {})
}
