//! Embeds the files of `kernels/<language>` into the node, so that one binary is the
//! whole product: the node writes them out, and every sandbox sees them at
//! `/opt/soulbox/kernels`. Rust crates, tests and caches are left out.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Directories of `kernels/` that are crates and not files for guests.
const CRATES: [&str; 2] = ["agent", "protocol"];
/// Directories that a guest has no use for. Hidden ones, caches of tools, are left out too.
const LEFT_OUT: [&str; 4] = ["tests", "__pycache__", "node_modules", "build"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let kernels = here.join("../../kernels").canonicalize()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&kernels)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_crate = CRATES.iter().any(|c| name.to_str() == Some(c));
        if entry.path().is_dir() && !is_crate {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            collect(&entry.path(), &mut files)?;
        }
    }
    // Only the files found are watched, so that work on the agent does not build the node
    // anew. A test of the node tells when a new directory was not seen.
    println!("cargo:rerun-if-changed=build.rs");
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
        let name = file.strip_prefix(&kernels).map_err(io::Error::other)?;
        writeln!(
            table,
            "    ({:?}, include_bytes!({:?}) as &[u8]),",
            name, file
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("kernel_files.rs"), table)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        let hidden = name.starts_with('.');
        if kind.is_dir() && !hidden && !LEFT_OUT.contains(&name.as_ref()) {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            collect(&entry.path(), files)?;
        } else if kind.is_file() && !hidden && !name.ends_with(".pyc") {
            files.push(entry.path());
        }
    }
    Ok(())
}
