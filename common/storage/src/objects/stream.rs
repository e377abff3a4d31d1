//! Streaming into and out of a store in bounded memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures::stream::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetResult, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutPayload,
};

use super::{ByteStream, storage_error};
use crate::error::StorageError;

/// Bytes gathered before they are written: S3 takes no smaller parts than 5 MiB, and 10,000 of these make 80 GiB.
const PART: usize = 8 << 20;

/// Bytes read from a file in one go: large enough that the hop to a blocking thread does not show.
const CHUNK: u64 = 256 << 10;

/// Writes a stream, one part in memory at a time.
pub(super) async fn write<E: From<StorageError>>(
    store: &dyn ObjectStore,
    path: &Path,
    bytes: impl futures::Stream<Item = Result<Bytes, E>> + Send,
) -> Result<u64, E> {
    let mut bytes = pin!(bytes);
    let mut part = BytesMut::new();
    let mut upload = None;
    let mut size = 0;
    let result = loop {
        match bytes.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(piece)) => {
                size += piece.len() as u64;
                part.extend_from_slice(&piece);
            }
        }
        if part.len() >= PART
            && let Err(error) = put_part(store, path, &mut upload, part.split().freeze()).await
        {
            break Err(error.into());
        }
    };
    let result = match result {
        Ok(()) => finish(store, path, &mut upload, part.freeze()).await.map_err(E::from),
        Err(error) => Err(error),
    };
    if result.is_err()
        && let Some(mut upload) = upload
        && let Err(error) = upload.abort().await
    {
        tracing::debug!(%error, %path, "an unfinished upload stays behind");
    }
    result.map(|()| size)
}

async fn put_part(
    store: &dyn ObjectStore,
    path: &Path,
    upload: &mut Option<Box<dyn MultipartUpload>>,
    part: Bytes,
) -> Result<(), StorageError> {
    let upload = match upload {
        Some(upload) => upload,
        None => {
            let begun = store.put_multipart_opts(path, PutMultipartOptions::default()).await;
            upload.insert(begun.map_err(storage_error)?)
        }
    };
    upload.put_part(PutPayload::from_bytes(part)).await.map_err(storage_error)
}

async fn finish(
    store: &dyn ObjectStore,
    path: &Path,
    upload: &mut Option<Box<dyn MultipartUpload>>,
    rest: Bytes,
) -> Result<(), StorageError> {
    if upload.is_none() {
        store.put(path, PutPayload::from_bytes(rest)).await.map_err(storage_error)?;
        return Ok(());
    }
    if !rest.is_empty() {
        put_part(store, path, upload, rest).await?;
    }
    if let Some(upload) = upload {
        upload.complete().await.map_err(storage_error)?;
    }
    Ok(())
}

/// Reads what was found.
pub(super) fn read(found: GetResult) -> ByteStream {
    let range = found.range.clone();
    match found.payload {
        GetResultPayload::File(file, _) => read_file(file, range),
        GetResultPayload::Stream(stream) => stream.map_err(storage_error).boxed(),
    }
}

fn read_file(file: File, range: Range<u64>) -> ByteStream {
    futures::stream::try_unfold((file, range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let next = tokio::task::spawn_blocking(move || read_chunk(file, range)).await;
        next.map_err(StorageError::objects)?.map(Some)
    })
    .boxed()
}

type Rest = (File, Range<u64>);

fn read_chunk(mut file: File, range: Range<u64>) -> Result<(Bytes, Rest), StorageError> {
    let wanted = CHUNK.min(range.end - range.start);
    let mut chunk = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
    file.seek(SeekFrom::Start(range.start)).map_err(StorageError::objects)?;
    file.read_exact(&mut chunk).map_err(StorageError::objects)?;
    Ok((chunk.into(), (file, range.start + wanted..range.end)))
}
