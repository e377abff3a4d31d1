//! Plans of what is fetched ahead: told of by the answer to a report, fetched, believed if the control plane's key has signed it,
//! and followed until another comes or the window closes.

use super::report::now_ms;
use crate::edge::Shared;
use crate::life::{Filler, fill};
use reqwest::Response;
use sluice_wire::plan::FillPlan;
use sluice_wire::reports::{self, Signed};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tries at a plan that is not had, and the pause between two.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a plan: 4,096 steps of some 100.
const MAX_PLAN: usize = 1 << 20;

/// The newest plan that there is, by the control plane that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    control: String,
    version: u64,
}

/// Where reports say which plan there is.
pub(crate) type News = watch::Sender<Option<Told>>;

/// Notes the version of the plan that a control plane has. One that is older than what is known is of another control plane, whose
/// word counts once the first is silent; its plans are for the same window.
pub(super) fn told(news: &News, control: &str, version: u64) {
    let told = Told { control: control.to_owned(), version };
    news.send_if_modified(|known| {
        let is_news = known.as_ref().is_none_or(|known| known.version < version);
        if is_news {
            *known = Some(told);
        }
        is_news
    });
}

/// Follows plans until the drain begins.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let (stop, mut news) = (edge.drain.token(), edge.plans.subscribe());
    let mut filler = Filler::default();
    loop {
        let told = news.borrow_and_update().clone();
        tokio::select! {
            // A newer plan takes the place of one that is being followed, between two of its segments at the latest.
            () = follow_one(&edge, &mut filler, told.as_ref()) => {}
            changed = news.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Follows a plan, if it can be had, and then waits for ever.
async fn follow_one(edge: &Arc<Shared>, filler: &mut Filler, told: Option<&Told>) {
    for _ in 0..TRIES {
        let Some(told) = told else { break };
        match fetch(edge, told).await {
            Ok(plan) => {
                fill(edge, filler, &plan).await;
                break;
            }
            // An edge that has just begun may not know yet whom to believe.
            Err(why) => {
                edge.metrics.plans.with_label_values(&["refused"]).inc();
                tracing::info!(why, "a plan is not followed");
                sleep(PAUSE).await;
            }
        }
    }
    std::future::pending().await
}

async fn fetch(edge: &Shared, told: &Told) -> Result<FillPlan, String> {
    let url = format!("{}/v1/nodes/{}/plan", told.control, edge.config.node);
    let answer = edge.http.get(url).timeout(PATIENCE).send().await;
    let mut answer = answer.and_then(Response::error_for_status).map_err(|error| error.to_string())?;
    let field = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
    let (key, signature) =
        (field(reports::KEY).unwrap_or_default(), field(reports::SIGNATURE).unwrap_or_default());
    let mut body = vec![];
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        if body.len() + piece.len() > MAX_PLAN {
            return Err("a plan beyond its limit".into());
        }
        body.extend_from_slice(&piece);
    }
    if !edge.trust.believes(&key) || !reports::has_signed(Signed::Plan, &key, &signature, &body) {
        return Err("it is not signed by a key that is trusted".into());
    }
    let plan: FillPlan = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    match plan.fault(&edge.config.node, now_ms()) {
        Some(fault) => Err(fault.into()),
        None if plan.version < told.version => Err("it is an older one".into()),
        None => Ok(plan),
    }
}
