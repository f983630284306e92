//! What a client still sends when it has been refused already.
//!
//! Most clients read an answer only when they have sent everything, and a connection that is
//! closed before tells them nothing. So we read on and throw away, within bounds.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::timeout;

const DISCARDED_BYTES: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads the rest of a body, or as much as the bounds allow.
pub async fn discard(mut body: Body) {
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DISCARDED_BYTES {
                return;
            }
        }
    };
    let _ = timeout(DEADLINE, rest).await;
}
