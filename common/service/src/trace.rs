//! One trace over all hops (W3C Trace Context).

use http::{HeaderMap, HeaderValue};
use rand::Rng;
use sluice_wire::headers::TRACEPARENT;

/// Where a request stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
    /// Whether it began here, so that nobody knows of it yet.
    fresh: bool,
}

/// A request's id: the trace id, 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

impl TraceContext {
    /// Goes on with the trace of a request, or begins one. A malformed `traceparent` counts as none.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let parent = headers.get(TRACEPARENT).and_then(|v| v.to_str().ok()).and_then(Self::parse);
        let span = rand::rng().random_range(1..=u64::MAX);
        match parent {
            Some(parent) => Self { span, ..parent },
            None => {
                Self { trace: rand::rng().random_range(1..=u128::MAX), span, sampled: false, fresh: true }
            }
        }
    }

    /// Reads `version-traceid-parentid-flags`; ids of zeros are invalid (W3C Trace Context, section 3.2.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower_hex = |t: &str, len: usize| {
            t.len() == len && t.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        };
        let shaped =
            lower_hex(version, 2) && lower_hex(trace, 32) && lower_hex(span, 16) && lower_hex(flags, 2);
        if !shaped || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled, fresh: false })
    }

    /// The field that hands this trace to the next hop.
    #[must_use]
    pub fn child_header(&self) -> HeaderValue {
        let text = format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled));
        HeaderValue::from_str(&text).expect("hexadecimal digits and hyphens")
    }

    /// True where it began here: whoever asked knows its id only if the answer says it.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The id that logs and answers show.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId(format!("{:032x}", self.trace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_over_a_hop() {
        let mut headers = HeaderMap::new();
        headers
            .insert(TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
        let here = TraceContext::from_headers(&headers);
        assert_eq!(here.request_id().0, "0af7651916cd43dd8448eb211c80319c");
        assert!(!here.is_fresh() && TraceContext::from_headers(&HeaderMap::new()).is_fresh());
        let sent = here.child_header().to_str().unwrap().to_owned();
        assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent.ends_with("-01"), "{sent}");
        assert!(!sent.contains("b7ad6b7169203331"), "each hop has a span of its own");
    }

    #[test]
    fn malformed_parents_begin_a_new_trace() {
        for bad in [
            "",
            "00-0-0-0",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
