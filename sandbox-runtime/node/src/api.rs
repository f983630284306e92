//! The node's API: HTTP/2 on a Unix socket, spoken to by gateways and by nobody else.
//!
//! | route | what |
//! | --- | --- |
//! | `GET /v1/node` | what this node can do |
//! | `POST /v1/sandboxes` | start one |
//! | `GET /v1/sandboxes`, `GET /v1/sandboxes/{id}` | what is known of them |
//! | `DELETE /v1/sandboxes/{id}?reason=` | end one; unreachable when this answers |
//! | `PUT /v1/sandboxes/{id}/lease` | move its end |
//! | `PUT /v1/sandboxes/{id}/network` | replace the rules for what leaves it |
//! | `GET /v1/sandboxes/{id}/usage` | what it uses now |
//! | `GET /v1/sandboxes/{id}/metrics?start=&end=` | what it used over its life |
//! | `ANY /v1/sandboxes/{id}/agent/{plane}/…` | ask its agent |
//! | `CONNECT <id>:<port>` | a tunnel to a port inside |
//! | `GET /v1/events` | state changes, one JSON line each |
//! | `POST /v1/shutdown` | end the node |

pub mod answer;
pub mod events;
pub mod forward;
pub mod router;
pub mod sandboxes;
pub mod server;
pub mod tunnel;
