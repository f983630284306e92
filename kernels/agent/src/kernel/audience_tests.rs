//! Sessions that come and go.

use super::*;
use bytes::Bytes;
use std::time::Duration as Time;

fn incoming(
    channel: Channel,
    msg_type: &str,
    parent: &str,
    content: impl Into<Bytes>,
) -> Arc<Incoming> {
    let message = Message {
        header: format!(r#"{{"msg_id":"m","session":"k","msg_type":"{msg_type}"}}"#).into(),
        parent_header: format!(
            r#"{{"msg_id":"{parent}","session":"b","msg_type":"execute_request"}}"#
        )
        .into(),
        metadata: Bytes::from_static(b"{}"),
        content: content.into(),
        buffers: vec![],
    };
    Arc::new(Incoming::new(channel, message).expect("a header"))
}

fn taken(place: &Place) -> Vec<String> {
    match place.next(usize::MAX) {
        Next::Messages(messages, _) => messages.iter().map(|one| one.msg_type.clone()).collect(),
        _ => Vec::new(),
    }
}

fn idle(parent: &str) -> Arc<Incoming> {
    incoming(
        Channel::Iopub,
        "status",
        parent,
        r#"{"execution_state":"idle"}"#,
    )
}

#[tokio::test]
async fn answers_go_to_the_asker_after_the_broadcasts_of_its_request() {
    let audience = Arc::new(Audience::default());
    let (a, b) = (
        audience.join(Some("a")).expect("a place"),
        audience.join(Some("b")).expect("a place"),
    );
    a.note("1");
    let reply = incoming(Channel::Shell, "execute_reply", "1", "{}");
    audience.deliver(&reply, false, false).await;
    audience
        .deliver(&incoming(Channel::Iopub, "stream", "1", "{}"), false, false)
        .await;
    audience.deliver(&idle("1"), false, false).await;
    assert_eq!(taken(&a), ["stream", "status", "execute_reply"]);
    assert_eq!(taken(&b), ["stream", "status"]);
    // Without a note the session of the request tells.
    audience
        .deliver(
            &incoming(Channel::Stdin, "input_request", "2", "{}"),
            false,
            false,
        )
        .await;
    assert_eq!(
        (taken(&a).len(), taken(&b)),
        (0, vec!["input_request".to_owned()])
    );
    // What another client asked for is none of theirs.
    audience
        .deliver(
            &incoming(Channel::Shell, "execute_reply", "3", "{}"),
            true,
            true,
        )
        .await;
    assert_eq!((taken(&a).len(), taken(&b).len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_its_broadcasts_only_so_long() {
    let audience = Arc::new(Audience::default());
    let place = audience.join(None).expect("a place");
    place.note("1");
    audience
        .deliver(
            &incoming(Channel::Shell, "execute_reply", "1", "{}"),
            false,
            false,
        )
        .await;
    assert!(taken(&place).is_empty());
    tokio::time::sleep(HELD + Time::from_millis(1)).await;
    assert_eq!(taken(&place), ["execute_reply"]);
}

#[tokio::test]
async fn a_session_that_comes_back_gets_what_it_missed_and_another_one_does_not() {
    let audience = Arc::new(Audience::default());
    let place = audience.join(Some("a")).expect("a place");
    place.note("1");
    drop(place);
    audience
        .deliver(&incoming(Channel::Iopub, "stream", "1", "{}"), false, false)
        .await;
    audience.deliver(&idle("1"), false, false).await;
    audience
        .deliver(
            &incoming(Channel::Shell, "execute_reply", "1", "{}"),
            false,
            false,
        )
        .await;
    assert!(taken(&audience.join(Some("b")).expect("a place")).is_empty());
    let back = audience.join(Some("a")).expect("a place");
    assert_eq!(taken(&back), ["stream", "status", "execute_reply"]);
    // Taken, but never known to have been seen.
    let again = audience.join(Some("a")).expect("a place");
    assert!(matches!(back.next(1), Next::Replaced));
    assert_eq!(taken(&again), ["stream", "status", "execute_reply"]);
    again.farewell();
    drop(again);
    assert!(taken(&audience.join(Some("a")).expect("a place")).is_empty());
    assert_eq!(audience.connections(), 0);
}

#[tokio::test]
async fn the_kernel_waits_for_the_fastest_and_not_for_the_slowest() {
    let audience = Arc::new(Audience::default());
    let slow = audience.join(Some("slow")).expect("a place");
    let text = || {
        incoming(
            Channel::Iopub,
            "stream",
            "1",
            vec![b' '; CONNECTED_BYTES / 4],
        )
    };
    for _ in 0..3 {
        audience.deliver(&text(), false, false).await;
    }
    let waiting = tokio::spawn({
        let audience = audience.clone();
        async move { audience.deliver(&text(), false, false).await }
    });
    tokio::time::sleep(Time::from_millis(20)).await;
    assert!(!waiting.is_finished());
    let fast = audience.join(Some("fast")).expect("a place");
    let Next::Messages(..) = slow.next(1) else {
        panic!("it had something")
    };
    waiting.await.expect("there was room");
    for _ in 0..6 {
        audience.deliver(&text(), false, false).await;
        assert!(!taken(&fast).is_empty());
    }
    let Next::Messages(messages, _) = slow.next(1) else {
        panic!("it had something")
    };
    assert!(String::from_utf8_lossy(&messages[0].message.content).contains("left out"));
}

#[tokio::test]
async fn a_dismissed_session_hears_so_last_and_a_new_one_starts_anew() {
    let audience = Arc::new(Audience::default());
    let place = audience.join(Some("a")).expect("a place");
    audience.announce("restarting");
    audience.dismiss();
    audience.announce("restarting");
    assert_eq!(taken(&place).len(), 2);
    assert!(matches!(place.next(1), Next::Dismissed));
    let fresh = audience.join(Some("a")).expect("a place");
    assert!(matches!(fresh.next(1), Next::Nothing));
}
