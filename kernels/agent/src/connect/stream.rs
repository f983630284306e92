//! Answers of streaming calls. Every event is a frame of its own, so that it leaves at once.

use super::envelope;
use super::error::{Code, ConnectError};
use super::request::{CallContext, Messages, refuse};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, Request, Response, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// Content type of requests and answers.
const CONTENT_TYPE: &str = "application/connect+json";

/// Content encoding of the messages.
const ENCODING: &str = "connect-content-encoding";

/// Answers a call with one message in and many out. The handler gives the envelopes of its
/// events; an error ends the stream. The end envelope is added here.
pub async fn server<Req, Events, Work>(
    request: Request<Body>,
    handler: impl FnOnce(CallContext, Req) -> Work,
) -> Response<Body>
where
    Req: DeserializeOwned,
    Events: Stream<Item = Result<Bytes, ConnectError>> + Send + 'static,
    Work: Future<Output = Result<Events, ConnectError>>,
{
    if let Some(refusal) = refuse(&request, CONTENT_TYPE, ENCODING) {
        return refusal;
    }
    let result = async {
        let context = CallContext::from_headers(request.headers())?;
        let mut messages = Messages::new(request.into_body());
        let message = context.within(messages.next()).await?;
        let message = message.ok_or_else(|| ConnectError::invalid("the request is empty"))?;
        handler(context, message).await
    };
    match result.await {
        Ok(events) => answer(events),
        Err(error) => answer(stream::iter([Err(error)])),
    }
}

/// Answers a call with many messages in and one out.
pub async fn client<Res, Work>(
    request: Request<Body>,
    handler: impl FnOnce(Messages) -> Work,
) -> Response<Body>
where
    Res: Serialize,
    Work: Future<Output = Result<Res, ConnectError>>,
{
    if let Some(refusal) = refuse(&request, CONTENT_TYPE, ENCODING) {
        return refusal;
    }
    let result = async {
        let context = CallContext::from_headers(request.headers())?;
        context
            .within(handler(Messages::new(request.into_body())))
            .await
    };
    let event = result.await.map(|message| envelope::message(&message));
    answer(stream::iter([event]))
}

fn answer(
    events: impl Stream<Item = Result<Bytes, ConnectError>> + Send + 'static,
) -> Response<Body> {
    // `None` in the state: the end envelope has been sent.
    let frames = stream::unfold(Some(Box::pin(events)), |events| async move {
        let mut events = events?;
        Some(match events.next().await {
            Some(Ok(event)) => (event, Some(events)),
            Some(Err(error)) => (envelope::end(Some(&error)), None),
            None => (envelope::end(None), None),
        })
    });
    let mut response = Response::new(Body::from_stream(frames.map(Ok::<_, Infallible>)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// The answer of a streaming method that is not there.
pub fn unimplemented_method() -> Response<Body> {
    answer(stream::iter([Err(ConnectError::new(
        Code::Unimplemented,
        "no such method",
    ))]))
}
