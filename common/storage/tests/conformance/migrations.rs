//! The schema, up and down.

use sluice_storage::{Storage, StorageError};
use tokio::task::JoinSet;

use crate::ground::{Ground, soon};
use crate::transactions::made;

pub(crate) async fn many_processes_open_a_new_database_at_once(ground: Ground) {
    let mut opening = JoinSet::new();
    for _ in 0..12 {
        let config = ground.config();
        opening.spawn(async move { Storage::open(&config).await.unwrap() });
    }
    let processes = soon("all are open", opening.join_all()).await;
    let id = made(&processes[0]).await;
    for process in &processes {
        assert!(process.videos().get(id).await.unwrap().is_some());
    }
}

pub(crate) async fn the_schema_goes_down_and_up_again(ground: Ground) {
    let storage = ground.open().await;
    let id = made(&storage).await;
    storage.database.migrate_down().await.unwrap();
    let gone = storage.videos().get(id).await;
    assert!(matches!(gone, Err(StorageError::Engine { .. })), "{gone:?}");
    storage.database.migrate_up().await.unwrap();
    storage.database.migrate_up().await.unwrap();
    assert_eq!(storage.videos().get(id).await.unwrap(), None);
    made(&storage).await;
}
