//! A request's life: one enum of phases, a function for each.
//!
//! ```text
//! accept -> beacon
//! accept -> authorise -> normalise -> (catch up) -> lookup -> deliver
//!                           |-> recall   -> deliver | collapse | alone
//!                           |-> collapse -> deliver | redirect | refuse
//!                           |-> sliced -> deliver | redirect | refuse
//!                           |-> leave    -> redirect | lookup
//!                           |-> alone    -> deliver | redirect | refuse
//!                           |-> pass
//!                           |-> tunnel
//!                           |-> live
//!                           |-> room
//!                           `-> guard -> normalise | refuse
//! ```
//!
//! - `entry`: accept, authorise, and the doors that end here; `normalise`: what is asked for, and which way it goes
//! - `lookup`, `collapse`, `sliced`, `image`: what is kept, who waits for what is fetched; `shed`: what is given up
//! - `fetch`, `race`, `pump`, `slice`, `order`: a fetch, from the first parent asked to the last byte stored
//! - `ahead`, `planned`: what is fetched before it is asked for
//! - `pass`, `tunnel`: what the cache has no part in; `out`, `assembled`: the way out

mod ahead;
mod assembled;
mod collapse;
mod entry;
mod fetch;
mod image;
mod lookup;
mod normalise;
mod order;
mod out;
mod pass;
mod planned;
mod pump;
mod race;
mod shed;
mod slice;
mod sliced;
#[cfg(test)]
mod tests;
mod tunnel;

pub(crate) use ahead::Ahead;
pub(crate) use planned::{Filler, fill};

use crate::access::{Dress, Proof};
use crate::cache::slicing::Sliced;
use crate::cache::{Gone, Key, Object};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::gate::Target;
use crate::live::Door;
use crate::metrics::Outcome;
use crate::parent::NoAnswer;
use crate::tenant::Tenant;
use crate::transform::Asked;
use crate::{probe, rooms};
use http::HeaderName;
use sluice_service::{HttpRequest, HttpResponse};
use sluice_wire::headers::SLUICE_PLACED;
use sluice_wire::tag::{Tag, Version};
use std::sync::Arc;

/// Why a request goes forward that the cache is not asked about, as RFC 9211 calls it.
const BYPASS: &str = "bypass";

/// A request that was let in.
pub(crate) struct Ask {
    pub(crate) request: HttpRequest,
    pub(crate) target: Target,
    /// Whose it is.
    pub(crate) tenant: Tenant,
    /// What the target is kept under.
    pub(crate) key: Key,
    /// Versions that the asker (a lower tier) knows of.
    pub(crate) floors: Vec<(Tag, Version)>,
    tries: u32,
    /// Counted among the misses: a request is one once, however often it is tried.
    missed: bool,
}

/// What a fetch is for.
struct Wanted {
    /// What is fetched under: the target's key, or a variant's.
    key: Key,
    /// What is kept and cannot be served as it is.
    stale: Option<Arc<Object>>,
    /// Why it goes forward, as RFC 9211 calls it.
    why: &'static str,
    /// Why nothing was there, if something had been.
    gone: Option<Gone>,
    /// A slice to begin with, and not the whole.
    slice: Option<fetch::Slice>,
}

/// Where a request is in its life.
enum Phase {
    Accept(HttpRequest),
    Beacon(HttpRequest),
    Authorise(HttpRequest, Target),
    Normalise(HttpRequest, Target),
    CatchUp(Ask, u64),
    Lookup(Ask),
    Image(Ask, Asked),
    Recall(Ask, Wanted),
    Collapse(Ask, Wanted),
    Alone(Ask),
    Leave(Ask),
    Sliced(Ask, Arc<Sliced>),
    Deliver(Ask, Arc<Object>, Served),
    Pass(Ask),
    Tunnel(Ask),
    Live(Door, HttpRequest, Target),
    Room(rooms::Door, HttpRequest, Target),
    Guard(HttpRequest, Target),
    Unserved(Ask, NoAnswer),
    Done(HttpResponse, Outcome),
}

/// Lives a request's life.
pub(crate) async fn live(edge: Arc<Shared>, request: HttpRequest) -> HttpResponse {
    let active = edge.metrics.active.clone();
    active.inc();
    let _gone = OnDrop(move || active.dec());
    if let Some(answer) = probe::answer(&edge, &request) {
        return answer;
    }
    let (asker, of_list) = (assembled::Asker::of(&edge, &request), assembled::is_of_list(&request));
    let (mut dress, mut placed) = (Dress::default(), None);
    let mut phase = Phase::Accept(request);
    loop {
        phase = match phase {
            Phase::Accept(request) => entry::accept(&edge, request),
            Phase::Beacon(request) => entry::beacon(&edge, request).await,
            Phase::Authorise(request, target) => entry::authorise(&edge, request, target, &mut dress),
            Phase::Normalise(request, target) => {
                placed = normalise::place(&edge, &request, &target);
                normalise::normalise(&edge, request, target)
            }
            Phase::CatchUp(ask, seen) => normalise::catch_up(&edge, ask, seen).await,
            Phase::Lookup(ask) => lookup::lookup(&edge, ask),
            Phase::Image(ask, asked) => image::serve(&edge, ask, asked).await,
            Phase::Recall(ask, wanted) => lookup::recall(&edge, ask, wanted).await,
            Phase::Collapse(ask, wanted) => collapse::collapse(&edge, ask, wanted).await,
            Phase::Sliced(ask, sliced) => sliced::answer(&edge, ask, sliced).await,
            Phase::Alone(ask) => collapse::alone(&edge, ask).await,
            Phase::Leave(ask) => out::leave(&edge, ask),
            Phase::Deliver(ask, object, served) => out::answer_from(&edge, ask, object, served).await,
            Phase::Pass(ask) => pass::pass(&edge, ask).await,
            Phase::Tunnel(ask) => tunnel::tunnel(&edge, ask).await,
            Phase::Live(door, request, target) => entry::listen(&edge, door, request, target).await,
            Phase::Room(door, request, target) => entry::wait_in_line(&edge, door, request, &target).await,
            Phase::Guard(request, target) => entry::guard(&edge, request, target).await,
            Phase::Unserved(ask, why) => out::unserved(&edge, &ask, why),
            Phase::Done(mut answer, outcome) => {
                if let Some(asker) = &asker {
                    answer = asker.assembled(&edge, answer).await;
                }
                if let Some(placed) = placed {
                    answer.headers_mut().insert(HeaderName::from_static(SLUICE_PLACED), placed);
                }
                if of_list {
                    dress.proof = Proof::List;
                }
                let refused = dress.put_on(&mut answer);
                refused.into_iter().for_each(|why| edge.metrics.access(why.as_str()));
                edge.metrics.count(if refused.is_some() { Outcome::Refused } else { outcome });
                return answer;
            }
        };
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
