//! Which kernels this sandbox can start: kernelspecs, as data.
//!
//! Ours are read-only under `/opt/soulbox/kernels`; a template can bring further ones in
//! Jupyter's usual directories. A specification is a language by its directory's name and by
//! the aliases that it states. Ours win, since they know more than Jupyter asks for.

use crate::process::spawn::DEFAULT_PATH;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Longest `kernel.json` that is read.
const SPEC_BYTES: u64 = 256 << 10;

/// Most kernelspecs that are listed; a directory full of links is not walked for ever.
const MOST_SPECS: usize = 64;

/// How a kernel wants to be interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterruptMode {
    /// SIGINT to its process group.
    #[default]
    Signal,
    /// `interrupt_request` on the control channel.
    Message,
}

/// How a kernel is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Sockets that are files.
    #[default]
    Ipc,
    /// Ports of the sandbox's loopback.
    Tcp,
}

/// Words of the commands of kernels that are known to take `ipc` (section 5.1 of the Jupyter wire
/// contract). Many others do not start with it, or say nothing, and every kernel takes `tcp`.
const TAKE_IPC: [&str; 4] = ["ipykernel", "IRkernel", "bash_kernel", "xpython"];

/// What a kernel can do beyond Jupyter: `metadata.soulbox` of its specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Beyond {
    /// How it is reached. Kernelspecs that are not made for us do not say.
    pub transport: Transport,
    /// Further names of the language.
    pub aliases: Vec<String>,
    /// It knows the message that changes a running kernel's variables.
    pub control_env: bool,
    /// It knows variables in the metadata of an execution.
    pub execute_env: bool,
    /// Arguments to append when it is started ahead of its first use.
    pub warm_argv: Vec<String>,
    /// Command of the process that forks kernels which speak over wires, where there is one.
    pub fork_argv: Vec<String>,
    /// Programs (by name) and files (by path) without which the image has no such kernel.
    pub needs: Vec<PathBuf>,
    /// Exit status that says that the image lacks what it needs; starting again is no use.
    pub exit_no_kernel: Option<i32>,
}

/// One kernelspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name of the language, as clients of the interpreter say it.
    pub name: String,
    /// Command, with `{connection_file}` where the file belongs.
    pub argv: Vec<String>,
    /// Variables to add to the sandbox's.
    pub env: BTreeMap<String, String>,
    /// How to interrupt it.
    pub interrupt: InterruptMode,
    /// Directory of the specification, for `{resource_dir}`.
    pub directory: PathBuf,
    /// What it can do beyond Jupyter.
    pub beyond: Beyond,
}

#[derive(Deserialize)]
struct File {
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    interrupt_mode: InterruptMode,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    soulbox: Option<Beyond>,
}

/// What is assumed of a kernelspec that knows nothing of us.
fn stock(argv: &[String]) -> Beyond {
    let takes_ipc = |argument: &String| TAKE_IPC.iter().any(|word| argument.contains(word));
    Beyond {
        transport: if argv.iter().any(takes_ipc) {
            Transport::Ipc
        } else {
            Transport::Tcp
        },
        ..Beyond::default()
    }
}

impl Spec {
    /// Reads the specification in a directory; `None` when there is none, or a broken one.
    pub fn read(directory: &Path) -> Option<Self> {
        let path = directory.join("kernel.json");
        if std::fs::metadata(&path).ok()?.len() > SPEC_BYTES {
            return None;
        }
        let file: File = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let name = directory.file_name()?.to_str()?.to_ascii_lowercase();
        let beyond = file.metadata.soulbox;
        let beyond = beyond.unwrap_or_else(|| stock(&file.argv));
        if file.argv.is_empty() || !beyond.needs.iter().all(|need| is_there(need)) {
            return None;
        }
        Some(Self {
            name,
            argv: file.argv,
            env: file.env,
            interrupt: file.interrupt_mode,
            directory: directory.to_owned(),
            beyond,
        })
    }

    /// Whether a client that says `language` means this one.
    pub fn is(&self, language: &str) -> bool {
        self.name == language || self.beyond.aliases.iter().any(|alias| alias == language)
    }
}

/// Whether the image has a program of this name, or a file at this path.
fn is_there(need: &Path) -> bool {
    if need.is_absolute() {
        return need.exists();
    }
    let mut directories = std::env::split_paths(DEFAULT_PATH);
    directories.any(|directory| directory.join(need).exists())
}

/// The kernelspecs of a sandbox. Whoever has root in it may install more, so what is not known is
/// looked for once more.
pub struct Specs {
    roots: Vec<PathBuf>,
    found: RwLock<Arc<[Spec]>>,
}

impl Specs {
    /// Those under these directories.
    pub fn under(roots: Vec<PathBuf>) -> Self {
        let found = RwLock::new(discover(&roots).into());
        Self { roots, found }
    }

    /// All that were found, ours first.
    pub fn all(&self) -> Arc<[Spec]> {
        // Every change replaces the whole.
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    /// The one that a client means who says `language`.
    pub fn find(&self, language: &str) -> Option<Spec> {
        let known = |specs: &[Spec]| specs.iter().find(|spec| spec.is(language)).cloned();
        known(&self.all()).or_else(|| {
            let now: Arc<[Spec]> = discover(&self.roots).into();
            *self.found.write().unwrap_or_else(PoisonError::into_inner) = now.clone();
            known(&now)
        })
    }
}

/// The specifications under these directories, in this order; of two with one name the first.
fn discover(roots: &[PathBuf]) -> Vec<Spec> {
    let mut found: Vec<Spec> = Vec::new();
    for root in roots {
        let Ok(entries) = std::fs::read_dir(root) else {
            continue;
        };
        let mut directories: Vec<PathBuf> = entries
            .flatten()
            .take(MOST_SPECS)
            .map(|entry| entry.path())
            .collect();
        directories.sort();
        for spec in directories
            .iter()
            .filter_map(|directory| Spec::read(directory))
        {
            let taken = found.iter().any(|other| other.is(&spec.name));
            if !taken && found.len() < MOST_SPECS {
                found.push(spec);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(root.join(name)).expect("a directory");
        std::fs::write(root.join(name).join("kernel.json"), text).expect("a file");
    }

    #[test]
    fn ours_win_and_broken_ones_are_passed_over() {
        let scratch = std::env::temp_dir().join(format!("soulbox-spec-{}", std::process::id()));
        let (ours, theirs) = (scratch.join("ours"), scratch.join("theirs"));
        let ours_text = r#"{"argv": ["p", "{connection_file}"], "metadata": {"soulbox": {"aliases": ["python3"]}}}"#;
        write(&ours, "python", ours_text);
        write(&theirs, "python3", r#"{"argv": ["stock"]}"#);
        write(
            &theirs,
            "ir",
            r#"{"argv": ["R"], "interrupt_mode": "message", "metadata": {"debugger": true}}"#,
        );
        write(&theirs, "broken", "{");
        write(&theirs, "empty", r#"{"argv": []}"#);
        let found = discover(&[ours, theirs, scratch.join("missing")]);
        std::fs::remove_dir_all(&scratch).expect("the scratch directory is ours");
        assert_eq!(
            found
                .iter()
                .map(|spec| spec.name.as_str())
                .collect::<Vec<_>>(),
            ["python", "ir"]
        );
        assert!(found[0].is("python3") && found[0].is("python") && !found[0].is("ir"));
        assert_eq!(found[1].interrupt, InterruptMode::Message);
        assert_eq!(found[0].beyond.transport, Transport::Ipc, "it knows us");
        assert_eq!(found[1].beyond.transport, Transport::Tcp, "nobody knows it");
    }

    #[test]
    fn kernels_that_take_ipc_are_known_by_their_commands() {
        let of = |words: &[&str]| {
            let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            stock(&argv).transport
        };
        let file = "{connection_file}";
        assert_eq!(
            of(&["python3", "-m", "ipykernel_launcher", "-f", file]),
            Transport::Ipc
        );
        assert_eq!(
            of(&["R", "-e", "IRkernel::main()", "--args", file]),
            Transport::Ipc
        );
        assert_eq!(
            of(&["deno", "jupyter", "--kernel", "--conn", file]),
            Transport::Tcp
        );
    }
}
