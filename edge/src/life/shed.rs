//! What is given up when there is more to send than this edge can: what nobody waits for, then the highest rung of those who
//! begin, then those who begin. Who plays goes on.

use super::out::redirected;
use super::{Ask, Phase};
use crate::cache::Object;
use crate::capped;
use crate::deliver;
use crate::edge::Shared;
use crate::metrics::Outcome;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::overload::Stage;
use sluice_wire::{MediaAsset, MediaPath, Problem};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Seconds after which whoever was refused may ask again: downloads, and players.
const LATER: HeaderValue = HeaderValue::from_static("30");
const SOON: HeaderValue = HeaderValue::from_static("5");
/// Bytes of what is capped: a description of ten hours in eight rungs has half of it.
const MAX_CAPPED: usize = 8 << 20;
/// How long what is just coming is waited for before it is served as it comes.
const WHOLE_WITHIN: Duration = Duration::from_secs(1);

/// What a request is answered that is given up now; `None` for one that is served.
pub(super) fn given_up(edge: &Shared, ask: &Ask) -> Option<Phase> {
    let stage = edge.overload.stage();
    if stage < Stage::Spare {
        return None;
    }
    match MediaPath::parse(&ask.target.path)?.asset {
        MediaAsset::Download(_) => Some(refused(edge, "downloads wait while others play", LATER)),
        MediaAsset::Master | MediaAsset::Manifest if stage == Stage::Full => {
            let elsewhere = redirected(edge, ask, "detail=full");
            Some(elsewhere.unwrap_or_else(|| refused(edge, "this edge and all others are full", SOON)))
        }
        _ => None,
    }
}

fn refused(edge: &Shared, why: &str, later: HeaderValue) -> Phase {
    edge.metrics.shed.with_label_values(&["refused"]).inc();
    let mut answer =
        problem_response(Problem::new(503, "overloaded", "More is asked than can be sent").detail(why));
    answer.headers_mut().insert(RETRY_AFTER, later);
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=overloaded");
    Phase::Done(answer, Outcome::Refused)
}

/// What is asked for, if it is what one who begins has less of now.
pub(super) fn has_less(edge: &Shared, ask: &Ask, object: &Object) -> Option<MediaAsset> {
    let get = *ask.request.method() == Method::GET && object.head.status == StatusCode::OK;
    if edge.overload.stage() < Stage::Brown || !get {
        return None;
    }
    let asset = MediaPath::parse(&ask.target.path)?.asset;
    matches!(asset, MediaAsset::Master | MediaAsset::Manifest).then_some(asset)
}

/// A multivariant playlist or a description for one who begins now: without its highest rung, and for nobody to keep. `None`
/// where it is served as it is.
pub(super) async fn capped(edge: &Shared, asset: &MediaAsset, object: &Object) -> Option<HttpResponse> {
    let whole = timeout(WHOLE_WITHIN, text(object)).await.ok()??;
    let text = match asset {
        MediaAsset::Master => capped::playlist(&whole)?,
        _ => capped::description(&whole)?,
    };
    edge.metrics.shed.with_label_values(&["capped"]).inc();
    let mut headers: HeaderMap = object.head.headers.clone();
    headers.remove(ETAG);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut answer = HttpResponse::new(Body::from(text));
    *answer.headers_mut() = headers;
    deliver::label(answer.headers_mut(), &edge.config.node, "hit; detail=capped");
    Some(answer)
}

/// All of an object's text, once it is there.
async fn text(object: &Object) -> Option<String> {
    let (mut all, mut pieces) = (vec![], pin!(object.read(0, u64::MAX)));
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.ok()?);
        if all.len() > MAX_CAPPED {
            return None;
        }
    }
    String::from_utf8(all).ok()
}
