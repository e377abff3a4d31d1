//! WebVTT (W3C), as far as it is shown: comments, styles, regions and names of cues are left out.

use std::fmt::Write;

use super::{Cue, TextError, joined, time};
use crate::limits::MAX_CUES;

/// What separates the times of a cue.
const ARROW: &str = "-->";

/// The lines after the header's first, each with its number; `None` when it is no WebVTT.
pub(super) fn body(text: &str) -> Option<impl Iterator<Item = (usize, &str)>> {
    let first = text.lines().next()?.strip_prefix("WEBVTT")?;
    let ends = first.is_empty() || first.starts_with([' ', '\t']);
    ends.then(|| text.lines().enumerate().skip(1).map(|(at, line)| (at + 1, line)))
}

/// Reads cues. Up to the first empty line there is the header.
pub(super) fn cues<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Result<Vec<Cue>, TextError> {
    let mut lines = lines.skip_while(|(_, line)| !line.is_empty()).peekable();
    let mut cues = vec![];
    while let Some((at, first)) = lines.next() {
        if first.is_empty() {
            continue;
        }
        let block: Vec<(usize, &str)> = std::iter::once((at, first))
            .chain(std::iter::from_fn(|| lines.next_if(|(_, l)| !l.is_empty())))
            .collect();
        match block.iter().take(2).position(|(_, line)| line.contains(ARROW)) {
            Some(place) => cues.push(cue(&block[place..])?),
            None if is_aside(first) => {}
            None => return Err(TextError::Block(at)),
        }
        if cues.len() > MAX_CUES {
            return Err(TextError::TooMany(at));
        }
    }
    // A cue without text shows nothing.
    Ok(cues.into_iter().flatten().collect())
}

fn is_aside(line: &str) -> bool {
    ["NOTE", "STYLE", "REGION"].iter().any(|word| {
        line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    })
}

/// A cue from its line of times on; `None` without text.
fn cue(lines: &[(usize, &str)]) -> Result<Option<Cue>, TextError> {
    let Some(((at, timing), text)) = lines.split_first() else { return Ok(None) };
    let (start_ms, end_ms, rest) = span(timing, &['.']).ok_or(TextError::Timing(*at))?;
    let mut settings = vec![];
    for setting in rest.split_ascii_whitespace() {
        // Of regions nothing is kept.
        if setting.starts_with("region:") {
            continue;
        }
        if !is_setting(setting) {
            return Err(TextError::Setting(*at, setting.chars().take(40).collect()));
        }
        settings.push(setting);
    }
    if let Some((at, _)) = text.iter().find(|(_, line)| line.contains(ARROW)) {
        return Err(TextError::Block(*at));
    }
    let text = joined(text.iter().map(|(_, line)| *line));
    let made = Cue { start_ms, end_ms, settings: settings.join(" "), text }.checked(*at)?;
    // What controls hid may have been an arrow.
    if made.text.contains(ARROW) {
        return Err(TextError::Block(*at));
    }
    Ok(Some(made).filter(|cue| !cue.text.is_empty()))
}

/// The two times of a line, and what is after them.
pub(super) fn span<'t>(line: &'t str, separators: &[char]) -> Option<(u64, u64, &'t str)> {
    let (start, rest) = line.split_once(ARROW)?;
    let rest = rest.trim();
    let (end, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((time(start.trim(), separators)?, time(end, separators)?, rest))
}

/// The settings of section 6.2 of the specification, but for regions.
fn is_setting(setting: &str) -> bool {
    let Some((name, value)) = setting.split_once(':') else { return false };
    let (number, align) =
        value.split_once(',').map_or((value, None), |(number, align)| (number, Some(align)));
    let aligned = |all: &[&str]| align.is_none_or(|align| all.contains(&align));
    match name {
        "vertical" => matches!(value, "rl" | "lr"),
        "line" => (is_percentage(number) || is_line(number)) && aligned(&["start", "center", "end"]),
        "position" => is_percentage(number) && aligned(&["line-left", "center", "line-right"]),
        "size" => is_percentage(value),
        "align" => matches!(value, "start" | "center" | "end" | "left" | "right"),
        _ => false,
    }
}

fn is_percentage(text: &str) -> bool {
    let Some(number) = text.strip_suffix('%') else { return false };
    let plain = number.bytes().all(|c| c.is_ascii_digit() || c == b'.')
        && number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit());
    plain && number.len() <= 8 && number.parse::<f64>().is_ok_and(|n| n <= 100.0)
}

fn is_line(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (1..=4).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit())
}

/// Writes cues below a header.
pub(super) fn render<'c>(header: &str, cues: impl Iterator<Item = &'c Cue>) -> String {
    let mut out = header.to_owned();
    for cue in cues {
        let space = if cue.settings.is_empty() { "" } else { " " };
        let (start, end) = (Clock(cue.start_ms), Clock(cue.end_ms));
        // Writing into memory does not fail.
        writeln!(out, "\n{start} {ARROW} {end}{space}{}\n{}", cue.settings, cue.text).unwrap_or_default();
    }
    out
}

/// `HH:MM:SS.mmm`.
struct Clock(u64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, millis) = (self.0 / 1_000, self.0 % 1_000);
        write!(f, "{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::super::{TextError, Track};

    #[test]
    fn a_file_of_every_sort_of_block() {
        let text = "\u{feff}WEBVTT - a title\r\nKind: captions\r\n\r\nNOTE a comment\r\nof two lines\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n\
                    intro\r\n00:01.000 --> 00:02.500 align:start line:-1 position:10%,line-left\r\n<v Ann>Hello &amp; <i>good</i> day\r\n\r\n\
                    100:00:00.000 --> 100:00:01.000\r\n";
        assert_eq!(read(text), Err(TextError::Span(14)), "beyond the longest video");
        let text = text.rsplit_once("100:").unwrap().0.rsplit_once("100:").unwrap().0;
        assert_eq!(read(text).unwrap(), [(1_000, 2_500, "<v Ann>Hello &amp; <i>good</i> day".into())]);
        let track = Track::parse(text.as_bytes()).unwrap();
        assert_eq!(track.cues()[0].settings, "align:start line:-1 position:10%,line-left");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let of = |text: &str| read(&format!("WEBVTT\n\n{text}\n")).unwrap_err();
        assert_eq!(of("00:01.000 --> 00:00.500\nx"), TextError::Span(3));
        assert_eq!(of("00:01.000 -> 00:02.000\nx"), TextError::Block(3));
        assert_eq!(of("a\n00:01,000 --> 00:02.000\nx"), TextError::Timing(4));
        assert_eq!(of("00:61.000 --> 00:62.000\nx"), TextError::Timing(3));
        assert_eq!(of("00:01.000 --> 00:02.000 top:1\nx"), TextError::Setting(3, "top:1".into()));
        assert_eq!(of("00:01.000 --> 00:02.000 size:101%\nx"), TextError::Setting(3, "size:101%".into()));
        assert_eq!(of("00:01.000 --> 00:02.000\nx\n00:03.000 --> 00:04.000\ny"), TextError::Block(5));
        assert_eq!(of("just text"), TextError::Block(3));
        assert_eq!(of("00:01.000 --> 00:02.000\n"), TextError::Empty);
    }
}
