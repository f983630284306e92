//! Large pictures of results: scaled down in the answer, kept whole as a file in the sandbox.
//!
//! A picture comes from hostile code, so this process reads no more of it than its size; a
//! short-lived child with bounds of its own decodes it ([`worker`]). Whatever goes wrong leaves
//! the picture as it came, and nothing is scaled whose original could not be kept.

mod scale;
mod size;
pub mod worker;

use super::log::Log;
use super::result::Bundle;
use crate::process::reaper::Reaper;
use crate::sandbox::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use size::Size;
use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use worker::Order;

/// Names the originals in `extra` of a result.
const ORIGINALS: &str = "application/vnd.soulbox.originals+json";

/// How long a result may be late for its pictures, those before it included.
const PATIENCE: Duration = Duration::from_secs(30);

/// Part of the sandbox's memory that a decoded picture may take: one of so many.
const MEMORY_PART: u64 = 8;

/// The least and the most that a decoded picture may take, in bytes, whatever the sandbox has.
const MEMORY: std::ops::RangeInclusive<u64> = (64 << 20)..=(512 << 20);

/// What a picture can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Portable network graphics.
    Png,
    /// What cameras make.
    Jpeg,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Png, Self::Jpeg];

    fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        }
    }
}

/// Who scales the pictures of this sandbox, one at a time.
pub struct Pictures {
    sandbox: Arc<Sandbox>,
    reaper: Arc<Reaper>,
    turn: Semaphore,
}

/// A picture that is too large.
struct Large {
    kind: Kind,
    size: Size,
    bytes: Bytes,
}

impl Pictures {
    /// Nobody at work yet.
    pub fn new(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) -> Self {
        Self {
            sandbox,
            reaper,
            turn: Semaphore::new(1),
        }
    }

    /// Replaces the pictures of a bundle that are larger than the owner of the server wants
    /// them, and says where the originals are.
    pub async fn fit(&self, bundle: &mut Bundle, log: &Arc<Log>) {
        let side = self.sandbox.identity().image_side;
        let mut originals = Map::new();
        for kind in Kind::ALL {
            let Some(large) = bundle
                .get(kind.mime())
                .and_then(|value| Large::read(kind, value, side))
            else {
                continue;
            };
            match tokio::time::timeout(PATIENCE, self.scaled(&large, side, log)).await {
                Ok(Ok((scaled, original))) => {
                    bundle.put(kind.mime(), scaled);
                    originals.insert(kind.mime().into(), original);
                }
                Ok(Err(error)) => tracing::info!(%error, "a large picture was left as it is"),
                Err(_) => tracing::info!("a large picture was left as it is: no time"),
            }
        }
        if let (false, Ok(originals)) = (
            originals.is_empty(),
            serde_json::value::to_raw_value(&originals),
        ) {
            bundle.put(ORIGINALS, originals);
        }
    }

    async fn scaled(
        &self,
        large: &Large,
        side: u32,
        log: &Arc<Log>,
    ) -> io::Result<(Box<RawValue>, Value)> {
        let _turn = self.turn.acquire().await.map_err(io::Error::other)?;
        let limits = self.sandbox.identity().limits;
        let memory = limits.map_or(*MEMORY.start(), |limits| limits.memory_bytes / MEMORY_PART);
        let order = Order {
            kind: large.kind,
            side,
            memory: memory.clamp(*MEMORY.start(), *MEMORY.end()),
        };
        if large.size.pixels() > order.memory {
            return Err(io::Error::other("it is larger than what may be decoded"));
        }
        let kept = log.keep(large.kind.suffix(), large.bytes.clone()).await?;
        // Until all went well nobody knows of the file.
        let kept = Kept { log, path: &kept };
        let scaled = worker::scale(&order, kept.path, &self.reaper).await?;
        let text = format!("\"{}\"", STANDARD.encode(&scaled));
        let value = RawValue::from_string(text).map_err(io::Error::other)?;
        let original = json!({
            "path": kept.path.to_string_lossy(),
            "width": large.size.width,
            "height": large.size.height,
            "bytes": large.bytes.len(),
        });
        std::mem::forget(kept);
        Ok((value, original))
    }
}

/// Removes the file unless it is forgotten.
struct Kept<'a> {
    log: &'a Arc<Log>,
    path: &'a Path,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.log.let_go(self.path);
    }
}

impl Large {
    /// The picture in a JSON text, if it is one and one of its sides is longer than `side`.
    fn read(kind: Kind, value: &RawValue, side: u32) -> Option<Self> {
        let text = value.get().strip_prefix('"')?.strip_suffix('"')?;
        // A PNG says its size at its very beginning, so that ordinary ones cost nothing here.
        if kind == Kind::Png {
            let head = text.get(..size::PNG_HEAD_BASE64)?;
            if let Ok(head) = STANDARD.decode(head)
                && !size::png(&head)?.exceeds(side)
            {
                return None;
            }
        }
        let bytes = STANDARD.decode(plain(text).as_bytes()).ok()?;
        let size = match kind {
            Kind::Png => size::png(&bytes),
            Kind::Jpeg => size::jpeg(&bytes),
        }?;
        size.exceeds(side).then(|| Self {
            kind,
            size,
            bytes: bytes.into(),
        })
    }
}

/// Base64 without the line ends that some kernels put into it, as JSON has them.
fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\\') {
        Cow::Owned(
            text.replace("\\r", "")
                .replace("\\n", "")
                .replace("\\/", "/"),
        )
    } else {
        Cow::Borrowed(text)
    }
}
