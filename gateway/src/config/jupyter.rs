//! The settings of the Jupyter side: their checks and defaults.

use super::{ConfigError, settings::wrong};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use soulbox_runtime::TemplateName;

/// Longer than a lunch break, and short enough that a forgotten notebook holds no memory
/// overnight.
pub const DEFAULT_IDLE_SECONDS: u32 = 3600;
const DEFAULT_TEMPLATE: &str = "code-interpreter-v1";
/// The origin that means every origin.
const ANY: &str = "*";

/// Checked settings of the Jupyter side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Jupyter {
    /// Path before its routes, without a slash at the end; empty for none.
    pub base_path: String,
    /// The template whose kernels go by their plain names.
    pub template: TemplateName,
    /// Idle time after which a sandbox ends that was made for a kernel.
    pub cull_idle_seconds: u32,
    /// Whether that also holds while somebody is connected.
    pub cull_connected: bool,
    /// Whether keys in paths are taken.
    pub path_tokens: bool,
    /// Origins whose pages may call, or `*`.
    pub allow_origin: Vec<String>,
}

impl Jupyter {
    /// Whether a page of this origin may call.
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        let is = |allowed: &String| allowed == ANY || allowed.as_bytes() == origin.as_bytes();
        self.allow_origin.iter().any(is)
    }
}

pub(super) fn base_path(text: Option<String>) -> Result<String, ConfigError> {
    let text = text.unwrap_or_default();
    let path = text.trim_matches('/');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    if !path.bytes().all(fits) || path.contains("//") {
        let reason = format!("expected a path such as /jupyter, not `{text}`");
        return Err(wrong("jupyter_base_path", reason));
    }
    Ok(if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    })
}

pub(super) fn template(text: Option<String>) -> Result<TemplateName, ConfigError> {
    let text = text.unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned());
    TemplateName::new(text.as_str()).map_err(|error| {
        let reason = format!("`{text}` is no template's name: expected {}", error.rule);
        wrong("jupyter_template", reason)
    })
}

pub(super) fn origins(list: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let list = list.unwrap_or_default();
    for origin in &list {
        let plain = origin.bytes().all(|b| b.is_ascii_graphic());
        if origin != ANY && !(plain && origin.contains("://")) {
            let reason =
                format!("expected an origin such as https://lab.example.org, not `{origin}`");
            return Err(wrong("jupyter_allow_origin", reason));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_kept_in_one_form() {
        for (text, want) in [
            ("", ""),
            ("/", ""),
            ("jupyter/", "/jupyter"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(base_path(Some(text.into())).expect(text), want);
        }
        assert!(base_path(Some("/a?b".into())).is_err());
    }
}
