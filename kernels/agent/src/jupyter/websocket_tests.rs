//! The decoder against the encoder of `tungstenite`, and against arbitrary bytes.

use super::*;
use proptest::prelude::*;
use tungstenite::protocol::frame::Frame as Other;

/// A client's frame, as another implementation writes it.
fn masked(opcode: OpCode, last: bool, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let head = FrameHeader {
        is_final: last,
        opcode,
        mask: Some(mask),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    Other::from_payload(head, Bytes::copy_from_slice(payload))
        .format(&mut bytes)
        .expect("written");
    bytes
}

fn everything(bytes: &[u8], piece: usize) -> Result<Vec<Received>, Violation> {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(received) = decoder.take(&mut piece)? {
            all.push(received);
        }
        assert!(piece.is_empty());
    }
    Ok(all)
}

proptest! {
    #[test]
    fn fragments_in_pieces_of_any_size_become_the_message_they_were(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        text in any::<bool>(), mask in any::<[u8; 4]>(), piece in 1_usize..200, ping in any::<bool>(),
    ) {
        let kind = if text { Data::Text } else { Data::Binary };
        let mut bytes = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let opcode = if number == 0 { kind } else { Data::Continue };
            bytes.extend(masked(OpCode::Data(opcode), number + 1 == parts.len(), part, mask));
            if ping && number == 0 {
                bytes.extend(masked(OpCode::Control(Control::Ping), true, b"between", mask));
            }
        }
        let whole = Bytes::from(parts.concat());
        let whole = if text { Received::Text(whole) } else { Received::Binary(whole) };
        let mut received = everything(&bytes, piece).expect("allowed");
        received.retain(|one| *one != Received::Ping(Bytes::from_static(b"between")));
        prop_assert_eq!(received, vec![whole]);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1_usize..64) {
        let _ = everything(&bytes, piece);
    }
}

#[test]
fn what_the_protocol_forbids_ends_the_connection() {
    let mask = [1, 2, 3, 4];
    let text = OpCode::Data(Data::Text);
    let twice = [
        masked(text, false, b"a", mask),
        masked(text, true, b"b", mask),
    ]
    .concat();
    let alone = masked(OpCode::Data(Data::Continue), true, b"a", mask);
    let long = masked(OpCode::Control(Control::Ping), true, &[0; 126], mask);
    let parted = masked(OpCode::Control(Control::Ping), false, b"", mask);
    let unmasked = head(Kind::Text, 1);
    let mut reserved = masked(text, true, b"a", mask);
    reserved[0] |= 0x40;
    for bytes in [twice, alone, long, parted, unmasked, reserved] {
        assert_eq!(everything(&bytes, 7), Err(Violation::Protocol), "{bytes:?}");
    }
}

#[test]
fn an_announced_length_costs_nothing_and_too_much_is_refused() {
    let mut head = vec![0x82, 0xff];
    head.extend((MESSAGE_BYTES as u64).to_be_bytes());
    head.extend([0; 4]);
    let mut decoder = Decoder::default();
    let mut bytes = Bytes::from([head.clone(), vec![1; 100]].concat());
    assert_eq!(decoder.take(&mut bytes), Ok(None));
    assert!(decoder.message.capacity() <= 2 * RESERVED_BYTES);
    head[2..10].copy_from_slice(&(MESSAGE_BYTES as u64 + 1).to_be_bytes());
    assert_eq!(everything(&head, 3), Err(Violation::TooLarge));
}

#[test]
fn frames_of_ours_are_read_by_another_implementation() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let payload = vec![7; length];
        let frame = small(Kind::Binary, &payload);
        let mut cursor = Cursor::new(&frame[..]);
        let (head, announced) = FrameHeader::parse(&mut cursor)
            .expect("fine")
            .expect("whole");
        assert_eq!((announced as usize, head.mask), (length, None));
        assert_eq!(&frame[cursor.position() as usize..], payload);
    }
}
