//! Which sandbox a create with an `Idempotency-Key` has made, so that its repetition makes
//! no second one, not even after a restart in between.

use super::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use soulbox_runtime::SandboxId;

/// Clients repeat within minutes; a day is what such keys usually live.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What an earlier request with the same key led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAnswer {
    /// Hash of the request's body.
    pub request: [u8; 32],
    /// The sandbox that it made.
    pub sandbox: SandboxId,
}

impl Store {
    /// The answer to an earlier create of this owner with this key.
    pub async fn answer(&self, owner: i64, key: String) -> Result<Option<SavedAnswer>, StoreError> {
        self.run(move |connection| {
            let found: Option<([u8; 32], String)> = connection
                .prepare_cached(
                    "SELECT request, sandbox FROM answers WHERE owner = ?1 AND key = ?2 AND made_at > ?3",
                )?
                .query_row(params![owner, key, oldest()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((request, sandbox)) = found else {
                return Ok(None);
            };
            let sandbox = SandboxId::new(sandbox).map_err(|error| StoreError::Unreadable {
                what: "answer",
                why: error.to_string(),
            })?;
            Ok(Some(SavedAnswer { request, sandbox }))
        })
        .await
    }

    /// Remembers an answer, and forgets those that are too old.
    pub async fn save_answer(
        &self,
        owner: i64,
        key: String,
        answer: SavedAnswer,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.execute("DELETE FROM answers WHERE made_at <= ?1", [oldest()])?;
            connection.execute(
                "INSERT OR REPLACE INTO answers (owner, key, request, sandbox, made_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    owner,
                    key,
                    answer.request.as_slice(),
                    answer.sandbox.as_str(),
                    Timestamp::now().as_microsecond()
                ],
            )?;
            Ok(())
        })
        .await
    }
}

fn oldest() -> i64 {
    (Timestamp::now() - KEPT).as_microsecond()
}
