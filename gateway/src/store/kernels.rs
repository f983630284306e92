//! Which kernels Jupyter clients asked for, and in which sandbox each of them is.

use super::{Store, StoreError};
use rusqlite::params;

/// One kernel that a Jupyter client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRow {
    /// Its id.
    pub id: String,
    /// Its sandbox.
    pub sandbox: String,
    /// Its kind, as the agent knows it.
    pub name: String,
}

impl Store {
    /// Adds a kernel.
    pub async fn add_kernel(&self, row: KernelRow) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO kernels (id, sandbox, name) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![row.id, row.sandbox, row.name])?;
            Ok(())
        })
        .await
    }

    /// Every kernel whose sandbox has not died. Those of dead ones are forgotten.
    pub async fn kernels(&self) -> Result<Vec<KernelRow>, StoreError> {
        self.run(|connection| {
            connection.execute(
                "DELETE FROM kernels WHERE sandbox NOT IN (
                     SELECT id FROM sandboxes WHERE died_at IS NULL)",
                [],
            )?;
            let mut statement = connection.prepare("SELECT id, sandbox, name FROM kernels")?;
            let rows = statement.query_map([], |row| {
                Ok(KernelRow {
                    id: row.get(0)?,
                    sandbox: row.get(1)?,
                    name: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Forgets a kernel.
    pub async fn remove_kernel(&self, id: String) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.execute("DELETE FROM kernels WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }
}
