//! However a stream is cut, the same messages come out, none larger than allowed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_agent_fuzz::connect::envelope::{Decoder, MAX_MESSAGE};

/// Every message, and whether the stream went wrong.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    assert!(message.len() <= MAX_MESSAGE);
                    messages.push(message.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, decoder.is_partial())
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let whole = decode(std::iter::once(bytes));
    assert_eq!(decode(bytes.chunks(usize::from(cut) + 1)), whole);
});
