//! API keys: made once, shown once, stored as a hash.
//!
//! A key is 160 random bits, so its plain SHA-256 can't be reversed by guessing: slow
//! password hashes protect secrets that people choose, and would cost every request here.
//! All keys of a server see all its sandboxes; keys tell programs apart, not tenants.

use super::{Secret, same};
use crate::{
    random,
    store::{KeyRow, Store, StoreError},
};
use sha2::{Digest, Sha256};

/// Clients of the older generation refuse keys of any other form (e2b-wire.md, section 1.6).
const PREFIX: &str = "e2b_";
const RANDOM_BYTES: usize = 20;
/// Digits of a key that a list shows.
const SHOWN_DIGITS: usize = 6;
/// Longest text that is looked up at all.
const LONGEST_KEY: usize = 256;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Number of the key.
    pub key: i64,
}

/// A key that was just made. The only moment at which it can be shown.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub secret: Secret,
    /// What is stored of it.
    pub row: KeyRow,
}

/// All keys.
#[derive(Debug)]
pub struct Keys {
    store: Store,
}

impl Keys {
    /// The keys of this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Makes a key.
    pub async fn create(&self, name: &str) -> Result<NewKey, StoreError> {
        let text = format!("{PREFIX}{}", random::hex(&random::bytes::<RANDOM_BYTES>()));
        let shown = format!("{}…", &text[..PREFIX.len() + SHOWN_DIGITS]);
        let row = self
            .store
            .add_key(name.to_owned(), hash(&text), shown)
            .await?;
        Ok(NewKey {
            secret: Secret::new(text),
            row,
        })
    }

    /// Makes the very first key of a server; `None` when it had one before.
    pub async fn create_first(&self) -> Result<Option<NewKey>, StoreError> {
        if self.store.had_keys().await? {
            return Ok(None);
        }
        self.create("first").await.map(Some)
    }

    /// Who presents this key; `None` when it is not a key of this server. Asks the store each
    /// time, so that a key that was revoked works no more.
    pub async fn caller(&self, presented: &str) -> Result<Option<Caller>, StoreError> {
        if presented.len() > LONGEST_KEY {
            return Ok(None);
        }
        let hash = hash(presented);
        let found = self.store.key_by_hash(hash).await?;
        let found = found.filter(|(_, stored)| same(stored, &hash));
        Ok(found.map(|(key, _)| Caller { key }))
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_known_until_it_is_revoked_and_another_never() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("keys.db")).expect("a store");
        let keys = Keys::new(store.clone());
        let made = keys.create_first().await.expect("made").expect("the first");
        assert!(keys.create_first().await.expect("asked").is_none());
        let text = made.secret.expose().to_owned();
        assert_eq!(text.len(), PREFIX.len() + 2 * RANDOM_BYTES);
        assert!(keys.caller(&text).await.expect("asked").is_some());
        assert!(keys.caller("e2b_00").await.expect("asked").is_none());
        assert!(store.revoke_key(made.row.id).await.expect("asked"));
        assert!(keys.caller(&text).await.expect("asked").is_none());
        assert!(
            keys.create_first().await.expect("asked").is_none(),
            "not first any more"
        );
    }
}
