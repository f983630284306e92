//! The privileged daemon that owns the sandboxes of one machine.
//!
//! It starts cells through the isolation tiers, keeps warm ones in pools, hands them to
//! gateways, carries requests to their agents, notices deaths and names them, and clears up,
//! also after a node that was killed. It knows no client, no API key and no client
//! protocol: only gateways speak to it, through the API of [`soulbox_runtime::api`].
//!
//! Where to begin: [`run()`] is its life, `registry` its tables, `start`, `create` and
//! `watch` a sandbox's life, `api` its routes.
#![forbid(unsafe_code)]

mod agent;
mod api;
mod body;
mod cell;
mod create;
mod death_cause;
mod doctor;
mod egress;
mod error;
mod guest_files;
mod hardship;
mod history;
mod host_ids;
mod idle;
mod journal;
mod keeper;
mod kernel_kinds;
mod leases;
mod leftovers;
mod machine;
mod memory;
mod node;
mod options;
mod pool;
mod random;
mod registry;
mod run;
mod sampler;
mod start;
mod templates;
mod tiers;
mod watch;
mod zombies;

pub use doctor::{DoctorReport, doctor};
pub use egress::EgressOptions;
pub use error::NodeError;
pub use options::{FIRST_HOST_ID, NodeOptions};
pub use run::run;
pub use soulbox_gvisor::Platform;
pub use soulbox_protocol::control::IMAGE_SIDE;
