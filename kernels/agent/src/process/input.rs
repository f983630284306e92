//! What goes into a process: a pipe that can be closed, a terminal, or nothing.

use super::message::ProcessInput;
use super::terminal::Terminal;
use crate::connect::{Code, ConnectError};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;

/// The way into a process.
pub enum Input {
    /// Started with `stdin: false`.
    Closed,
    /// A pipe; `None` once it was closed. The lock keeps the order of writers, and is held
    /// while one waits for the process to read.
    Pipe(Mutex<Option<pipe::Sender>>),
    /// A terminal.
    Terminal(Arc<Terminal>),
}

impl Input {
    /// Writes all of it, at the pace of the process.
    pub async fn write(&self, input: &ProcessInput) -> Result<(), ConnectError> {
        match (input, self) {
            (
                ProcessInput {
                    stdin: Some(bytes), ..
                },
                Self::Pipe(pipe),
            ) => {
                let mut pipe = pipe.lock().await;
                let pipe = pipe.as_mut().ok_or_else(|| internal("stdin is closed"))?;
                pipe.write_all(&bytes.0)
                    .await
                    .map_err(|error| failed(&error))
            }
            (
                ProcessInput {
                    pty: Some(bytes), ..
                },
                Self::Terminal(terminal),
            ) => terminal
                .write_all(&bytes.0)
                .await
                .map_err(|error| failed(&error)),
            (ProcessInput { stdin: Some(_), .. }, Self::Terminal(_)) => {
                Err(internal("the process has a terminal; send pty input"))
            }
            (ProcessInput { stdin: Some(_), .. }, Self::Closed) => {
                Err(internal("stdin is not open"))
            }
            (ProcessInput { pty: Some(_), .. }, _) => Err(internal("the process has no terminal")),
            _ => Err(ConnectError::invalid(
                "neither stdin nor pty input is given",
            )),
        }
    }

    /// Ends the input. Fine when it has ended before.
    pub async fn close(&self) -> Result<(), ConnectError> {
        match self {
            Self::Pipe(pipe) => {
                pipe.lock().await.take();
                Ok(())
            }
            Self::Closed => Ok(()),
            Self::Terminal(_) => Err(ConnectError::new(
                Code::Unknown,
                "a terminal has no input to close; send Ctrl+D instead",
            )),
        }
    }
}

fn internal(why: &str) -> ConnectError {
    ConnectError::internal(why)
}

fn failed(error: &std::io::Error) -> ConnectError {
    ConnectError::internal(format!("error writing to the process: {error}"))
}
