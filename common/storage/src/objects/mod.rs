//! Bytes: a folder or an S3 bucket behind one handle.
//!
//! A put that returned `Ok` is durable: the local engine has fsynced the file and every directory on its path, S3 has
//! answered. No reader ever sees part of an object.

mod error;
mod local;
mod presign;
mod s3;
mod stream;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use sluice_wire::ObjectKey;

pub(crate) use error::storage_error;
pub use presign::SignedPut;

use crate::error::StorageError;

/// The bytes of an object, in order, in pieces of at most 256 KiB from the local engine.
pub type ByteStream = BoxStream<'static, Result<Bytes, StorageError>>;

/// Deletes under way at once.
const PARALLEL_DELETES: usize = 8;

/// Attempts at a conditional put whose outcome is unclear.
const CREATE_ATTEMPTS: u32 = 4;

/// Pause between two of them, multiplied by the attempt and jittered down to nothing.
const CREATE_PAUSE: Duration = Duration::from_millis(100);

/// An object store. Clones share it.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What signs requests for clients, when the engine is S3.
    signer: Option<Arc<AmazonS3>>,
    /// The folder, when the engine is local.
    root: Option<PathBuf>,
    prefix: Path,
}

/// Whether a conditional put made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there, and is now.
    Created,
    /// It was there already, durably, and was not touched. After a retry over a network it may be one's own.
    Existed,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its size in bytes.
    pub size: u64,
    /// The store's tag of these bytes, if it has one.
    pub etag: Option<String>,
}

/// An object being read.
pub struct Object {
    /// What is known of the whole object.
    pub meta: ObjectMeta,
    /// Which of its bytes the stream gives.
    pub range: Range<u64>,
    /// The bytes. The reader checks that they are as many as the range says.
    pub stream: ByteStream,
}

pub(crate) fn check_url(url: &str) -> Result<(), StorageError> {
    if url.starts_with("s3://") {
        return s3::parse(url).map(|_| ());
    }
    local::path_of(url).map(|_| ())
}

impl Objects {
    pub(crate) fn open(url: &str) -> Result<Self, StorageError> {
        if url.starts_with("s3://") {
            let (store, public, prefix) = s3::open(url)?;
            return Ok(Self { store: Arc::new(store), signer: Some(Arc::new(public)), root: None, prefix });
        }
        let root = local::path_of(url)?;
        let store = local::open(&root)?;
        Ok(Self { store: Arc::new(store), signer: None, root: Some(root), prefix: Path::default() })
    }

    /// Stores an object, replacing what was there.
    ///
    /// # Errors
    /// [`StorageError::Full`] when there is no space; the engine's.
    ///
    /// # Cancel safety
    /// Dropped, the object is stored whole or not at all.
    pub async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), StorageError> {
        let path = self.path(key);
        self.store.put(&path, PutPayload::from_bytes(bytes)).await.map_err(storage_error)?;
        self.settle(&path).await
    }

    /// Stores an object unless there is one of that key. Of parallel writers one gets [`Put::Created`].
    ///
    /// # Errors
    /// As [`Objects::put`].
    pub async fn put_if_absent(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, StorageError> {
        let path = self.path(key);
        let mut attempt = 1;
        let put = loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from_bytes(bytes.clone());
            let error = match self.store.put_opts(&path, payload, options).await {
                Ok(_) => break Put::Created,
                Err(error) => storage_error(error),
            };
            // The client library repeats no conditional put, and a server that refuses one may close the connection
            // before it has read the body. So look what is there, whatever was said.
            let unclear = matches!(error, StorageError::Conflict(_) | StorageError::Unavailable { .. });
            if !unclear {
                return Err(error);
            }
            match self.head(key).await {
                Ok(_) => break Put::Existed,
                Err(StorageError::NotFound(_)) if attempt < CREATE_ATTEMPTS => {}
                // One that answers no question takes no bytes either: more tries would only add to its load.
                Err(_) => return Err(error),
            }
            tokio::time::sleep(CREATE_PAUSE.mul_f64(rand::random()) * attempt).await;
            attempt += 1;
        };
        self.settle(&path).await?;
        Ok(put)
    }

    /// Stores an object from a stream, in bounded memory, replacing what was there. Gives its size. When the stream
    /// fails, nothing is stored and its error is returned.
    ///
    /// # Errors
    /// As [`Objects::put`], and the stream's.
    pub async fn put_stream<E>(
        &self,
        key: &ObjectKey,
        bytes: impl futures::Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<u64, E>
    where
        E: From<StorageError>,
    {
        let path = self.path(key);
        let size = stream::write(&*self.store, &path, bytes).await?;
        self.settle(&path).await?;
        Ok(size)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn get(&self, key: &ObjectKey) -> Result<Object, StorageError> {
        self.read(key, None).await
    }

    /// Reads part of an object; a range that reaches past its end is cut there.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; [`StorageError::Conflict`] when the range is empty or begins past the end; the
    /// engine's.
    pub async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Object, StorageError> {
        let outside = || StorageError::Conflict(format!("{key} has no bytes {range:?}"));
        if range.is_empty() {
            return Err(outside());
        }
        let bounded = range.start..range.end.min(i64::MAX as u64);
        match self.read(key, Some(GetRange::Bounded(bounded))).await {
            Err(error @ StorageError::Engine { .. }) => match self.head(key).await {
                Ok(meta) if range.start >= meta.size => Err(outside()),
                _ => Err(error),
            },
            result => result,
        }
    }

    async fn read(&self, key: &ObjectKey, range: Option<GetRange>) -> Result<Object, StorageError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.store.get_opts(&self.path(key), options).await.map_err(storage_error)?;
        let meta = meta_of(&found.meta);
        let range = found.range.clone();
        Ok(Object { meta, range, stream: stream::read(found) })
    }

    /// Reads a whole object of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; [`StorageError::Conflict`] when it is larger; the engine's.
    pub async fn bytes(&self, key: &ObjectKey, limit: u64) -> Result<Bytes, StorageError> {
        let object = self.get(key).await?;
        if object.meta.size > limit {
            return Err(StorageError::Conflict(format!("{key} is larger than {limit} bytes")));
        }
        let whole: Vec<Bytes> = object.stream.try_collect().await?;
        Ok(whole.concat().into())
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StorageError> {
        let meta = self.store.head(&self.path(key)).await.map_err(storage_error)?;
        Ok(meta_of(&meta))
    }

    /// True when clients can be given signed URLs.
    #[must_use]
    pub const fn can_sign(&self) -> bool {
        self.signer.is_some()
    }

    /// Signs a `PUT` for a client that is good for so long. It stores an object unless there is one of that key; with a hash,
    /// the store takes these bytes and no others.
    ///
    /// # Errors
    /// [`StorageError::Config`] when the engine signs nothing; the engine's.
    pub async fn sign_put(
        &self,
        key: &ObjectKey,
        sha256: Option<&[u8; 32]>,
        life: Duration,
    ) -> Result<SignedPut, StorageError> {
        presign::put(self.signer()?, &self.path(key), sha256, life).await
    }

    /// True when the store says that an object has this SHA-256; `None` when it does not keep one.
    ///
    /// # Errors
    /// As [`Objects::sign_put`].
    pub async fn has_hash(&self, key: &ObjectKey, sha256: &[u8; 32]) -> Result<Option<bool>, StorageError> {
        presign::has_hash(self.signer()?, &self.path(key), sha256).await
    }

    fn signer(&self) -> Result<&AmazonS3, StorageError> {
        let none = || StorageError::Config("this object store signs no URLs".into());
        self.signer.as_deref().ok_or_else(none)
    }

    /// Deletes an object. It is no error when there is none. A power cut may bring it back.
    ///
    /// # Errors
    /// The engine's.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        remove(&*self.store, &self.path(key)).await
    }

    /// Deletes every object whose key begins with this prefix and a slash, and gives their number. Objects that are
    /// put meanwhile may stay.
    ///
    /// # Errors
    /// The engine's; some may be deleted then.
    pub async fn delete_prefix(&self, prefix: &str) -> Result<u64, StorageError> {
        let under = self.prefix.clone().parts().chain(Path::from(prefix).parts()).collect::<Path>();
        let deleted = self
            .store
            .list(Some(&under))
            .map_err(storage_error)
            .map_ok(|meta| async move { remove(&*self.store, &meta.location).await })
            .try_buffer_unordered(PARALLEL_DELETES)
            .try_fold(0, |count, ()| async move { Ok(count + 1) })
            .await?;
        if let Some(root) = &self.root {
            local::remove_empty(root.join(under.as_ref())).await;
        }
        Ok(deleted)
    }

    fn path(&self, key: &ObjectKey) -> Path {
        let key = Path::from(key.to_string());
        self.prefix.parts().chain(key.parts()).collect()
    }

    /// Does what the engine leaves undone for durability.
    async fn settle(&self, path: &Path) -> Result<(), StorageError> {
        match &self.root {
            Some(root) => local::sync_folders(root.clone(), path.clone()).await,
            None => Ok(()),
        }
    }
}

async fn remove(store: &dyn ObjectStore, path: &Path) -> Result<(), StorageError> {
    match store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(storage_error(error)),
    }
}

fn meta_of(meta: &object_store::ObjectMeta) -> ObjectMeta {
    ObjectMeta { size: meta.size, etag: meta.e_tag.clone() }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("store", &self.store.to_string()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}
