//! A database server that goes away and comes back.

use std::time::Duration;

use serde_json::json;
use sluice_storage::testing::Postgres;
use sluice_storage::{Storage, StorageError};
use sluice_wire::{EventKind, Tag, Version};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, soon};

#[tokio::test]
async fn after_a_crash_of_postgres_nothing_acknowledged_is_missing_and_work_goes_on() {
    let mut server = Postgres::start().await;
    let storage = Ground::postgres(&server).await.open().await;
    let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(storage.relay().run(drain.clone()));
    for _ in 0..5 {
        emit(&storage).await.unwrap();
    }

    server.stop();
    let refused = soon("an answer", emit(&storage)).await;
    let told = matches!(refused, Err(StorageError::Unavailable { .. } | StorageError::InDoubt(_)));
    assert!(told, "{refused:?}");

    server.start_again().await;
    soon("writes go through again", async {
        while emit(&storage).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let log = storage.log();
    soon("the relay goes on", async {
        while log.head().await.unwrap_or(0) < 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(log.version_of(&tag()).await.unwrap(), Version(6));
    drain.cancel();
    soon("the relay ends", tasks.join_all()).await;
}

fn tag() -> Tag {
    Tag::library()
}

async fn emit(storage: &Storage) -> Result<Version, StorageError> {
    let write = storage
        .database
        .write(|tx| Box::pin(async move { tx.emit(&tag(), EventKind::Changed, json!({})).await }));
    write.await
}
