//! What stands in a message's text, to know it by where it is delivered: the step of the benchmark, its number and when it
//! was sent.

use std::time::Instant;

/// Stands before and behind a stamp, and nowhere else in what is delivered.
const MARK: u8 = b'~';
/// The rest of each text: about what people say at a time.
const WORDS: &str = "shall we meet at the harbour before the tide turns and the boats are gone?";

/// Microseconds since the run began, for all of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A message's stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The step of the benchmark.
    pub(super) step: usize,
    /// Its number in the run: 0 upwards.
    pub(super) number: u64,
    /// When it was sent.
    pub(super) sent_us: u64,
}

impl Stamp {
    /// The text of the message.
    pub(super) fn text(self) -> String {
        format!("~{}:{}:{}~ {WORDS}", self.step, self.number, self.sent_us)
    }

    /// The stamp in what was delivered, if there is one.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let start = payload.iter().position(|byte| *byte == MARK)? + 1;
        let length = payload[start..].iter().position(|byte| *byte == MARK)?;
        let text = std::str::from_utf8(&payload[start..start + length]).ok()?;
        let mut parts = text.split(':');
        let mut next = || parts.next()?.parse::<u64>().ok();
        Some(Self { step: usize::try_from(next()?).ok()?, number: next()?, sent_us: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_in_whatever_is_around_it() {
        let stamp = Stamp { step: 3, number: 41, sent_us: 1_234_567 };
        let frame = format!("{{\"channel\":\"chat:1\",\"data\":{{\"text\":\"{}\"}}}}", stamp.text());
        assert_eq!(Stamp::read(frame.as_bytes()), Some(stamp));
        for other in ["", "{}", "~", "~~", "~1:2~", "~a:b:c~", "{\"subscribed\":\"chat:1\"}"] {
            assert_eq!(Stamp::read(other.as_bytes()), None, "{other}");
        }
    }
}
