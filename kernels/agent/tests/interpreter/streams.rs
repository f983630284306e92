//! Output without end: nothing is lost, and memory stays flat.

use crate::harness::{Agent, of};
use serde_json::json;
use std::time::{Duration, Instant};

/// Memory that the agent may need at its peak, in KiB, however much is printed.
const FLAT: u64 = 150 << 10;

/// How long a slow reader does not read: a kernel that is not held back prints 100 MB meanwhile.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts the letters that a cell prints, without keeping them. The reader pauses at the start.
async fn printed(agent: &Agent, code: &str, pause: Duration) -> u64 {
    let mut answer = agent.execute(json!({"code": code})).await;
    let mut letters = 0;
    let begun = Instant::now();
    answer.until("number_of_executions").await;
    tokio::time::sleep(pause).await;
    while let Some(item) = answer.next_raw().await {
        // Only the text of an item holds the letter Q.
        letters += item.iter().filter(|byte| **byte == b'Q').count() as u64;
    }
    println!("{letters} letters in {:?}", begun.elapsed());
    letters
}

async fn kernel(agent: &Agent) -> u64 {
    agent.value("import os; os.getpid()").await.parse().unwrap()
}

#[tokio::test]
async fn a_hundred_megabytes_of_lines_arrive_complete() {
    let agent = Agent::start().await;
    let pid = kernel(&agent).await;
    let before = agent.resident(Some(pid));
    let code = "line = 'Q' * 99\nfor i in range(1_000_000): print(line)";
    assert_eq!(printed(&agent, code, Duration::ZERO).await, 99_000_000);
    println!(
        "agent {} KiB, kernel {before} to {} KiB",
        agent.resident(None),
        agent.resident(Some(pid))
    );
    assert!(agent.resident(None) < FLAT, "{}", agent.resident(None));
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_fills_nothing() {
    let agent = Agent::start().await;
    let pid = kernel(&agent).await;
    let before = agent.resident(Some(pid));
    let code = "line = 'Q' * 99\nfor i in range(1_000_000): print(line)";
    assert_eq!(printed(&agent, code, PAUSE).await, 99_000_000);
    println!(
        "agent {} KiB, kernel {before} to {} KiB",
        agent.resident(None),
        agent.resident(Some(pid))
    );
    assert!(agent.resident(None) < FLAT, "{}", agent.resident(None));
    assert!(
        agent.resident(Some(pid)) < before + FLAT,
        "{}",
        agent.resident(Some(pid))
    );
}

#[tokio::test]
async fn every_one_of_many_displays_arrives_at_a_slow_reader() {
    let agent = Agent::start().await;
    let code = "for i in range(20_000): display({'text/plain': 'Q'}, raw=True)";
    assert_eq!(printed(&agent, code, PAUSE).await, 20_000);
}

#[tokio::test]
async fn one_line_of_a_hundred_megabytes_arrives() {
    let agent = Agent::start().await;
    assert_eq!(
        printed(&agent, "print('Q' * 100_000_000)", Duration::ZERO).await,
        100_000_000
    );
    assert_eq!(agent.value("1").await, "1");
}

#[tokio::test]
async fn a_reader_who_leaves_in_the_middle_of_a_flood_ends_it() {
    let agent = Agent::start().await;
    let mut answer = agent
        .execute(json!({"code": "while True: print('Q' * 99)"}))
        .await;
    answer.until("stdout").await;
    // It stops to read while the kernel prints on, and then leaves.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(answer);
    let begun = Instant::now();
    let items = agent.run("'next'").await;
    assert!(of(&items, "error").is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

/// Takes half a minute; `cargo test -- --ignored` runs it.
#[tokio::test]
#[ignore = "prints a gigabyte"]
async fn a_gigabyte_of_small_prints_arrives_complete() {
    let agent = Agent::start().await;
    let pid = kernel(&agent).await;
    let before = agent.resident(Some(pid));
    // Every text is another one, so that whoever keeps them is seen.
    let code = "line = 'Q' * 99\nfor i in range(10_000_000): print(i, line)";
    assert_eq!(printed(&agent, code, Duration::ZERO).await, 990_000_000);
    println!(
        "agent {} KiB, kernel {before} to {} KiB",
        agent.resident(None),
        agent.resident(Some(pid))
    );
    assert!(agent.resident(None) < FLAT && agent.resident(Some(pid)) < before + FLAT);
}
