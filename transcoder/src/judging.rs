//! The ladder of a title, found out beside its first pass: begun once the video plays, and awaited before the first job for its
//! other rungs is made. What comes of it is kept with the plan, so that it is found out once.

use crate::error::JobError;
use crate::job::{OTHERS, Shop};
use crate::publish::Plan;
use crate::supply::{Need, Supply};
use serde::{Deserialize, Serialize};
use sluice_wire::codec::JudgeRequest;
use sluice_wire::ladder::{Ladder, judged};
use sluice_wire::{RungName, VideoId};
use tokio::task::JoinSet;

/// How a video's rungs are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rungs {
    /// By the source's size and frame rate.
    #[default]
    Fixed,
    /// Of those the ones that are of use to this title.
    PerTitle,
}

/// What is being found out.
#[derive(Debug)]
pub(crate) struct Judging {
    /// As it was made by the source's size.
    plan: Plan,
    /// Its only task; none before it has begun.
    task: JoinSet<Result<Ladder, JobError>>,
}

impl Judging {
    /// For a plan, if it is to be judged and was not yet. Once there is a job for other rungs (`next` is past the first chunk) they
    /// are what they are.
    pub(crate) fn of(plan: &Plan, rungs: Rungs, next: u32) -> Option<Self> {
        let open =
            rungs == Rungs::PerTitle && plan.fixed.is_none() && next == 0 && plan.ladder.video.len() > 1;
        open.then(|| Self { plan: plan.clone(), task: JoinSet::new() })
    }

    /// A rung has its first segment. With that of the lowest picture the video plays, and it can begin.
    pub(crate) fn playable(&mut self, shop: &Shop, video: VideoId, rung: &RungName) {
        if self.plan.ladder.video.first().is_some_and(|lowest| lowest.name == *rung) {
            self.begin(shop, video);
        }
    }

    fn begin(&mut self, shop: &Shop, video: VideoId) {
        if self.task.is_empty() {
            let request = JudgeRequest { source: self.plan.source.clone(), ladder: self.plan.ladder.clone() };
            self.task.spawn(judge(shop.clone(), video, request));
        }
    }

    /// The plan with what came of it. What fails leaves the ladder as it was.
    pub(crate) async fn ended(mut self, shop: &Shop, video: VideoId) -> Plan {
        self.begin(shop, video);
        let fixed = self.plan.ladder;
        let ladder = match self.task.join_next().await {
            Some(Ok(Ok(ladder))) => ladder,
            Some(Ok(Err(error))) => {
                tracing::warn!(%video, %error, "the title could not be judged: its ladder is the fixed one");
                fixed.clone()
            }
            Some(Err(_)) | None => fixed.clone(),
        };
        Plan { ladder, fixed: Some(fixed), ..self.plan }
    }
}

/// A source that is still coming shows its first seconds alone, which say nothing of the rest: it keeps the fixed ladder.
async fn judge(shop: Shop, video: VideoId, request: JudgeRequest) -> Result<Ladder, JobError> {
    let mut supply = Supply::open(&shop.storage, &shop.stock, video, Need::Asked, OTHERS).await?;
    if !supply.is_complete() {
        return Ok(request.ladder);
    }
    let points = shop.codec.judge(&mut supply, &request).await?;
    let ladder = judged(&request.ladder, &points);
    tracing::info!(%video, ?points, rungs = ladder.video.len(), "the title is judged");
    Ok(ladder)
}
