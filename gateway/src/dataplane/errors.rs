//! The error bodies of the data plane. Clients decide on the status 502 and search its two
//! texts (e2b-wire.md, section 1.3), so these are not ours to improve.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// Why a request did not reach a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataError {
    /// Unknown, killed or expired; all the same to a client.
    NotFound {
        /// The id that was asked for.
        id: String,
    },
    /// Nothing listens there.
    PortClosed {
        /// The sandbox.
        id: String,
        /// The port.
        port: u16,
    },
    /// Something listens there, but it broke off or does not speak HTTP.
    NoAnswer {
        /// The sandbox.
        id: String,
        /// The port.
        port: u16,
    },
    /// The sandbox may still be there, but no answer came.
    Unreachable {
        /// The sandbox.
        id: String,
    },
    /// The ports of this sandbox are not public.
    TrafficTokenMissing {
        /// The sandbox.
        id: String,
    },
    /// The ports of this sandbox are not public, and this is not their token.
    TrafficTokenWrong {
        /// The sandbox.
        id: String,
    },
    /// A route that is not for clients.
    ControlRoute {
        /// The path.
        path: String,
    },
    /// The token or signature that the text names is missing or wrong.
    Unauthorized(&'static str),
    /// Too many requests to one sandbox at once.
    TooManyStreams {
        /// The sandbox.
        id: String,
        /// How many may be open.
        limit: usize,
    },
    /// The path can't be sent on.
    BadPath,
}

impl DataError {
    /// The answer.
    pub fn into_response(self) -> Response<Body> {
        let of_sandbox = |status: StatusCode, id: String, message: &str| {
            (
                status,
                json!({ "sandboxId": id, "message": message, "code": status.as_u16() }),
            )
        };
        let (status, body) = match self {
            Self::NotFound { id } => {
                of_sandbox(StatusCode::BAD_GATEWAY, id, "The sandbox was not found")
            }
            Self::PortClosed { id, port } => {
                let message = "The sandbox is running but port is not open";
                let (status, mut body) = of_sandbox(StatusCode::BAD_GATEWAY, id, message);
                body["port"] = Value::from(port);
                (status, body)
            }
            Self::NoAnswer { id, port } => {
                let message = "The program on this port gave no answer in HTTP";
                let (status, mut body) = of_sandbox(StatusCode::BAD_GATEWAY, id, message);
                body["port"] = Value::from(port);
                (status, body)
            }
            Self::Unreachable { id } => {
                of_sandbox(StatusCode::BAD_GATEWAY, id, "The sandbox did not answer")
            }
            Self::TrafficTokenMissing { id } => of_sandbox(
                StatusCode::FORBIDDEN,
                id,
                "Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' is missing",
            ),
            Self::TrafficTokenWrong { id } => of_sandbox(
                StatusCode::FORBIDDEN,
                id,
                "Sandbox is secured with traffic access token. Provided token in header 'e2b-traffic-access-token' is invalid",
            ),
            Self::ControlRoute { path } => {
                let message = "this route is not for clients";
                (
                    StatusCode::NOT_FOUND,
                    json!({ "message": message, "path": path, "code": 404 }),
                )
            }
            Self::Unauthorized(message) => (
                StatusCode::UNAUTHORIZED,
                json!({ "code": 401, "message": message }),
            ),
            Self::TooManyStreams { id, limit } => {
                let message = "Too many connections to this sandbox";
                let (status, mut body) = of_sandbox(StatusCode::TOO_MANY_REQUESTS, id, message);
                body["connectionLimit"] = Value::from(limit);
                (status, body)
            }
            Self::BadPath => (
                StatusCode::BAD_REQUEST,
                json!({ "code": 400, "message": "invalid path" }),
            ),
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn sent(error: DataError) -> (u16, Value) {
        let response = error.into_response();
        let status = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[tokio::test]
    async fn the_two_texts_that_clients_search_are_exact() {
        let gone = sent(DataError::NotFound { id: "iabc".into() }).await;
        let want =
            json!({"sandboxId": "iabc", "message": "The sandbox was not found", "code": 502});
        assert_eq!(gone, (502, want));
        let closed = sent(DataError::PortClosed {
            id: "iabc".into(),
            port: 8080,
        })
        .await;
        let message = "The sandbox is running but port is not open";
        let want = json!({"sandboxId": "iabc", "message": message, "port": 8080, "code": 502});
        assert_eq!(closed, (502, want));
    }

    #[tokio::test]
    async fn a_refused_token_has_exactly_two_keys() {
        let refused = sent(DataError::Unauthorized("signature is already expired")).await;
        assert_eq!(
            refused,
            (
                401,
                json!({"code": 401, "message": "signature is already expired"})
            )
        );
    }
}
