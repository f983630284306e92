//! Properties of the event log: whatever is appended, read, left and taken back in whatever
//! order, a reader gets an unbroken run of events, or an honest gap.

use super::log::{Log, Writer};
use super::reader::{Piece, Reader};
use super::store::{Bounds, Store};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const ROOMY: Bounds = Bounds {
    file: 1 << 30,
    all: 1 << 30,
    free_part: u64::MAX,
};

/// Less than what the longest cases write.
const NARROW: Bounds = Bounds {
    file: 900 << 10,
    all: 1 << 20,
    free_part: u64::MAX,
};

fn line(number: u64, length: usize) -> Vec<u8> {
    format!("{{\"n\":{number},\"x\":\"{}\"}}\n", "x".repeat(length)).into_bytes()
}

/// A reader, and what it may see next.
struct Checked {
    reader: Reader,
    next: u64,
    partial: Vec<u8>,
    done: bool,
}

impl Checked {
    fn attach(log: &Arc<Log>, from: u64) -> Self {
        Self {
            reader: Reader::attach(log, from),
            next: from.max(1),
            partial: Vec::new(),
            done: false,
        }
    }

    /// Takes one piece and compares it with what was written. `false` when there is none.
    async fn step(&mut self, lengths: &[usize]) -> bool {
        if self.done {
            return false;
        }
        match self.reader.now().await {
            None => return false,
            Some(Piece::Bytes { event, bytes }) => {
                if self.partial.is_empty() {
                    assert_eq!(event, self.next, "the number of the first byte");
                }
                self.partial.extend_from_slice(&bytes);
                while let Some(end) = memchr::memchr(b'\n', &self.partial) {
                    let seen: Vec<u8> = self.partial.drain(..=end).collect();
                    let index = usize::try_from(self.next - 1).expect("small");
                    let wanted = line(self.next, lengths[index]);
                    // Not assert_eq: nobody wants to read these lines.
                    assert!(
                        seen == wanted,
                        "event {}: {} bytes, not {}",
                        self.next,
                        seen.len(),
                        wanted.len()
                    );
                    self.next += 1;
                }
            }
            Some(Piece::Gap { first, events }) => {
                assert!(self.partial.is_empty(), "a gap inside a line");
                assert_eq!(first, self.next);
                assert!(events > 0);
                self.next += events;
            }
            Some(Piece::Broken) => {
                assert!(!self.partial.is_empty());
                self.done = true;
                return false;
            }
            Some(Piece::End) => {
                self.done = true;
                return false;
            }
        }
        true
    }
}

#[derive(Debug, Clone)]
enum Act {
    Append(usize),
    Attach(u64),
    Read(usize),
    Leave(usize),
    TakeBack,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let length = prop_oneof![0..100usize, 1000..20_000usize, 60_000..300_000usize];
    let act = prop_oneof![
        6 => length.prop_map(Act::Append),
        2 => (0..80u64).prop_map(Act::Attach),
        6 => (0..8usize).prop_map(Act::Read),
        1 => (0..8usize).prop_map(Act::Leave),
        1 => Just(Act::TakeBack),
    ];
    prop::collection::vec(act, 1..80)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn play(acts: Vec<Act>, bounds: Bounds, taken_back: bool) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::new(directory.path().join("executions"), bounds);
    let (log, writer) = Log::new(store, "log");
    let mut lengths = Vec::new();
    let mut readers: Vec<Checked> = Vec::new();
    for act in acts {
        match act {
            Act::Append(length) => {
                lengths.push(length);
                writer.append(line(lengths.len() as u64, length)).await;
            }
            Act::Attach(from) => readers.push(Checked::attach(&log, from)),
            Act::Read(which) if !readers.is_empty() => {
                let which = which % readers.len();
                readers[which].step(&lengths).await;
            }
            Act::Leave(which) if !readers.is_empty() => {
                readers.remove(which % readers.len());
            }
            Act::TakeBack if taken_back => {
                log.forget_files();
            }
            _ => {}
        }
        check_output(&log, &lengths);
    }
    finish(
        &log,
        writer,
        readers,
        &lengths,
        bounds.file == ROOMY.file && !taken_back,
    )
    .await;
}

/// What is said to be where adds up to what was written.
fn check_output(log: &Log, lengths: &[usize]) {
    let output = log.output();
    assert_eq!(output.events, lengths.len() as u64);
    assert_eq!(output.tail.first + output.tail.events, output.events + 1);
    let gone = output.gone.unwrap_or_default();
    let file = output.file.map_or((0, 0), |file| (file.events, file.bytes));
    let (events, bytes) = if file.0 > output.head.events {
        file
    } else {
        (output.head.events, output.head.bytes)
    };
    assert!(events + gone.events + output.tail.events >= output.events);
    assert!(bytes + gone.bytes + output.tail.bytes >= output.bytes);
}

async fn finish(
    log: &Arc<Log>,
    writer: Writer,
    mut readers: Vec<Checked>,
    lengths: &[usize],
    complete: bool,
) {
    writer.flush().await;
    drop(writer);
    check_output(log, lengths);
    readers.push(Checked::attach(log, 1));
    let last = readers.len() - 1;
    for reader in &mut readers {
        while reader.step(lengths).await {}
        assert!(reader.done, "the log has an end");
    }
    if complete {
        let all = lengths.len() as u64 + 1;
        assert_eq!(readers[last].next, all, "everything is somewhere");
        assert_eq!(log.output().gone, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn with_room_every_reader_gets_everything(acts in acts()) {
        runtime().block_on(play(acts, ROOMY, false));
    }

    #[test]
    fn without_room_a_gap_is_exactly_what_is_missing(acts in acts(), taken_back: bool) {
        runtime().block_on(play(acts, NARROW, taken_back));
    }
}

#[tokio::test]
async fn a_reader_that_holds_gets_everything_even_without_a_file() {
    let store = Store::new("/proc/no/such/place".into(), ROOMY);
    let (log, writer) = Log::new(store, "log");
    let mut reader = Reader::complete(&log);
    let lengths = vec![100_000; 30];
    let writing = tokio::spawn({
        let lengths = lengths.clone();
        async move {
            for (index, length) in lengths.into_iter().enumerate() {
                writer.append(line(index as u64 + 1, length)).await;
            }
            drop(writer);
        }
    });
    let mut bytes = 0;
    loop {
        match reader.next().await {
            Piece::Bytes { bytes: piece, .. } => bytes += piece.len(),
            Piece::End => break,
            other => panic!("{other:?}"),
        }
    }
    writing.await.expect("it ends");
    let all: usize = (1..=30).map(|number| line(number, 100_000).len()).sum();
    assert_eq!(bytes, all);
}

#[tokio::test]
async fn a_holder_that_leaves_lets_the_writer_go_on() {
    let store = Store::new("/proc/no/such/place".into(), ROOMY);
    let (log, writer) = Log::new(store, "log");
    let reader = Reader::complete(&log);
    let writing = tokio::spawn(async move {
        for number in 1..=30 {
            writer.append(line(number, 100_000)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!writing.is_finished(), "it waits for the holder");
    drop(reader);
    writing.await.expect("it goes on");
    let gone = log.output().gone.expect("a gap");
    assert!(gone.events > 0);
}

#[tokio::test]
async fn a_file_that_was_cut_from_inside_is_a_gap_or_a_break() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::new(directory.path().into(), ROOMY);
    let (log, writer) = Log::new(store, "log");
    for number in 1..=30 {
        writer.append(line(number, 100_000)).await;
    }
    writer.flush().await;
    drop(writer);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join("log.jsonl"))
        .expect("the file");
    file.set_len(10).expect("cut");
    let mut reader = Reader::attach(&log, 1);
    let mut last = reader.next().await;
    while let Piece::Bytes { .. } = last {
        last = reader.next().await;
    }
    assert!(matches!(last, Piece::Gap { .. } | Piece::Broken));
}
