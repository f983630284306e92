//! What goes through untouched: buffers, odd JSON, large messages; and what clients must not send.

use crate::client::{Framing, binary, streamed};
use crate::harness::Agent;
use ::bytes::Bytes;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// Opens a comm that prints what it is sent.
const COMM: &str = "from comm import create_comm
comm = create_comm(target_name='t', data={'a': 1}, buffers=[b'', b'\\xff\\xfe'])
comm.on_msg(lambda got: print([bytes(one) for one in got['buffers']], got['content']['data']))";

/// Opens a comm that sends back what it is sent.
const ECHO: &str = "from comm import create_comm
comm = create_comm(target_name='t')
comm.on_msg(lambda got: comm.send({}, buffers=got['buffers']))";

#[tokio::test]
async fn buffers_and_odd_json_come_through_as_they_are() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    for framing in [Framing::Default, Framing::V1] {
        let session = format!("{framing:?}");
        let mut client = agent.open(&id, &session, framing, &[]).await.unwrap();
        let got = client.run(COMM).await;
        let opened = got.iter().find(|got| got.kind() == "comm_open").unwrap();
        assert_eq!(
            opened.buffers,
            [Bytes::new(), Bytes::from_static(b"\xff\xfe")]
        );
        let comm = opened.content["comm_id"].as_str().unwrap().to_owned();
        let content = json!({"comm_id": comm, "data": {"n": 2}}).to_string();
        let buffers = [Bytes::from_static(b"\x00\x01"), Bytes::new()];
        let sent = client
            .ask_with("shell", "comm_msg", &content, &buffers)
            .await;
        let printed = client
            .until(|got| got.kind() == "stream" && got.parent_id() == sent)
            .await;
        assert_eq!(printed.content["text"], "[b'\\x00\\x01', b''] {'n': 2}\n");
        if framing == Framing::Default {
            // As the proxying server sends it: binary content in a text frame.
            let (sent, header) = client.header("comm_msg");
            let message = json!({"header": header, "parent_header": {}, "metadata": {},
                "content": {"comm_id": comm, "data": 3}, "channel": "shell"});
            let payload = binary(&message.to_string(), &[Bytes::from_static(b"\xff")]);
            let head = FrameHeader {
                opcode: OpCode::Data(Data::Text),
                ..FrameHeader::default()
            };
            client
                .raw(Raw::Frame(Frame::from_payload(head, payload.into())))
                .await;
            let printed = client
                .until(|got| got.kind() == "stream" && got.parent_id() == sent)
                .await;
            assert_eq!(printed.content["text"], "[b'\\xff'] 3\n");
        }

        let odd = r#"{"a": NaN, "a": -Infinity, "n": 123456789012345678901234567890, "z": 1.50, "b": "\ud800 </script>"}"#;
        let code = format!(
            "kernel = get_ipython().kernel\nkernel.session.send(kernel.iopub_socket, 'odd_type', content={odd:?}.encode(), parent=kernel.get_parent())"
        );
        client.execute(&code).await;
        let got = client.until(|got| got.kind() == "odd_type").await;
        assert_eq!(got.raw_content, odd);
        client.close().await;
    }
}

#[tokio::test]
async fn messages_of_twenty_megabytes_go_both_ways() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut client = agent.open(&id, "s", Framing::V1, &[]).await.unwrap();
    let got = client.run(ECHO).await;
    let opened = got.iter().find(|got| got.kind() == "comm_open").unwrap();
    let content = json!({"comm_id": opened.content["comm_id"], "data": {}}).to_string();
    let large = Bytes::from(vec![0xfe; 20 << 20]);
    client
        .ask_with("shell", "comm_msg", &content, std::slice::from_ref(&large))
        .await;
    let back = client.until(|got| got.kind() == "comm_msg").await;
    assert!(back.buffers == [large]);
    // Nothing is lost of a stream that is larger than every queue, by a client that reads late.
    let running = client
        .execute("for _ in range(90): print('x' * (1 << 20))")
        .await;
    let path = format!("/kernels/{id}");
    let mut before = agent.get(&path).await;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = agent.get(&path).await;
        if now["execution_state"] == "busy" && now["last_activity"] == before["last_activity"] {
            break;
        }
        before = now;
    }
    let mut letters = 0;
    while let Raw::Binary(frame) = client.frame().await.unwrap() {
        letters += memchr::memchr_iter(b'x', &frame).count();
        if memchr::memmem::find(&frame, b"execute_reply").is_some() {
            assert!(memchr::memmem::find(&frame, running.as_bytes()).is_some());
            break;
        }
    }
    assert!((90 << 20..91 << 20).contains(&letters), "{letters}");
}

#[tokio::test]
async fn what_makes_no_sense_is_dropped_or_ends_the_connection() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let mut client = agent.channels(&id, "s").await;
    for text in [
        "",
        "{",
        "[]",
        r#"{"header":{}}"#,
        r#"{"channel":"heartbeat","header":{"msg_id":"1"}}"#,
    ] {
        client.raw(Raw::text(text)).await;
    }
    client.raw(Raw::binary(vec![0, 0, 0, 9, 1])).await;
    client.ping().await;
    assert_eq!(streamed(&client.run("print('fine')").await), "fine\n");
    // A frame without a mask.
    client.bytes(&[0x81, 0x01, b'x']).await;
    assert_eq!(client.closed().await, 1002);
    agent.connections(&id, 0).await;
}
