//! The form of an object that an answer is made of: the coding its asker wants most, made if need be.

use super::codable::forbids;
use super::forms::Claim;
use super::{Accepts, Coding, code, is_worth_coding};
use crate::cache::{Key, Object};
use crate::edge::Shared;
use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, RANGE};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an asker waits for a form that is not ready: about what a slow client saves by having it. Then it gets the
/// plain form, and the next one the coded.
const WAIT: Duration = Duration::from_millis(150);
/// The same for an asker that refuses the plain form.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// The form of an answer, and what other forms its asker may know.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The coded form to answer with; the plain one if there is none.
    pub(crate) coded: Option<(Coding, Bytes)>,
    /// What its asker accepts: the forms whose tags may be confirmed.
    pub(crate) accepts: Accepts,
    /// Answers for this target depend on `Accept-Encoding`.
    pub(crate) varies: bool,
}

impl Chosen {
    /// The plain form of what has no other.
    pub(crate) const PLAIN: Self = Self { coded: None, accepts: Accepts::IDENTITY, varies: false };
}

/// Chooses the form of a target's object for a request. Parts are parts of the plain form.
pub(crate) async fn select(
    edge: &Arc<Shared>,
    (method, asked): (&Method, &HeaderMap),
    target: &Key,
    object: &Arc<Object>,
) -> Chosen {
    let small = || object.body.length().is_some_and(|length| !is_worth_coding(length));
    if !edge.live().transform.compress || !object.codable || small() {
        return Chosen::PLAIN;
    }
    let whole = *method == Method::HEAD || !asked.contains_key(RANGE);
    let accepts = Accepts::of(asked);
    let wanted = accepts.best().filter(|_| whole && !forbids(asked));
    let coded = match wanted {
        Some(coding) => {
            let wait = if accepts.refuses_identity() { LONG_WAIT } else { WAIT };
            let form = timeout(wait, form(edge, target, object, coding)).await.unwrap_or_default();
            form.map(|form| (coding, form))
        }
        None => None,
    };
    Chosen { coded, accepts, varies: true }
}

/// A form of an object: ready, or made now. `None` when it is not worth having, cannot be made, or the body is still to
/// come for who knows how long.
async fn form(edge: &Arc<Shared>, target: &Key, object: &Arc<Object>, coding: Coding) -> Option<Bytes> {
    let body = &object.body;
    if let Some(ready) = body.forms().ready(coding) {
        return ready;
    }
    // What comes without a length is read while it comes.
    body.length().filter(|length| is_worth_coding(*length))?;
    body.settled().await;
    let bytes = body.joined()?;
    if let Some(claim) = Claim::on(body, coding) {
        make(edge, target, object, claim, bytes);
    }
    body.forms().made(coding).await?
}

/// Makes a form, whoever of its waiters stays.
fn make(edge: &Arc<Shared>, target: &Key, object: &Arc<Object>, claim: Claim, bytes: Bytes) {
    let (shared, object, key) = (Arc::clone(edge), Arc::clone(object), target.clone());
    edge.drain.tasks().spawn(async move {
        let coding = claim.coding;
        let result = match shared.coders.run(move || code::encode(coding, &bytes)).await {
            Ok(Ok(form)) => {
                let result = if form.is_some() { "made" } else { "not_worth" };
                claim.finish(form.map(Bytes::from));
                shared.store.reweigh(&key, &object);
                result
            }
            Ok(Err(_)) | Err(_) => "failed",
        };
        shared.metrics.codings.with_label_values(&[coding.as_str(), result]).inc();
        drop(claim);
    });
}
