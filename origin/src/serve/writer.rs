//! Writes M3U8 lines (RFC 8216bis section 4): tags, attribute lists, durations. The same bytes each time.

use std::fmt::{Display, Write};

/// A playlist as it is written.
#[derive(Debug)]
pub(super) struct Playlist(String);

impl Playlist {
    /// One that begins with `#EXTM3U` and its version.
    pub(super) fn new(version: u32) -> Self {
        let mut list = Self("#EXTM3U\n".into());
        list.tag_of("VERSION", version);
        list
    }

    /// `#EXT-X-NAME`.
    pub(super) fn tag(&mut self, name: &str) {
        self.line(format_args!("#EXT-X-{name}"));
    }

    /// `#EXT-X-NAME:VALUE`.
    pub(super) fn tag_of(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("#EXT-X-{name}:{value}"));
    }

    /// `#EXTINF:SECONDS,`.
    pub(super) fn inf(&mut self, ticks: u64, timescale: u32) {
        self.line(format_args!("#EXTINF:{},", seconds(ticks, timescale)));
    }

    /// A line as it is: a URI.
    pub(super) fn line(&mut self, line: impl Display) {
        // Writing into memory does not fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }

    /// The text.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// An attribute list in the order in which it was said.
#[derive(Debug, Default)]
pub(super) struct Attributes(String);

impl Attributes {
    /// `NAME=VALUE`: numbers, resolutions, enumerated strings.
    #[must_use]
    pub(super) fn plain(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        write!(self.0, "{comma}{name}={value}").unwrap_or_default();
        self
    }

    /// `NAME="VALUE"`. What a quoted string cannot hold (line ends, quotation marks) is left out.
    #[must_use]
    pub(super) fn quoted(self, name: &str, value: impl Display) -> Self {
        let value: String = value.to_string().chars().filter(|c| !matches!(c, '"' | '\r' | '\n')).collect();
        self.plain(name, format_args!("\"{value}\""))
    }

    /// Goes on with what another adds.
    #[must_use]
    pub(super) fn with(self, add: impl FnOnce(Self) -> Self) -> Self {
        add(self)
    }
}

impl Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ticks as decimal seconds, rounded to the microsecond.
pub(super) fn seconds(ticks: u64, timescale: u32) -> String {
    let scale = u128::from(timescale.max(1));
    let micros = (u128::from(ticks) * 1_000_000 + scale / 2) / scale;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_duration_is_within_half_a_microsecond(ticks in 0..1u64 << 40, timescale in 1u32..200_000) {
            let said: f64 = seconds(ticks, timescale).parse().unwrap();
            let meant = ticks as f64 / f64::from(timescale);
            prop_assert!((said - meant).abs() <= 0.6e-6 + meant * f64::EPSILON * 4.0, "{said} for {meant}");
        }

        #[test]
        fn a_quoted_value_never_ends_its_attribute(value in "[ -~\r\n\"]{0,30}", next in 1u32..9) {
            let list = Attributes::default().quoted("URI", &value).plain("BANDWIDTH", next).to_string();
            prop_assert_eq!(list.matches('"').count(), 2);
            let end = format!("\",BANDWIDTH={next}");
            prop_assert!(list.ends_with(&end) && !list.contains(['\r', '\n']));
        }
    }
}
