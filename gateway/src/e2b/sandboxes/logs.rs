//! `GET /sandboxes/{id}/logs` and its second version (e2b-wire.md, section 3.8): the lines of a
//! sandbox's life, also of one that has ended.

use super::shown::time;
use crate::{
    e2b::{ApiError, Authenticated, SandboxPath, query::Query},
    gateway::App,
    sandboxes::{Level, Line},
};
use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

const MOST_LINES: i64 = 1000;

/// A line, taken apart.
#[derive(Debug, Serialize)]
pub struct Entry {
    timestamp: String,
    message: &'static str,
    level: &'static str,
    fields: BTreeMap<&'static str, String>,
}

/// A line as old clients print it: JSON in JSON.
#[derive(Debug, Serialize)]
struct Printed {
    timestamp: String,
    line: String,
}

/// The first version's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Both {
    logs: Vec<Printed>,
    log_entries: Vec<Entry>,
}

/// The second version's answer.
#[derive(Debug, Serialize)]
pub struct Entries {
    logs: Vec<Entry>,
}

/// Lines from `start` on, oldest first.
pub async fn first(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    query: Query,
) -> Result<Json<Both>, ApiError> {
    let start: Option<i64> = query.parsed("start", "a time in milliseconds since 1970")?;
    let limit = limit(&query)?;
    let mut lines = app.sandboxes.diary(&id).await?;
    lines.retain(|line| start.is_none_or(|start| line.at.as_millisecond() >= start));
    lines.truncate(limit);
    Ok(Json(Both {
        logs: lines.iter().map(Printed::new).collect(),
        log_entries: lines.into_iter().map(Entry::new).collect(),
    }))
}

/// Lines from `cursor` on, forwards or backwards, at least of a level, that hold a text.
pub async fn second(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    query: Query,
) -> Result<Json<Entries>, ApiError> {
    let cursor: Option<i64> = query.parsed("cursor", "a time in milliseconds since 1970")?;
    let backward = match query.get("direction") {
        None | Some("forward") => false,
        Some("backward") => true,
        Some(_) => return Err(ApiError::bad("direction must be forward or backward")),
    };
    let level = query.get("level").map(level).transpose()?;
    let search = query.get("search").unwrap_or_default();
    let limit = limit(&query)?;
    let mut lines = app.sandboxes.diary(&id).await?;
    lines.retain(|line| {
        let at = line.at.as_millisecond();
        let reached =
            cursor.is_none_or(|cursor| if backward { at <= cursor } else { at >= cursor });
        let serious = level.is_none_or(|level| line.level >= level);
        let found = |text: &str| text.contains(search);
        reached
            && serious
            && (found(line.message) || line.fields.iter().any(|(_, text)| found(text)))
    });
    if backward {
        lines.reverse();
    }
    lines.truncate(limit);
    let logs = lines.into_iter().map(Entry::new).collect();
    Ok(Json(Entries { logs }))
}

fn limit(query: &Query) -> Result<usize, ApiError> {
    match query.parsed::<i64>("limit", "a number")? {
        None => Ok(MOST_LINES as usize),
        Some(wanted) if wanted < 1 => Err(ApiError::bad("limit must be greater than 0")),
        Some(wanted) => Ok(wanted.min(MOST_LINES) as usize),
    }
}

fn level(word: &str) -> Result<Level, ApiError> {
    match word {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        _ => Err(ApiError::bad("level must be debug, info, warn or error")),
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

impl Entry {
    fn new(line: Line) -> Self {
        let mut fields: BTreeMap<_, _> = line.fields.into_iter().collect();
        fields.insert("logger", line.logger.to_owned());
        Self {
            timestamp: time(line.at),
            message: line.message,
            level: word(line.level),
            fields,
        }
    }
}

impl Printed {
    fn new(line: &Line) -> Self {
        let mut all = Map::new();
        for (name, text) in [
            ("level", word(line.level)),
            ("logger", line.logger),
            ("message", line.message),
        ] {
            all.insert(name.to_owned(), text.into());
        }
        for (name, text) in &line.fields {
            all.insert((*name).to_owned(), text.as_str().into());
        }
        Self {
            timestamp: time(line.at),
            line: Value::Object(all).to_string(),
        }
    }
}
