//! API keys, as hashes.

use super::{Store, StoreError};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

/// One key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Number that `key list` shows and `key revoke` takes.
    pub id: i64,
    /// What its owner called it.
    pub name: String,
    /// Its first characters, to recognise it by.
    pub shown: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Store {
    /// Adds a key.
    pub async fn add_key(
        &self,
        name: String,
        hash: [u8; 32],
        shown: String,
    ) -> Result<KeyRow, StoreError> {
        self.run(move |connection| {
            let created_at = Timestamp::now();
            connection.execute(
                "INSERT INTO keys (name, hash, shown, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![name, hash.as_slice(), shown, created_at.as_microsecond()],
            )?;
            let id = connection.last_insert_rowid();
            Ok(KeyRow {
                id,
                name,
                shown,
                created_at,
            })
        })
        .await
    }

    /// The key with this hash that is not revoked, with the stored hash.
    pub async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<(i64, [u8; 32])>, StoreError> {
        self.run(move |connection| {
            Ok(connection
                .prepare_cached("SELECT id, hash FROM keys WHERE hash = ?1 AND revoked_at IS NULL")?
                .query_row([hash.as_slice()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })
        .await
    }

    /// Every key that is not revoked, oldest first.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, name, shown, created_at FROM keys WHERE revoked_at IS NULL ORDER BY id",
            )?;
            let rows = statement.query_map([], |row| {
                let micros: i64 = row.get(3)?;
                Ok(KeyRow {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    shown: row.get(2)?,
                    created_at: Timestamp::from_microsecond(micros).unwrap_or_default(),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Whether any key was ever made, revoked ones included.
    pub async fn had_keys(&self) -> Result<bool, StoreError> {
        self.run(|connection| {
            Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM keys)", [], |row| row.get(0))?)
        })
        .await
    }

    /// Takes a key back. False when there is no such key.
    pub async fn revoke_key(&self, id: i64) -> Result<bool, StoreError> {
        self.run(move |connection| {
            let changed = connection.execute(
                "UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                params![id, Timestamp::now().as_microsecond()],
            )?;
            Ok(changed > 0)
        })
        .await
    }
}
