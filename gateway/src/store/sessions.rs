//! Jupyter's sessions: which notebook uses which kernel. What a session holds is the
//! caller's; here it is text with an id.

use super::{Store, StoreError};
use rusqlite::params;

impl Store {
    /// Adds a session, or changes it.
    pub async fn put_session(&self, id: String, session: String) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO jupyter_sessions (id, session) VALUES (?1, ?2)",
                )?
                .execute(params![id, session])?;
            Ok(())
        })
        .await
    }

    /// Every session, with its id.
    pub async fn sessions(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare("SELECT id, session FROM jupyter_sessions ORDER BY rowid")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Forgets a session.
    pub async fn remove_session(&self, id: String) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.execute("DELETE FROM jupyter_sessions WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }
}
