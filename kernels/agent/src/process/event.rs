//! Events of a process as envelopes of its stream.
//!
//! Output is written straight into the envelope: base64 text needs no escaping, and this is
//! the path that 100 MB of output take.

use super::output::{Piece, Source};
use super::reaper::{Exit, Pid};
use crate::connect::envelope::{self, HEADER};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;

/// The first event.
pub fn start(pid: Pid) -> Bytes {
    envelope::message(&json!({"event": {"start": {"pid": pid.as_u32()}}}))
}

/// Nothing happened for a while.
pub fn keepalive() -> Bytes {
    envelope::with_text(br#"{"event":{"keepalive":{}}}"#)
}

/// The last event.
pub fn end(exit: Exit) -> Bytes {
    let (code, exited, status) = match exit {
        Exit::Code(code) => (code, true, format!("exit status {code}")),
        Exit::Signal(signal) => (-1, false, format!("signal: {}", signal_text(signal))),
    };
    let mut end = json!({"exitCode": code, "exited": exited, "status": status});
    if code != 0 {
        end["error"] = status.into();
    }
    envelope::message(&json!({"event": {"end": end}}))
}

/// A piece of output.
pub fn data(piece: &Piece) -> Bytes {
    let before: &[u8] = match piece.source {
        Source::Stdout => br#"{"event":{"data":{"stdout":""#,
        Source::Stderr => br#"{"event":{"data":{"stderr":""#,
        Source::Terminal => br#"{"event":{"data":{"pty":""#,
    };
    let after = br#""}}}"#;
    let text = piece.bytes.len().div_ceil(3) * 4;
    let payload = before.len() + text + after.len();
    let mut event = BytesMut::with_capacity(HEADER + payload);
    event.put_u8(0);
    event.put_u32(u32::try_from(payload).unwrap_or(u32::MAX));
    event.put_slice(before);
    let place = event.len();
    event.resize(place + text, b'=');
    // The place has exactly the encoded length, so this cannot fail.
    let _ = BASE64_STANDARD.encode_slice(&piece.bytes, &mut event[place..]);
    event.put_slice(after);
    event.freeze()
}

/// The words that clients of the contract show.
fn signal_text(signal: i32) -> String {
    let word = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGUSR1 => "user defined signal 1",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGUSR2 => "user defined signal 2",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        other => return format!("signal {other}"),
    };
    word.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_the_same_as_through_a_json_library() {
        for length in [0, 1, 2, 3, 8192, 32768] {
            let bytes = Bytes::from(vec![0xe2; length]);
            let written = data(&Piece {
                source: Source::Stdout,
                bytes: bytes.clone(),
            });
            let text = BASE64_STANDARD.encode(&bytes);
            assert_eq!(
                written,
                envelope::message(&json!({"event": {"data": {"stdout": text}}}))
            );
        }
    }

    #[test]
    fn ends_say_how() {
        let text = |exit| String::from_utf8(end(exit)[HEADER..].to_vec()).unwrap();
        assert_eq!(
            text(Exit::Code(0)),
            r#"{"event":{"end":{"exitCode":0,"exited":true,"status":"exit status 0"}}}"#
        );
        assert!(text(Exit::Code(3)).contains(r#""error":"exit status 3""#));
        assert!(text(Exit::Signal(9)).contains(r#""exitCode":-1,"exited":false"#));
        assert!(text(Exit::Signal(9)).contains(r#""error":"signal: killed""#));
    }
}
