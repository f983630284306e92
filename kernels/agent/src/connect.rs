//! The Connect protocol, as much of it as the E2B clients speak: POST, JSON, unary, server
//! stream and client stream, no compression (section 4.2 of the contract).
//!
//! Why not the crate `connectrpc` (0.9.1 was read): its handlers take and give generated
//! protobuf messages, so every method needs a schema compiler at build time or checked-in
//! generated code, for a codec that no client of ours uses. An output event would be built as
//! a message, then as JSON, then as an envelope; here 32 KiB of output become one buffer in
//! one pass. And its deadline drops the handler, whereas here the deadline of `Start` is an
//! event of the process: it kills. What is left of the protocol is these four files.

pub mod envelope;
pub mod error;
pub mod fields;
pub mod request;
pub mod stream;

pub use error::{Code, ConnectError};
