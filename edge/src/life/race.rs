//! Asking parents: one after the other, and a second one beside the first when that is slow.

use super::fetch::Fetch;
use crate::parent::{self, NoAnswer};
use crate::siblings;
use futures::stream::{FuturesUnordered, StreamExt};
use http::{Method, StatusCode};
use sluice_service::{Body, HttpRequest, HttpResponse};
use sluice_wire::MediaPath;
use sluice_wire::headers::SURROGATE_KEY;
use tokio::time::{sleep, timeout};

/// What a parent gave, and its place in the order.
type Given = (usize, Result<HttpResponse, NoAnswer>);

impl Fetch {
    /// The first answer of a parent that is no failure, and whose it is; else the last failure that was an answer. The
    /// second parent of a GET is asked beside the first once that is later than most of its answers are; whichever is
    /// good first wins, and the other is broken off.
    pub(super) async fn answer(&self) -> Result<(HttpResponse, String), NoAnswer> {
        let Some(first) = self.parents.first() else { return Err(NoAnswer::Unreachable) };
        self.edge.hedges.earn();
        self.edge.resumes.earn();
        let mut race = FuturesUnordered::new();
        race.push(self.ask(0));
        let mut next = 1;
        let mut hedged = None;
        let mut may_hedge = self.method == Method::GET;
        // An origin is not asked beside a shield: that it is asked once for many is what shields are for.
        let origins = self.edge.all_origins();
        let is_origin = |parent: &String| origins.contains(parent);
        let mut slow = std::pin::pin!(sleep(self.edge.parents.hedge_after(first)));
        let mut last = Err(NoAnswer::Unreachable);
        loop {
            tokio::select! {
                biased;
                Some((index, given)) = race.next() => {
                    let parent = &self.parents[index];
                    match given {
                        Ok(answer) if self.will_do(parent, &answer) => {
                            self.settle_hedge(hedged, index);
                            return Ok((answer, parent.clone()));
                        }
                        // For media a failure is not passed on: another edge may do.
                        Ok(_) if self.target.starts_with("/v/") => last = Err(NoAnswer::Erred),
                        Ok(answer) => last = Ok((answer, parent.clone())),
                        Err(why) => last = last.or(Err(why)),
                    }
                    if race.is_empty() {
                        if next == self.parents.len() {
                            return last;
                        }
                        race.push(self.ask(next));
                        next += 1;
                    }
                }
                () = slow.as_mut(), if may_hedge && next < self.parents.len() => {
                    may_hedge = false;
                    if is_origin(&self.parents[next]) != is_origin(first) {
                        continue;
                    }
                    if self.edge.hedges.spend() {
                        hedged = Some(next);
                        race.push(self.ask(next));
                        next += 1;
                    } else {
                        self.edge.metrics.hedges.with_label_values(&["denied"]).inc();
                    }
                }
            }
        }
    }

    /// Counts a hedge by who won. Whom it beat is asked after the others for a while.
    fn settle_hedge(&self, hedged: Option<usize>, winner: usize) {
        let Some(hedge) = hedged else { return };
        let won = hedge == winner;
        self.edge.metrics.hedges.with_label_values(&[if won { "won" } else { "lost" }]).inc();
        if won {
            self.parents[..hedge].iter().for_each(|parent| self.edge.parents.lost(parent));
        }
    }

    async fn ask(&self, index: usize) -> Given {
        let mut request = HttpRequest::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(stale) = &self.stale {
            request.headers_mut().extend(stale.validators());
        }
        if let Some(interim) = self.interim.clone() {
            parent::pass_interim(&mut request, interim);
        }
        let parent = &self.parents[index];
        let asking = self.edge.parents.ask(parent, request, &self.target);
        if !self.siblings.contains(parent) {
            return (index, asking.await);
        }
        let given = timeout(siblings::PATIENCE, asking).await.unwrap_or_else(|_| {
            self.edge.parents.failed(parent);
            Err(NoAnswer::Late)
        });
        let result = match &given {
            Ok(answer) if siblings::will_do(answer.status()) => "filled",
            Ok(_) => "declined",
            Err(_) => "failed",
        };
        self.edge.metrics.siblings.with_label_values(&[result]).inc();
        (index, given)
    }

    /// True when an answer is what is asked for. A sibling that has not got it knows nothing that the tier above does not, and
    /// what stands in the way of media knows nothing at all.
    fn will_do(&self, parent: &String, answer: &HttpResponse) -> bool {
        if self.siblings.contains(parent) {
            return siblings::will_do(answer.status());
        }
        let is_media = || MediaPath::parse(self.target.split('?').next().unwrap_or_default()).is_some();
        let refuses = answer.status().is_server_error() || (is_in_the_way(answer) && is_media());
        !refuses
    }
}

/// True for a refusal that is not of media's origin, which names what it has not got and refuses nobody for asking often.
fn is_in_the_way(answer: &HttpResponse) -> bool {
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_FOUND | StatusCode::GONE => !answer.headers().contains_key(SURROGATE_KEY),
        _ => false,
    }
}
