//! `GET /v2/sandboxes`, and the old `GET /sandboxes` (e2b-wire.md, section 3.2).

use super::shown::Listed;
use crate::{
    e2b::{
        ApiError, Authenticated, metadata_filter, pagination, query::Query,
        template_reference::TemplateReference,
    },
    gateway::App,
    sandboxes::{Order, Selection},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue},
};
use std::{collections::BTreeMap, sync::Arc};

const STATES: [&str; 2] = ["running", "paused"];

/// One page, with the headers that lead to the next.
pub async fn current(
    State(app): State<Arc<App>>,
    _: Authenticated,
    query: Query,
) -> Result<(HeaderMap, Json<Vec<Listed>>), ApiError> {
    let order = match query.get("order") {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(ApiError::bad("order must be asc or desc")),
    };
    let limit = pagination::limit(&query)?;
    let after = query
        .get("nextToken")
        .map(|token| pagination::cursor(token, order))
        .transpose()?;
    let selection = Selection {
        metadata: metadata(&query)?,
        started_after: query.parsed("startedAfter", "an RFC 3339 time")?,
        template: template(&query)?,
    };
    let mut headers = HeaderMap::new();
    // No sandbox is ever paused in this version, so a list of paused ones is empty.
    if !wants_running(&query)? {
        return Ok((headers, Json(Vec::new())));
    }
    let page = app.sandboxes.page(&selection, order, after.as_ref(), limit);
    headers.insert("x-total-running", HeaderValue::from(page.total));
    if let Some(next) = page.next {
        let token = pagination::token(order, &next);
        headers.insert("x-next-token", token.parse().expect("base64 is plain text"));
    }
    Ok((
        headers,
        Json(
            page.sandboxes
                .iter()
                .map(|sandbox| Listed::new(sandbox))
                .collect(),
        ),
    ))
}

/// The old list: running ones, newest first, all at once.
pub async fn classic(
    State(app): State<Arc<App>>,
    _: Authenticated,
    query: Query,
) -> Result<Json<Vec<Listed>>, ApiError> {
    let selection = Selection {
        metadata: metadata(&query)?,
        ..Selection::default()
    };
    let page = app
        .sandboxes
        .page(&selection, Order::Descending, None, usize::MAX);
    Ok(Json(
        page.sandboxes
            .iter()
            .map(|sandbox| Listed::new(sandbox))
            .collect(),
    ))
}

fn metadata(query: &Query) -> Result<BTreeMap<String, String>, ApiError> {
    query
        .get("metadata")
        .map(metadata_filter::parse)
        .transpose()
        .map(Option::unwrap_or_default)
}

fn template(query: &Query) -> Result<Option<String>, ApiError> {
    let Some(text) = query.get("template") else {
        return Ok(None);
    };
    let reference = TemplateReference::parse(text)?;
    if reference.tag.is_some() {
        return Err(ApiError::bad("the template filter takes no tag"));
    }
    Ok(Some(reference.name.to_string()))
}

fn wants_running(query: &Query) -> Result<bool, ApiError> {
    let wanted = query.list("state");
    if wanted.iter().any(|state| !STATES.contains(state)) {
        return Err(ApiError::bad("state must be running, paused or both"));
    }
    Ok(wanted.is_empty() || wanted.contains(&"running"))
}
