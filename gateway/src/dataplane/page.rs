//! What a person sees who opens a sandbox's address in a browser and nothing is there: a page
//! instead of JSON (e2b-wire.md, section 1.3). Only navigation gets it; scripts and clients
//! decide on the JSON.

use super::errors::DataError;
use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

/// Nothing is loaded and nothing runs on it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Whether a browser asks in order to show the answer as a page.
pub fn is_for_person(request: &Request<Body>) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    request.method() == Method::GET && mode.is_some_and(|mode| mode == "navigate")
}

/// The page, for those errors that have one.
pub fn of(error: &DataError) -> Option<Response<Body>> {
    let (title, text) = match error {
        DataError::NotFound { id } => (
            "No such sandbox",
            format!("Sandbox <code>{id}</code> does not run, or does not run any more."),
        ),
        DataError::PortClosed { id, port } => (
            "Nothing listens here",
            format!(
                "Sandbox <code>{id}</code> runs, but no program in it listens on port {port} yet. \
                 Start one, and load this page again."
            ),
        ),
        DataError::NoAnswer { id, port } => (
            "No answer",
            format!(
                "The program on port {port} of sandbox <code>{id}</code> gave no answer in HTTP."
            ),
        ),
        _ => return None,
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:1.1em sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}}</style>\
         <h1>{title}</h1><p>{text}</p></html>\n"
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_navigation_gets_a_page() {
        let ask = |method: Method, mode: &str| {
            let request = Request::builder()
                .method(method)
                .header("sec-fetch-mode", mode);
            is_for_person(&request.body(Body::empty()).expect("a request"))
        };
        assert!(ask(Method::GET, "navigate"));
        assert!(!ask(Method::GET, "cors"));
        assert!(!ask(Method::POST, "navigate"));
        let refused = DataError::TrafficTokenMissing { id: "iabc".into() };
        assert!(of(&refused).is_none());
    }
}
