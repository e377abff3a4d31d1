//! A video's first pass: the probe, the plan, and the rungs that make it playable, in a row from its first bytes on, be
//! they complete or still coming.
//!
//! After each chunk it commits how far it has come, together with the job for the chunk's other rungs. The next chunk is
//! due when a viewer who began with the first one gets there; where another video's is due before, that goes first.

use crate::child::Pace;
use crate::error::JobError;
use crate::job::{FIRST, Output, Shop, next_of, wants_poster};
use crate::judging::{Judging, Rungs};
use crate::publish::{Passed, Plan, Publisher};
use crate::start::Start;
use crate::supply::{Need, Supply};
use sluice_storage::{Lease, VideoState};
use sluice_wire::codec::{ChunkWork, CodecFailure, EncodeRequest, Track};
use sluice_wire::ladder::{self, Source};
use sluice_wire::limits::{CHUNK_SEGMENTS, SEGMENT_MS};
use sluice_wire::{RungName, VideoId};
use std::time::Duration;
use tokio::time::Instant;

/// The part of all work that this counts as, in thousandths, where there is another.
const SHARE: i32 = 100;

/// Does it, as far as its turn goes.
pub(crate) async fn run(
    shop: &Shop,
    lease: &Lease,
    video: VideoId,
    publisher: &Publisher,
) -> Result<(), JobError> {
    let begun = Instant::now();
    let mut supply = Supply::open(&shop.storage, &shop.stock, video, Need::All, FIRST).await?;
    let mut plan = planned(shop, lease, video, publisher, &mut supply).await?;
    let rungs: Vec<RungName> = plan.ladder.first().cloned().collect();
    let way = Way::new(lease, &plan, shop.rungs);
    let alone = !way.others;
    // A track may be ahead of the other.
    let numbers = way.first * CHUNK_SEGMENTS..u32::MAX;
    let mut wanted = vec![];
    for rung in rungs {
        let next = next_of(shop, video, &rung, numbers.clone()).await?;
        wanted.push((rung, next));
    }
    let poster = way.first == 0 && wants_poster(shop, video, publisher).await?;
    // What is still coming can only be read onward.
    let indexed = plan.source.indexed && supply.is_complete();
    let request = EncodeRequest {
        source: Source { indexed, ..plan.source.clone() },
        ladder: plan.ladder.clone(),
        chunks: vec![ChunkWork { chunk: way.first, rungs: wanted }],
        named: vec![],
        onward: true,
        poster,
    };
    let share = (0, if alone { 1_000 } else { SHARE });
    let (duration_ms, sound_counts) = (plan.source.duration_ms, plan.ladder.video.is_empty());
    let start = (way.first == 0).then(|| {
        // What is there came after the job was made.
        let age = Duration::from_millis(shop.storage.database.now_ms().saturating_sub(lease.created_ms));
        let earliest = begun.checked_sub(age).unwrap_or(begun);
        Start::new(
            begun,
            request.chunks[0].rungs.len(),
            (!supply.is_complete()).then(|| supply.arrivals(earliest)),
        )
    });
    let mut output = Output {
        shop,
        video,
        publisher,
        heads: vec![],
        share,
        duration_ms,
        sound_counts,
        named: vec![],
        way: Some(way),
        start,
    };
    let ended = output.make(supply, &request, Pace::Urgent).await?;
    shop.metrics.media_ms.inc_by(ended.duration_ms);
    if let Some(judged) = output.way.and_then(|way| way.judged) {
        plan = judged;
    }
    plan.damage = ended.damage;
    if publisher.first_done(&plan, ended.duration_ms).await? {
        shop.stock.forget(video);
    }
    Ok(())
}

/// The plan of an earlier turn, or a new one.
async fn planned(
    shop: &Shop,
    lease: &Lease,
    video: VideoId,
    publisher: &Publisher,
    supply: &mut Supply,
) -> Result<Plan, JobError> {
    let row = shop.storage.videos().get(video).await?.ok_or(JobError::Gone)?;
    let edition = row.edition_of.filter(|_| lease.payload["force"] != true).zip(row.sha256);
    let kept = row.plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
    if let Some(plan) = kept.clone().filter(|_| lease.payload["next"].is_u64()) {
        return Ok(plan);
    }
    let plan = match kept {
        Some(plan) => plan,
        None => {
            let source = shop.codec.probe(supply).await?;
            let ladder = ladder::plan_with(&source, &shop.codecs).put_off(&source, shop.defer);
            Plan { ladder, source, damage: None, fixed: None }
        }
    };
    if plan.ladder.is_empty() {
        let detail = "the file has no picture and no sound".to_owned();
        return Err(JobError::Source { reason: CodecFailure::Undecodable, detail });
    }
    if let Some((of, sha256)) = edition
        && is_shown(shop, of, &sha256, &plan).await?
    {
        return Err(JobError::Same);
    }
    publisher.planned(&plan).await?;
    Ok(plan)
}

/// True when a video shows what would be made of a source by a plan.
async fn is_shown(shop: &Shop, video: VideoId, sha256: &str, plan: &Plan) -> Result<bool, JobError> {
    let Some(row) = shop.storage.videos().get(video).await? else { return Ok(false) };
    let shown = row.plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
    let same = |shown: Plan| {
        shown.fixed.as_ref().unwrap_or(&shown.ladder) == &plan.ladder && shown.source == plan.source
    };
    Ok(row.state == VideoState::Ready && row.sha256.as_deref() == Some(sha256) && shown.is_some_and(same))
}

/// How far the pass has come.
pub(crate) struct Way {
    /// The first chunk to make.
    first: u32,
    /// The first chunk that is not passed.
    next: u32,
    /// True when a chunk has other rungs.
    others: bool,
    tracks: Vec<Lane>,
    /// What is found out of the title before the first chunk is passed.
    judging: Option<Judging>,
    /// The plan after that.
    judged: Option<Plan>,
}

/// A track's part of the way.
struct Lane {
    track: Track,
    /// The first chunk that it has not done.
    next: u32,
    ended: bool,
}

impl Way {
    fn new(lease: &Lease, plan: &Plan, rungs: Rungs) -> Self {
        let next = lease.payload["next"].as_u64().and_then(|next| u32::try_from(next).ok()).unwrap_or(0);
        // Where all tracks had ended already, the last chunk is looked at again: the source's true end is in it.
        let first = next - u32::from(next > 0 && lease.payload["over"] == true);
        let tracks =
            [(Track::Picture, !plan.ladder.video.is_empty()), (Track::Sound, !plan.ladder.audio.is_empty())];
        let tracks = tracks.into_iter().filter(|t| t.1).map(|(track, _)| Lane { track, next, ended: false });
        let others = plan.ladder.others().next().is_some();
        let judging = Judging::of(plan, rungs, next);
        Self { first, next, others, tracks: tracks.collect(), judging, judged: None }
    }

    /// Commits what was passed, and looks whose turn it is then.
    ///
    /// # Errors
    /// [`JobError::Turn`] when another video's next chunk is due before this one's; what committing gives.
    pub(crate) async fn go_on(
        &mut self,
        shop: &Shop,
        video: VideoId,
        publisher: &Publisher,
    ) -> Result<(), JobError> {
        let mut due_ms = None;
        while let Some(chunk) = self.passed() {
            self.settle(shop, video, publisher).await?;
            let passed = Passed { chunk, over: self.is_over(), others: self.others };
            due_ms = Some(publisher.passed(passed).await?);
        }
        match due_ms.filter(|_| !self.is_over()) {
            Some(due_ms) if shop.storage.jobs().is_waiting(&[FIRST], due_ms).await? => Err(JobError::Turn),
            _ => Ok(()),
        }
    }

    /// A rung has its first segment.
    pub(crate) fn playable(&mut self, shop: &Shop, video: VideoId, rung: &RungName) {
        if let Some(judging) = &mut self.judging {
            judging.playable(shop, video, rung);
        }
    }

    /// The video plays: what follows is needed when its first segment has been played, and another's first may be due
    /// before. What the chunk has by then is kept.
    ///
    /// # Errors
    /// [`JobError::Turn`] when it is another's turn; what committing gives.
    pub(crate) async fn give_way(&self, shop: &Shop, publisher: &Publisher) -> Result<(), JobError> {
        let due_ms = shop.storage.database.now_ms() + u64::from(SEGMENT_MS);
        if !shop.storage.jobs().is_waiting(&[FIRST], due_ms).await? {
            return Ok(());
        }
        publisher.put_off(self.next, due_ms).await?;
        Err(JobError::Turn)
    }

    /// Before the first job for other rungs is made, it is settled which they are.
    async fn settle(&mut self, shop: &Shop, video: VideoId, publisher: &Publisher) -> Result<(), JobError> {
        let Some(judging) = self.judging.take() else { return Ok(()) };
        let plan = judging.ended(shop, video).await;
        publisher.judged(&plan).await?;
        self.others = plan.ladder.others().next().is_some();
        self.judged = Some(plan);
        Ok(())
    }

    /// A track has done a chunk; `last` says that it has ended.
    pub(crate) fn reached(&mut self, chunk: u32, track: Track, last: bool) {
        for lane in self.tracks.iter_mut().filter(|lane| lane.track == track) {
            lane.next = lane.next.max(chunk + 1);
            lane.ended |= last;
        }
    }

    /// The next chunk that all tracks have done, if there is one. A track that has ended is not waited for.
    fn passed(&mut self) -> Option<u32> {
        let under_way = self.tracks.iter().filter(|lane| !lane.ended).map(|lane| lane.next).min();
        let end = under_way.or_else(|| self.tracks.iter().map(|lane| lane.next).max())?;
        let chunk = self.next;
        (chunk < end).then(|| {
            self.next += 1;
            chunk
        })
    }

    /// True when nothing follows.
    fn is_over(&self) -> bool {
        self.tracks.iter().all(|lane| lane.ended && lane.next <= self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(tracks: &[Track]) -> Way {
        let lane = |track: &Track| Lane { track: *track, next: 0, ended: false };
        let tracks = tracks.iter().map(lane).collect();
        Way { first: 0, next: 0, others: true, tracks, judging: None, judged: None }
    }

    fn passed(way: &mut Way, chunk: u32, track: Track, last: bool) -> Vec<u32> {
        way.reached(chunk, track, last);
        std::iter::from_fn(|| way.passed()).collect()
    }

    #[test]
    fn a_chunk_is_passed_when_the_last_track_has_done_it() {
        let mut way = way(&[Track::Picture, Track::Sound]);
        assert_eq!(passed(&mut way, 0, Track::Sound, false), [0; 0]);
        assert_eq!(passed(&mut way, 1, Track::Sound, false), [0; 0]);
        assert_eq!(passed(&mut way, 0, Track::Picture, false), [0]);
        assert_eq!(passed(&mut way, 1, Track::Picture, false), [1]);
        assert!(!way.is_over());
    }

    #[test]
    fn a_track_that_has_ended_is_not_waited_for() {
        let mut way = way(&[Track::Picture, Track::Sound]);
        assert_eq!(passed(&mut way, 0, Track::Picture, true), [0; 0]);
        assert_eq!(passed(&mut way, 0, Track::Sound, false), [0]);
        assert_eq!(passed(&mut way, 1, Track::Sound, true), [1]);
        assert!(way.is_over());
    }

    #[test]
    fn a_long_track_that_was_ahead_leaves_no_chunk_out() {
        let mut way = way(&[Track::Picture, Track::Sound]);
        assert_eq!(passed(&mut way, 1, Track::Sound, false), [0; 0]);
        assert_eq!(passed(&mut way, 2, Track::Sound, true), [0; 0]);
        assert_eq!(passed(&mut way, 0, Track::Picture, true), [0, 1, 2]);
        assert!(way.is_over());
    }
}
