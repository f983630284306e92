//! The requests that we make ourselves, built with the types of `jupyter-protocol`.
//!
//! What clients send and kernels answer is never passed through these types: they close the
//! header and re-serialise display data, so a round trip would lose what they do not know.

use super::message::Message;
use bytes::Bytes;
use jupyter_protocol::{
    ExecuteRequest, InterruptRequest, JupyterMessage, KernelInfoRequest, ShutdownRequest,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Shown as the sender in kernels' histories.
const USERNAME: &str = "soulbox";

/// Type of the message that hands variables to a kernel which knows it; see
/// `kernels/python/README.md`.
pub const ENVIRONMENT_REQUEST: &str = "soulbox_environment_request";

/// A request, and the id that its answers will name.
pub struct Request {
    /// `msg_id` of the header.
    pub id: String,
    /// What to send.
    pub message: Message,
}

/// What of a running kernel's surroundings changes when a sandbox is claimed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Environment {
    /// Variables to set, or to delete where there is no value.
    pub env: BTreeMap<String, Option<String>>,
    /// Working directory to change to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What to reseed random generators with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<String>,
}

fn build(
    session: &str,
    template: JupyterMessage,
    msg_type: &str,
    content: &impl Serialize,
    metadata: &Value,
) -> Request {
    let mut header = template.header;
    header.username = USERNAME.into();
    header.session = session.into();
    header.msg_type = msg_type.into();
    let part = |value: serde_json::Result<Vec<u8>>| {
        Bytes::from(value.expect("these types always have a JSON form"))
    };
    Request {
        message: Message {
            header: part(serde_json::to_vec(&header)),
            parent_header: Bytes::from_static(b"{}"),
            metadata: part(serde_json::to_vec(metadata)),
            content: part(serde_json::to_vec(content)),
            buffers: Vec::new(),
        },
        id: header.msg_id,
    }
}

/// Runs code. It is never aborted for the error of another cell, because executions are
/// queued by us, and `input()` fails, since nobody of this session could answer.
pub fn execute(session: &str, code: String, env: &BTreeMap<String, String>) -> Request {
    let content = ExecuteRequest {
        code,
        silent: false,
        store_history: true,
        user_expressions: None,
        allow_stdin: false,
        stop_on_error: false,
    };
    let metadata = if env.is_empty() {
        json!({})
    } else {
        json!({"soulbox": {"env": env}})
    };
    let template = JupyterMessage::new(KernelInfoRequest {}, None);
    build(session, template, "execute_request", &content, &metadata)
}

/// Asks what the kernel is; answered when its shell is ready.
pub fn kernel_info(session: &str) -> Request {
    let template = JupyterMessage::new(KernelInfoRequest {}, None);
    build(
        session,
        template,
        "kernel_info_request",
        &json!({}),
        &json!({}),
    )
}

/// Asks the kernel to end itself.
pub fn shutdown(session: &str, restart: bool) -> Request {
    let content = ShutdownRequest { restart };
    let template = JupyterMessage::new(ShutdownRequest { restart }, None);
    build(session, template, "shutdown_request", &content, &json!({}))
}

/// Interrupts a kernel whose specification wants a message instead of a signal.
pub fn interrupt(session: &str) -> Request {
    let template = JupyterMessage::new(InterruptRequest {}, None);
    build(
        session,
        template,
        "interrupt_request",
        &json!({}),
        &json!({}),
    )
}

/// Hands variables, a directory and entropy to a running kernel.
pub fn environment(session: &str, environment: &Environment) -> Request {
    let template = JupyterMessage::new(KernelInfoRequest {}, None);
    build(
        session,
        template,
        ENVIRONMENT_REQUEST,
        environment,
        &json!({}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_carries_its_variables_as_metadata_and_not_as_code() {
        let env = BTreeMap::from([("A".to_owned(), "'\"\n".to_owned())]);
        let request = execute("session", "1+1".into(), &env);
        let metadata: Value = serde_json::from_slice(&request.message.metadata).expect("JSON");
        assert_eq!(metadata, json!({"soulbox": {"env": {"A": "'\"\n"}}}));
        let content: Value = serde_json::from_slice(&request.message.content).expect("JSON");
        assert_eq!(content["code"], "1+1");
        let head = request.message.head().expect("a header");
        assert_eq!(
            (head.msg_id.as_ref(), head.session.as_ref()),
            (request.id.as_str(), "session")
        );
        assert_eq!(head.msg_type, "execute_request");
    }
}
