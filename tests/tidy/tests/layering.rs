//! Who may depend on whom: the invariants of ARCHITECTURE.md, read from every Cargo.toml.
//!
//! A dependency that is not allowed here is a decision to be made in ARCHITECTURE.md first.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, collections::BTreeSet, fs};

use soulbox_tidy::{Text, root, texts};
use toml::Table;

/// Our own crates that each of our crates may stand on. Nothing else of ours may appear.
const ALLOWED: &[(&str, &[&str])] = &[
    ("soulbox-protocol", &[]),
    ("soulbox-runtime", &["soulbox-protocol"]),
    ("soulbox-carrier", &[]),
    ("soulbox-agent", &["soulbox-carrier", "soulbox-protocol"]),
    ("soulbox-image", &["soulbox-runtime"]),
    ("soulbox-host", &["soulbox-runtime"]),
    ("soulbox-gvisor", &["soulbox-host", "soulbox-runtime"]),
    ("soulbox-namespace", &["soulbox-host", "soulbox-runtime"]),
    (
        "soulbox-node",
        &[
            "soulbox-carrier",
            "soulbox-gvisor",
            "soulbox-host",
            "soulbox-image",
            "soulbox-namespace",
            "soulbox-protocol",
            "soulbox-runtime",
        ],
    ),
    (
        "soulbox",
        &[
            "soulbox-image",
            "soulbox-namespace",
            "soulbox-node",
            "soulbox-protocol",
            "soulbox-runtime",
        ],
    ),
    ("soulbox-tidy", &[]),
];

/// Crates whose whole point is that they do no I/O, and what would bring it in.
const NO_IO: &[&str] = &["soulbox-protocol"];
const BRINGS_IO: &[&str] = &[
    "tokio", "hyper", "axum", "rustix", "libc", "rusqlite", "zeromq",
];

/// Crates that call the kernel directly. Every other crate forbids unsafe code at its root.
const MAY_BE_UNSAFE: &[&str] = &["soulbox-host", "soulbox-namespace", "soulbox-agent"];

struct Crate {
    directory: String,
    dependencies: BTreeSet<String>,
    tests_only: BTreeSet<String>,
}

fn names(manifest: &Table, section: &str) -> BTreeSet<String> {
    let table = manifest.get(section).and_then(|value| value.as_table());
    table
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

/// Fuzz targets are outside of the workspace, and so of its rules on crates.
fn is_manifest(text: &Text) -> bool {
    text.name() == "Cargo.toml" && !text.path.contains("/fuzz/")
}

fn crates() -> BTreeMap<String, Crate> {
    let mut found = BTreeMap::new();
    for text in texts().iter().filter(|text| is_manifest(text)) {
        let manifest: Table = text.content.parse().expect("a Cargo.toml is TOML");
        let Some(package) = manifest.get("package").and_then(|value| value.as_table()) else {
            continue;
        };
        let name = package["name"]
            .as_str()
            .expect("a package has a name")
            .to_owned();
        let directory = text.path.trim_end_matches("Cargo.toml").to_owned();
        let dependencies = names(&manifest, "dependencies");
        let tests_only = names(&manifest, "dev-dependencies");
        found.insert(
            name,
            Crate {
                directory,
                dependencies,
                tests_only,
            },
        );
    }
    found
}

#[test]
fn crates_stand_only_on_what_the_architecture_allows() {
    let crates = crates();
    let rules: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut broken = Vec::new();
    for (name, found) in &crates {
        let Some(allowed) = rules.get(name.as_str()) else {
            broken.push(format!("{name} is not in the table of tests/tidy"));
            continue;
        };
        for dependency in found
            .dependencies
            .iter()
            .filter(|d| crates.contains_key(*d))
        {
            if !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{name} must not depend on {dependency}"));
            }
        }
        // Tiers must not meet in tests either: each is tried on its own.
        let tiers = ["soulbox-gvisor", "soulbox-namespace"];
        for tier in tiers
            .iter()
            .filter(|tier| name.starts_with("soulbox-") && **tier != name)
        {
            if tiers.contains(&name.as_str()) && found.tests_only.contains(*tier) {
                broken.push(format!("{name} must not know {tier}, not even in tests"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn shared_types_do_no_io() {
    let crates = crates();
    for name in NO_IO {
        for forbidden in BRINGS_IO {
            let brings = crates[*name].dependencies.contains(*forbidden);
            assert!(!brings, "{name} must not depend on {forbidden}");
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_where_no_kernel_is_called() {
    let mut broken = Vec::new();
    for (name, found) in crates() {
        if MAY_BE_UNSAFE.contains(&name.as_str()) {
            continue;
        }
        for entry in ["src/lib.rs", "src/main.rs"] {
            let path = root().join(&found.directory).join(entry);
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            if !text.contains("#![forbid(unsafe_code)]") {
                broken.push(format!("{}{entry}", found.directory));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "without #![forbid(unsafe_code)]:\n{}",
        broken.join("\n")
    );
}

#[test]
fn versions_of_dependencies_are_declared_once() {
    let mut broken = Vec::new();
    for text in texts().iter().filter(|text| is_manifest(text)) {
        let manifest: Table = text.content.parse().expect("a Cargo.toml is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(|value| value.as_table()) else {
                continue;
            };
            for (name, value) in table {
                let inherited = value
                    .as_table()
                    .is_some_and(|table| table.contains_key("workspace"));
                if !inherited {
                    broken.push(format!("{}: {name}", text.path));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "not from [workspace.dependencies]:\n{}",
        broken.join("\n")
    );
}

#[test]
fn protocol_folders_do_not_reach_around_the_owner_of_state() {
    // The E2B folder translates and calls `sandboxes`; it never speaks with the node or the store.
    let mut broken = Vec::new();
    for text in texts()
        .iter()
        .filter(|text| text.path.starts_with("gateway/src/e2b"))
    {
        for (number, line) in text.content.lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if code.contains("crate::store") || code.contains("crate::nodeclient") {
                broken.push(format!("{}:{}", text.path, number + 1));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "e2b calls past sandboxes:\n{}",
        broken.join("\n")
    );
}
