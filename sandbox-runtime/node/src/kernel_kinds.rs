//! Which kernels a template has, as their own `kernel.json` describes them.
//!
//! An image names directories of `kernels/`; the descriptions come from the files that are
//! embedded in this binary, never from an image, so nothing hostile is read here.

use crate::guest_files;
use serde::Deserialize;
use soulbox_runtime::api::KernelKind;
use tracing::warn;

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

/// The kernels of a template whose image names these.
pub fn of_template(named: &[String]) -> Vec<KernelKind> {
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
    fn what_is_embedded_is_described_and_what_is_not_is_not_promised() {
        let kinds = of_template(&["cobol".into(), "python".into()]);
        assert_eq!(kinds.len(), 1);
        assert_eq!(kinds[0].name, "python");
        assert!(kinds[0].aliases.iter().any(|alias| alias == "python3"));
    }
}
