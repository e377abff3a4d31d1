//! Players: what they say of themselves with their requests and in bodies of their own (CTA-5004), and what that says of this
//! edge.
//!
//! - `sessions`: who plays here and how, pure but for the time that is given; `beacon`: bodies that are sent for that alone
//!
//! The control plane is told with each report.

mod beacon;
mod sessions;

pub(crate) use beacon::{PATH, answer};

use crate::access::Rates;
use crate::gate::Target;
use crate::metrics::Metrics;
use percent_encoding::percent_decode_str;
use sessions::{Sessions, Told};
use sluice_service::{HttpRequest, Peer};
use sluice_wire::cmcd::{CmcdError, Record};
use sluice_wire::quality::Quality;
use sluice_wire::{MediaPath, NodeId};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// The query's parameter.
const PARAM: &str = "CMCD=";
/// The fields, which together are one record.
const FIELDS: [&str; 4] = ["cmcd-request", "cmcd-object", "cmcd-session", "cmcd-status"];

/// Who plays here.
#[derive(Debug)]
pub(crate) struct Players {
    sessions: Mutex<Sessions>,
    rates: Rates,
    begun: Instant,
    metrics: Metrics,
}

impl Players {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { sessions: Mutex::default(), rates: Rates::new(), begun: Instant::now(), metrics }
    }

    /// Takes what a request says of its player, if it says anything: what it will ask for next.
    pub(crate) fn observe(&self, request: &HttpRequest, target: &Target) -> Option<Vec<String>> {
        let text = said(request)?;
        let peer = request.extensions().get::<Peer>()?;
        let video = MediaPath::parse(&target.path).map(|media| media.video);
        let read = Record::parse(&text);
        let told = |record| Told { record, client: peer.addr.ip(), video, from: target.tried.last() };
        match read {
            Ok(record) => {
                self.take("request", &told(&record));
                Some(record.next)
            }
            Err(error) => {
                self.refuse("request", error);
                None
            }
        }
    }

    /// Takes a record of a body.
    fn hear(&self, record: &Record, client: IpAddr) {
        let video = record.url.as_deref().and_then(video_of);
        self.take("event", &Told { record, client, video, from: None::<&NodeId> });
    }

    fn take(&self, mode: &str, told: &Told<'_>) {
        let taken = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).take(told, self.now_ms());
        let result = if taken { "taken" } else { "full" };
        self.metrics.cmcd.with_label_values(&[mode, result]).inc();
    }

    fn refuse(&self, mode: &str, error: CmcdError) {
        self.metrics.cmcd.with_label_values(&[mode, error.as_str()]).inc();
    }

    /// What players did in the last seconds.
    pub(crate) fn report(&self) -> Quality {
        let quality = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).report(self.now_ms());
        self.metrics.sessions.set(i64::from(quality.all.sessions));
        self.metrics.starved.set(i64::from(quality.all.starved));
        quality
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The record of a request: of its query, or of its fields.
fn said(request: &HttpRequest) -> Option<Cow<'_, str>> {
    let param =
        |query: &'_ str| query.split('&').find_map(|pair| pair.strip_prefix(PARAM)).map(str::to_owned);
    if let Some(value) = request.uri().query().and_then(param) {
        return Some(Cow::Owned(percent_decode_str(&value).decode_utf8().ok()?.into_owned()));
    }
    let lines = FIELDS.iter().flat_map(|name| request.headers().get_all(*name));
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| Cow::Owned(lines.join(",")))
}

/// The video whose media an address is of.
fn video_of(url: &str) -> Option<sluice_wire::VideoId> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.get(rest.find('/')?..)?.split('?').next()?;
    MediaPath::parse(path).map(|media| media.video)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_service::Body;

    #[test]
    fn a_record_is_in_the_query_or_in_fields() {
        let of = |request: HttpRequest| said(&request).map(Cow::into_owned);
        let query = http::Request::get("/v/x?a=1&CMCD=bs%2Csid%3D%22a%20b%22").body(Body::empty()).unwrap();
        assert_eq!(of(query).as_deref(), Some("bs,sid=\"a b\""));
        let fields =
            http::Request::get("/v/x").header("CMCD-Session", "sid=\"a\"").header("CMCD-Status", "bs");
        assert_eq!(of(fields.body(Body::empty()).unwrap()).as_deref(), Some("sid=\"a\",bs"));
        assert_eq!(of(http::Request::get("/v/x?XCMCD=a").body(Body::empty()).unwrap()), None);
    }
}
