//! Sessions: which notebook of a client uses which kernel. Kept in the store, so that they
//! and their kernels are still together after a restart.
//!
//! A session whose kernel is gone is no session any more, and vanishes when somebody looks.

use super::{Held, KernelError, KernelId, Kernels, Wish};
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use thiserror::Error;

/// Sessions at one time. Each belongs to a live kernel, so this is never reached in earnest.
const MOST_SESSIONS: usize = 10_000;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, in the form of a kernel's.
    pub id: KernelId,
    /// The notebook's path, as the client writes it.
    pub path: String,
    /// Its name, often empty.
    pub name: String,
    /// What it is: `notebook`, `console`, `file`, or a word of the client's own.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its kernel.
    pub kernel: KernelId,
    order: u64,
}

/// Which kernel a session is to have.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// One that lives.
    Existing(KernelId),
    /// A new one.
    New(Wish),
}

/// Why a session was not made, found or changed.
#[derive(Debug, Error)]
pub enum SessionError {
    /// No session has this id.
    #[error("Session not found: session_id={0}")]
    Unknown(String),
    /// There are enough.
    #[error("{MOST_SESSIONS} sessions are open; close one first")]
    TooMany,
    /// Something about its kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to change about a session.
#[derive(Debug, Default)]
pub struct Change {
    /// Its path.
    pub path: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What it is.
    pub kind: Option<String>,
    /// Its kernel. Of a new one, the old one is ended.
    pub kernel: Option<Wanted>,
}

/// All sessions of this gateway.
pub struct Sessions {
    store: Store,
    kernels: Arc<Kernels>,
    all: Mutex<HashMap<KernelId, Session>>,
}

impl Sessions {
    /// Takes up what the store remembers.
    pub async fn open(store: Store, kernels: Arc<Kernels>) -> Result<Self, StoreError> {
        let rows = store.sessions().await?;
        let read = |text: &str| serde_json::from_str::<Session>(text).ok();
        let all = rows
            .iter()
            .filter_map(|(_, text)| read(text))
            .map(|session| (session.id.clone(), session));
        Ok(Self {
            all: Mutex::new(all.collect()),
            store,
            kernels,
        })
    }

    /// Every session with its kernel, in the order in which they were made.
    pub async fn list(&self) -> Result<Vec<(Session, Held)>, SessionError> {
        let all: BTreeMap<(u64, KernelId), Session> = self
            .all
            .lock()
            .expect("no holder panics")
            .values()
            .map(|session| ((session.order, session.id.clone()), session.clone()))
            .collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.kernels.look().await;
        let mut found = Vec::with_capacity(all.len());
        for session in all.into_values() {
            let held = list
                .kernels
                .iter()
                .find(|held| held.kernel.id == session.kernel);
            match held {
                Some(held) => found.push((session, held.clone())),
                None if list.whole => self.remove(&session.id).await?,
                None => {}
            }
        }
        Ok(found)
    }

    /// One session.
    pub async fn get(&self, id: &str) -> Result<(Session, Held), SessionError> {
        let session = self.known(id)?;
        match self.kernels.get(&session.kernel).await {
            Ok(held) => Ok((session, held)),
            Err(KernelError::Unknown(_)) => {
                self.remove(&session.id).await?;
                Err(SessionError::Unknown(id.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a session, or gives the one that its path has already.
    pub async fn create(
        &self,
        path: String,
        name: String,
        kind: String,
        kernel: Wanted,
    ) -> Result<(Session, Held), SessionError> {
        if let Some(found) = self.of_path(&path).await? {
            return Ok(found);
        }
        if self.all.lock().expect("no holder panics").len() >= MOST_SESSIONS {
            return Err(SessionError::TooMany);
        }
        let held = match kernel {
            Wanted::Existing(id) => self.kernels.get(&id).await?,
            Wanted::New(wish) => {
                let held = self.kernels.create(wish).await?;
                // Somebody else may have opened the same notebook in the meantime.
                if let Some(found) = self.of_path(&path).await? {
                    self.kernels.end(&held.kernel.id).await?;
                    return Ok(found);
                }
                held
            }
        };
        let session = Session {
            id: KernelId::random(),
            path,
            name,
            kind,
            kernel: held.kernel.id.clone(),
            order: self.next_order(),
        };
        self.put(session.clone()).await?;
        Ok((session, held))
    }

    /// Renames a session, or gives it another kernel.
    pub async fn change(&self, id: &str, change: Change) -> Result<(Session, Held), SessionError> {
        let (mut session, mut held) = self.get(id).await?;
        session.path = change.path.unwrap_or(session.path);
        session.name = change.name.unwrap_or(session.name);
        session.kind = change.kind.unwrap_or(session.kind);
        let mut replaced = None;
        match change.kernel {
            None => {}
            Some(Wanted::Existing(id)) => held = self.kernels.get(&id).await?,
            Some(Wanted::New(wish)) => {
                replaced = Some(session.kernel.clone());
                held = self.kernels.create(wish).await?;
            }
        }
        session.kernel = held.kernel.id.clone();
        self.put(session.clone()).await?;
        if let Some(old) = replaced {
            end(&self.kernels, &old).await?;
        }
        Ok((session, held))
    }

    /// Ends a session and its kernel.
    pub async fn end(&self, id: &str) -> Result<(), SessionError> {
        let session = self.known(id)?;
        self.remove(&session.id).await?;
        Ok(end(&self.kernels, &session.kernel).await?)
    }

    async fn of_path(&self, path: &str) -> Result<Option<(Session, Held)>, SessionError> {
        let session = {
            let all = self.all.lock().expect("no holder panics");
            all.values().find(|session| session.path == path).cloned()
        };
        let Some(session) = session else {
            return Ok(None);
        };
        match self.get(&session.id.to_string()).await {
            Ok(found) => Ok(Some(found)),
            Err(SessionError::Unknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn known(&self, id: &str) -> Result<Session, SessionError> {
        let unknown = || SessionError::Unknown(id.to_owned());
        let parsed = KernelId::parse(id).ok_or_else(unknown)?;
        let all = self.all.lock().expect("no holder panics");
        all.get(&parsed).cloned().ok_or_else(unknown)
    }

    fn next_order(&self) -> u64 {
        let all = self.all.lock().expect("no holder panics");
        let last = all.values().map(|session| session.order).max();
        last.unwrap_or_default() + 1
    }

    async fn put(&self, session: Session) -> Result<(), StoreError> {
        let text = serde_json::to_string(&session).expect("keys are text");
        self.store.put_session(session.id.to_string(), text).await?;
        self.all
            .lock()
            .expect("no holder panics")
            .insert(session.id.clone(), session);
        Ok(())
    }

    async fn remove(&self, id: &KernelId) -> Result<(), StoreError> {
        self.all.lock().expect("no holder panics").remove(id);
        self.store.remove_session(id.to_string()).await
    }
}

/// Ends a kernel that may be gone already.
async fn end(kernels: &Arc<Kernels>, id: &KernelId) -> Result<(), KernelError> {
    match kernels.end(id).await {
        Err(KernelError::Unknown(_)) => Ok(()),
        other => other,
    }
}
