//! A library: titles out of a few common words and many rare ones, and what is asked of it.

use crate::pages::{common, word};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice_storage::{
    Change, NewVideo, Rendition, RenditionKind, SegmentRow, Storage, StorageError, Tx, VideoState, Videos,
    Visibility,
};
use sluice_wire::{Digest, RungName, VideoId};

/// Videos of one transaction.
const BATCH: usize = 250;
/// Different words, the first of them common.
const WORDS: usize = 4_000;
/// Videos of each hundred that have rungs and segments: what pages show of the others is less.
const WITH_MEDIA: usize = 2;
/// Segments of each of their rungs: a minute of media.
const SEGMENTS: u32 = 15;

/// Makes a library; the id at whose page nine tenths are passed.
pub(super) async fn library(storage: &Storage, videos: usize) -> anyhow::Result<String> {
    let mut random = StdRng::seed_from_u64(7);
    let mut deep = String::new();
    for from in (0..videos).step_by(BATCH) {
        let batch: Vec<One> =
            (from..videos.min(from + BATCH)).map(|n| One::new(storage.ids.video(), n, &mut random)).collect();
        if from <= videos / 10 {
            deep = batch.first().map(|one| one.new.id.to_string()).unwrap_or_default();
        }
        let (all, rows) = (&storage.videos(), &batch);
        let made = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                for one in rows {
                    one.make(tx, all).await?;
                }
                Ok(())
            })
        });
        made.await?;
    }
    Ok(deep)
}

struct One {
    new: NewVideo,
    change: Option<Change>,
    media: bool,
}

impl One {
    /// Half of all are about a holiday, the other half about kids, and none about both.
    fn new(id: VideoId, number: usize, random: &mut StdRng) -> Self {
        let mut title = String::from(if number.is_multiple_of(2) { "Holiday" } else { "Kids" });
        for _ in 0..4 {
            title += &format!(" {}", word(common(random, WORDS)));
        }
        let travels = random.random_ratio(1, 20).then(|| vec!["travel".to_owned()]);
        let seen = random.random_ratio(1, 100).then_some(Visibility::Unlisted);
        let change = Change { tags: travels, visibility: seen, ..Change::default() };
        let name = format!("clip{number}.mp4");
        let (bytes, sha256, edition_of) = (Some(1 << 30), None, None);
        let new = NewVideo { id, name, title, state: VideoState::Ready, bytes, sha256, edition_of };
        let change = (change != Change::default()).then_some(change);
        Self { new, change, media: number % 100 < WITH_MEDIA }
    }

    async fn make(&self, tx: &Tx<'_>, videos: &Videos) -> Result<(), StorageError> {
        videos.create(tx, &self.new).await?;
        let id = self.new.id;
        if let Some(change) = &self.change
            && let Some(now) = videos.get_in(tx, id).await?
        {
            videos.edit(tx, &now, change).await?;
        }
        for rung in ["v1080", "v720", "v480", "a128"].iter().filter(|_| self.media) {
            media(tx, videos, id, rung).await?;
        }
        Ok(())
    }
}

async fn media(tx: &Tx<'_>, videos: &Videos, video: VideoId, rung: &str) -> Result<(), StorageError> {
    let rung = RungName::new(rung).map_err(|error| StorageError::Corrupt(error.to_string()))?;
    let rendition = Rendition {
        video,
        rung: rung.clone(),
        kind: RenditionKind::Video,
        codecs: "avc1.640028".into(),
        width: 1920,
        height: 1080,
        frame_rate_num: 30,
        frame_rate_den: 1,
        bandwidth: 5_000_000,
        average_bandwidth: 4_000_000,
        timescale: 90_000,
        init_bytes: 800,
        init: Digest([0; 16]),
        ended: true,
    };
    videos.put_rendition(tx, &rendition).await?;
    for seq in 0..SEGMENTS {
        let (start, duration, bytes) = (u64::from(seq) * 360_000, 360_000, 2_000_000);
        let sha256 = "ab".repeat(32);
        let (rung, digest, keys) = (rung.clone(), Digest([seq as u8; 16]), vec![]);
        let row = SegmentRow { video, rung, seq, start, duration, bytes, sha256, digest, keys };
        videos.put_segment(tx, &row).await?;
    }
    Ok(())
}

/// What is asked, and what it is called.
pub(super) fn questions(deep: &str) -> Vec<(&'static str, String)> {
    let (common, rare) = (word(1), word(WORDS - 7));
    vec![
        ("first page", String::new()),
        ("first page of 100", "limit=100".into()),
        ("after 90 % of all", format!("after={deep}")),
        ("the oldest", "sort=oldest".into()),
        ("ready ones", "state=ready".into()),
        ("failed ones (none)", "state=failed".into()),
        ("unlisted ones (1 %)", "visibility=unlisted".into()),
        ("tag of 5 %", "tag=travel".into()),
        ("tag of 5 %, all visibilities, after 90 %", format!("tag=travel&visibility=all&after={deep}")),
        ("a word of half of all", "q=holiday".into()),
        ("its first letter", "q=h".into()),
        ("that word, unlisted", "q=holiday&visibility=unlisted".into()),
        ("a common word", format!("q={common}")),
        ("a rare word", format!("q={rare}")),
        ("two common words", format!("q=holiday+{common}")),
        ("a common and a rare word", format!("q=holiday+{rare}")),
        ("a word and a tag", format!("q={common}&tag=travel")),
        ("one file", "q=clip77777".into()),
        ("no such word", "q=nowhere".into()),
        ("two words of half of all that never meet", "q=holiday+kids".into()),
    ]
}
