//! Signed URLs that name no sandbox (e2b-wire.md, section 1.4): the sandbox is the one whose
//! token made the signature. One hash per live sandbox; there are at most some thousands.

use super::signature::Claim;
use crate::sandboxes::{Sandbox, Sandboxes};
use axum::body::Body;
use http::Request;
use std::sync::Arc;

/// The sandbox that the signature belongs to. Expired signatures lead to theirs as well, so
/// that their holder is told what is wrong.
pub fn owner(sandboxes: &Sandboxes, request: &Request<Body>) -> Option<Arc<Sandbox>> {
    let claim = Claim::parse(request.uri().query().unwrap_or_default());
    let method = request.method();
    let signed_with = |sandbox: &Arc<Sandbox>| {
        let token = sandbox.record.envd_token.as_ref();
        token.is_some_and(|token| claim.is_signed_with(method, token))
    };
    // Every one is tried, so that the time does not tell which one it was.
    sandboxes
        .all_running()
        .into_iter()
        .fold(None, |found, sandbox| {
            if signed_with(&sandbox) {
                Some(sandbox)
            } else {
                found
            }
        })
}
