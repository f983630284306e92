//! Round trips of both framings, exact bytes, and bytes that no client should send.

use super::*;
use proptest::prelude::*;

fn joined(encoded: Encoded) -> Bytes {
    encoded.pieces.concat().into()
}

fn incoming(channel: Channel, content: Bytes, buffers: Vec<Bytes>) -> Incoming {
    let message = Message {
        header: Bytes::from_static(
            br#"{"msg_id": "1",  "msg_type":"comm_msg", "subshell_id":"kept", "session":"s"}"#,
        ),
        parent_header: Bytes::from_static(b"{ }"),
        metadata: Bytes::from_static(br#"{"a":1,"a":2}"#),
        content,
        buffers,
    };
    Incoming::new(channel, message).expect("a header")
}

proptest! {
    #[test]
    fn what_a_kernel_signed_comes_back_byte_for_byte(
        text in ".{0,40}", numbers in prop::collection::vec(any::<u64>(), 0..4), padding in prop_oneof![0_usize..100, 20_000_usize..40_000],
        buffers in prop::collection::vec((any::<u8>(), prop_oneof![0_usize..100, 16_000_usize..20_000]), 0..4),
    ) {
        let content = serde_json::json!({"text": text, "n": numbers, "pad": "x".repeat(padding)}).to_string();
        let buffers: Vec<Bytes> = buffers.into_iter().map(|(byte, length)| vec![byte; length].into()).collect();
        let sent = incoming(Channel::Shell, content.into(), buffers);
        for framing in [Framing::Default, Framing::V1] {
            let encoded = framing.encode(&sent);
            let is_text = encoded.kind == Kind::Text;
            prop_assert_eq!(is_text, framing == Framing::Default && sent.message.buffers.is_empty());
            prop_assert_eq!(encoded.len(), encoded.pieces.iter().map(Bytes::len).sum::<usize>());
            let (channel, back) = framing.decode(&joined(encoded), is_text).expect("our own");
            prop_assert_eq!(channel, Channel::Shell);
            prop_assert_eq!(&back.header, &sent.message.header);
            prop_assert_eq!(&back.parent_header, &sent.message.parent_header);
            prop_assert_eq!(&back.metadata, &sent.message.metadata);
            prop_assert_eq!(&back.content, &sent.message.content);
            prop_assert_eq!(&back.buffers, &sent.message.buffers);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read_and_never_more_than_they_are(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400), small in any::<bool>(), text in any::<bool>(),
    ) {
        if small && bytes.len() > 4 {
            // A count that is near to what is allowed gets past the first check.
            bytes[..4].copy_from_slice(&[0, 0, 0, 7]);
        }
        let payload = Bytes::from(bytes);
        for framing in [Framing::Default, Framing::V1] {
            if let Ok((_, message)) = framing.decode(&payload, text) {
                prop_assert!(message.size() <= payload.len() + 8);
            }
        }
    }

    #[test]
    fn hostile_offsets_are_refused_or_read(
        offsets in prop::collection::vec(0_u64..200, 0..12), count in 0_u64..12, tail in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut little = count.to_le_bytes().to_vec();
        let mut big = (count as u32).to_be_bytes().to_vec();
        for offset in offsets {
            little.extend(offset.to_le_bytes());
            big.extend((offset as u32).to_be_bytes());
        }
        little.extend(&tail);
        big.extend(&tail);
        let _ = Framing::V1.decode(&little.into(), false);
        let _ = Framing::Default.decode(&big.into(), false);
    }
}

#[test]
fn what_is_no_json_for_us_goes_out_as_the_kernel_said_it() {
    let odd =
        br#"{"a": NaN, "a": -Infinity, "n": 123456789012345678901234567890, "s": "\ud800 \u2028"}"#;
    let sent = incoming(Channel::Iopub, Bytes::from_static(odd), vec![]);
    let encoded = joined(Framing::Default.encode(&sent));
    assert!(memchr::memmem::find(&encoded, odd).is_some());
    let text = std::str::from_utf8(&encoded).expect("text");
    assert!(
        text.ends_with(r#","channel":"iopub","buffers":[]}"#),
        "{text}"
    );
    assert!(
        text.contains(r#","msg_id":"1","msg_type":"comm_msg","#),
        "{text}"
    );
}

#[test]
fn a_clients_json_is_cut_and_not_encoded_anew() {
    let json = br#"{"msg_id":"x","header":{"b":1, "a":2.50, "big":123456789012345678901},"content":{"k":1,"k":2},"parent_header":null}"#;
    let (channel, message) = Framing::Default
        .decode(&Bytes::from_static(json), true)
        .expect("a message");
    assert_eq!(channel, Channel::Shell);
    assert_eq!(
        message.header,
        r#"{"b":1, "a":2.50, "big":123456789012345678901}"#
    );
    assert_eq!(message.content, r#"{"k":1,"k":2}"#);
    assert_eq!(
        (&message.parent_header[..], &message.metadata[..]),
        (&b"{}"[..], &b"{}"[..])
    );
}

#[test]
fn a_text_frame_with_binary_content_is_read_as_binary() {
    let sent = incoming(
        Channel::Control,
        Bytes::from_static(b"{}"),
        vec![Bytes::from_static(&[0xff, 0xfe])],
    );
    let payload = joined(Framing::Default.encode(&sent));
    let (channel, message) = Framing::Default.decode(&payload, true).expect("a message");
    assert_eq!(
        (channel, message.buffers),
        (Channel::Control, sent.message.buffers)
    );
}

#[test]
fn a_message_to_nowhere_says_so() {
    let refused = |json: &'static str| {
        Framing::Default
            .decode(&Bytes::from_static(json.as_bytes()), true)
            .unwrap_err()
    };
    assert_eq!(
        refused(r#"{"header":{},"channel":"iopub"}"#),
        Unreadable::Channel
    );
    assert_eq!(refused(r#"{"content":{}}"#), Unreadable::Json);
    assert_eq!(refused("[1"), Unreadable::Json);
    assert_eq!(
        Framing::Default
            .decode(&Bytes::from_static(&[0, 0, 0, 0]), false)
            .unwrap_err(),
        Unreadable::Offsets
    );
}
