//! Files of the sandbox, for clients (sections 4.5 and 4.7 of the contract).
//!
//! The agent acts as root here, as the contract wants it: permissions do not stop a client in
//! its own sandbox. What it creates belongs to the user who was named.

pub mod compose;
pub mod content;
pub mod directories;
pub mod download;
pub mod encoding;
pub mod entry;
pub mod files;
pub mod listing;
pub mod metadata;
pub mod multipart;
pub mod path;
pub mod range;
pub mod relocate;
pub mod service;
pub mod target;
pub mod upload;
pub mod watch;

use crate::sandbox::Sandbox;
use axum::Router;
use std::sync::Arc;
use watch::Watchers;

/// What all routes of files share.
#[derive(Clone)]
pub struct Shared {
    /// Users and directories.
    pub sandbox: Arc<Sandbox>,
    /// Who watches.
    pub watchers: Arc<Watchers>,
}

/// The routes of `/files` and of `filesystem.Filesystem`.
pub fn routes(sandbox: Arc<Sandbox>) -> Router {
    let shared = Shared {
        sandbox,
        watchers: Arc::default(),
    };
    files::service(shared.clone())
        .merge(service::service(shared.clone()))
        .merge(watch::service::service(shared))
}
