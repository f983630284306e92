//! ZMTP 3.0 over a Unix socket or the loopback, as much of it as a Jupyter client needs (rfc.zeromq.org/spec/23).
//!
//! The NULL mechanism, a DEALER that asks and a SUB that listens. The `zeromq` crate is what
//! the tests speak with on the other side, but it is not used here, for it trusts the length
//! that a frame announces: nine bytes from a kernel (`1 << 40` as a length) made the agent,
//! the first process of the sandbox, allocate a terabyte and abort. Here every frame and every
//! message has a bound, the end of a kernel is the end of the stream, and nothing is read
//! before somebody asks for it, so that a reader who stops holds the kernel back.

use super::connection::Address;
use bytes::{Buf as _, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Largest message, in bytes: what the Jupyter wire contract promises to carry.
pub const MESSAGE_BYTES: usize = 128 << 20;

/// Frames of one message. Buffers of widgets are the only reason for more than eight.
pub const MESSAGE_FRAMES: usize = 4096;

/// Read at once when a frame is small.
const CHUNK_BYTES: usize = 64 << 10;

/// Frames up to this size are copied behind each other, to leave in one system call.
const COPIED_BYTES: usize = 16 << 10;

const GREETING_BYTES: usize = 64;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// What this side of a connection is.
#[derive(Debug, Clone, Copy)]
pub enum Role<'a> {
    /// Sends requests and receives their answers, under this identity.
    Dealer(&'a str),
    /// Receives everything that is published.
    Subscriber,
}

/// The receiving side.
pub struct Reader {
    stream: Box<dyn AsyncRead + Send + Sync + Unpin>,
    buffer: BytesMut,
}

/// The sending side. `None` once a message was sent in part only.
pub struct Writer(Option<Box<dyn AsyncWrite + Send + Sync + Unpin>>);

/// Connects and shakes hands.
pub async fn connect(address: &Address, role: Role<'_>) -> io::Result<(Reader, Writer)> {
    let (mut reader, mut writer) = open(address).await?;
    writer.write_all(&greeting()).await?;
    reader.fill(GREETING_BYTES).await?;
    check(&reader.buffer.split_to(GREETING_BYTES))?;
    writer.write_all(&ready(role)).await?;
    let (flags, command) = reader.frame(MESSAGE_BYTES).await?;
    if flags & COMMAND == 0 || !command.starts_with(b"\x05READY") {
        return Err(refused("the kernel did not become ready on its socket"));
    }
    if matches!(role, Role::Subscriber) {
        // A message that subscribes to every topic.
        writer.write_all(&[0, 1, 1]).await?;
    }
    Ok((reader, Writer(Some(writer))))
}

type Halves = (Reader, Box<dyn AsyncWrite + Send + Sync + Unpin>);

async fn open(address: &Address) -> io::Result<Halves> {
    let reader = |stream| Reader {
        stream,
        buffer: BytesMut::new(),
    };
    Ok(match address {
        Address::File(path) => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            (reader(Box::new(read)), Box::new(write))
        }
        Address::Port(port) => {
            let stream = TcpStream::connect(port).await?;
            // Where nobody listens yet, a connection may meet itself.
            if stream.local_addr()? == stream.peer_addr()? {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            (reader(Box::new(read)), Box::new(write))
        }
    })
}

impl Reader {
    /// The frames of the next message.
    pub async fn next(&mut self) -> io::Result<Vec<Bytes>> {
        let mut frames = Vec::with_capacity(8);
        let mut room = MESSAGE_BYTES;
        loop {
            let (flags, frame) = self.frame(room).await?;
            if flags & COMMAND != 0 {
                // As peers of version 3.0 we are asked nothing by commands.
                continue;
            }
            room -= frame.len();
            frames.push(frame);
            if flags & MORE == 0 {
                return Ok(frames);
            }
            if frames.len() == MESSAGE_FRAMES {
                return Err(refused("a message has too many frames"));
            }
        }
    }

    async fn frame(&mut self, room: usize) -> io::Result<(u8, Bytes)> {
        self.fill(2).await?;
        let flags = self.buffer[0];
        let length = if flags & LONG == 0 {
            self.buffer.advance(1);
            u64::from(self.buffer.get_u8())
        } else {
            self.fill(9).await?;
            self.buffer.advance(1);
            self.buffer.get_u64()
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= room);
        let length = length.ok_or_else(|| refused("a message is too large"))?;
        self.fill(length).await?;
        Ok((flags, self.buffer.split_to(length).freeze()))
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

impl Writer {
    /// Sends one message. A caller that gives up in the middle of it ends the sending side,
    /// since what followed could not be told from the rest of the message.
    pub async fn send(&mut self, frames: &[Bytes]) -> io::Result<()> {
        let mut stream = self.0.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut small = Vec::with_capacity(CHUNK_BYTES.min(COPIED_BYTES));
        for (number, frame) in frames.iter().enumerate() {
            let more = if number + 1 < frames.len() { MORE } else { 0 };
            match u8::try_from(frame.len()) {
                Ok(length) => small.extend_from_slice(&[more, length]),
                Err(_) => {
                    small.push(more | LONG);
                    small.extend_from_slice(&(frame.len() as u64).to_be_bytes());
                }
            }
            if frame.len() <= COPIED_BYTES {
                small.extend_from_slice(frame);
            } else {
                stream.write_all(&small).await?;
                small.clear();
                stream.write_all(frame).await?;
            }
        }
        stream.write_all(&small).await?;
        self.0 = Some(stream);
        Ok(())
    }
}

/// Version 3.0, the NULL mechanism, and that we are no server.
fn greeting() -> [u8; GREETING_BYTES] {
    let mut greeting = [0; GREETING_BYTES];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn check(greeting: &[u8]) -> io::Result<()> {
    let ours = greeting[0] == 0xff
        && greeting[9] == 0x7f
        && greeting[10] >= 3
        && greeting[12..].starts_with(b"NULL\0");
    if ours {
        Ok(())
    } else {
        Err(refused(
            "the kernel's socket does not speak ZMTP 3 without encryption",
        ))
    }
}

fn ready(role: Role<'_>) -> Vec<u8> {
    let mut command = b"\x05READY".to_vec();
    let mut property = |name: &str, value: &str| {
        // Both are ours and short.
        command.push(name.len() as u8);
        command.extend_from_slice(name.as_bytes());
        command.extend_from_slice(&(value.len() as u32).to_be_bytes());
        command.extend_from_slice(value.as_bytes());
    };
    match role {
        Role::Subscriber => property("Socket-Type", "SUB"),
        Role::Dealer(identity) => {
            property("Socket-Type", "DEALER");
            property("Identity", identity);
        }
    }
    let mut frame = vec![COMMAND, command.len() as u8];
    frame.extend(command);
    frame
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;
    use tokio::net::UnixListener;
    use zeromq::{
        PubSocket, RouterSocket, Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage,
    };

    fn place(name: &str) -> (tempfile::TempDir, PathBuf, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(name);
        let address = format!("ipc://{}", path.display());
        (directory, path, address)
    }

    fn file(path: &std::path::Path) -> Address {
        Address::File(path.to_owned())
    }

    fn message(frames: &[Bytes]) -> ZmqMessage {
        ZmqMessage::try_from(frames.to_vec()).expect("frames")
    }

    #[tokio::test]
    async fn messages_of_all_sizes_go_both_ways_with_another_implementation() {
        let (_directory, path, address) = place("router");
        let mut router = RouterSocket::new();
        router.bind(&address).await.expect("bound");
        both_ways(router, file(&path)).await;
    }

    #[tokio::test]
    async fn the_same_over_the_loopback() {
        let mut router = RouterSocket::new();
        let bound = router.bind("tcp://127.0.0.1:0").await.expect("bound");
        let port = bound.to_string();
        let port = port.strip_prefix("tcp://").expect("a port");
        both_ways(router, Address::Port(port.parse().expect("a port"))).await;
    }

    async fn both_ways(mut router: RouterSocket, address: Address) {
        let (mut reader, mut writer) = connect(&address, Role::Dealer("me"))
            .await
            .expect("connected");
        for size in [0, 1, 255, 256, COPIED_BYTES, COPIED_BYTES + 1, 3 << 20] {
            let frames = [
                Bytes::from_static(b"first"),
                Bytes::from(vec![7; size]),
                Bytes::from_static(b"last"),
            ];
            let (sent, received) = tokio::join!(writer.send(&frames), router.recv());
            sent.expect("sent");
            let received = received.expect("received").into_vec();
            assert_eq!(received[0], "me");
            assert_eq!(received[1..], frames, "{size}");
            router.send(message(&received)).await.expect("sent back");
            assert_eq!(reader.next().await.expect("an answer"), frames, "{size}");
        }
    }

    #[tokio::test]
    async fn a_subscriber_hears_every_topic() {
        let (_directory, path, address) = place("pub");
        let mut publisher = PubSocket::new();
        publisher.bind(&address).await.expect("bound");
        let (mut reader, _writer) = connect(&file(&path), Role::Subscriber)
            .await
            .expect("connected");
        let frames = [Bytes::from_static(b"topic"), Bytes::from_static(b"text")];
        for _ in 0..200 {
            publisher.send(message(&frames)).await.expect("sent");
            if let Ok(heard) = tokio::time::timeout(Duration::from_millis(10), reader.next()).await
            {
                assert_eq!(heard.expect("a message"), frames);
                return;
            }
        }
        panic!("nothing was heard");
    }

    /// A peer that shakes hands and then sends these bytes.
    async fn hostile(bytes: Vec<u8>) -> io::Error {
        let (_directory, path, _) = place("hostile");
        let listener = UnixListener::bind(&path).expect("bound");
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut hello = greeting().to_vec();
            hello.extend(ready(Role::Subscriber));
            hello.extend(bytes);
            stream.write_all(&hello).await.expect("written");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let (mut reader, writer) = connect(&file(&path), Role::Dealer("me"))
            .await
            .expect("connected");
        drop(writer);
        let error = tokio::time::timeout(Duration::from_secs(5), reader.next())
            .await
            .expect("in time")
            .expect_err("refused");
        peer.abort();
        error
    }

    #[tokio::test]
    async fn what_a_kernel_must_not_send_is_refused_before_it_costs_memory() {
        let mut endless = vec![LONG];
        endless.extend((1_u64 << 40).to_be_bytes());
        assert_eq!(hostile(endless).await.kind(), io::ErrorKind::InvalidData);
        let many = [MORE, 0].repeat(MESSAGE_FRAMES + 1);
        assert_eq!(hostile(many).await.kind(), io::ErrorKind::InvalidData);
        let mut parts = vec![MORE, 1, b'x', LONG];
        parts.extend((MESSAGE_BYTES as u64).to_be_bytes());
        assert_eq!(hostile(parts).await.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn other_protocols_are_refused() {
        for bytes in [
            b"HTTP/1.1 400 Bad Request\r\n".repeat(4),
            vec![0; GREETING_BYTES],
        ] {
            let (_directory, path, _) = place("other");
            let listener = UnixListener::bind(&path).expect("bound");
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                let _ = stream.write_all(&bytes).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
            assert!(connect(&file(&path), Role::Subscriber).await.is_err());
        }
    }
}
