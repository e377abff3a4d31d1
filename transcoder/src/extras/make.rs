//! One job: what is made of one video.

use super::board::{Plan, SIDE};
use crate::child::{self, Run};
use crate::error::JobError;
use crate::job::{EXTRAS, Shop};
use crate::scratch::Scratch;
use crate::supply::{Need, Supply};
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Lease, Rendition, StorageError, TextTrack, Video};
use sluice_wire::codec::{CodecMessage, Order};
use sluice_wire::ladder::{Source, VideoCodec};
use sluice_wire::limits::{MAX_CODEC_FRAME, MAX_TILES};
use sluice_wire::text::{TextName, Track};
use sluice_wire::{Digest, EventKind, ObjectKey, Tag, VideoId};
use tokio::io::AsyncWriteExt;

pub(super) struct Extras<'s> {
    pub(super) shop: &'s Shop,
    pub(super) lease: &'s Lease,
    pub(super) video: VideoId,
}

impl Extras<'_> {
    pub(super) async fn make(&self) -> Result<(), JobError> {
        let row = self.shop.storage.videos().get(self.video).await?.ok_or(JobError::Gone)?;
        let source = row.plan.as_ref().and_then(|plan| plan.get("source")).cloned();
        let source: Option<Source> = source.and_then(|source| serde_json::from_value(source).ok());
        self.storyboard(&row).await?;
        if let Some(source) = source {
            self.text(row.shown(), source.zero_us).await?;
        }
        Ok(())
    }

    /// Text of the source; what people sent meanwhile stays.
    async fn text(&self, shown: VideoId, zero_us: i64) -> Result<(), JobError> {
        let (storage, stock) = (&self.shop.storage, &self.shop.stock);
        let mut supply = Supply::open(storage, stock, shown, Need::Asked, EXTRAS).await?;
        let order = Order::Text { zero_us };
        let (run, mut orders) = self.shop.codec.aside("text", supply.path(), &order).await?;
        let wanted = run.wanted();
        let done = tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => Err(error),
            done = self.take(run) => done.map(drop),
        };
        stock.forget(shown);
        done
    }

    /// Keeps what a codec makes; the sheets in their order.
    async fn take(&self, mut run: Run) -> Result<Vec<Bytes>, JobError> {
        let mut sheets = vec![];
        loop {
            let Some((message, payload)) = run.next().await? else { return Err(run.crashed().await) };
            match message {
                CodecMessage::Text { name, label } => self.keep_text(name, label, &payload).await?,
                CodecMessage::Sheet { .. } if sheets.len() < (MAX_TILES / SIDE) as usize => {
                    sheets.push(payload)
                }
                CodecMessage::Done { .. } => return Ok(sheets),
                CodecMessage::Failed { reason, detail } => return Err(child::failure(reason, detail)),
                _ => {}
            }
        }
    }

    async fn keep_text(&self, name: TextName, label: String, text: &[u8]) -> Result<(), JobError> {
        // What the codec says is checked like what anybody sends.
        let Ok(track) = Track::parse(text) else { return Ok(()) };
        let text = track.render();
        let row = TextTrack {
            video: self.video,
            name,
            label,
            digest: Digest::of_sha256(Sha256::digest(&text).into()),
            bytes: text.len() as u64,
            cues: track.cues().len() as u64,
            end_ms: track.end_ms(),
            embedded: true,
        };
        let (storage, videos) = (&self.shop.storage, self.shop.storage.videos());
        if videos.text(self.video, &row.name).await?.is_some() {
            return Ok(());
        }
        let key = ObjectKey::Text(self.video, row.name.clone(), row.digest);
        storage.objects.put(&key, text.into()).await?;
        let jobs = storage.jobs();
        let written = storage.database.write::<_, StorageError, _>(|tx| {
            let (jobs, videos, row) = (&jobs, &videos, &row);
            Box::pin(async move {
                jobs.check(tx, self.lease).await?;
                let video = videos.get_in(tx, self.video).await?;
                video.ok_or_else(|| StorageError::NotFound(format!("video {}", self.video)))?;
                if videos.has_text(tx, self.video, &row.name).await? {
                    return Ok(());
                }
                videos.put_text(tx, row).await?;
                tx.emit(&Tag::video(self.video), EventKind::Changed, json!({ "video": self.video })).await?;
                Ok(())
            })
        });
        match written.await {
            // It has as many as it may.
            Err(StorageError::Conflict(_)) => Ok(()),
            other => Ok(other?),
        }
    }

    async fn storyboard(&self, row: &Video) -> Result<(), JobError> {
        let (storage, videos) = (&self.shop.storage, self.shop.storage.videos());
        if videos.storyboard(self.video).await?.is_some() {
            return Ok(());
        }
        let media = videos.media(row.shown()).await?;
        let h264 = |r: &Rendition| VideoCodec::of_codecs(&r.codecs).is_some_and(|codec| codec.is_h264());
        let pictures = media.renditions.into_iter().filter(h264);
        let Some(lowest) = pictures.min_by_key(|r| r.height) else { return Ok(()) };
        let segments = videos.segments(row.shown(), &lowest.rung).await?;
        let Some(plan) = Plan::of(&lowest, &segments, row.duration_ms.unwrap_or(0)) else { return Ok(()) };
        let sheets = self.sheets(&lowest, &plan).await?;
        let mut board = plan.board;
        for (seq, sheet) in (0..).zip(sheets) {
            let digest = Digest::of_sha256(Sha256::digest(&sheet).into());
            board.bytes += sheet.len() as u64;
            board.sheets.push(digest);
            storage.objects.put(&ObjectKey::Sheet(self.video, seq, digest), sheet).await?;
        }
        let jobs = storage.jobs();
        let written = storage.database.write::<_, StorageError, _>(|tx| {
            let (jobs, videos, board) = (&jobs, &videos, &board);
            Box::pin(async move {
                jobs.check(tx, self.lease).await?;
                let video = videos.get_in(tx, self.video).await?;
                video.ok_or_else(|| StorageError::NotFound(format!("video {}", self.video)))?;
                videos.put_storyboard(tx, self.video, board).await?;
                tx.emit(&Tag::video(self.video), EventKind::Changed, json!({ "video": self.video })).await?;
                Ok(())
            })
        });
        Ok(written.await?)
    }

    /// A file of the chosen fragments alone, and what the codec makes of it.
    async fn sheets(&self, rung: &Rendition, plan: &Plan) -> Result<Vec<Bytes>, JobError> {
        let objects = &self.shop.storage.objects;
        let init = ObjectKey::Init(rung.video, rung.rung.clone(), rung.init);
        let mut bytes = objects.bytes(&init, rung.init_bytes).await?.to_vec();
        for (key, from, to) in &plan.fragments {
            let pieces: Vec<Bytes> = objects.get_range(key, *from..*to).await?.stream.try_collect().await?;
            pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            if bytes.len() > MAX_CODEC_FRAME {
                return Err(JobError::Again("the keyframes for a storyboard are too large".into()));
            }
        }
        let length = bytes.len() as u64;
        let (scratch, mut file) = Scratch::make(self.shop.stock.dir(), self.video, length).await?;
        file.write_all(&bytes).await?;
        file.flush().await?;
        let order = Order::Sheets(plan.work);
        let (run, mut orders) = self.shop.codec.aside("storyboard", scratch.path(), &order).await?;
        for order in Order::whole(length) {
            child::order(&mut orders, &order).await?;
        }
        self.take(run).await
    }
}
