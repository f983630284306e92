//! Keeps a kernel alive: starts its process, notices its end, starts the next one.
//!
//! One task per kernel owns the process; everybody else sends commands or watches the life.
//! A process that ends by itself is replaced at once, but one that keeps ending is not
//! started for ever: after [`RESTARTS`] quick ends the kernel is dead until it is asked for.

use super::connection::Connection;
use super::fanout::{Channel, Hears};
use super::forker::{Birth, ForkError, Forked};
use super::launch::{self, Console};
use super::link::Link;
use super::loss::Loss;
use super::request;
use super::zmq::SocketError;
use super::{Life, START_DEADLINE, Shared};
use crate::process::reaper::{Child, Exit};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// Quick ends in a row after which no further process is started (section 5.7 of the Jupyter
/// wire contract).
const RESTARTS: u32 = 5;

/// A process that lived this long was not a quick end.
const LIVED: Duration = Duration::from_secs(10);

/// How long an idle kernel has to end itself when asked to.
const LEAVE: Duration = Duration::from_secs(1);

/// Longest wait for the end of a killed process.
const KILLED: Duration = Duration::from_secs(5);

/// How long a process may live on after it has closed a socket.
const CLOSED: Duration = Duration::from_secs(3);

/// What others ask of the supervisor.
pub enum Command {
    /// Start a process if there is none.
    Start,
    /// Replace the process; answered when the old one is gone.
    Restart(oneshot::Sender<()>),
    /// End it for good; answered when it is gone.
    Remove(oneshot::Sender<()>),
}

/// What runs at the moment, for whoever has to end it.
#[derive(Default)]
struct Running {
    child: Option<Arc<Child>>,
    link: Option<Arc<Link>>,
}

/// Lives as long as the kernel's handles.
pub async fn supervise(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) {
    keep_alive(&shared, commands).await;
    shared.audience.dismiss();
}

async fn keep_alive(shared: &Arc<Shared>, mut commands: mpsc::Receiver<Command>) {
    let mut failures = 0;
    let mut ahead = shared.config.ahead;
    'asleep: loop {
        match commands.recv().await {
            Some(Command::Start) => {}
            Some(Command::Restart(done)) => {
                let _ = done.send(());
            }
            Some(Command::Remove(done)) => {
                shared.life.send_replace(Life::Dead(Loss::Removed));
                let _ = done.send(());
                return;
            }
            None => return,
        }
        shared.life.send_replace(Life::Starting);
        loop {
            let running = Mutex::new(Running::default());
            let begun = Instant::now();
            let loss = tokio::select! {
                loss = incarnation(shared, ahead, &running) => loss,
                command = order(&mut commands) => {
                    let loss = if matches!(command, Some(Command::Restart(_))) { Loss::Restarted } else { Loss::Removed };
                    let next = if loss == Loss::Restarted { Life::Restarting } else { Life::Dead(Loss::Removed) };
                    shared.life.send_replace(next);
                    end(running, loss).await;
                    match command {
                        Some(Command::Restart(done)) => {
                            let _ = done.send(());
                            (failures, ahead) = (0, false);
                            continue;
                        }
                        Some(Command::Remove(done)) => {
                            let _ = done.send(());
                            return;
                        }
                        _ => return,
                    }
                }
            };
            end(running, loss.clone()).await;
            ahead = false;
            failures = if begun.elapsed() >= LIVED {
                1
            } else {
                failures + 1
            };
            if loss == Loss::Unavailable || failures > RESTARTS {
                tracing::warn!(kernel = %shared.config.spec.name, %loss, "a kernel is dead");
                shared.life.send_replace(Life::Dead(loss));
                shared.audience.dismiss();
                // Whoever asks for it again gets one try, not five.
                failures = RESTARTS;
                continue 'asleep;
            }
            tracing::warn!(kernel = %shared.config.spec.name, %loss, "a kernel was lost and starts again");
            shared.life.send_replace(Life::Restarting);
            shared.audience.announce("restarting");
        }
    }
}

/// The next command that changes what runs.
async fn order(commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
    loop {
        match commands.recv().await {
            Some(Command::Start) => {}
            other => return other,
        }
    }
}

/// One process from its start to its end. Whoever drops this future ends what is in `running`.
async fn incarnation(shared: &Shared, ahead: bool, running: &Mutex<Running>) -> Loss {
    match begin(shared, ahead, running).await {
        Err(loss) => loss,
        Ok((link, console)) => {
            tokio::select! {
                _ = link.child().wait() => {}
                () = link.broken() => {}
            }
            // A process that ends closes its sockets first. One that only lost them is of no
            // use to anybody, and is ended by the caller.
            match timeout(CLOSED, link.child().wait()).await {
                Ok(exit) => {
                    link.drain().await;
                    Loss::Ended {
                        exit,
                        console: console.text(),
                    }
                }
                Err(_) => Loss::Broken,
            }
        }
    }
}

async fn begin(
    shared: &Shared,
    ahead: bool,
    running: &Mutex<Running>,
) -> Result<(Arc<Link>, Console), Loss> {
    let begun = Instant::now();
    let until = begun + START_DEADLINE;
    let config = &shared.config;
    let forked = match &config.forker {
        Some(forker) => forker.fork(ahead, until).await,
        None => Err(ForkError::NotReady),
    };
    let (link, console) = match forked {
        Ok(forked) => born(shared, forked, until, running).await?,
        Err(ForkError::Unavailable) => return Err(Loss::Unavailable),
        Err(ForkError::NotReady) => started(shared, ahead, until, running).await?,
    };
    note(running, |running| running.link = Some(link.clone()));
    // Variables that came while it started; and once more after it is live, for a claim that
    // saw it start.
    shared.renew(&link, None).await;
    shared.life.send_replace(Life::Live(link.clone()));
    shared.renew(&link, None).await;
    tracing::info!(kernel = %config.spec.name, took_ms = begun.elapsed().as_millis(), "a kernel is ready");
    Ok((link, console))
}

/// A kernel that was forked, once it answers.
async fn born(
    shared: &Shared,
    mut forked: Forked,
    until: Instant,
    running: &Mutex<Running>,
) -> Result<(Arc<Link>, Console), Loss> {
    let config = &shared.config;
    let identity = config.sandbox.identity();
    let mut env = launch::environment(&config.spec, &identity, &config.env);
    // It ends with its wires, and needs nobody to watch.
    env.remove(launch::PARENT);
    let birth = Birth {
        env,
        cwd: &config.cwd,
        entropy: uuid::Uuid::new_v4().to_string(),
    };
    *shared.applied.lock().await = identity;
    let told = forked.tell(&birth).await;
    let Forked {
        child,
        cells,
        control,
        console,
    } = forked;
    let child = Arc::new(child);
    note(running, |running| running.child = Some(child.clone()));
    told.map_err(|_| Loss::Broken)?;
    let audience = shared.audience.clone();
    let link = Link::wired(cells, control, child, config.spec.interrupt, audience);
    answering(shared, async { Ok(link) }, &console, until, running).await
}

/// A kernel whose process is started from the beginning, once it answers.
async fn started(
    shared: &Shared,
    ahead: bool,
    until: Instant,
    running: &Mutex<Running>,
) -> Result<(Arc<Link>, Console), Loss> {
    let config = &shared.config;
    let spawn = |error: std::io::Error| Loss::Spawn(error.to_string());
    let name = uuid::Uuid::new_v4().simple().to_string();
    let connection = Connection::create(&name, config.spec.beyond.transport).map_err(spawn)?;
    connection.write(&config.spec.name).map_err(spawn)?;
    let identity = config.sandbox.identity();
    let (child, console) = launch::launch(
        &config.spec,
        &connection,
        &config.cwd,
        &identity,
        &config.env,
        ahead,
        &config.reaper,
    )
    .map_err(spawn)?;
    *shared.applied.lock().await = identity;
    let child = Arc::new(child);
    note(running, |running| running.child = Some(child.clone()));
    let audience = shared.audience.clone();
    let link = Link::connect(connection, child, config.spec.interrupt, audience, until);
    answering(shared, link, &console, until, running).await
}

/// Waits for the first answer of what is in `running`, or for its end.
async fn answering(
    shared: &Shared,
    link: impl Future<Output = Result<Link, SocketError>>,
    console: &Console,
    until: Instant,
    running: &Mutex<Running>,
) -> Result<(Arc<Link>, Console), Loss> {
    let child = {
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        running.child.clone().ok_or(Loss::Broken)?
    };
    let ready = async {
        let link = link.await?;
        link.ready(until).await?;
        Ok(Arc::new(link))
    };
    tokio::select! {
        ready = ready => match ready {
            Ok(link) => Ok((link, console.clone())),
            Err(SocketError::Missing) => Err(Loss::Unready),
            Err(_) => Err(Loss::Broken),
        },
        exit = child.wait() => {
            let unavailable = shared.config.spec.beyond.exit_no_kernel;
            Err(if unavailable.is_some_and(|status| exit == Exit::Code(status)) {
                Loss::Unavailable
            } else {
                Loss::Ended { exit, console: console.text() }
            })
        }
    }
}

fn note(running: &Mutex<Running>, change: impl FnOnce(&mut Running)) {
    change(&mut running.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Ends whatever is left of an incarnation, and tells its clients why.
async fn end(running: Mutex<Running>, loss: Loss) {
    let Running { child, link } = running.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(child) = child else { return };
    if let Some(link) = link {
        let idle = !link.busy();
        let farewell = if idle {
            link.attach(Hears::Answers)
        } else {
            None
        };
        if let Some(client) = farewell {
            let restart = loss == Loss::Restarted;
            let request = request::shutdown(client.session(), restart);
            if child.try_exit().is_none()
                && link.ask(&client, Channel::Control, &request).await.is_ok()
            {
                // Code that runs at the end of the program has this long.
                let _ = timeout(LEAVE, child.wait()).await;
            }
        }
        link.close(loss);
    }
    // The whole group: what the kernel started goes with it. Nothing happens when the leader
    // has already been reaped, so a reused number is never hit.
    child.signal_group(libc::SIGKILL);
    let _ = timeout(KILLED, child.wait()).await;
}
