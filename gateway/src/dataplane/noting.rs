//! What is noted of a request for the sandbox's owner: that it was, and how it was answered.
//! Only requests of these kinds are noted, and never what they say.

use crate::sandboxes::{Level, Sandbox};
use http::{Method, StatusCode};
use soulbox_runtime::api::Plane;

/// Method, path and what it means.
type Kind = (Method, &'static str, &'static str);

const ENVD: [Kind; 10] = [
    (
        Method::POST,
        "/process.Process/Start",
        "a process was started",
    ),
    (
        Method::POST,
        "/process.Process/Connect",
        "a process was connected to",
    ),
    (
        Method::POST,
        "/process.Process/SendSignal",
        "a process was sent a signal",
    ),
    (Method::GET, "/files", "a file was read"),
    (Method::POST, "/files", "files were written"),
    (
        Method::POST,
        "/filesystem.Filesystem/MakeDir",
        "a directory was made",
    ),
    (
        Method::POST,
        "/filesystem.Filesystem/Move",
        "a file was moved",
    ),
    (
        Method::POST,
        "/filesystem.Filesystem/Remove",
        "a file was removed",
    ),
    (
        Method::POST,
        "/filesystem.Filesystem/WatchDir",
        "a directory was watched",
    ),
    (
        Method::POST,
        "/filesystem.Filesystem/CreateWatcher",
        "a directory was watched",
    ),
];
const INTERPRETER: [Kind; 2] = [
    (Method::POST, "/execute", "code was executed"),
    (Method::POST, "/contexts", "a context was made"),
];

/// A request that will be noted.
#[derive(Debug, Clone, Copy)]
pub struct Noted {
    logger: &'static str,
    message: &'static str,
}

/// Whether a request is of a kind that is noted.
pub fn kind(plane: Plane, method: &Method, path: &str) -> Option<Noted> {
    let kinds: &[Kind] = match plane {
        Plane::Envd => &ENVD,
        Plane::Interpreter => &INTERPRETER,
    };
    let found = kinds
        .iter()
        .find(|(of, at, _)| of == method && *at == path)?;
    Some(Noted {
        logger: plane.as_str(),
        message: found.2,
    })
}

impl Noted {
    /// Notes it with its answer.
    pub fn note(self, sandbox: &Sandbox, status: StatusCode) {
        let level = match status.as_u16() {
            500.. => Level::Error,
            400..500 => Level::Warn,
            _ => Level::Info,
        };
        let fields = vec![("status", status.as_u16().to_string())];
        sandbox.diary.note(level, self.logger, self.message, fields);
    }
}
