//! Fetching a slice: what its answer means for the object it is of.

use super::fetch::{Fetch, Slice, kept_fields};
use crate::cache::slicing::{Known, Sliced, bounds};
use crate::cache::{FeedMark, Filled, Head, Lifetimes, Permit, vary_fields};
use crate::same;
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue};
use sluice_service::HttpResponse;
use sluice_wire::conditions::{self, Part, Span};
use std::sync::Arc;
use std::time::SystemTime;

/// What a part is.
enum Taken {
    /// All of the object: it has no more than one slice.
    Whole(Head),
    /// A slice of this generation.
    Slice(Arc<Sliced>, Head),
    /// No slice that may be kept beside those there are, or none at all.
    Unfit,
}

impl Slice {
    /// The `Range` field that asks for it.
    pub(super) fn range(&self) -> Option<HeaderValue> {
        let total = self.of.as_ref().map_or(u64::MAX, |of| of.total);
        let (from, to) = bounds(self.index, self.size, total);
        HeaderValue::from_str(&format!("bytes={from}-{}", to.checked_sub(1)?)).ok()
    }

    fn is(&self, part: Span) -> bool {
        bounds(self.index, self.size, part.total) == (part.from, part.to)
    }

    /// True for the part that the first to ask wants, if nothing else.
    fn is_asked(&self, part: Option<Span>) -> bool {
        part.is_some_and(|part| conditions::part(&self.asked, part.total) == Part::Bytes(part.from, part.to))
    }
}

impl Fetch {
    /// Takes the answer to a slice's question. It is given back when it is to be taken as any other.
    pub(super) async fn take_slice(
        &self,
        permit: &Permit,
        slice: &Slice,
        (answer, parent): (HttpResponse, &str),
        mark: FeedMark,
    ) -> Option<HttpResponse> {
        let slicing = &self.edge.store.slicing;
        let status = answer.status();
        if slice.of.is_none() && status == StatusCode::RANGE_NOT_SATISFIABLE {
            // It is about this range, and not to be kept for others.
            permit.fill.hand_over(answer, Filled::NotShared);
            return None;
        }
        if slice.of.is_none() && status != StatusCode::PARTIAL_CONTENT {
            return Some(answer);
        }
        let part = same::part_of(status, answer.headers());
        let taken = part.map_or(Taken::Unfit, |part| self.taken(slice, part, answer.headers(), mark));
        match (taken, &slice.of) {
            (Taken::Whole(head), _) => {
                self.share(permit, &self.key, head, (answer.into_body(), parent), mark, true).await;
            }
            (Taken::Slice(sliced, head), of) => {
                let key = sliced.key(&self.key, slice.index);
                let begun = of.is_none().then(|| self.edge.fills.join(&key).1).flatten();
                if begun.is_some() {
                    self.edge.store.begin_slices(&self.key, sliced);
                    permit.fill.settle(Filled::Again);
                }
                let permit = begun.as_ref().unwrap_or(permit);
                self.share(permit, &key, head, (answer.into_body(), parent), mark, true).await;
            }
            (Taken::Unfit, Some(of)) => {
                self.edge.store.end_slices(&self.key, of);
                // Another generation has begun, or there is nothing any more; or this one cannot be had in parts.
                if status == StatusCode::OK && same::validator(answer.headers()) == Some(&of.validator) {
                    slicing.mark_whole(&self.key);
                }
                self.count("changed");
                permit.fill.settle(Filled::Again);
            }
            (Taken::Unfit, None) => {
                slicing.mark_whole(&self.key);
                if slice.is_asked(part) {
                    permit.fill.hand_over(answer, Filled::NotShared);
                } else {
                    permit.fill.settle(Filled::Again);
                }
            }
        }
        None
    }

    /// A whole that is too large to be kept, and can be had in slices instead: a generation without a slice yet.
    pub(super) fn too_large(&self, answer: &HttpResponse, mark: FeedMark) -> Option<Arc<Sliced>> {
        let headers = answer.headers();
        let number = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let length = number(CONTENT_LENGTH).filter(|length| *length > self.edge.largest_kept())?;
        let accepts = headers.get(ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
        let refused = matches!(self.edge.store.slicing.of(&self.key), Some(Known::Whole(_)));
        let size = self.edge.slice_bytes();
        let slices = size > 0 && accepts && !refused && answer.status() == StatusCode::OK;
        slices.then(|| self.generation(headers, (length, size), mark)).flatten()
    }

    fn taken(&self, slice: &Slice, part: Span, headers: &HeaderMap, mark: FeedMark) -> Taken {
        let length = part.to - part.from;
        if !slice.is(part) {
            return Taken::Unfit;
        }
        if slice.of.is_none() && length == part.total {
            return self.head(StatusCode::OK, headers, length).map_or(Taken::Unfit, Taken::Whole);
        }
        let sliced = match &slice.of {
            Some(of) => {
                let same = of.total == part.total && same::validator(headers) == Some(&of.validator);
                same.then(|| Arc::clone(of))
            }
            None => self.generation(headers, (part.total, slice.size), mark),
        };
        let head = self.head(StatusCode::PARTIAL_CONTENT, headers, length);
        sliced.zip(head).map_or(Taken::Unfit, |(sliced, head)| Taken::Slice(sliced, head))
    }

    fn generation(&self, headers: &HeaderMap, sizes: (u64, u64), mark: FeedMark) -> Option<Arc<Sliced>> {
        let validator = same::validator(headers)?.clone();
        let head = self.head(StatusCode::OK, headers, sizes.0)?;
        Some(Arc::new(Sliced::new(head, sizes, validator, mark)))
    }

    /// A head for what is kept of a part. `None` when it may not be kept, or has several forms.
    fn head(&self, status: StatusCode, headers: &HeaderMap, length: u64) -> Option<Head> {
        vary_fields(headers).filter(Vec::is_empty)?;
        let mut headers = kept_fields(headers);
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let policy = self.edge.live().cache.policy();
        // It is kept as a part of a 200 (RFC 9111 section 3.3).
        let lifetimes = Lifetimes::of(&self.headers, StatusCode::OK, &headers, SystemTime::now(), policy);
        Some(Head { status, headers, lifetimes: lifetimes.ok()?, varies: (vec![], String::new()) })
    }
}
