//! Which kernels a template has, as their own `kernel.json` describes them.
//!
//! An image names directories of `kernels/`; the descriptions come from the files that are
//! embedded in this binary, never from an image, so nothing hostile is read here.

use crate::guest_files;
use serde::Deserialize;
use soulbox_runtime::api::KernelKind;
use tracing::warn;

/// What an image that names no kernels, but has an interpreter, was built for.
const ONLY_PYTHON: [&str; 1] = ["python"];

#[derive(Deserialize)]
struct File {
    display_name: String,
    language: String,
    #[serde(default = "by_signal")]
    interrupt_mode: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    debugger: bool,
    soulbox: Ours,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ours {
    aliases: Vec<String>,
}

fn by_signal() -> String {
    "signal".to_owned()
}

/// The kernels of a template whose image says this.
pub fn of_template(interpreter: bool, named: &[String]) -> Vec<KernelKind> {
    if named.is_empty() && interpreter {
        return ONLY_PYTHON.into_iter().filter_map(kind).collect();
    }
    named.iter().filter_map(|name| kind(name)).collect()
}

fn kind(name: &str) -> Option<KernelKind> {
    let text = guest_files::kernel_file(&format!("{name}/kernel.json"))?;
    let file: File = match serde_json::from_slice(text) {
        Ok(file) => file,
        Err(error) => {
            warn!(kernel = name, %error, "a kernel's description can't be read");
            return None;
        }
    };
    Some(KernelKind {
        name: name.to_owned(),
        display_name: file.display_name,
        language: file.language,
        aliases: file.metadata.soulbox.aliases,
        interrupt_mode: file.interrupt_mode,
        debugger: file.metadata.debugger,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_has_python_and_what_is_not_embedded_is_not_promised() {
        let kinds = of_template(true, &[]);
        assert_eq!(kinds.len(), 1);
        assert_eq!(kinds[0].name, "python");
        assert!(kinds[0].aliases.iter().any(|alias| alias == "python3"));
        assert_eq!(of_template(true, &["cobol".into(), "python".into()]), kinds);
        assert!(of_template(false, &[]).is_empty());
    }
}
