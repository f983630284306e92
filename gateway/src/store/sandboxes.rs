//! Sandboxes: what was agreed with the client, when they end, and how they died.

use super::{Store, StoreError};
use crate::sandboxes::Record;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use soulbox_runtime::{Death, SandboxId};

/// Dead sandboxes that stay known, for whoever asks what became of them.
const DEAD_KEPT: i64 = 10_000;

/// One sandbox as stored.
#[derive(Debug, Clone)]
pub struct SandboxRow {
    /// What was agreed.
    pub record: Record,
    /// When it ends, or would have ended.
    pub end_at: Timestamp,
    /// How it died, if it did.
    pub death: Option<Death>,
}

/// A death to be stored.
#[derive(Debug, Clone)]
pub struct SavedDeath {
    /// Whose.
    pub id: SandboxId,
    /// How.
    pub death: Death,
}

impl Store {
    /// Adds a sandbox that has just been handed over.
    pub async fn add_sandbox(&self, row: SandboxRow) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached("INSERT INTO sandboxes (id, record, end_at) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    row.record.id.as_str(),
                    written(&row.record),
                    row.end_at.as_microsecond()
                ])?;
            Ok(())
        })
        .await
    }

    /// Moves the end of a live sandbox.
    pub async fn move_end(&self, id: SandboxId, end_at: Timestamp) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE sandboxes SET end_at = ?2 WHERE id = ?1 AND died_at IS NULL",
                )?
                .execute(params![id.as_str(), end_at.as_microsecond()])?;
            Ok(())
        })
        .await
    }

    /// Replaces what was agreed about a live sandbox.
    pub async fn update_record(&self, record: Record) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE sandboxes SET record = ?2 WHERE id = ?1 AND died_at IS NULL",
                )?
                .execute(params![record.id.as_str(), written(&record)])?;
            Ok(())
        })
        .await
    }

    /// Writes down deaths, all or none. The first death of a sandbox stays.
    pub async fn bury(&self, deaths: Vec<SavedDeath>) -> Result<(), StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            for SavedDeath { id, death } in deaths {
                transaction
                    .prepare_cached(
                        "UPDATE sandboxes SET died_at = ?2, death = ?3 WHERE id = ?1 AND died_at IS NULL",
                    )?
                    .execute(params![id.as_str(), death.at.as_microsecond(), written(&death)])?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Every sandbox that has not died.
    pub async fn live_sandboxes(&self) -> Result<Vec<SandboxRow>, StoreError> {
        self.run(|connection| {
            let mut statement = connection
                .prepare("SELECT record, end_at, death FROM sandboxes WHERE died_at IS NULL")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })
        .await
    }

    /// One sandbox, dead or alive.
    pub async fn sandbox(&self, id: String) -> Result<Option<SandboxRow>, StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached("SELECT record, end_at, death FROM sandboxes WHERE id = ?1")?
                .query_row([id], |row| Ok(read(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    /// Forgets the oldest of the dead beyond the number that is kept.
    pub async fn forget_old_deaths(&self) -> Result<(), StoreError> {
        self.run(|connection| {
            connection.execute(
                "DELETE FROM sandboxes WHERE died_at IS NOT NULL AND id NOT IN (
                     SELECT id FROM sandboxes WHERE died_at IS NOT NULL
                     ORDER BY died_at DESC LIMIT ?1)",
                [DEAD_KEPT],
            )?;
            Ok(())
        })
        .await
    }
}

fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("stored types have string keys only")
}

fn read(row: &Row<'_>) -> Result<SandboxRow, StoreError> {
    let unreadable = |why: String| StoreError::Unreadable {
        what: "sandbox",
        why,
    };
    let record: String = row.get(0)?;
    let end_at: i64 = row.get(1)?;
    let death: Option<String> = row.get(2)?;
    Ok(SandboxRow {
        record: serde_json::from_str(&record).map_err(|error| unreadable(error.to_string()))?,
        end_at: Timestamp::from_microsecond(end_at)
            .map_err(|error| unreadable(error.to_string()))?,
        death: death
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| unreadable(error.to_string()))?,
    })
}
