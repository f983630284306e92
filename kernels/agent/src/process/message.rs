//! Messages of `process.Process` (section 4.4 of the contract), JSON form.
//!
//! Names are camelCase, snake_case is accepted, unknown fields are passed over. What a
//! process was started with is kept as it was sent, for `List`.

use crate::connect::fields::{Base64, NameOrNumber, Uint32, or_default};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to run.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct ProcessConfig {
    /// The program.
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: String,
    /// Its arguments.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<String>,
    /// Variables of this process only.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub envs: BTreeMap<String, String>,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Size {
    /// Columns.
    pub cols: Uint32,
    /// Rows.
    pub rows: Uint32,
}

/// A terminal is wanted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Pty {
    /// Its size.
    #[serde(default, deserialize_with = "or_default")]
    pub size: Size,
}

/// `Start`.
#[derive(Debug, Deserialize)]
pub struct StartRequest {
    #[serde(default, deserialize_with = "or_default")]
    pub process: ProcessConfig,
    pub pty: Option<Pty>,
    pub tag: Option<String>,
    /// Absent means true: a pipe.
    pub stdin: Option<bool>,
}

/// Which process is meant.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Selector {
    pub pid: Option<Uint32>,
    pub tag: Option<String>,
}

/// `Connect`, `CloseStdin` and the first message of `StreamInput`.
#[derive(Debug, Default, Deserialize)]
pub struct SelectRequest {
    #[serde(default, deserialize_with = "or_default")]
    pub process: Selector,
}

/// `Update`.
#[derive(Debug, Deserialize)]
pub struct UpdateRequest {
    #[serde(default, deserialize_with = "or_default")]
    pub process: Selector,
    pub pty: Option<Pty>,
}

/// Bytes for a process.
#[derive(Debug, Default, Deserialize)]
pub struct ProcessInput {
    pub stdin: Option<Base64>,
    pub pty: Option<Base64>,
}

/// `SendInput`.
#[derive(Debug, Deserialize)]
pub struct SendInputRequest {
    #[serde(default, deserialize_with = "or_default")]
    pub process: Selector,
    #[serde(default, deserialize_with = "or_default")]
    pub input: ProcessInput,
}

/// A message of `StreamInput`.
#[derive(Debug, Deserialize)]
pub struct StreamInputRequest {
    pub start: Option<SelectRequest>,
    pub data: Option<StreamInputData>,
}

/// Input in a stream.
#[derive(Debug, Deserialize)]
pub struct StreamInputData {
    #[serde(default, deserialize_with = "or_default")]
    pub input: ProcessInput,
}

/// `SendSignal`.
#[derive(Debug, Deserialize)]
pub struct SendSignalRequest {
    #[serde(default, deserialize_with = "or_default")]
    pub process: Selector,
    pub signal: Option<NameOrNumber>,
}

/// An empty message, in or out.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Empty {}

/// One running process.
#[derive(Debug, Serialize)]
pub struct ProcessInfo {
    /// As sent.
    pub config: ProcessConfig,
    /// As seen inside the sandbox.
    pub pid: u32,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Answer of `List`.
#[derive(Debug, Serialize)]
pub struct ListResponse {
    /// Those that still run, by pid.
    pub processes: Vec<ProcessInfo>,
}
