//! The routes about sandboxes (e2b-wire.md, section 3), one file each.

pub mod connect;
pub mod create;
pub mod get;
pub mod kill;
pub mod list;
pub mod logs;
pub mod metrics;
pub mod network;
mod shown;
pub mod timeout;
