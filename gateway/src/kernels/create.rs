//! A kernel for a client: in a sandbox of its own, or in one that lives already.
//!
//! A new sandbox comes with a warm kernel, which becomes the client's when its wishes can
//! still be fulfilled: variables are given to the sandbox as a whole, so only an id or a
//! working directory of the client's own needs a new process.

use super::{
    Held, Kernel, KernelError, KernelId, Kernels, Kind, agent::NewKernel, locate::is_ready,
};
use crate::sandboxes::{OpenedBy, Sandbox, SandboxError, Wanted};
use jiff::SignedDuration;
use soulbox_runtime::Network;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// Where the warm kernel of a new sandbox is.
const WARM_DIRECTORY: &str = "/home/user";
/// Longest name of a kernelspec that a sandbox is asked for, in bytes.
const NAME_BYTES: usize = 128;

/// What a client wants.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Name of the kernelspec; the default when there is none.
    pub name: Option<String>,
    /// An id of the client's own.
    pub id: Option<KernelId>,
    /// Where it would like to work, if that directory is there.
    pub directory: Option<String>,
    /// Variables of the kernel.
    pub env: BTreeMap<String, String>,
    /// A live sandbox to start it in.
    pub sandbox: Option<String>,
    /// How long it may take.
    pub patience: Duration,
}

impl Kernels {
    /// Makes a kernel. A caller who goes away meanwhile leaves nothing behind.
    pub async fn create(self: &Arc<Self>, wish: Wish) -> Result<Held, KernelError> {
        let (answer, result) = oneshot::channel();
        let kernels = Arc::clone(self);
        let deadline = Instant::now() + wish.patience;
        tokio::spawn(async move {
            let made = kernels.make(wish, deadline).await;
            if let Err(Ok(held)) = answer.send(made) {
                tracing::info!(sandbox = %held.sandbox, "nobody waits for this kernel any more");
                let _ = kernels.end(&held.kernel.id).await;
            }
        });
        result.await.map_err(|_| SandboxError::BrokenOff)?
    }

    async fn make(self: &Arc<Self>, wish: Wish, deadline: Instant) -> Result<Held, KernelError> {
        if let Some(id) = &wish.id
            && self.made.lock().expect("no holder panics").contains_key(id)
        {
            return Err(KernelError::Taken(id.clone()));
        }
        let (sandbox, kernel) = match &wish.sandbox {
            Some(id) => self.in_sandbox(id, &wish, deadline).await?,
            None => self.with_sandbox(&wish, deadline).await?,
        };
        self.remember(&kernel.id, &sandbox.record.id, &kernel.name)
            .await?;
        self.view(&sandbox).outdated();
        tracing::info!(sandbox = %sandbox.record.id, kernel = %kernel.id, name = kernel.name, "started a kernel");
        Ok(self.held(&sandbox, kernel))
    }

    /// A further kernel in a live sandbox.
    async fn in_sandbox(
        &self,
        id: &str,
        wish: &Wish,
        deadline: Instant,
    ) -> Result<(Arc<Sandbox>, Kernel), KernelError> {
        let unknown = || SandboxError::Unknown(id.to_owned());
        let sandbox = self.sandboxes.running(id).ok_or_else(unknown)?;
        let kind = self
            .kind_in(&sandbox.record.template, wish.name.as_deref())
            .await;
        let name = match kind {
            Ok(kind) => kind.kernel.name,
            // Its owner may have installed one that the template does not have.
            Err(KernelError::NoSuchKind(name)) if name.len() <= NAME_BYTES => name,
            Err(error) => return Err(error),
        };
        let kernel = self
            .start(&sandbox, &name, wish, &wish.env, deadline)
            .await?;
        Ok((sandbox, kernel))
    }

    /// A sandbox with one kernel.
    async fn with_sandbox(
        self: &Arc<Self>,
        wish: &Wish,
        deadline: Instant,
    ) -> Result<(Arc<Sandbox>, Kernel), KernelError> {
        let kind = self.kind(wish.name.as_deref()).await?;
        let making = self.sandboxes.create(self.wanted(&kind, wish));
        let record = timeout_at(deadline, making)
            .await
            .map_err(|_| KernelError::Late)??;
        let id = record.id.to_string();
        let unknown = || SandboxError::Unknown(id.clone());
        let sandbox = self.sandboxes.running(&id).ok_or_else(unknown)?;
        match self.first_kernel(&sandbox, &kind, wish, deadline).await {
            Ok(kernel) => Ok((sandbox, kernel)),
            Err(error) => {
                let _ = self.sandboxes.kill(&id).await;
                Err(error)
            }
        }
    }

    async fn first_kernel(
        &self,
        sandbox: &Sandbox,
        kind: &Kind,
        wish: &Wish,
        deadline: Instant,
    ) -> Result<Kernel, KernelError> {
        let there = self.ask_all(sandbox, deadline).await?;
        let elsewhere = match &wish.directory {
            Some(directory) if directory != WARM_DIRECTORY => {
                self.has_directory(sandbox, directory).await
            }
            _ => false,
        };
        if wish.id.is_none() && !elsewhere {
            let warm = there
                .iter()
                .find(|kernel| kernel.name == kind.kernel.name && is_ready(kernel));
            if let Some(kernel) = warm {
                return Ok(kernel.clone());
            }
        }
        // The sandbox has the variables already.
        let none = BTreeMap::new();
        let name = &kind.kernel.name;
        let kernel = self.start(sandbox, name, wish, &none, deadline).await?;
        for spare in there.iter().filter(|spare| is_ready(spare)) {
            // It costs memory only.
            let _ = self.ask_end(sandbox, &spare.id).await;
        }
        Ok(kernel)
    }

    async fn start(
        &self,
        sandbox: &Sandbox,
        name: &str,
        wish: &Wish,
        env: &BTreeMap<String, String>,
        deadline: Instant,
    ) -> Result<Kernel, KernelError> {
        let id = wish.id.clone().unwrap_or_else(KernelId::random);
        let new = NewKernel {
            name,
            kernel_id: &id,
            cwd: wish.directory.as_deref(),
            env,
        };
        self.ask_start(sandbox, &new, deadline).await
    }

    fn wanted(&self, kind: &Kind, wish: &Wish) -> Wanted {
        let idle = SignedDuration::try_from(self.policy.idle).unwrap_or(SignedDuration::MAX);
        Wanted {
            template: kind.template.clone(),
            lifetime: idle.min(self.sandboxes.longest()),
            metadata: BTreeMap::new(),
            env: wish.env.clone(),
            secure: true,
            public_traffic: true,
            opened_by: OpenedBy::Jupyter,
            allow_internet: None,
            egress: Network::open(),
            network: None,
            repeat: None,
        }
    }
}
