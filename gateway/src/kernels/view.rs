//! The list of all kernels: every agent is asked, many at a time, none for long.
//!
//! A JupyterLab asks for the list every ten seconds per tab, so what was heard a moment ago is
//! good enough, and requests that come together share one question. An agent that does not
//! answer is shown as it was last seen, and is not waited for again for a while.

use super::{Held, Kernel, KernelId, Kernels, Made};
use crate::sandboxes::Sandbox;
use futures_util::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How old an agent's word may be in a list.
const FRESH: Duration = Duration::from_millis(500);
/// How long a list waits for one agent.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a list waits for all of them.
const WHOLE_LIST: Duration = Duration::from_secs(4);
/// How long an agent that did not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Agents that are asked at a time.
const AT_A_TIME: usize = 64;

/// What was last heard of one sandbox.
#[derive(Debug, Default)]
pub struct View {
    seen: Mutex<Seen>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    kernels: Vec<Kernel>,
    answered: Option<Instant>,
    failed: Option<Instant>,
}

/// A list, and whether every agent had its say.
pub struct List {
    /// The kernels, those of older sandboxes first.
    pub kernels: Vec<Held>,
    /// False when an agent did not answer.
    pub whole: bool,
}

impl Kernels {
    /// Every kernel of every sandbox.
    pub async fn list(&self) -> Vec<Held> {
        self.look().await.kernels
    }

    /// The same, and whether it is all.
    pub(super) async fn look(&self) -> List {
        let mut sandboxes = self.with_kernels().await;
        sandboxes.sort_by(|a, b| {
            let key = |s: &Sandbox| (s.record.started_at, s.record.id.clone());
            key(a).cmp(&key(b))
        });
        let views: Vec<_> = sandboxes.iter().map(|sandbox| self.view(sandbox)).collect();
        let asked = stream::iter(sandboxes.iter().zip(&views))
            .for_each_concurrent(AT_A_TIME, |(sandbox, view)| self.refresh(sandbox, view));
        let in_time = timeout(WHOLE_LIST, asked).await.is_ok();
        let heard = views.iter().all(|view| view.is_current());
        let made = self.made.lock().expect("no holder panics").clone();
        let mut list = Gathered::new(self, &made);
        for (sandbox, view) in sandboxes.iter().zip(&views) {
            list.add(sandbox, view);
        }
        List {
            kernels: list.kernels,
            whole: in_time && heard,
        }
    }

    /// Forgets sandboxes that are gone, so that the map does not grow for ever.
    async fn with_kernels(&self) -> Vec<Arc<Sandbox>> {
        let running = self.sandboxes.all_running();
        self.views
            .lock()
            .expect("no holder panics")
            .retain(|id, _| running.iter().any(|sandbox| sandbox.record.id == *id));
        // A template that has no kernels has nothing to say; when the node can't be asked,
        // nobody is left out.
        let Ok(kinds) = self.kinds().await else {
            return running;
        };
        let has = |sandbox: &Arc<Sandbox>| {
            let template = &sandbox.record.template;
            kinds.iter().any(|kind| kind.template == *template)
        };
        running.into_iter().filter(has).collect()
    }

    pub(super) fn view(&self, sandbox: &Sandbox) -> Arc<View> {
        let mut views = self.views.lock().expect("no holder panics");
        Arc::clone(views.entry(sandbox.record.id.clone()).or_default())
    }

    /// Asks one agent, unless somebody just did.
    pub(super) async fn refresh(&self, sandbox: &Sandbox, view: &View) {
        if view.needs_no_asking() {
            return;
        }
        let _turn = view.turn.lock().await;
        if view.needs_no_asking() {
            return;
        }
        let heard = self.ask_all(sandbox, Instant::now() + PATIENCE).await;
        let mut seen = view.seen.lock().expect("no holder panics");
        match heard {
            Ok(kernels) => {
                *seen = Seen {
                    kernels,
                    answered: Some(Instant::now()),
                    failed: None,
                };
            }
            Err(_) => seen.failed = Some(Instant::now()),
        }
    }
}

impl View {
    fn needs_no_asking(&self) -> bool {
        let seen = self.seen.lock().expect("no holder panics");
        seen.answered.is_some_and(|at| at.elapsed() < FRESH)
            || seen.failed.is_some_and(|at| at.elapsed() < LEFT_ALONE)
    }

    fn is_current(&self) -> bool {
        let seen = self.seen.lock().expect("no holder panics");
        seen.answered.is_some() && seen.failed.is_none()
    }

    /// What was last heard.
    pub(super) fn kernels(&self) -> Vec<Kernel> {
        self.seen.lock().expect("no holder panics").kernels.clone()
    }

    /// The next question is asked anew.
    pub(super) fn outdated(&self) {
        let mut seen = self.seen.lock().expect("no holder panics");
        (seen.answered, seen.failed) = (None, None);
    }
}

/// Puts agents' words together. An id that several claim belongs to the sandbox where a client
/// asked for it, or else to the oldest.
struct Gathered<'a> {
    all: &'a Kernels,
    made: &'a HashMap<KernelId, Made>,
    kernels: Vec<Held>,
    taken: std::collections::HashSet<KernelId>,
}

impl<'a> Gathered<'a> {
    fn new(all: &'a Kernels, made: &'a HashMap<KernelId, Made>) -> Self {
        Self {
            all,
            made,
            kernels: Vec::new(),
            taken: std::collections::HashSet::new(),
        }
    }

    fn add(&mut self, sandbox: &Sandbox, view: &View) {
        let id = &sandbox.record.id;
        let elsewhere = |made: &Made| made.sandbox != *id;
        let mut told = view.kernels();
        if !view.is_current() {
            // Never heard of, but promised.
            let missing: BTreeMap<_, _> = self
                .made
                .iter()
                .filter(|(kernel, made)| {
                    made.sandbox == *id && !told.iter().any(|told| told.id == **kernel)
                })
                .collect();
            for (kernel, made) in missing {
                told.push(Kernel::unseen(kernel.clone(), made.name.clone()));
            }
        }
        for kernel in told {
            if self.made.get(&kernel.id).is_some_and(elsewhere) {
                continue;
            }
            if self.taken.insert(kernel.id.clone()) {
                self.kernels.push(self.all.held(sandbox, kernel));
            }
        }
    }
}

impl Kernels {
    pub(super) fn held(&self, sandbox: &Sandbox, kernel: Kernel) -> Held {
        Held {
            sandbox: sandbox.record.id.clone(),
            spec: self.spec_name(&sandbox.record.template, &kernel.name),
            kernel,
        }
    }
}
