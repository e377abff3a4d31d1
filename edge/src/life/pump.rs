//! The body of a fill: copied as it comes, watched, and gone on with elsewhere once when a parent cuts it.

use super::fetch::Fetch;
use crate::cache::{Growing, Object};
use crate::health::SLOW;
use crate::same;
use http::header::{HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use sluice_service::{Body, HttpRequest};
use sluice_wire::MediaPath;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How copying a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// Its sender ended it.
    Well,
    /// Its sender broke off, or stood still.
    Cut,
    /// It is longer than announced or allowed.
    TooLong,
}

impl Fetch {
    /// Copies a body from its parent. One that is cut goes on elsewhere, once: those who read it see no seam. True when all
    /// of it came.
    pub(super) async fn pump(&self, (body, parent): (Body, &str), object: &Object) -> bool {
        let growing = &object.body;
        let mut copied = self.copy(body, growing).await;
        if copied == Copied::Well && growing.length().is_some_and(|length| growing.bytes() < length) {
            copied = Copied::Cut;
        }
        if copied == Copied::Cut && !growing.is_whole() {
            self.edge.parents.failed(parent);
            if let Some(rest) = self.rest(object).await {
                copied = self.copy(rest, growing).await;
            }
        }
        let whole = growing.end(copied == Copied::Well);
        if !whole && MediaPath::parse(&self.of.1.path).is_some() {
            self.edge.cuts.note(&self.of.1.path, Instant::now());
        }
        whole
    }

    /// Copies piece by piece. A parent that is silent for too long is cut off: a body that stands still is worse than one
    /// that ends.
    async fn copy(&self, mut body: Body, growing: &Growing) -> Copied {
        let watchdog = Duration::from_millis(self.edge.live().watchdog_ms);
        while !growing.is_whole() {
            match timeout(watchdog, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    self.edge.metrics.bytes_in.inc_by(piece.len() as u64);
                    if !growing.push(piece) {
                        tracing::debug!(target = self.target, "a body is longer than announced or allowed");
                        return Copied::TooLong;
                    }
                }
                Ok(None) => return Copied::Well,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, target = self.target, "a parent's body was cut");
                    return Copied::Cut;
                }
                Err(_) => {
                    tracing::debug!(target = self.target, "a parent's body stood still");
                    return Copied::Cut;
                }
            }
        }
        Copied::Well
    }

    /// What is missing of a body, by Range from the parent that is best now. It is asked for once and in haste, since there
    /// are readers who wait in the middle of it.
    async fn rest(&self, object: &Object) -> Option<Body> {
        let head = &object.head;
        let validator = same::validator(&head.headers)?;
        if self.method != Method::GET || head.status != StatusCode::OK {
            return None;
        }
        let count = |result| self.edge.metrics.resumes.with_label_values(&[result]).inc();
        if !self.edge.resumes.spend() {
            count("denied");
            return None;
        }
        let have = object.body.bytes();
        let mut request = HttpRequest::new(Body::empty());
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(IF_RANGE, validator.clone());
        request.headers_mut().insert(RANGE, HeaderValue::from_str(&format!("bytes={have}-")).ok()?);
        let parent = self.edge.parents.healthy_first(self.parents.clone()).into_iter().next()?;
        let asking = self.edge.parents.ask(&parent, request, &self.target);
        let answer = timeout(SLOW, asking).await.ok().and_then(Result::ok);
        let goes_on = answer.filter(|answer| {
            same::continues(&head.headers, have, object.body.length(), answer.status(), answer.headers())
        });
        count(if goes_on.is_some() { "resumed" } else { "refused" });
        goes_on.map(http::Response::into_body)
    }
}
