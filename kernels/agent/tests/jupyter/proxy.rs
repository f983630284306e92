//! The protection of the proxy of `jupyter server`, known by its client's name.

use crate::client::{Framing, streamed};
use crate::harness::Agent;

#[tokio::test]
async fn the_proxy_gets_only_what_it_can_pass_on() {
    let agent = Agent::start().await;
    let id = agent.default_kernel().await;
    let proxy = [("user-agent", "Tornado/6.5")];
    let mut client = agent
        .open(&id, "proxied", Framing::Default, &proxy)
        .await
        .unwrap();
    let got = client
        .run("from comm import create_comm\nfor _ in range(2): create_comm(target_name='t', buffers=[b'\\xff'])")
        .await;
    let opened: Vec<_> = got.iter().filter(|got| got.kind() == "comm_open").collect();
    assert!(opened.len() == 2 && opened.iter().all(|got| got.buffers.is_empty()));
    assert_eq!(streamed(&got).matches("left out").count(), 1);
    let got = client
        .run("from IPython.display import display\ndisplay({'text/plain': 'x' * (9 << 20)}, raw=True)")
        .await;
    assert!(got.iter().all(|got| got.kind() != "display_data"));
    assert!(streamed(&got).contains("was left out"));

    let off = [
        ("user-agent", "Tornado/6.5"),
        ("x-soulbox-proxy-protection", "off"),
    ];
    let mut direct = agent
        .open(&id, "direct", Framing::Default, &off)
        .await
        .unwrap();
    let got = direct
        .run("create_comm(target_name='t', buffers=[b'\\xff']);")
        .await;
    let opened = got.iter().find(|got| got.kind() == "comm_open").unwrap();
    assert_eq!(opened.buffers.len(), 1);
}
