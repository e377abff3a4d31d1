//! What handlers share.

use axum::extract::{FromRequestParts, Query};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_platform::once::Answer;
use sluice_platform::{ApiError, cache};
use sluice_wire::Version;
use sluice_wire::tag::render_versions;

use crate::ids::tag;
use crate::{ConversationId, MessageId};

/// What a request asks for in its query.
pub(crate) struct Wanted<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Wanted<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(asked) = Query::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::bad_request(format!("the query: {}", error.body_text())))?;
        Ok(Self(asked))
    }
}

/// The conversation of a path. One that is none is answered like one that one is not in.
pub(crate) fn conversation(text: &str) -> Result<ConversationId, ApiError> {
    text.parse().map_err(|_| outside())
}

/// The message of a path.
pub(crate) fn message(text: &str) -> Result<MessageId, ApiError> {
    text.parse().map_err(|_| no_message())
}

/// Whoever is not in a conversation does not learn whether there is one. A 403 is kept by no cache, as a 404 would be.
pub(crate) fn outside() -> ApiError {
    ApiError::new(403, "not-a-member", "Not a member", "there is no such conversation, or you are not in it")
}

pub(crate) fn no_message() -> ApiError {
    ApiError::not_found("there is no such message in this conversation")
}

pub(crate) fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(422, "invalid", "Not valid", detail)
}

pub(crate) fn forbidden(detail: &str) -> ApiError {
    ApiError::new(403, "forbidden", "Forbidden", detail)
}

/// An answer that nobody keeps.
pub(crate) fn answer(status: StatusCode, body: impl Serialize) -> Response {
    let mut answer = (status, axum::Json(body)).into_response();
    cache::lifetime(answer.headers_mut(), cache::Lifetime::Never);
    answer
}

/// The answer to a change, with the version that it made.
pub(crate) fn changed(body: impl Serialize, conversation: ConversationId, seq: i64) -> Answer {
    let mut answer = Answer::ok(body);
    let version = Version(u64::try_from(seq).unwrap_or(0));
    answer.body["versions"] = render_versions(&[(tag(conversation), version)]).into();
    answer
}
