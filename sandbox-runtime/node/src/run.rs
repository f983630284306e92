//! The life of a node, from rights to farewell.

use crate::{
    api::server,
    egress::Dialler,
    error::NodeError,
    guest_files,
    host_ids::HostIds,
    idle,
    journal::Journal,
    keeper, leases, leftovers, machine,
    node::Node,
    options::NodeOptions,
    registry::Registry,
    sampler,
    templates::Templates,
    tiers::{self, Tiers},
    zombies,
};
use std::{fs, sync::Arc, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

/// Threads that carry data. Few, since most waiting is for cells.
const THREADS: usize = 2;
/// Ending and clearing everything takes about a second for each few cells.
const END_TIMEOUT: Duration = Duration::from_secs(120);
/// Answers that are under way after the last cell is gone, e.g. events.
const FAREWELL: Duration = Duration::from_millis(500);
/// Exit status after a second signal.
const IMPATIENT_EXIT: i32 = 130;

/// Runs a node until it is told to end. Must be called before the process has other
/// threads, since the node takes a mount namespace of its own.
///
/// # Errors
/// [`NodeError`], in words for the owner of the machine.
pub fn run(options: NodeOptions) -> Result<(), NodeError> {
    machine::require_root()?;
    let agent = guest_files::find_agent(options.agent.as_deref())?;
    let lock = machine::take_run_dir(&options)?;
    soulbox_host::node::prepare().map_err(|error| NodeError::NoTier(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("soulbox-node")
        .enable_all()
        .build()
        .map_err(NodeError::io("start threads"))?;
    let ran = runtime.block_on(live(options, &agent));
    // A thread that hangs in a system call must not keep the node from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(lock);
    ran
}

async fn live(options: NodeOptions, agent: &std::path::Path) -> Result<(), NodeError> {
    let signals = Signals::new()?;
    let run_dir = options.run_dir();
    // Reading and hashing the agent takes as long as the probes; they don't wait for each other.
    let guest_files = {
        let (run_dir, agent) = (run_dir.clone(), agent.to_owned());
        tokio::task::spawn_blocking(move || guest_files::write(&run_dir, &agent))
    };
    let tiers = Tiers::open(tiers::all(&options)?, options.isolation).await?;
    let journal = Journal::open(run_dir.join("cells"))?;
    let guest_files = guest_files
        .await
        .map_err(|error| NodeError::io("write the guest files")(error.into()))??;
    let node = Arc::new(Node {
        incarnation: crate::random::hex::<8>().map_err(NodeError::io("random numbers"))?,
        registry: Registry::new(options.max_sandboxes),
        tiers,
        templates: Templates::new(&options),
        dialler: Arc::new(Dialler::new(&options.egress)),
        journal,
        host_ids: HostIds::new(options.first_host_id),
        guest_files,
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
        connections: 0.into(),
        closing: false.into(),
        options,
    });
    leftovers::clear(&node).await;
    let listener = server::bind(&node.options).await?;
    let stop = CancellationToken::new();
    let served = tokio::spawn(server::serve(node.clone(), listener, stop.clone()));
    keeper::want_templates(&node);
    let keepers = [
        tokio::spawn(keeper::keep(node.clone())),
        tokio::spawn(leases::keep(node.clone())),
        tokio::spawn(idle::watch(node.clone())),
        tokio::spawn(sampler::keep(node.clone())),
        tokio::spawn(zombies::reap()),
    ];
    info!(
        incarnation = node.incarnation,
        tier = %node.tiers.default_tier(),
        socket = %node.options.socket.display(),
        "the node serves"
    );
    signals.wait_for_end(&node).await;
    info!("the node ends");
    for keeper in keepers {
        keeper.abort();
    }
    if tokio::time::timeout(END_TIMEOUT, node.end_all())
        .await
        .is_err()
    {
        error!("clearing took too long; the next node goes on with it");
    }
    stop.cancel();
    let _ = served.await;
    tokio::time::sleep(FAREWELL).await;
    if let Err(error) = fs::remove_file(&node.options.socket) {
        warn!(%error, "could not remove the socket");
    }
    // Only when nothing is left in it: what could not be cleared stays for the next node.
    let _ = fs::remove_dir(node.options.state_dir());
    info!("the node has ended");
    Ok(())
}

/// The signals that end a node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, NodeError> {
        let listen = |kind| signal(kind).map_err(NodeError::io("listen for signals"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal or for the API's wish to end. A second signal ends the process at
    /// once; the next node clears then.
    async fn wait_for_end(mut self, node: &Node) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = node.shutdown.cancelled() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            std::process::exit(IMPATIENT_EXIT);
        });
    }
}
