//! A full disk: told as such, nothing half-visible, and all well again once there is space. Mounting a small file
//! system takes root; without it the test says so and counts as ignored by hand.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_wire::{EventKind, ObjectKey, Tag, VideoId};
use tempfile::TempDir;

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_half_visible() {
    let Some(disk) = SmallDisk::mount() else { return };
    let config = StorageConfig {
        database: format!("sqlite:{}", disk.path().join("sluice.db").display()),
        bus: "local:".into(),
        objects: format!("file:{}", disk.path().join("objects").display()),
    };
    let storage = Storage::open(&config).await.unwrap();
    objects_fill_up(&storage).await;
    rows_fill_up(&storage).await;
}

async fn objects_fill_up(storage: &Storage) {
    let objects = &storage.objects;
    objects.put(&key(0), Bytes::from_static(b"kept")).await.unwrap();
    let large = objects.put(&key(1), vec![7; 16 << 20].into()).await;
    assert!(matches!(large, Err(StorageError::Full { seam: "objects" })), "{large:?}");
    assert!(matches!(objects.head(&key(1)).await, Err(StorageError::NotFound(_))));
    let pieces = (0..20).map(|_| Ok::<_, StorageError>(Bytes::from(vec![7; 1 << 20])));
    let streamed = objects.put_stream(&key(1), futures::stream::iter(pieces)).await;
    assert!(matches!(streamed, Err(StorageError::Full { .. })), "{streamed:?}");
    assert!(matches!(objects.head(&key(1)).await, Err(StorageError::NotFound(_))));
    assert_eq!(objects.bytes(&key(0), 9).await.unwrap(), "kept");
    objects.put(&key(2), vec![1; 1 << 20].into()).await.unwrap();
    objects.delete_prefix("media").await.unwrap();
}

async fn rows_fill_up(storage: &Storage) {
    let filler = &json!("x".repeat(200_000));
    let mut kept = 0;
    let refused = loop {
        match emit(storage, filler).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1000, "the disk never fills");
    };
    assert!(matches!(refused, StorageError::Full { seam: "database" }), "{refused:?}");
    let version = storage.log().version_of(&Tag::everything()).await.unwrap();
    assert_eq!(version.0, kept, "each acknowledged write is there, and no other");
}

async fn emit(storage: &Storage, data: &Value) -> Result<(), StorageError> {
    let write = storage.database.write(|tx| {
        Box::pin(
            async move { tx.emit(&Tag::everything(), EventKind::Purged, data.clone()).await.map(|_| ()) },
        )
    });
    write.await
}

fn key(n: u64) -> ObjectKey {
    ObjectKey::Poster(VideoId::from_u64(n).unwrap())
}

/// A file system of 8 MiB.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        if mounted.status.success() {
            return Some(Self { folder });
        }
        println!("SKIPPED: mounting needs root: {}", String::from_utf8_lossy(&mounted.stderr));
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
