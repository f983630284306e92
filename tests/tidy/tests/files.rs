//! Rules on single files: their length, their name, their head, and words that must not be in them.
#![forbid(unsafe_code)]

use soulbox_tidy::{Text, texts};

/// A file longer than this is more than one idea.
const LINES_AT_MOST: usize = 800;
/// From here on it is worth a second look; printed, never a failure.
const LINES_TO_THINK_AGAIN: usize = 400;

const CODE: &[&str] = &[".rs", ".py", ".mjs", ".sh", ".toml", ".md", ".yml"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "misc", "mod",
];

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_is_too_long() {
    let mut broken = Vec::new();
    for text in texts().iter().filter(|text| text.is_one_of(CODE)) {
        match text.content.lines().count() {
            lines if lines > LINES_AT_MOST => broken.push(format!("{}: {lines} lines", text.path)),
            lines if lines > LINES_TO_THINK_AGAIN => {
                println!("warning: {} has {lines} lines", text.path);
            }
            _ => {}
        }
    }
    report("files of more than 800 lines", &broken);
}

#[test]
fn names_say_what_is_inside() {
    let broken: Vec<String> = texts()
        .iter()
        .flat_map(|text| text.path.split('/').map(move |part| (text, part)))
        .filter(|(_, part)| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part)))
        .map(|(text, _)| text.path.clone())
        .collect();
    report("names that say nothing", &broken);
}

#[test]
fn every_module_says_why_it_is_there() {
    let broken: Vec<String> = texts()
        .iter()
        .filter(|text| text.is_one_of(&[".rs"]) && !text.content.starts_with("//!"))
        .map(|text| text.path.clone())
        .collect();
    report("Rust files that do not begin with //!", &broken);
}

/// The words are put together here, so that this file does not hold them itself.
fn forbidden_words() -> Vec<(String, &'static str)> {
    let host = |parts: &[&str]| parts.join(".");
    vec![
        (["/wo", "rk/"].concat(), "a path of one machine"),
        (["/ho", "me/build"].concat(), "a path of one machine"),
        (host(&["static", "crates", "io"]), "a registry's host"),
        (host(&["index", "crates", "io"]), "a registry's host"),
        (host(&["registry", "npmjs", "org"]), "a registry's host"),
        (host(&["files", "pythonhosted", "org"]), "a registry's host"),
        (host(&["pypi", "org"]), "a registry's host"),
        (host(&["deb", "debian", "org"]), "a mirror's host"),
        (host(&["archive", "ubuntu", "com"]), "a mirror's host"),
    ]
}

/// Lock files name the source of a crate by its registry, and that is cargo's own text.
fn may_name_registries(text: &Text) -> bool {
    text.name() == "Cargo.lock"
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let words = forbidden_words();
    let mut broken = Vec::new();
    for text in texts().iter().filter(|text| !may_name_registries(text)) {
        for (number, line) in text.content.lines().enumerate() {
            for (word, why) in &words {
                if line.contains(word) {
                    broken.push(format!("{}:{}: {why}", text.path, number + 1));
                }
            }
        }
    }
    report("machine paths and registries", &broken);
}

#[test]
fn comments_hold_no_unfinished_business() {
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["X", "XX"].concat(),
    ];
    let mut broken = Vec::new();
    for text in texts()
        .iter()
        .filter(|text| text.is_one_of(&[".rs", ".py", ".mjs", ".sh"]))
    {
        for (number, line) in text.content.lines().enumerate() {
            let is_word = |word: &String| {
                line.split(|c: char| !c.is_alphanumeric())
                    .any(|w| w == word)
            };
            if words.iter().any(is_word) {
                broken.push(format!("{}:{}", text.path, number + 1));
            }
        }
    }
    report("unfinished business", &broken);
}
