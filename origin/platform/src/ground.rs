//! What an app stands on.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use sluice_service::{Drain, Metrics};
use sluice_storage::{Storage, StorageError};
use sluice_wire::token::mint::SigningKey;

use crate::accounts::{self, Accounts, AccountsConfig};
use crate::cache::{self, Lifetime};
use crate::once::Once;
use crate::rooms::Rooms;
use crate::schema::SCHEMA;
use crate::{ApiError, Hub};

/// Bytes of what an extractor says when it refuses.
const MAX_REFUSAL: usize = 8 << 10;

/// What every app of a process shares. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Rows, the log, objects.
    pub storage: Storage,
    /// Who asks.
    pub accounts: Accounts,
    /// Answers that are given once.
    pub once: Once,
    /// Waiting rooms.
    pub rooms: Rooms,
    /// Where an app counts.
    pub metrics: Metrics,
    /// The process's end; background work is spawned in its tasks.
    pub drain: Drain,
}

/// What is not there for one account may be there for another: nobody keeps such an answer.
async fn own_absence(request: Request, next: Next) -> Response {
    let known = accounts::brings_token(request.headers());
    let mut answer = next.run(request).await;
    if known && answer.status() == StatusCode::NOT_FOUND {
        cache::lifetime(answer.headers_mut(), Lifetime::Never);
    }
    answer
}

/// NUL is in no text that both engines keep: what is named with one is nothing that there can be.
async fn without_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let has_nul = |text: &str| text.contains("%00");
    if has_nul(uri.path()) || uri.query().is_some_and(has_nul) {
        return ApiError::bad_request("the path or the query has a NUL (%00)").into_response();
    }
    next.run(request).await
}

/// What a route's own extractors refuse is a problem like any other.
async fn as_problem(answer: Response) -> Response {
    let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !answer.status().is_client_error() || kind.is_some_and(|kind| !kind.starts_with(b"text/plain")) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let detail = axum::body::to_bytes(body, MAX_REFUSAL).await.unwrap_or_default();
    let (name, title) = match head.status {
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method not allowed"),
        StatusCode::NOT_FOUND => ("not-found", "Not found"),
        _ => ("bad-request", "Bad request"),
    };
    let detail = match String::from_utf8_lossy(&detail) {
        text if text.is_empty() => head.status.canonical_reason().unwrap_or("refused").to_owned(),
        text => text.into_owned(),
    };
    let mut problem = ApiError::new(head.status.as_u16(), name, title, detail).into_response();
    [CONTENT_TYPE, CONTENT_LENGTH].into_iter().for_each(|name| drop(head.headers.remove(name)));
    problem.headers_mut().extend(head.headers);
    problem
}

impl Ground {
    /// Opens what apps share, and brings its tables up to date. Nobody is let in before what was revoked is known.
    ///
    /// # Errors
    /// The engine's.
    pub async fn open(
        storage: Storage,
        hub: &Hub,
        signer: Arc<SigningKey>,
        config: &AccountsConfig,
        metrics: Metrics,
        drain: Drain,
    ) -> Result<Self, StorageError> {
        storage.database.install(&SCHEMA).await?;
        let rooms = Rooms::new(storage.clone(), Arc::clone(&signer));
        let accounts = Accounts::new(storage.clone(), signer, config.clone());
        let once = Once::new(storage.database.clone());
        let events = hub.listen();
        accounts.recall().await?;
        drain.tasks().spawn(accounts.clone().follow(events, drain.token()));
        drain.tasks().spawn(accounts.clone().sweep(drain.token()));
        drain.tasks().spawn(once.clone().sweep(drain.token()));
        Ok(Self { storage, accounts, once, rooms, metrics, drain })
    }

    /// Has an app's routes know who asks.
    pub fn under(&self, routes: Router) -> Router {
        routes
            .layer(map_response(as_problem))
            .layer(from_fn(own_absence))
            .layer(from_fn(without_nul))
            .layer(Extension(self.accounts.clone()))
    }

    /// The routes of accounts themselves, and those of rooms for edges.
    pub fn routes(&self) -> Router {
        self.under(accounts::routes(self.accounts.clone()))
            .merge(self.rooms.routes().layer(from_fn(without_nul)))
    }
}
