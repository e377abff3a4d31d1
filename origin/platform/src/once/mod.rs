//! Requests that are answered once, whatever happens on the way: `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! The answer is committed with what it tells of, in one transaction. So a client that heard nothing asks again with the same
//! key, of any process, and gets what it would have got; a key that comes with another request is refused, and while the
//! first is under way here, the second is told so.

mod afterwards;
mod asked;
mod rows;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod together;

pub use afterwards::Afterwards;
pub use asked::{Asked, document};
pub use together::{Batch, Decided, Held, Outcome, Together};

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use rows::{Column, Entity, Model};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
};
use sluice_storage::rows::signed;
use sluice_storage::{Database, StorageError, Tx, Work};
use sluice_wire::headers::SLUICE_VERSION;
use tokio_util::sync::CancellationToken;

use crate::ApiError;

/// How long an answer is kept, as the issuers of such keys promise: a day.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Between two looks for answers that had their day.
const SWEEP: Duration = Duration::from_secs(600);

/// An answer: its status, and a JSON document. Which versions were made is its member `versions`, as `Sluice-Version` has them; it is told
/// in that field, too, each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The document.
    pub body: serde_json::Value,
}

impl Answer {
    /// 201.
    ///
    /// # Panics
    /// Never for the documents of handlers, which are maps with text for keys.
    pub fn created(body: impl serde::Serialize) -> Self {
        Self { status: StatusCode::CREATED, body: serde_json::to_value(body).expect("a document is JSON") }
    }

    /// 200.
    ///
    /// # Panics
    /// As [`Answer::created`].
    pub fn ok(body: impl serde::Serialize) -> Self {
        Self { status: StatusCode::OK, ..Self::created(body) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let versions = versions(&self.body);
        let mut answer = (self.status, axum::Json(self.body)).into_response();
        let headers = answer.headers_mut();
        crate::cache::lifetime(headers, crate::cache::Lifetime::Never);
        versions.map(|versions| headers.insert(HeaderName::from_static(SLUICE_VERSION), versions));
        answer
    }
}

/// The versions that a document says were made, as a field.
fn versions(document: &serde_json::Value) -> Option<HeaderValue> {
    let text = document.get("versions")?.as_str().filter(|text| !text.is_empty())?;
    HeaderValue::from_str(text).ok()
}

/// Answers that are given once. Clones are the same.
#[derive(Debug, Clone)]
pub struct Once {
    database: Database,
    /// Keys of requests that are under way here; as many as requests.
    running: Arc<Mutex<HashSet<(String, String)>>>,
}

/// A key, and what came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    owner: String,
    key: String,
    digest: String,
}

/// A key under way, until it is dropped.
struct Running<'a>(&'a Once, (String, String));

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Once {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, running: Arc::default() }
    }

    /// Does a request's transaction, and commits its answer with it; or gives the answer that was committed before. `owner` is
    /// whose key it is. Without a key it is just done. The closure is one of [`Database::write`].
    ///
    /// # Errors
    /// The closure's own, which nothing of is kept, so that the key is free again; 409 while the first is under way, 422 for a
    /// key that came with another request.
    pub async fn write<'env, T, F>(
        &self,
        asked: &'env Asked<T>,
        owner: &'env str,
        work: &'env F,
    ) -> Result<Response, ApiError>
    where
        T: Sync,
        F: for<'t> Fn(&'t Tx<'env>) -> Work<'t, Answer, ApiError> + Send + Sync,
    {
        let Some(key) = &asked.key else {
            return Ok(self.database.write(work).await?.into_response());
        };
        let _running = self.begin(owner, key)?;
        let key = asked.named(owner, key);
        if let Some(answer) = self.find(&key).await? {
            return Ok(replayed(answer));
        }
        let done = self.database.write::<_, ApiError, _>(|tx| {
            let key = key.clone();
            Box::pin(async move {
                let answer = work(tx).await?;
                keep(tx, std::iter::once((&key, Cow::Borrowed(&answer)))).await?;
                Ok(answer)
            })
        });
        match done.await {
            Ok(answer) => Ok(answer.into_response()),
            // Another process has answered meanwhile, or it is not known whether this one has.
            Err(error) if error.0.status == 409 || error.0.status >= 500 => match self.find(&key).await {
                Ok(Some(answer)) => Ok(replayed(answer)),
                Err(reused) if reused.0.status == 422 => Err(reused),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The answer that a request with a key was given before, for those who do much work before their transaction.
    ///
    /// # Errors
    /// 422 for a key that came with another request; the engine's.
    pub async fn answered<T: Sync>(
        &self,
        asked: &Asked<T>,
        owner: &str,
    ) -> Result<Option<Response>, ApiError> {
        let Some(key) = &asked.key else { return Ok(None) };
        Ok(self.find(&asked.named(owner, key)).await?.map(replayed))
    }

    fn begin(&self, owner: &str, key: &str) -> Result<Running<'_>, ApiError> {
        let key = (owner.to_owned(), key.to_owned());
        let fresh = self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        if fresh {
            Ok(Running(self, key))
        } else {
            Err(ApiError::conflict("a request with this key is under way"))
        }
    }

    async fn find(&self, key: &Key) -> Result<Option<Answer>, ApiError> {
        let found = kept(self.database.reader(), &[Some(key)]).await?;
        found.into_iter().flatten().next().transpose()
    }

    /// Forgets answers that had their day, until the drain begins.
    pub(crate) async fn sweep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            if let Err(error) = self.forget().await {
                tracing::warn!(%error, "old answers not forgotten");
            }
        }
    }

    async fn forget(&self) -> Result<(), StorageError> {
        let forget = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let old = Column::UntilMs.lt(signed(tx.now_ms()));
                Entity::delete_many().filter(old).exec(tx.conn()).await?;
                Ok(())
            })
        });
        forget.await
    }
}

/// What was answered to keys before, in their order: nothing, the answer, or that the key came with another request. One
/// statement, and none where there is no key.
async fn kept(
    conn: &impl ConnectionTrait,
    keys: &[Option<&Key>],
) -> Result<Vec<Option<Result<Answer, ApiError>>>, StorageError> {
    let asked: Vec<&Key> = keys.iter().copied().flatten().collect();
    if asked.is_empty() {
        return Ok(keys.iter().map(|_| None).collect());
    }
    let any = asked.iter().fold(Condition::any(), |any, key| {
        any.add(Condition::all().add(Column::Owner.eq(&key.owner)).add(Column::Key.eq(&key.key)))
    });
    let rows = Entity::find().filter(any).all(conn).await?;
    let of = |key: &Key| {
        let row = rows.iter().find(|row| row.owner == key.owner && row.key == key.key);
        row.map(|row| before(row, &key.digest)).transpose()
    };
    keys.iter().map(|key| Ok(key.map(of).transpose()?.flatten())).collect()
}

/// An answer that was given, to who asks for the same again.
fn before(row: &Model, digest: &str) -> Result<Result<Answer, ApiError>, StorageError> {
    if row.digest != digest {
        let detail = "this Idempotency-Key came with another request before";
        return Ok(Err(ApiError::new(422, "key-reused", "Key reused", detail)));
    }
    let status = u16::try_from(row.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let body = serde_json::from_str(&row.body)
        .map_err(|e| StorageError::Corrupt(format!("once_answers.body: {e}")))?;
    Ok(Ok(Answer { status: status.unwrap_or(StatusCode::OK), body }))
}

/// Keeps answers with what they tell of: one statement.
async fn keep<'k>(
    tx: &Tx<'_>,
    answers: impl Iterator<Item = (&'k Key, Cow<'k, Answer>)>,
) -> Result<(), StorageError> {
    let kept_ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let row = |(key, answer): (&Key, Cow<'_, Answer>)| rows::ActiveModel {
        owner: Set(key.owner.clone()),
        key: Set(key.key.clone()),
        digest: Set(key.digest.clone()),
        status: Set(i64::from(answer.status.as_u16())),
        body: Set(answer.body.to_string()),
        until_ms: Set(signed(tx.now_ms() + kept_ms)),
    };
    let rows: Vec<_> = answers.map(row).collect();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// An answer that was given before, and says so.
pub fn replayed(answer: Answer) -> Response {
    let mut answer = answer.into_response();
    answer
        .headers_mut()
        .insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    answer
}
