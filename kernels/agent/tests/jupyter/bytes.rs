//! What goes through untouched: buffers, odd JSON, large messages; and what clients must not send.

use crate::client::{Framing, binary, streamed};
use crate::harness::Agent;
use ::bytes::Bytes;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// Opens a comm that prints what it is sent.
const COMM: &str = "from comm import create_comm
comm = create_comm(target_name='t', data={'a': 1}, buffers=[b'', b'\\xff\\xfe'])
comm.on_msg(lambda got: print([bytes(one) for one in got['buffers']], got['content']['data']))";

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
    let code = format!("x = '{}'", "x".repeat(20 << 20));
    client.run(&code).await;
    let got = client
        .run("from IPython.display import display\ndisplay({'text/plain': x}, raw=True)")
        .await;
    let shown = got.iter().find(|got| got.kind() == "display_data").unwrap();
    assert_eq!(
        shown.content["data"]["text/plain"].as_str().unwrap().len(),
        20 << 20
    );
    // Nothing of a stream that is larger than every queue is lost either.
    let got = client.run("for _ in range(40): print(x[:1 << 20])").await;
    assert_eq!(streamed(&got).len(), 40 * ((1 << 20) + 1));
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
