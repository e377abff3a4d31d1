//! Answers that are cut: what a client is given that must not wait, and must not take an error for an answer.

use crate::{Body, HttpResponse};
use futures::stream;
use std::io;

/// Marks an answer whose body is cut at once. Where a cut body cannot be told from a whole one (HTTP/1.0, HEAD) the
/// client gets no answer at all.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

/// An answer of status 200 whose body is cut before its first byte: the connection (HTTP/1) or the stream (HTTP/2,
/// HTTP/3) ends in an error. Players take that as a fault of the network and go on elsewhere without a pause; they wait
/// out errors and silence.
#[must_use]
pub fn cut_response() -> HttpResponse {
    let body = stream::once(async {
        // The head is written first: a body that is cut troubles fewer players than a connection that is reset.
        tokio::task::yield_now().await;
        Err::<bytes::Bytes, _>(io::Error::new(io::ErrorKind::UnexpectedEof, "cut: nobody can serve this now"))
    });
    let mut answer = HttpResponse::new(Body::from_stream(body));
    answer.extensions_mut().insert(Cut);
    answer
}
