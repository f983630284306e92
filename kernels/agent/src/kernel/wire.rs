//! Jupyter messages on a plain Unix socket, as forked kernels speak them.
//!
//! A frame is `u8 channel, u16 parts, parts × u32 length, the parts`, little endian; the other
//! half is `wire.py` of the Python kernel. The kernel is the sandbox's user, so what it sends
//! is bounded before it costs memory, and only the channels of this socket are taken. A kernel
//! reads no request while a cell runs, so requests wait here, in a bounded queue, and whoever
//! sends one never breaks the stream by giving up.

use super::fanout::Channel;
use super::zmq::{SEND_DEADLINE, SocketError};
use super::zmtp::{MESSAGE_BYTES, MESSAGE_FRAMES};
use bytes::{Buf as _, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of requests that wait for a kernel. A single larger one waits alone.
const QUEUE_BYTES: u32 = 16 << 20;

/// Requests that wait for a kernel, whatever their size.
const QUEUE_REQUESTS: usize = 1024;

/// Read at once when a frame is small: one piece of a stream and a little more.
const CHUNK_BYTES: usize = 320 << 10;

/// Channel and number of parts.
const HEAD_BYTES: usize = 3;

/// Bytes of one part's length.
const LENGTH_BYTES: usize = 4;

/// Channels by their numbers on the wire.
const NUMBERED: [Channel; 4] = [
    Channel::Shell,
    Channel::Iopub,
    Channel::Control,
    Channel::Stdin,
];

/// The receiving side.
pub struct Reader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    channels: &'static [Channel],
}

/// The sending side. Dropping it lets the kernel go.
pub struct Sender {
    queue: mpsc::Sender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// Both sides of a socket that carries these channels.
pub fn split(stream: UnixStream, channels: &'static [Channel]) -> (Reader, Sender) {
    let (stream, output) = stream.into_split();
    let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
    tokio::spawn(write(output, requests));
    let reader = Reader {
        stream,
        buffer: BytesMut::new(),
        channels,
    };
    let room = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
    (reader, Sender { queue, room })
}

async fn write(
    mut stream: OwnedWriteHalf,
    mut requests: mpsc::Receiver<(Bytes, OwnedSemaphorePermit)>,
) {
    while let Some((frame, _room)) = requests.recv().await {
        // Senders learn of it from the closed queue.
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

impl Sender {
    /// Hands a message over; it is sent when the kernel reads.
    pub async fn send(&self, channel: Channel, parts: &[Bytes]) -> Result<(), SocketError> {
        match tokio::time::timeout(SEND_DEADLINE, self.send_patiently(channel, parts)).await {
            Ok(sent) => sent,
            Err(_) => Err(SocketError::Stuck),
        }
    }

    /// The same, however long there is no room for it.
    pub async fn send_patiently(
        &self,
        channel: Channel,
        parts: &[Bytes],
    ) -> Result<(), SocketError> {
        let frame = frame(channel, parts)?;
        let bytes = u32::try_from(frame.len())
            .unwrap_or(QUEUE_BYTES)
            .min(QUEUE_BYTES);
        let gone = || SocketError::Broken(io::ErrorKind::BrokenPipe.into());
        let room = self.room.clone().acquire_many_owned(bytes).await;
        let room = room.map_err(|_| gone())?;
        self.queue.send((frame, room)).await.map_err(|_| gone())
    }
}

/// One message as it goes over the wire.
pub fn frame(channel: Channel, parts: &[Bytes]) -> io::Result<Bytes> {
    let total: usize = parts.iter().map(Bytes::len).sum();
    if parts.len() > MESSAGE_FRAMES || total > MESSAGE_BYTES {
        return Err(refused("a message is too large"));
    }
    let number = NUMBERED.iter().position(|one| *one == channel);
    let mut frame = Vec::with_capacity(HEAD_BYTES + LENGTH_BYTES * parts.len() + total);
    // None of the three conversions can fail after the checks above.
    frame.push(number.unwrap_or_default() as u8);
    frame.extend_from_slice(&(parts.len() as u16).to_le_bytes());
    for part in parts {
        frame.extend_from_slice(&(part.len() as u32).to_le_bytes());
    }
    for part in parts {
        frame.extend_from_slice(part);
    }
    Ok(frame.into())
}

impl Reader {
    /// The next message, and the channel that it came on.
    pub async fn next(&mut self) -> io::Result<(Channel, Vec<Bytes>)> {
        self.fill(HEAD_BYTES).await?;
        let channel = NUMBERED.get(usize::from(self.buffer[0])).copied();
        let channel = channel.filter(|channel| self.channels.contains(channel));
        let channel =
            channel.ok_or_else(|| refused("a message is on no channel of this socket"))?;
        let count = usize::from(u16::from_le_bytes([self.buffer[1], self.buffer[2]]));
        if count > MESSAGE_FRAMES {
            return Err(refused("a message has too many parts"));
        }
        let head = HEAD_BYTES + count * LENGTH_BYTES;
        self.fill(head).await?;
        let mut table = &self.buffer[HEAD_BYTES..head];
        let lengths: Vec<usize> = (0..count).map(|_| table.get_u32_le() as usize).collect();
        // At most 4096 lengths below 2^32: the sum cannot overflow.
        let total: usize = lengths.iter().sum();
        if total > MESSAGE_BYTES {
            return Err(refused("a message is too large"));
        }
        self.fill(head + total).await?;
        self.buffer.advance(head);
        let mut message = self.buffer.split_to(total).freeze();
        let parts = lengths.into_iter().map(|length| message.split_to(length));
        Ok((channel, parts.collect()))
    }

    /// Reads until the buffer holds this much.
    async fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffer.len() < bytes {
            self.buffer
                .reserve((bytes - self.buffer.len()).max(CHUNK_BYTES));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    }

    /// What a reader makes of bytes that a kernel sends before it hangs up.
    async fn read(bytes: Vec<u8>) -> Vec<io::Result<(Channel, Vec<Bytes>)>> {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (mut reader, sender) = split(ours, &[Channel::Shell, Channel::Iopub]);
        let kernel = tokio::spawn(async move {
            let mut theirs = theirs;
            let _ = theirs.write_all(&bytes).await;
        });
        let mut read = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), reader.next())
                .await
                .expect("in time");
            let over = next.is_err();
            read.push(next);
            if over {
                drop((reader, sender));
                kernel.abort();
                return read;
            }
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_through_byte_for_byte(
            messages in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..12),
                0..6,
            )
        ) {
            let sent: Vec<Vec<Bytes>> = messages
                .into_iter()
                .map(|parts| parts.into_iter().map(Bytes::from).collect())
                .collect();
            let bytes = sent
                .iter()
                .flat_map(|parts| frame(Channel::Iopub, parts).expect("it is small"))
                .collect();
            let mut read = runtime().block_on(read(bytes));
            let end = read.pop().expect("an end").expect_err("the kernel hung up");
            prop_assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
            let came: Vec<Vec<Bytes>> = read
                .into_iter()
                .map(|next| next.expect("a message").1)
                .collect();
            prop_assert_eq!(came, sent);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let read = runtime().block_on(read(bytes));
            prop_assert!(read.last().expect("an end").is_err());
        }
    }

    #[tokio::test]
    async fn what_a_kernel_must_not_send_is_refused_before_it_costs_memory() {
        let mut large = vec![1, 2, 0];
        large.extend(u32::MAX.to_le_bytes());
        large.extend(u32::MAX.to_le_bytes());
        for bytes in [large, vec![1, 0xff, 0xff], vec![2, 0, 0], vec![9, 0, 0]] {
            let error = read(bytes)
                .await
                .pop()
                .expect("an end")
                .expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kernel_that_reads_nothing_holds_its_askers_back_and_breaks_nothing() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (_reader, sender) = split(ours, &[Channel::Shell]);
        let large = [Bytes::from(vec![b'x'; QUEUE_BYTES as usize])];
        sender
            .send(Channel::Shell, &large)
            .await
            .expect("it waits alone");
        let stuck = sender.send(Channel::Shell, &large).await;
        assert!(matches!(stuck, Err(SocketError::Stuck)));
        let (mut kernel, _theirs) = split(theirs, &[Channel::Shell]);
        let (_, parts) = kernel.next().await.expect("the first one, whole");
        assert_eq!(parts[0].len(), large[0].len());
        sender
            .send(Channel::Shell, &[Bytes::from_static(b"y")])
            .await
            .expect("room again");
        assert_eq!(kernel.next().await.expect("the next").1[0], "y");
    }
}
