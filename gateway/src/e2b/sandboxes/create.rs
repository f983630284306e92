//! `POST /sandboxes` and `POST /v2/sandboxes` (e2b-wire.md, section 3.1).
//!
//! What this version cannot do is refused with a sentence, never silently ignored.

use super::{network, shown::Created};
use crate::{
    dataplane,
    e2b::{
        ApiError, Authenticated, CallersDomain, body::JsonBody,
        template_reference::TemplateReference,
    },
    gateway::App,
    sandboxes::{OpenedBy, RepeatKey, Wanted},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

const CLASSIC_TIMEOUT_SECONDS: i64 = 15;
const CURRENT_TIMEOUT_SECONDS: i64 = 300;
/// All keys and values together. A list of a hundred sandboxes must stay a small answer.
const METADATA_BYTES: usize = 64 << 10;
/// All names and values together, well below what `execve` takes.
const ENV_BYTES: usize = 512 << 10;
const IDEMPOTENCY_KEY_LENGTH: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSandbox {
    #[serde(rename = "templateID")]
    template_id: String,
    timeout: Option<i64>,
    metadata: Option<BTreeMap<String, String>>,
    env_vars: Option<BTreeMap<String, String>>,
    secure: Option<bool>,
    auto_pause: Option<bool>,
    auto_pause_memory: Option<bool>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
    network: Option<Value>,
    iam: Option<Value>,
    volume_mounts: Option<Vec<Value>>,
}

/// The older generation: unsecured unless asked, short-lived unless asked.
pub async fn classic(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    domain: CallersDomain,
    headers: HeaderMap,
    body: JsonBody<NewSandbox>,
) -> Result<Response, ApiError> {
    let secure = body.value.secure.unwrap_or(false);
    create(
        &app,
        caller,
        domain,
        &headers,
        body,
        secure,
        CLASSIC_TIMEOUT_SECONDS,
    )
    .await
}

/// The newer generation: always secured.
pub async fn current(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    domain: CallersDomain,
    headers: HeaderMap,
    body: JsonBody<NewSandbox>,
) -> Result<Response, ApiError> {
    create(
        &app,
        caller,
        domain,
        &headers,
        body,
        true,
        CURRENT_TIMEOUT_SECONDS,
    )
    .await
}

async fn create(
    app: &App,
    Authenticated(caller): Authenticated,
    CallersDomain(domain): CallersDomain,
    headers: &HeaderMap,
    JsonBody { value: asked, hash }: JsonBody<NewSandbox>,
    secure: bool,
    default_seconds: i64,
) -> Result<Response, ApiError> {
    let repeat = idempotency_key(headers)?.map(|key| RepeatKey {
        owner: caller.key,
        key,
        request: hash,
    });
    let wanted = Wanted {
        repeat,
        ..wanted(asked, secure, default_seconds)?
    };
    let record = app.sandboxes.create(wanted).await?;
    let shown = Created::new(&record, domain.as_deref());
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

fn wanted(asked: NewSandbox, secure: bool, default_seconds: i64) -> Result<Wanted, ApiError> {
    let seconds = asked.timeout.unwrap_or(default_seconds);
    if seconds <= 0 {
        return Err(ApiError::bad("Timeout must be greater than 0"));
    }
    refuse_what_is_not_there(&asked)?;
    let template = TemplateReference::parse(&asked.template_id)?;
    if template.namespace.is_some() || !template.is_current() {
        let message = format!("template '{}' not found", asked.template_id.trim());
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    }
    let public_traffic = public_traffic(asked.network.as_ref())?;
    if !public_traffic && !secure {
        return Err(ApiError::bad(
            "network.allowPublicTraffic false needs secure true",
        ));
    }
    check_mask(asked.network.as_ref())?;
    let egress = network::read(asked.network.as_ref(), asked.allow_internet_access)?;
    let metadata = asked.metadata.unwrap_or_default();
    bound("metadata", &metadata, METADATA_BYTES)?;
    let env = asked.env_vars.unwrap_or_default();
    bound("envVars", &env, ENV_BYTES)?;
    check_names(&env)?;
    Ok(Wanted {
        template: template.name,
        lifetime: SignedDuration::from_secs(seconds),
        metadata,
        env,
        secure,
        public_traffic,
        opened_by: OpenedBy::E2b,
        allow_internet: asked.allow_internet_access,
        network: asked.network,
        egress,
        repeat: None,
    })
}

fn refuse_what_is_not_there(asked: &NewSandbox) -> Result<(), ApiError> {
    let auto_pause = asked.auto_pause.unwrap_or(false);
    if asked.auto_pause_memory == Some(false) && !auto_pause {
        return Err(ApiError::bad("autoPauseMemory false needs autoPause true"));
    }
    if auto_pause {
        return Err(ApiError::bad("pause is not supported yet on this server"));
    }
    if asked
        .volume_mounts
        .as_ref()
        .is_some_and(|mounts| !mounts.is_empty())
    {
        return Err(ApiError::bad(
            "volumes are not supported yet on this server",
        ));
    }
    if asked.iam.is_some() {
        return Err(ApiError::bad("iam tokens are not supported on this server"));
    }
    Ok(())
}

fn check_mask(network: Option<&Value>) -> Result<(), ApiError> {
    match network.and_then(|settings| settings.get("maskRequestHost")) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(mask)) if dataplane::check_mask(mask) => Ok(()),
        Some(_) => Err(ApiError::bad(
            "network.maskRequestHost must be a host, with or without a port, in ASCII",
        )),
    }
}

fn public_traffic(network: Option<&Value>) -> Result<bool, ApiError> {
    match network {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Object(settings)) => match settings.get("allowPublicTraffic") {
            None | Some(Value::Null) => Ok(true),
            Some(Value::Bool(allowed)) => Ok(*allowed),
            Some(_) => Err(ApiError::bad(
                "network.allowPublicTraffic must be true or false",
            )),
        },
        Some(_) => Err(ApiError::bad("network must be an object")),
    }
}

fn bound(what: &str, pairs: &BTreeMap<String, String>, limit: usize) -> Result<(), ApiError> {
    let size: usize = pairs
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size <= limit {
        return Ok(());
    }
    Err(ApiError::bad(format!(
        "{what} holds {size} bytes, more than the {limit} that fit"
    )))
}

fn check_names(env: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(ApiError::bad(
                "envVars: a name is empty or holds '=' or a null character",
            ));
        }
        if value.contains('\0') {
            return Err(ApiError::bad(format!(
                "envVars: the value of {name} holds a null character"
            )));
        }
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_LENGTH || !text.bytes().all(fits) {
        return Err(ApiError::bad(
            "Idempotency-Key must be 1 to 255 characters of a-z, 0-9 and -",
        ));
    }
    Ok(Some(text.to_owned()))
}
