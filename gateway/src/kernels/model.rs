//! What an agent says of a kernel, read with suspicion: only known words, only bounded texts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Kernels of one sandbox that are believed in. An agent allows fewer.
const MOST_KERNELS: usize = 256;
/// Longest name of a kernelspec.
const NAME_LENGTH: usize = 128;
/// Longest sentence about a death.
const REASON_LENGTH: usize = 1024;

/// The id of a kernel: a UUID in its plain lower-case form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelId(String);

impl KernelId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4().hyphenated().to_string())
    }

    /// Reads one in any of the usual cases.
    pub fn parse(text: &str) -> Option<Self> {
        // Other forms of UUIDs, e.g. in braces, are not routable by Jupyter's rule.
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
        Some(Self(uuid.hyphenated().to_string()))
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a kernel is doing (jupyter-wire.md, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its process is on its way.
    Starting,
    /// Waiting for code.
    Idle,
    /// Running code.
    Busy,
    /// Its process is being replaced.
    Restarting,
    /// Gone, and not coming back.
    Dead,
    /// Anything else, and what is not known at the moment.
    #[serde(other)]
    Unknown,
}

/// One kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its id.
    pub id: KernelId,
    /// Its kind, as the agent knows it.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// When something happened last.
    pub last_activity: Timestamp,
    /// Clients that are connected.
    pub connections: u32,
    /// Why it is dead.
    pub reason: Option<String>,
}

/// A kernel in an agent's words.
#[derive(Debug, Deserialize)]
pub struct Told {
    id: String,
    name: String,
    execution_state: State,
    #[serde(default)]
    last_activity: String,
    #[serde(default)]
    connections: u64,
    #[serde(default)]
    reason: Option<String>,
}

impl Kernel {
    /// A kernel of which nothing is known but that it was made.
    pub fn unseen(id: KernelId, name: String) -> Self {
        Self {
            id,
            name,
            state: State::Unknown,
            last_activity: Timestamp::now(),
            connections: 0,
            reason: None,
        }
    }

    /// What is believed of an agent's words; `None` when they make no kernel.
    pub fn believed(told: Told) -> Option<Self> {
        let now = Timestamp::now();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-+".contains(&b);
        if told.name.is_empty() || told.name.len() > NAME_LENGTH || !told.name.bytes().all(plain) {
            return None;
        }
        let mut reason = told.reason.filter(|reason| !reason.is_empty());
        if let Some(reason) = &mut reason {
            reason.truncate(reason.floor_char_boundary(REASON_LENGTH));
        }
        Some(Self {
            id: KernelId::parse(&told.id)?,
            name: told.name,
            state: told.execution_state,
            // A clock that runs ahead would keep a kernel alive for ever.
            last_activity: told.last_activity.parse().unwrap_or(now).min(now),
            connections: u32::try_from(told.connections).unwrap_or(u32::MAX),
            reason,
        })
    }

    /// The same for a whole list.
    pub fn all_believed(told: Vec<Told>) -> Vec<Self> {
        let believed = told.into_iter().filter_map(Self::believed);
        believed.take(MOST_KERNELS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Kernel> {
        Kernel::believed(serde_json::from_str(text).ok()?)
    }

    #[test]
    fn what_an_agent_says_is_cut_down_to_what_it_may_say() {
        let id = "0B3F5A52-27a0-4ab5-9e9c-bc3f7b8c7f4d";
        let kernel = read(&format!(
            r#"{{"id": "{id}", "name": "python", "execution_state": "dancing",
                "last_activity": "2999-01-01T00:00:00Z", "connections": 99999999999}}"#
        ))
        .expect("a kernel");
        assert_eq!(kernel.id.to_string(), id.to_ascii_lowercase());
        assert_eq!(kernel.state, State::Unknown);
        assert!(kernel.last_activity <= Timestamp::now());
        assert_eq!(kernel.connections, u32::MAX);
    }

    #[test]
    fn what_is_no_kernel_is_left_out() {
        let id = "0b3f5a52-27a0-4ab5-9e9c-bc3f7b8c7f4d";
        for (id, name) in [
            ("../../etc/passwd", "python"),
            ("{0b3f5a52-27a0-4ab5-9e9c-bc3f7b8c7f4d}", "python"),
            (id, ""),
            (id, "<script>"),
        ] {
            let text = format!(r#"{{"id": "{id}", "name": "{name}", "execution_state": "idle"}}"#);
            assert!(read(&text).is_none(), "{text}");
        }
    }
}
