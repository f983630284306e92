//! The direction that is heard here. HTTP/2 libraries read a stream that was reset with CANCEL
//! as if it had ended well, so the end is asked for and not taken on trust.

use crate::Broken;
use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

/// What the far side says.
pub struct Incoming<B> {
    body: B,
    /// Read, but not taken yet.
    kept: Bytes,
}

impl<B: Body<Data = Bytes> + Unpin> Incoming<B> {
    /// Hears a body.
    pub fn new(body: B) -> Self {
        Self {
            body,
            kept: Bytes::new(),
        }
    }

    /// The next bytes, never none of them; `None` when the far side has said all.
    ///
    /// # Errors
    /// [`Broken::Far`] when it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if !self.kept.is_empty() {
            return Ok(Some(std::mem::take(&mut self.kept)));
        }
        loop {
            let Some(frame) = self.body.frame().await else {
                return if self.body.is_end_stream() {
                    Ok(None)
                } else {
                    Err(Broken::Far)
                };
            };
            let frame = frame.map_err(|_| Broken::Far)?;
            match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            }
        }
    }

    /// One byte; the others stay.
    ///
    /// # Errors
    /// [`Broken::Far`] when the far side broke off.
    pub async fn byte(&mut self) -> Result<Option<u8>, Broken> {
        let Some(mut bytes) = self.next().await? else {
            return Ok(None);
        };
        let byte = bytes.get_u8();
        self.kept = bytes;
        Ok(Some(byte))
    }
}
