//! Seeing to it that there is a node: taking up the one that runs, or starting one, also
//! when it dies later.

use super::{LaunchError, Signals, control, node_log::NodeLog, say, system, worker};
use crate::{
    config::{Account, Settings},
    nodeclient::{Control, Events},
};
use rustix::process::Signal;
use soulbox_runtime::api::NodeStatus;
use std::{
    io,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

const POLL: Duration = Duration::from_millis(50);
/// Probes have their own deadlines; this is for a node that hangs.
const START_DEADLINE: Duration = Duration::from_secs(180);
const WORD_INTERVAL: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// More than the node allows itself for ending and clearing every sandbox.
const END_DEADLINE: Duration = Duration::from_secs(150);
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Keeps a node running.
pub struct Keeper {
    settings: Settings,
    account: Option<Account>,
    control: Control,
    /// Ours, if we started it; kept to be waited for.
    started: Option<Started>,
    pause: Duration,
}

/// A node that we started.
struct Started {
    child: Child,
    log: NodeLog,
}

impl Started {
    fn lives(&mut self) -> bool {
        self.alive().is_some()
    }

    fn alive(&mut self) -> Option<&mut Child> {
        match self.child.try_wait() {
            Ok(None) => Some(&mut self.child),
            _ => None,
        }
    }
}

impl Keeper {
    /// Knows of no node yet.
    pub fn new(settings: &Settings, account: Option<Account>) -> Self {
        Self {
            settings: settings.clone(),
            account,
            control: control(settings),
            started: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Returns when a node answers: one that runs already, or one that this starts.
    pub async fn begin(&mut self) -> Result<(), LaunchError> {
        if let Ok(status) = self.control.node().await {
            say("taking up the node that runs already");
            describe(&status);
            return Ok(());
        }
        self.start_one().await
    }

    /// Watches the node until it is gone, and then starts another. Safe to drop and to call
    /// again: what was begun is looked at anew.
    pub async fn keep(&mut self) {
        self.gone().await;
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.control.node().await.is_ok() {
            return;
        }
        say("the node is gone; its sandboxes are lost");
        match self.start_one().await {
            Ok(()) => self.pause = FIRST_PAUSE,
            Err(error) => say(&error.to_string()),
        }
    }

    /// Asks a node that belongs to `serve` to end, and waits until it has.
    pub async fn end(mut self, signals: &mut Signals) {
        match self.control.node().await {
            Ok(status) if status.attached => {
                let _ = self.control.shutdown().await;
            }
            // Somebody else's node.
            Ok(_) => return,
            // One that we started and that does not listen yet, or none.
            Err(_) => match &self.started {
                Some(started) => worker::signal(&started.child, Signal::TERM),
                None => return,
            },
        }
        let mut started = self.started.take();
        let ended = timeout(END_DEADLINE, async {
            match started.as_mut().and_then(Started::alive) {
                Some(child) => drop(child.wait().await),
                None => self.gone().await,
            }
        });
        tokio::select! {
            ended = ended => if ended.is_err() {
                say("the node takes long to end; leaving it to itself");
            },
            () = signals.next() => say("not waiting for the node"),
        }
    }

    /// Returns when no node is connected any more.
    async fn gone(&self) {
        if let Ok(mut events) = Events::open(&self.control).await {
            while events.next().await.is_some() {}
        }
    }

    /// Starts a node, or goes on waiting for the one that was started before and lives.
    async fn start_one(&mut self) -> Result<(), LaunchError> {
        if !self.started.as_mut().is_some_and(Started::lives) {
            self.started = Some(self.spawn()?);
        }
        let Some(started) = &mut self.started else {
            return Ok(());
        };
        say("checking what this machine can do");
        let began = Instant::now();
        let mut word_at = began + WORD_INTERVAL;
        loop {
            if let Ok(status) = self.control.node().await {
                describe(&status);
                return Ok(());
            }
            let ended = started.child.try_wait().map_err(start_failed())?;
            if ended.is_some() || began.elapsed() > START_DEADLINE {
                let (tail, log) = (started.log.tail(), started.log.path.clone());
                return Err(LaunchError::NodeFailed { log, tail });
            }
            if Instant::now() > word_at {
                say(&format!("still checking ({} s)", began.elapsed().as_secs()));
                word_at += WORD_INTERVAL;
            }
            sleep(POLL).await;
        }
    }

    fn spawn(&self) -> Result<Started, LaunchError> {
        let Some(account) = self.account else {
            let socket = self.settings.node_socket();
            return Err(LaunchError::NoNode { socket });
        };
        let (log, file) = NodeLog::open(&self.settings.data_dir).map_err(start_failed())?;
        say(&format!(
            "starting the node (its log: {})",
            log.path.display()
        ));
        let child = Command::new(THIS_PROGRAM)
            .arg0("soulbox")
            .args(arguments(&self.settings, account))
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(start_failed())?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(start_failed())?;
        Ok(Started { child, log })
    }
}

fn start_failed() -> impl FnOnce(io::Error) -> LaunchError {
    system("start the node".into())
}

fn arguments(settings: &Settings, account: Account) -> Vec<String> {
    let mut list: Vec<String> = vec!["node".into(), "--attached".into()];
    let mut option = |name: &str, value: String| list.extend([format!("--{name}"), value]);
    option("data-dir", settings.data_dir.display().to_string());
    option("images-dir", settings.images_dir.display().to_string());
    option("socket-owner", account.uid.to_string());
    option("max-sandboxes", settings.max_sandboxes.to_string());
    option("log", settings.log.clone());
    // It has no use for it, but what it reads beside may make no sense without.
    if let Some(domain) = &settings.domain {
        option("domain", domain.with_port(None));
    }
    if let Some(tier) = settings.isolation {
        option("isolation", tier.to_string());
    }
    for (name, count) in settings.pools.iter().flatten() {
        option("pool", format!("{name}={count}"));
    }
    option("max-image-side", settings.max_image_side.to_string());
    for block in &settings.egress_allow {
        option("egress-allow", block.clone());
    }
    for server in &settings.egress_dns {
        option("egress-dns", server.to_string());
    }
    list
}

fn describe(status: &NodeStatus) {
    for tier in status
        .tiers
        .iter()
        .filter(|tier| tier.tier == status.default_tier)
    {
        let version = tier.version.as_deref().unwrap_or("version unknown");
        say(&format!(
            "sandboxes are isolated by {} ({version})",
            tier.tier
        ));
    }
    if status.templates.is_empty() {
        say("no template is built yet: `sudo soulbox template build` builds them");
        return;
    }
    let names: Vec<_> = status
        .templates
        .iter()
        .map(|template| template.name.as_str())
        .collect();
    say(&format!("templates: {}", names.join(", ")));
    let (warm, wanted) = status.templates.iter().fold((0, 0), |(warm, wanted), one| {
        (warm + one.warm, wanted + one.warm_wanted)
    });
    if warm < wanted {
        say(&format!(
            "starting the first sandboxes ({warm} of {wanted} are warm)"
        ));
    }
}
