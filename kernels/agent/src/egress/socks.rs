//! The SOCKS 5 proxy (RFC 1928): CONNECT, without authentication. Names are passed on as they
//! are and looked up outside.
//!
//! Written here rather than taken from a library: it is these few reads of known length, and
//! the libraries want to resolve and to connect themselves.

use super::exits::{Exits, NoExit};
use super::listener::{self, SOCKS_VERSION, WORD};
use soulbox_protocol::egress::Outcome;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Replies of section 6.
mod reply {
    pub const SUCCEEDED: u8 = 0;
    pub const FAILURE: u8 = 1;
    pub const NOT_ALLOWED: u8 = 2;
    pub const HOST_UNREACHABLE: u8 = 4;
    pub const REFUSED: u8 = 5;
    pub const EXPIRED: u8 = 6;
    pub const NO_COMMAND: u8 = 7;
    pub const NO_ADDRESS_TYPE: u8 = 8;
}

/// Serves one client.
pub async fn serve(mut stream: TcpStream, exits: &Exits) {
    let destination = match timeout(WORD, hear(&mut stream)).await {
        Ok(Ok(Ok(destination))) => destination,
        Ok(Ok(Err(code))) => return answer(&mut stream, code).await,
        // The client broke off, makes no sense or dawdles.
        Ok(Err(_)) | Err(_) => return,
    };
    match exits.open(&destination).await {
        Ok(exit) => {
            answer(&mut stream, reply::SUCCEEDED).await;
            listener::carry(exit, stream, tokio::io::empty()).await;
        }
        Err(why) => answer(&mut stream, code(why)).await,
    }
}

/// Hears greeting and request. The inner error is the reply to send.
async fn hear(stream: &mut TcpStream) -> io::Result<Result<String, u8>> {
    let _version = stream.read_u8().await?;
    let count = stream.read_u8().await?;
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        stream
            .write_all(&[SOCKS_VERSION, NO_ACCEPTABLE_METHOD])
            .await?;
        return Err(io::ErrorKind::Unsupported.into());
    }
    stream
        .write_all(&[SOCKS_VERSION, NO_AUTHENTICATION])
        .await?;
    let [version, command, _reserved, kind] = read(stream).await?;
    if version != SOCKS_VERSION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let host = match kind {
        IPV4 => Ipv4Addr::from(read::<4>(stream).await?).to_string(),
        IPV6 => format!("[{}]", Ipv6Addr::from(read::<16>(stream).await?)),
        NAME => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            match String::from_utf8(name) {
                Ok(name) => bracketed(name),
                Err(_) => return Ok(Err(reply::FAILURE)),
            }
        }
        _ => return Ok(Err(reply::NO_ADDRESS_TYPE)),
    };
    let port = stream.read_u16().await?;
    if command != CONNECT {
        return Ok(Err(reply::NO_COMMAND));
    }
    Ok(Ok(format!("{host}:{port}")))
}

/// Some clients send an IPv6 address as a name.
fn bracketed(name: String) -> String {
    match name.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => name,
    }
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn code(why: NoExit) -> u8 {
    match why {
        NoExit::Said(Outcome::Refused) => reply::NOT_ALLOWED,
        NoExit::Said(Outcome::Unknown) => reply::HOST_UNREACHABLE,
        NoExit::Said(Outcome::Unreachable) => reply::REFUSED,
        NoExit::Said(Outcome::Late) => reply::EXPIRED,
        NoExit::Said(Outcome::Malformed | Outcome::Connected) | NoExit::Busy | NoExit::Lost => {
            reply::FAILURE
        }
    }
}

/// The address that we are bound to is nobody's business, so it is zeros.
async fn answer(stream: &mut TcpStream, code: u8) {
    let _ = stream
        .write_all(&[SOCKS_VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0])
        .await;
}
