//! What a sandbox is, without saying how one is made.
//!
//! The node drives every isolation tier through the two traits in [`tier`];
//! gateway and node speak in the types of [`api`]. This crate does no I/O and
//! knows no tier, no client protocol and no API key: whoever reads it learns the
//! words of the project, and whoever adds a tier implements two traits.
#![forbid(unsafe_code)]

pub mod api;
pub mod death;
pub mod id;
pub mod life;
pub mod limits;
pub mod network;
pub mod tier;

pub use death::{Death, Evidence, Reason};
pub use id::{CellId, InvalidId, SandboxId, TemplateName};
pub use limits::Limits;
pub use network::Network;
pub use tier::{
    Cell, CellEnd, CellSpec, Channel, StartError, StartedCell, Tier, TierName, TierStatus,
};
