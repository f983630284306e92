//! `process.Process`: its eight methods (section 4.4 of the contract).

use super::event;
use super::input::Input;
use super::live::Process;
use super::message::{
    Empty, ListResponse, SelectRequest, SendInputRequest, SendSignalRequest, StartRequest,
    StreamInputRequest, UpdateRequest,
};
use super::output::{Next, Watcher};
use super::reaper::Reaper;
use super::registry::Registry;
use super::start::Starter;
use crate::connect::fields::NameOrNumber;
use crate::connect::request::{CallContext, Messages, unary};
use crate::connect::{Code, ConnectError, stream};
use crate::sandbox::Sandbox;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response};
use std::sync::Arc;

/// The routes.
pub fn service(sandbox: Arc<Sandbox>, reaper: Arc<Reaper>) -> Router {
    let registry = Arc::new(Registry::default());
    Router::new()
        .route("/process.Process/List", any(list))
        .route("/process.Process/Start", any(start))
        .route("/process.Process/Connect", any(connect))
        .route("/process.Process/Update", any(update))
        .route("/process.Process/SendInput", any(send_input))
        .route("/process.Process/StreamInput", any(stream_input))
        .route("/process.Process/SendSignal", any(send_signal))
        .route("/process.Process/CloseStdin", any(close_stdin))
        .with_state(Arc::new(Starter {
            sandbox,
            reaper,
            registry,
        }))
}

type Shared = State<Arc<Starter>>;

async fn list(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    unary(request, |_, _: Empty| async move {
        Ok(ListResponse {
            processes: starter.registry.list(),
        })
    })
    .await
}

async fn start(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    stream::server(request, |context, message: StartRequest| async move {
        let started = starter.start(message, context.user.as_deref(), context.deadline);
        let (process, watcher) = started?;
        Ok(events(process, watcher, context))
    })
    .await
}

async fn connect(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    stream::server(request, |context, message: SelectRequest| async move {
        let process = starter.registry.find(&message.process)?;
        let watcher = process.output.attach().ok_or_else(|| {
            ConnectError::new(Code::ResourceExhausted, "too many watchers of one process")
        })?;
        Ok(events(process, watcher, context))
    })
    .await
}

async fn update(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: UpdateRequest| async move {
        let process = starter.registry.find_running(&message.process)?;
        let Some(pty) = message.pty else {
            return Ok(Empty {});
        };
        match &process.input {
            Input::Terminal(terminal) => process
                .resize(terminal, pty.size)
                .map_err(|error| ConnectError::internal(format!("cannot resize: {error}")))?,
            _ => return Err(ConnectError::internal("the process has no terminal")),
        }
        Ok(Empty {})
    })
    .await
}

async fn send_input(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: SendInputRequest| async move {
        let process = starter.registry.find_running(&message.process)?;
        process.input.write(&message.input).await?;
        Ok(Empty {})
    })
    .await
}

async fn stream_input(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    stream::client(request, |mut messages: Messages| async move {
        let mut process: Option<Arc<Process>> = None;
        while let Some(message) = messages.next::<StreamInputRequest>().await? {
            if let Some(start) = message.start {
                process = Some(starter.registry.find_running(&start.process)?);
            }
            if let Some(data) = message.data {
                let process = process.as_ref().ok_or_else(|| {
                    ConnectError::invalid("the first message must say which process")
                })?;
                process.input.write(&data.input).await?;
            }
        }
        Ok(Empty {})
    })
    .await
}

async fn send_signal(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: SendSignalRequest| async move {
        let process = starter.registry.find_running(&message.process)?;
        let known = match message.signal {
            Some(NameOrNumber::Name(name)) => match name.as_str() {
                "SIGNAL_SIGKILL" => Some(libc::SIGKILL),
                "SIGNAL_SIGTERM" => Some(libc::SIGTERM),
                _ => None,
            },
            Some(NameOrNumber::Number(number)) => Some(number),
            None => None,
        };
        let reached = match known {
            Some(libc::SIGKILL) => process.kill().await,
            Some(libc::SIGTERM) => process.terminate(),
            _ => return Err(ConnectError::new(Code::Unimplemented, "no such signal")),
        };
        if reached {
            return Ok(Empty {});
        }
        let pid = process.pid().as_u32();
        Err(ConnectError::new(
            Code::NotFound,
            format!("process with pid {pid} not found"),
        ))
    })
    .await
}

async fn close_stdin(State(starter): Shared, request: Request<Body>) -> Response<Body> {
    unary(request, |_, message: SelectRequest| async move {
        starter
            .registry
            .find_running(&message.process)?
            .input
            .close()
            .await?;
        Ok(Empty {})
    })
    .await
}

/// Where a stream of events is.
enum Position {
    Start,
    Running,
    Over,
}

/// Everything one watcher is told: `start`, output, keepalives, `end`.
fn events(
    process: Arc<Process>,
    watcher: Watcher,
    context: CallContext,
) -> impl Stream<Item = Result<Bytes, ConnectError>> + Send {
    let state = (Position::Start, watcher);
    futures_util::stream::unfold(state, move |(position, mut watcher)| {
        let (process, context) = (process.clone(), context.clone());
        async move {
            match position {
                Position::Start => {
                    let event = event::start(process.pid());
                    Some((Ok(event), (Position::Running, watcher)))
                }
                Position::Over => None,
                Position::Running => {
                    let (event, position) = next_event(&process, &mut watcher, &context).await;
                    Some((event, (position, watcher)))
                }
            }
        }
    })
}

async fn next_event(
    process: &Process,
    watcher: &mut Watcher,
    context: &CallContext,
) -> (Result<Bytes, ConnectError>, Position) {
    let deadline = async {
        match context.deadline {
            Some(deadline) => {
                tokio::time::sleep_until(deadline).await;
                process.die_at(deadline).await;
            }
            None => std::future::pending().await,
        }
    };
    let next = tokio::select! {
        biased;
        () = deadline => return (Err(ConnectError::deadline()), Position::Over),
        next = tokio::time::timeout(context.keepalive, watcher.next()) => next,
    };
    match next {
        Err(_) => (Ok(event::keepalive()), Position::Running),
        Ok(Next::Output(piece)) => (Ok(event::data(&piece)), Position::Running),
        // The deadline of `Start` has killed it, which is not the end that the client waits for.
        Ok(Next::End(_)) if process.timed_out() && context.deadline.is_some() => {
            (Err(ConnectError::deadline()), Position::Over)
        }
        Ok(Next::End(exit)) => (Ok(event::end(exit)), Position::Over),
        Ok(Next::CutOff) => (
            Err(ConnectError::new(
                Code::ResourceExhausted,
                "this reader was too slow for the others and has missed output",
            )),
            Position::Over,
        ),
    }
}
