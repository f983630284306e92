//! A text that must not show up in logs, and how two such texts are compared.

use serde::{Deserialize, Serialize};
use std::{fmt, hint::black_box};

/// A token or a key. Its debug form hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for an answer to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether somebody presented this secret.
    pub fn is(&self, presented: &[u8]) -> bool {
        same(self.0.as_bytes(), presented)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Compares two texts in a time that depends on their lengths only, so that nobody can find
/// a secret out byte by byte. The lengths of our secrets are no secret.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |all, (x, y)| black_box(all | (x ^ y)));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_itself_and_nothing_else() {
        let secret = Secret::new("abc".into());
        assert!(secret.is(b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!secret.is(other));
        }
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}
