//! The tables, as a list of steps from each format to the next. A step that was released is
//! never changed.

use super::StoreError;
use rusqlite::Connection;

const STEPS: &[&str] = &[
    "
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        hash BLOB NOT NULL UNIQUE,
        shown TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE sandboxes (
        id TEXT PRIMARY KEY,
        record TEXT NOT NULL,
        end_at INTEGER NOT NULL,
        died_at INTEGER,
        death TEXT
    ) STRICT;
    CREATE INDEX sandboxes_by_death ON sandboxes (died_at);
    CREATE TABLE answers (
        owner INTEGER NOT NULL,
        key TEXT NOT NULL,
        request BLOB NOT NULL,
        sandbox TEXT NOT NULL,
        made_at INTEGER NOT NULL,
        PRIMARY KEY (owner, key)
    ) STRICT;
    CREATE INDEX answers_by_age ON answers (made_at);
",
    "
    CREATE TABLE kernels (
        id TEXT PRIMARY KEY,
        sandbox TEXT NOT NULL,
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE jupyter_sessions (
        id TEXT PRIMARY KEY,
        session TEXT NOT NULL
    ) STRICT;
",
];

/// Runs the steps that the file has not seen, all of them or none.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: usize = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for step in &STEPS[found..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_is_refused_and_an_own_one_opened_again() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection).expect("first");
        migrate(&mut connection).expect("second");
        connection
            .pragma_update(None, "user_version", 99)
            .expect("set");
        assert!(matches!(
            migrate(&mut connection),
            Err(StoreError::Newer { found: 99, .. })
        ));
    }
}
