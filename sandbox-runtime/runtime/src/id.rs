//! Names of things, each its own type, so that no two can be swapped.
//!
//! An id that comes from a client or from a file is checked here once; past this
//! point it is safe in a path, a cgroup name and a log line.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// An id or a name that breaks its rule.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("invalid {kind}: expected {rule}")]
pub struct InvalidId {
    /// What was being named.
    pub kind: &'static str,
    /// The rule, in words.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` against the rule of this kind of id.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule in words.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, rule: $rule })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// A sandbox as clients know it: `i` and 20 characters of `[a-z0-9]`
    /// (e2b-wire.md, section 2).
    SandboxId,
    "sandbox id",
    "`i` and 20 characters of a-z and 0-9",
    |t| t.len() == 21 && t.starts_with('i') && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
);

id!(
    /// A cell: the started environment before and after a client owns it. Made by the
    /// node; names its directory, its cgroup and its container.
    CellId,
    "cell id",
    "1 to 40 characters of a-z, 0-9 and -",
    |t| (1..=40).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

id!(
    /// A template's name: `[a-z0-9-_]+`, at most 128 characters (e2b-wire.md, section 2).
    TemplateName,
    "template name",
    "1 to 128 characters of a-z, 0-9, - and _",
    |t| (1..=128).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_directory() {
        for text in ["", "..", "a/b", "i\0", "I0123456789012345678", "ié"] {
            assert!(SandboxId::new(text).is_err(), "{text:?}");
            assert!(CellId::new(text).is_err(), "{text:?}");
        }
        assert!(SandboxId::new("i0123456789abcdefghij").is_ok());
    }
}
