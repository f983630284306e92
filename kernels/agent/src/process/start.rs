//! `Start`: from the request to a supervised process.

use super::environment;
use super::input::Input;
use super::live::{Process, Streams, incoming, outgoing};
use super::message::StartRequest;
use super::output::{Output, Watcher};
use super::reaper::Reaper;
use super::registry::Registry;
use super::spawn::{Program, Stdio, null};
use super::terminal::Terminal;
use super::user::User;
use crate::connect::{Code, ConnectError};
use crate::sandbox::Sandbox;
use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What starting needs.
pub struct Starter {
    /// Identity and variables.
    pub sandbox: Arc<Sandbox>,
    /// Waits for children.
    pub reaper: Arc<Reaper>,
    /// Where the process is noted.
    pub registry: Arc<Registry>,
}

impl Starter {
    /// Starts a process. The watcher misses nothing: it is attached before the program runs.
    pub fn start(
        &self,
        request: StartRequest,
        user: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<(Arc<Process>, Watcher), ConnectError> {
        self.registry.make_room()?;
        let identity = self.sandbox.identity();
        let user = environment::user(&identity, user)?;
        let config = request.process;
        let cwd = environment::directory(&identity, &user, config.cwd.as_deref())?;
        let env = environment::variables(&identity, &user, config.envs.clone());
        let ends = match request.pty {
            Some(pty) => terminal(pty.size, &user),
            None => pipes(request.stdin.unwrap_or(true)),
        };
        let (stdio, input, streams) = ends.map_err(refused)?;
        let output = Arc::new(Output::default());
        let watcher = output.attach().ok_or_else(|| {
            ConnectError::new(Code::ResourceExhausted, "too many watchers of one process")
        })?;
        let program = Program {
            program: config.cmd.clone(),
            args: config.args.clone(),
            env,
            cwd,
            user,
            stdio,
        };
        let child = program.spawn(&self.reaper).map_err(refused)?;
        let process = Arc::new(Process::new(
            child,
            config,
            request.tag,
            input,
            output,
            deadline,
        ));
        self.registry.insert(process.clone());
        tokio::spawn({
            let (process, registry) = (process.clone(), self.registry.clone());
            async move {
                process.supervise(streams).await;
                registry.expire(&process).await;
            }
        });
        Ok((process, watcher))
    }
}

type Ends = (Stdio, Input, Streams);

fn terminal(size: super::message::Size, user: &User) -> io::Result<Ends> {
    let (ours, theirs) = Terminal::open(size, user)?;
    let ours = Arc::new(ours);
    Ok((
        Stdio::Terminal(theirs),
        Input::Terminal(ours.clone()),
        Streams::Terminal(ours),
    ))
}

fn pipes(with_stdin: bool) -> io::Result<Ends> {
    let (stdin, input) = if with_stdin {
        let (theirs, ours) = incoming()?;
        (theirs, Input::Pipe(Mutex::new(Some(ours))))
    } else {
        (null()?, Input::Closed)
    };
    let (stdout, output) = outgoing()?;
    let (stderr, errors) = outgoing()?;
    Ok((
        Stdio::Separate {
            stdin,
            stdout,
            stderr,
        },
        input,
        Streams::Pipes(output, errors),
    ))
}

fn refused(error: io::Error) -> ConnectError {
    ConnectError::invalid(format!("error starting process: {error}"))
}
