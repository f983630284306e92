//! A client's connection, which can end with a reset instead of an orderly close.
//!
//! A stream that breaks off because its sandbox is gone must not look like an orderly end
//! (e2b-wire.md, section 8, row 1). HTTP/2 resets the stream. HTTP/1.1 has only the connection,
//! and the classic Python client tells a lost connection from a broken answer by TCP's reset.

use crate::dataplane::HangUp;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The connection.
#[derive(Debug)]
pub struct ClientStream {
    stream: TcpStream,
    hang_up: HangUp,
}

impl ClientStream {
    /// Takes over an accepted connection.
    pub fn new(stream: TcpStream, hang_up: HangUp) -> Self {
        Self { stream, hang_up }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.hang_up.is_reset() {
            // Without it the connection ends in order, which is only less clear.
            let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
