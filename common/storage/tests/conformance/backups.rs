//! Backups: a file that is its owner's alone, and restores that edges can tell from one another.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use sluice_storage::testing::names;
use sluice_storage::{BackupError, Storage, StorageConfig, back_up, check_backup, restore};

use crate::ground::Ground;

/// A database with its tables and nobody at work on it.
async fn made(ground: &Ground) -> String {
    ground.open().await.database.close().await.unwrap();
    ground.config().database
}

pub(crate) async fn each_restore_of_a_backup_has_numbers_of_its_own(ground: Ground) {
    let database = made(&ground).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.backup");
    let mut heads = vec![back_up(&database, &file, 7).await.unwrap().log_head];
    // Back to where it was, twice, and into others that know nothing of each other.
    let others = ["b.db", "c.db"].map(|name| format!("sqlite:{}", folder.path().join(name).display()));
    for url in [&database, &others[0], &database, &others[1]] {
        restore(url, &file, &[], true).await.unwrap();
        let config = StorageConfig { database: url.clone(), ..ground.config() };
        let storage = Storage::open(&config).await.unwrap();
        let (log, before) = (storage.log(), heads[heads.len() - 1]);
        let head = log.head().await.unwrap();
        let said = log.since(before, 9).await.unwrap();
        assert_eq!(said.iter().map(|event| event.seq).collect::<Vec<_>>(), [head], "whoever was at {before}");
        assert!(head < 1 << 53, "{head} is a number in JSON");
        heads.push(head);
        storage.database.close().await.unwrap();
    }
    assert!(heads.is_sorted_by(|one, next| one < next), "{heads:?}");
}

pub(crate) async fn a_backup_is_its_owners_alone_and_replaces_nothing(ground: Ground) {
    let database = made(&ground).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // What somebody else has put where it may be written.
    std::fs::write(at("a.backup.part"), "another's").unwrap();
    back_up(&database, &at("a.backup"), 7).await.unwrap();
    assert_eq!(at("a.backup").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(at("a.backup.part")).unwrap(), b"another's");

    let refused = |result: Result<_, BackupError>| match result {
        Err(BackupError::File { why, .. }) => why.kind() == ErrorKind::AlreadyExists,
        _ => false,
    };
    let before = std::fs::read(at("a.backup")).unwrap();
    assert!(refused(back_up(&database, &at("a.backup"), 8).await));
    assert_eq!(std::fs::read(at("a.backup")).unwrap(), before);

    // Of two at once one has the name, and is whole.
    let file = at("b.backup");
    let (one, other) = tokio::join!(back_up(&database, &file, 9), back_up(&database, &file, 9));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    assert!(refused(if one.is_ok() { other } else { one }));
    assert_eq!(check_backup(&file).unwrap().made_ms, 9);
    assert_eq!(names(folder.path()), ["a.backup", "a.backup.part", "b.backup"]);
}
