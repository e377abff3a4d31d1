//! Planned: what the control plane expects to be asked for is fetched in a fill window, the way any miss is, one segment at a time.
//!
//! What comes is let in by the cache's ordinary rules, as if it had been asked for a few times: what viewers ask for more does not give
//! way to it, and a plan ends where the cache has no room for what it brings. While an edge gives anything up, it fetches nothing ahead.

use super::collapse::FILL_LIMIT;
use super::lookup::{self, is_below};
use super::{Ask, fetch};
use crate::cache::{Filled, Found, Key, Object, Standing};
use crate::edge::Shared;
use crate::fleet::now_ms;
use crate::gate;
use crate::tenant::Tenant;
use futures::StreamExt;
use http::Method;
use http::header::HOST;
use sluice_service::Body;
use sluice_wire::MediaGroup;
use sluice_wire::limits::SEGMENTS_PER_GROUP;
use sluice_wire::overload::Stage;
use sluice_wire::plan::{FillPlan, FillStep, MOST_EXPECTED};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Time for a whole segment, and for a playlist.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of a playlist at the most: 40,000 segments.
const MAX_PLAYLIST: u64 = 4 << 20;
/// Between two looks whether an edge that had too much to do has less.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Segments in a row that the cache had no room for, after which a plan ends.
const MAX_REFUSED: u32 = 3;

/// What was fetched by plans of one opening of the window.
#[derive(Debug, Default)]
pub(crate) struct Filler {
    opened_ms: u64,
    spent: u64,
    /// Of plans of this opening, what was told to fetch at the most.
    planned: u64,
    /// Bytes of the largest segment that was fetched.
    largest: u64,
    refused: u32,
}

/// What became of a path.
enum Had {
    /// It was here, or somebody fetches it.
    Kept,
    /// It was fetched: so many bytes.
    Fetched(u64),
    /// It could not be had.
    Not,
}

/// Why a plan ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Budget,
    Window,
    Room,
}

/// Follows a plan to its end.
///
/// # Cancel safety
/// What was begun is fetched, and counts as its size is guessed.
pub(crate) async fn fill(edge: &Arc<Shared>, filler: &mut Filler, plan: &FillPlan) {
    if filler.opened_ms != plan.opened_ms {
        *filler = Filler { opened_ms: plan.opened_ms, ..Filler::default() };
    }
    filler.refused = 0;
    let bytes: u64 = plan.steps.iter().map(|step| step.bytes).sum();
    edge.metrics.planned("planned", bytes.saturating_sub(filler.planned));
    filler.planned = filler.planned.max(bytes);
    edge.metrics.plans.with_label_values(&["followed"]).inc();
    tracing::info!(version = plan.version, steps = plan.steps.len(), bytes, "a plan is followed");
    for step in &plan.steps {
        if let Err(ends) = follow(edge, filler, plan, step).await {
            tracing::info!(version = plan.version, why = ?ends, "a plan ends early");
            edge.metrics.plans.with_label_values(&[ends.as_str()]).inc();
            return;
        }
    }
}

impl Ends {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "out-of-budget",
            Self::Window => "out-of-time",
            Self::Room => "out-of-room",
        }
    }
}

/// Fetches what a group lacks.
async fn follow(
    edge: &Arc<Shared>,
    filler: &mut Filler,
    plan: &FillPlan,
    step: &FillStep,
) -> Result<(), Ends> {
    sleep(Duration::from_millis(step.at_ms.saturating_sub(now_ms()))).await;
    let Some(playlist) = playlist(edge, &step.group).await else {
        edge.metrics.plan_groups.with_label_values(&["unknown"]).inc();
        return Ok(());
    };
    let paths: Vec<String> = step.group.named_in(&playlist).map(|path| path.to_string()).collect();
    let expected = step.bytes / u64::from(SEGMENTS_PER_GROUP + 1);
    let (mut fetched, mut failed) = (false, false);
    for path in paths {
        while edge.overload.stage() >= Stage::Spare && now_ms() < plan.until_ms {
            sleep(LOOK_EVERY).await;
        }
        if now_ms() >= plan.until_ms {
            return Err(Ends::Window);
        }
        let largest = filler.largest.max(expected);
        if filler.spent.saturating_add(largest) > plan.bytes {
            return Err(Ends::Budget);
        }
        let begun = Instant::now();
        // Taken out beforehand: what is fetched when a newer plan comes counts too.
        filler.spent = filler.spent.saturating_add(largest);
        let had = have(edge, &path, step.expected).await;
        filler.spent = filler.spent.saturating_sub(largest);
        match had {
            Had::Kept => {}
            Had::Not => failed = true,
            Had::Fetched(bytes) => {
                (fetched, filler.largest) = (true, filler.largest.max(bytes));
                filler.spent = filler.spent.saturating_add(bytes);
                filler.take_note(edge, &path)?;
                sleep_until(begun + Duration::from_millis(bytes.saturating_mul(8) / plan.kbps)).await;
            }
        }
    }
    let became = match (failed, fetched) {
        (true, _) => "failed",
        (false, true) => "fetched",
        (false, false) => "kept",
    };
    edge.metrics.plan_groups.with_label_values(&[became]).inc();
    Ok(())
}

impl Filler {
    /// Whether the cache took what was fetched.
    fn take_note(&mut self, edge: &Arc<Shared>, path: &str) -> Result<(), Ends> {
        let key = Key::new(&Tenant::own(), path);
        self.refused = if is_here(edge, &key) { 0 } else { self.refused + 1 };
        if self.refused < MAX_REFUSED { Ok(()) } else { Err(Ends::Room) }
    }
}

fn is_here(edge: &Shared, key: &Key) -> bool {
    !matches!(edge.store.find(key, &http::HeaderMap::new()), Found::Nothing(..)) || edge.store.may_recall(key)
}

/// A plain request of nobody for a path of the fleet's own hosts.
fn ask(edge: &Shared, path: &str) -> Option<Ask> {
    let tenant = Tenant::own();
    let host = edge.tenants.host_of(&tenant, &edge.public_url)?;
    let request = http::Request::builder().method(Method::GET).uri(path).header(HOST, host);
    let request = request.body(Body::empty()).ok()?;
    let target = gate::target(&request, &[]).ok()?;
    let key = Key::new(&tenant, &target.path);
    Some(Ask { request, target, tenant, key, floors: vec![], tries: 0, missed: true })
}

/// Has a segment or a header in the cache.
async fn have(edge: &Arc<Shared>, path: &str, expected: u8) -> Had {
    let Some(ask) = ask(edge, path) else { return Had::Not };
    if is_here(edge, &ask.key) {
        return Had::Kept;
    }
    let (fill, Some(permit)) = edge.fills.join(&ask.key) else { return Had::Kept };
    edge.store.expect(&ask.key, expected.min(MOST_EXPECTED));
    fetch::spawn(edge, permit, &ask, None, None);
    match timeout(FILL_LIMIT, fill.outcome()).await {
        Ok(Filled::Object(object)) if object.head.status.is_success() => {
            object.begin_ahead();
            let Ok(Some(bytes)) = timeout(WHOLE, whole(&object)).await else { return Had::Not };
            edge.metrics.planned("fetched", bytes);
            Had::Fetched(bytes)
        }
        _ => Had::Not,
    }
}

/// The bytes of a body once it is whole.
async fn whole(object: &Object) -> Option<u64> {
    let (mut body, mut bytes) = (object.read(0, u64::MAX), 0);
    while let Some(piece) = body.next().await {
        bytes += piece.ok()?.len() as u64;
    }
    Some(bytes)
}

/// A rung's playlist, kept or fetched.
async fn playlist(edge: &Arc<Shared>, group: &MediaGroup) -> Option<String> {
    let ask = ask(edge, &group.playlist().to_string())?;
    let kept = match edge.store.find(&ask.key, ask.request.headers()) {
        Found::Object(_, object) => Some(object),
        _ => None,
    };
    let is_fresh = |object: &Arc<Object>| {
        matches!(lookup::standing(edge, &ask, object), Some(Standing::Fresh(_)))
            && !is_below(edge, &ask, object)
    };
    let object = match kept.filter(is_fresh) {
        Some(kept) => kept,
        None => {
            let (fill, permit) = edge.fills.join(&ask.key);
            if let Some(permit) = permit {
                fetch::spawn(edge, permit, &ask, None, None);
            }
            match timeout(FILL_LIMIT, fill.outcome()).await {
                Ok(Filled::Object(object)) => object,
                _ => return None,
            }
        }
    };
    let is_small = object.body.length().is_none_or(|length| length <= MAX_PLAYLIST);
    if !object.head.status.is_success() || !is_small {
        return None;
    }
    timeout(WHOLE, text(&object)).await.ok()?
}

async fn text(object: &Object) -> Option<String> {
    let (mut body, mut text) = (object.read(0, MAX_PLAYLIST), vec![]);
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece.ok()?);
    }
    String::from_utf8(text).ok()
}
