//! What becomes of a request that comes again, on both engines.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::to_bytes;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_storage::ManualClock;
use sluice_storage::testing::Postgres;
use tokio::sync::Semaphore;

use super::{Answer, Asked, Once};
use crate::testing::Alone;
use crate::{AccountsConfig, ApiError};

/// Noon of some day, in Unix milliseconds.
const NOON: u64 = 1_800_000_000_000;

fn asked(digest: &str) -> Asked<Value> {
    Asked { body: Value::Null, key: Some("k1".into()), digest: digest.into() }
}

/// Does a request, and counts that it was done.
async fn write(
    once: &Once,
    asked: &Asked<Value>,
    owner: &str,
    done: &AtomicU64,
) -> Result<Response, ApiError> {
    once.write(asked, owner, &move |_tx| {
        Box::pin(async move {
            let times = done.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(Answer::created(json!({ "times": times })))
        })
    })
    .await
}

/// An answer's status and document, and whether it is one that was given before.
async fn read(answer: Response) -> (u16, Value, bool) {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 10).await.unwrap();
    let again = head.headers.contains_key("idempotency-replayed");
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap(), again)
}

async fn what_comes_again_is_answered_as_before_for_a_day(server: Option<&Postgres>) {
    let clock = ManualClock::at(NOON);
    let shared = Arc::clone(&clock);
    let alone = Alone::start_at(server, &AccountsConfig::default(), shared).await;
    let (once, done) = (&alone.ground.once, AtomicU64::new(0));
    let (first, other) = (asked("one"), asked("another"));
    let sent = async |asked: &Asked<Value>, owner: &str| match write(once, asked, owner, &done).await {
        Ok(answer) => Ok(read(answer).await),
        Err(error) => Err(error.0.status),
    };
    assert_eq!(sent(&first, "ann").await, Ok((201, json!({ "times": 1 }), false)));
    assert_eq!(
        sent(&first, "ann").await,
        Ok((201, json!({ "times": 1 }), true)),
        "the answer that was stored"
    );
    assert_eq!(sent(&other, "ann").await, Err(422), "the key came with another request");
    assert_eq!(sent(&first, "ben").await, Ok((201, json!({ "times": 2 }), false)), "a key is one's own");

    clock.advance(Duration::from_secs(23 * 3_600));
    once.forget().await.unwrap();
    assert_eq!(sent(&first, "ann").await, Ok((201, json!({ "times": 1 }), true)), "it is kept for a day");
    clock.advance(Duration::from_secs(2 * 3_600));
    once.forget().await.unwrap();
    assert_eq!(sent(&other, "ann").await, Ok((201, json!({ "times": 3 }), false)), "the key is free again");
    alone.end().await;
}

#[tokio::test]
async fn what_comes_again_is_answered_as_before_for_a_day_on_both_engines() {
    what_comes_again_is_answered_as_before_for_a_day(None).await;
    let server = Postgres::start().await;
    what_comes_again_is_answered_as_before_for_a_day(Some(&server)).await;
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    let alone = Alone::start(None, &AccountsConfig::default()).await;
    let (once, done, first) = (&alone.ground.once, AtomicU64::new(0), asked("one"));
    let (begun, door) = (&Semaphore::new(0), &Semaphore::new(0));
    let slow = async {
        once.write(&first, "ann", &move |_tx| {
            Box::pin(async move {
                begun.add_permits(1);
                drop(door.acquire().await.unwrap());
                Ok(Answer::ok(json!({})))
            })
        })
        .await
    };
    let second = async {
        drop(begun.acquire().await.unwrap());
        let status = write(once, &first, "ann", &done).await.unwrap_err().0.status;
        door.add_permits(1);
        status
    };
    let (slow, status) = tokio::join!(slow, second);
    assert_eq!((slow.unwrap().status().as_u16(), status), (200, 409));
    let (status, _, again) = read(write(once, &first, "ann", &done).await.unwrap()).await;
    assert_eq!((status, again, done.into_inner()), (200, true, 0), "it was done once");
    alone.end().await;
}

#[tokio::test]
async fn what_another_process_has_answered_meanwhile_is_answered_so() {
    let server = Postgres::start().await;
    let alone = Alone::start(Some(&server), &AccountsConfig::default()).await;
    let (here, there) = (&alone.ground.once, &Once::new(alone.ground.storage.database.clone()));
    let (first, done) = (&asked("one"), &AtomicU64::new(0));
    let slow = async {
        here.write(first, "ann", &move |_tx| {
            Box::pin(async move {
                write(there, first, "ann", done).await?;
                Ok(Answer::created(json!({ "times": "too late" })))
            })
        })
        .await
    };
    let answered = read(slow.await.unwrap()).await;
    assert_eq!((answered, done.load(Ordering::SeqCst)), ((201, json!({ "times": 1 }), true), 1));
    alone.end().await;
}
