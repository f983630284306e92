//! `/api/me`: what JupyterLab shows of its user when it is pointed straight at this server.

use super::caller::Authenticated;
use axum::Json;
use serde_json::{Value, json};

/// A key is all that is known of a user.
pub async fn me(Authenticated(caller): Authenticated) -> Json<Value> {
    let name = format!("key {}", caller.key);
    Json(json!({
        "identity": {
            "username": format!("key-{}", caller.key),
            "name": name,
            "display_name": name,
            "initials": "K",
            "avatar_url": null,
            "color": null,
        },
        "permissions": {},
    }))
}
