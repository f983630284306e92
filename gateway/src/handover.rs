//! What the launcher, which is root, hands to the gateway, which is not: listening sockets,
//! and the private key of the server's certificate, now and whenever it changes.
//!
//! It goes over a socket pair whose end is the gateway's standard input: arguments and
//! variables of a process can be read by others, and a file would have to be readable by the
//! gateway's user for good.

use crate::tls::Identity;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
        sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};
use std::{io, mem::MaybeUninit};

/// Two files of a certificate and its key, as JSON. Less than what a socket takes at once.
const MESSAGE_BYTES: usize = 192 << 10;
/// Plain and TLS.
const SOCKETS: usize = 2;

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    /// What HTTPS is served with, if it is.
    pub identity: Option<Identity>,
}

/// One end of the way.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Both ends: the launcher's and the gateway's.
pub fn channel() -> io::Result<(Channel, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((Channel(ours), theirs))
}

impl Channel {
    /// The gateway's end.
    pub fn new(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Sends a message, with sockets if there are any. Never waits.
    pub fn send(&self, message: &Handover, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > MESSAGE_BYTES {
            return Err(io::Error::other("the certificate is too large"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !with.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets"));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut with, flags)?;
        Ok(())
    }

    /// Waits for a message; `None` when the launcher is gone.
    pub fn receive(&self) -> io::Result<Option<(Handover, Vec<OwnedFd>)>> {
        let mut text = vec![0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            let mut slices = [IoSliceMut::new(&mut text)];
            match recvmsg(
                self.0.as_fd(),
                &mut slices,
                &mut with,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Err(Errno::INTR) => {}
                got => break got?,
            }
        };
        if got.bytes == 0 {
            return Ok(None);
        }
        if got
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(io::Error::other("a message was cut off"));
        }
        let mut sockets = Vec::new();
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                sockets.extend(received);
            }
        }
        Ok(Some((serde_json::from_slice(&text[..got.bytes])?, sockets)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sockets_arrive_with_their_message_and_an_end_is_seen() {
        let (ours, theirs) = channel().expect("a pair");
        let theirs = Channel::new(theirs);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let message = Handover { identity: None };
        ours.send(&message, &[listener.as_fd()]).expect("sent");
        ours.send(&message, &[]).expect("sent");
        let (_, mut sockets) = theirs.receive().expect("read").expect("a message");
        let arrived = TcpListener::from(sockets.pop().expect("a socket"));
        let address = |socket: &TcpListener| socket.local_addr().expect("an address");
        assert_eq!(address(&arrived), address(&listener));
        let (_, sockets) = theirs.receive().expect("read").expect("a message");
        assert!(sockets.is_empty());
        drop(ours);
        assert!(theirs.receive().expect("read").is_none());
    }
}
