//! `soulbox port-forward ID PORT [LOCAL]`: a local port that is a sandbox's.
//!
//! Each connection that is made to the local port gets a tunnel of its own through the
//! gateway, so any protocol over TCP works.

use super::remote::{Gateway, Remote, accepted, block_on};
use crate::native::TUNNEL_PROTOCOL;
use anyhow::Context as _;
use axum::body::Body;
use clap::Args;
use http::{Method, header};
use hyper_util::rt::TokioIo;
use std::{net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

/// Connections at one time; beyond it newcomers wait. A node has about as many tunnels.
const CONNECTIONS: usize = 256;
/// Bytes that are carried at a time in each direction.
const BUFFER: usize = 64 << 10;
/// After accept failed for want of something, e.g. file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Options of `port-forward`.
#[derive(Debug, Args)]
pub struct Options {
    /// The sandbox
    #[arg(value_name = "ID")]
    sandbox: String,
    /// The port inside
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The port on 127.0.0.1 here; 0 takes a free one [default: the same number]
    local: Option<u16>,
    #[command(flatten)]
    remote: Remote,
}

/// Forwards until it is interrupted.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let gateway = options.remote.gateway()?;
        // A wrong id or key is told now and not at the first connection.
        let known = format!("/sandboxes/{}", options.sandbox);
        gateway.json(Method::GET, &known).await?;
        let local = options.local.unwrap_or(options.port);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, local))
            .await
            .with_context(|| format!("can't listen on 127.0.0.1:{local}"))?;
        println!(
            "{} leads to port {} of {}",
            listener.local_addr()?,
            options.port,
            options.sandbox
        );
        let path = format!(
            "/soulbox/v1/sandboxes/{}/ports/{}",
            options.sandbox, options.port
        );
        forward(listener, gateway, path).await
    })
}

async fn forward(
    listener: TcpListener,
    gateway: Gateway,
    path: String,
) -> anyhow::Result<ExitCode> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("soulbox: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (gateway, path) = (gateway.clone(), path.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(stream, &gateway, &path).await {
                eprintln!("soulbox: {error:#}");
            }
            drop(place);
        });
    }
}

async fn carry(mut local: TcpStream, gateway: &Gateway, path: &str) -> anyhow::Result<()> {
    local.set_nodelay(true)?;
    let request = gateway
        .api(Method::GET, path)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, TUNNEL_PROTOCOL)
        .body(Body::empty())?;
    // The sender must live until the tunnel is open.
    let mut line = gateway.line().await?;
    let answer = accepted(line.send_request(request).await?).await?;
    let mut tunnel = TokioIo::new(hyper::upgrade::on(answer).await?);
    // Either side may break off at any time; there is nobody to tell but the other.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut local, &mut tunnel, BUFFER, BUFFER).await;
    Ok(())
}
