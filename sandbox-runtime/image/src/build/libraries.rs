//! Python wheels and npm packages, by the image's own pip and npm.
//!
//! pip installs exactly what the lock file says: it resolves nothing, builds nothing from source,
//! and refuses a wheel whose hash is another. What it installs is compiled once here, since a
//! sandbox could not keep what it compiles for itself.

use super::{Reporter, commands::Failure, host::HANDED_IN, workshop::Workshop};
use crate::recipe::PythonLock;

/// Where pip and npm install for everybody.
const LIBRARIES: &str = "/usr/local/lib";
/// Packages of one download: what an interruption can cost, against a second per start of pip.
const BATCH: usize = 8;
/// Share of the bar that downloading takes, in percent; then come unpacking and compiling.
const DOWNLOADING: usize = 50;
/// Where the bar stands when compiling begins, in percent.
const COMPILING: u8 = 80;
/// Options of every pip command: exactly the files of the lock, and nothing that asks or draws.
const EXACTLY: [&str; 8] = [
    "--no-deps",
    "--require-hashes",
    "--only-binary",
    ":all:",
    "--no-input",
    "--progress-bar",
    "off",
    "--requirement",
];

/// Installs the wheels of a lock file.
pub(crate) fn install_python(
    lock: &PythonLock,
    workshop: &Workshop,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let files = workshop.files()?;
    let write = |path: &str, text: &str| {
        files
            .write(path, text, None)
            .map_err(Failure::io("write", path.as_ref()))
    };
    let requirements: Vec<String> = lock.requirements().collect();
    let total = requirements.len();

    // pip keeps what it fetched only when the mirror's headers allow it; this directory is ours.
    let wheels = format!("{HANDED_IN}/pip");
    let part = format!("{HANDED_IN}/python-part.lock");
    for (number, batch) in requirements.chunks(BATCH).enumerate() {
        let so_far = number * BATCH;
        let percent = so_far * DOWNLOADING / total.max(1);
        let first = batch[0].split_whitespace().next().unwrap_or_default();
        reporter.advanced(
            u8::try_from(percent).ok(),
            format!("fetching {first} ({} of {total})", so_far + 1),
        );
        write(&part, &batch.join("\n"))?;
        let mut arguments = vec![
            "python3",
            "-m",
            "pip",
            "download",
            "--no-cache-dir",
            "--dest",
            &wheels,
        ];
        arguments.extend(EXACTLY);
        arguments.push(&part);
        workshop.run(&arguments, &mut |_| {})?;
    }

    reporter.advanced(
        u8::try_from(DOWNLOADING).ok(),
        format!("unpacking {total} packages"),
    );
    let whole = format!("{HANDED_IN}/python.lock");
    write(&whole, &lock.text)?;
    let mut arguments = vec![
        "python3",
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--no-index",
        "--find-links",
        &wheels,
    ];
    // Debian's own packages stay where they are; ours are found before them.
    arguments.extend([
        "--ignore-installed",
        "--no-compile",
        "--root-user-action",
        "ignore",
        "--no-warn-script-location",
    ]);
    arguments.extend(EXACTLY);
    arguments.push(&whole);
    workshop.run(&arguments, &mut |_| {})?;

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
