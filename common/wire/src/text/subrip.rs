//! SubRip: a number, a line of times, lines of text, an empty line. Of its tags, those of italic, bold and underlined
//! text are kept; fonts and places are not.

use super::webvtt::span;
use super::{Cue, TextError, escaped, joined};
use crate::limits::MAX_CUES;

/// Tags that WebVTT has as well.
const KEPT: [&str; 6] = ["<i>", "</i>", "<b>", "</b>", "<u>", "</u>"];

/// Reads cues.
pub(super) fn cues(text: &str) -> Result<Vec<Cue>, TextError> {
    let mut lines = (1..).zip(text.lines()).peekable();
    let mut cues = vec![];
    while let Some((mut at, mut line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.trim().bytes().all(|c| c.is_ascii_digit()) {
            (at, line) = lines.next().ok_or(TextError::Timing(at + 1))?;
        }
        // Places on the screen, which some programs write after the times, are left out.
        let (start_ms, end_ms, _) = span(line, &[',', '.']).ok_or(TextError::Timing(at))?;
        let text: Vec<&str> = std::iter::from_fn(|| lines.next_if(|(_, l)| !l.trim().is_empty()))
            .map(|(_, line)| line)
            .collect();
        let text = formatted(&text.join("\n"));
        let cue = Cue { start_ms, end_ms, settings: String::new(), text };
        if cue.text.is_empty() {
            continue;
        }
        cues.push(cue.checked(at)?);
        if cues.len() > MAX_CUES {
            return Err(TextError::TooMany(at));
        }
    }
    Ok(cues)
}

/// SubRip's text as WebVTT's.
pub(super) fn formatted(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        out.push_str(&escaped(before));
        // Both begin with one byte.
        let (kept, length) = tag(from).or_else(|| place(from)).unwrap_or(("", 0));
        let (odd, after) = from.split_at(length.max(1));
        out.push_str(if length > 0 { kept } else { "" });
        if length == 0 {
            out.push_str(&escaped(odd));
        }
        rest = after;
    }
    out.push_str(&escaped(rest));
    joined(out.lines())
}

/// A tag at the beginning: what is kept of it, and its length.
fn tag(text: &str) -> Option<(&'static str, usize)> {
    let (tag, _) = text.strip_prefix('<')?.split_once('>')?;
    let name = tag.trim_start_matches('/');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || tag.contains('\n') {
        return None;
    }
    let whole = format!("<{}>", tag.to_ascii_lowercase());
    Some((KEPT.into_iter().find(|kept| *kept == whole).unwrap_or(""), whole.len()))
}

/// A place (`{\an8}`) at the beginning: nothing is kept of it.
fn place(text: &str) -> Option<(&'static str, usize)> {
    let (place, _) = text.strip_prefix("{\\")?.split_once('}')?;
    (!place.contains('\n')).then_some(("", place.len() + 3))
}

#[cfg(test)]
mod tests {
    use super::super::TextError;
    use super::super::tests::read;

    #[test]
    fn a_file_as_programs_write_it() {
        let text = "\u{feff}1\r\n00:00:02,000 --> 00:00:04,500  X1:1 X2:2\r\n{\\an8}<font color=\"#fff\">Tom & <I>Jerry</I></font>\r\na < b --> c\r\n\r\n\r\n\
                    2\r\n00:00:05,000 --> 00:00:06,000\r\n\r\n3\r\n0:00:01.000 --> 00:00:01,500\r\nfirst {really}\r\n";
        assert_eq!(
            read(text).unwrap(),
            [
                (1_000, 1_500, "first {really}".into()),
                (2_000, 4_500, "Tom &amp; <i>Jerry</i>\na &lt; b --&gt; c".into())
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        assert_eq!(read("1\n"), Err(TextError::Timing(2)));
        assert_eq!(read("1\n00:00:01,000 -> 00:00:02,000\nx\n"), Err(TextError::Timing(2)));
        assert_eq!(read("hello\n"), Err(TextError::Timing(1)));
        assert_eq!(read("1\n00:00:01,00 --> 00:00:02,000\nx\n"), Err(TextError::Timing(2)));
        assert_eq!(read("1\n00:00:02,000 --> 00:00:02,000\nx\n"), Err(TextError::Span(2)));
    }
}
