//! Random names: ids that can't be guessed, and tokens.

use crate::{auth::Secret, random};
use soulbox_runtime::SandboxId;

const ID_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Characters after the `i` (e2b-wire.md, section 2): 103 bits, so an id is as good as a
/// password for the ports that need no token.
const ID_LENGTH: usize = 20;
/// Bytes below this are spread evenly over the alphabet.
const FAIR_BYTES: u8 = (256 / ID_ALPHABET.len() * ID_ALPHABET.len()) as u8;

/// A new id.
pub fn sandbox_id() -> SandboxId {
    let mut text = String::from("i");
    while text.len() <= ID_LENGTH {
        let [byte] = random::bytes::<1>();
        if byte < FAIR_BYTES {
            text.push(char::from(
                ID_ALPHABET[usize::from(byte) % ID_ALPHABET.len()],
            ));
        }
    }
    SandboxId::new(text).expect("made by the rule")
}

/// A new access token: 160 random bits in hexadecimal digits.
pub fn token() -> Secret {
    Secret::new(random::hex(&random::bytes::<20>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_rule_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| sandbox_id()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn tokens_are_forty_digits() {
        let token = token();
        assert_eq!(token.expose().len(), 40);
        assert!(token.expose().bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
