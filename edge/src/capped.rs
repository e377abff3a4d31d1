//! Playlists and descriptions for those who begin while there is too much to send: without the highest rung, with all else as it
//! was. Pure.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::ops::Range;

/// A multivariant playlist without the variants of its highest height (RFC 8216 section 4.3.4), with all else as it was.
/// `None` where there is but one height: the last rung is nobody's luxury.
pub(crate) fn playlist(playlist: &str) -> Option<String> {
    let heights = || playlist.lines().filter_map(height);
    let highest = heights().max()?;
    heights().find(|height| *height < highest)?;
    let mut told = String::with_capacity(playlist.len());
    let mut skip = false;
    for line in playlist.lines() {
        let variant = line.starts_with("#EXT-X-STREAM-INF:");
        // The address of a variant is on the line behind its tag.
        if std::mem::take(&mut skip) {
            continue;
        }
        if height(line) == Some(highest) {
            skip = variant;
            continue;
        }
        told.push_str(line);
        told.push('\n');
    }
    Some(told)
}

/// The height of the variant or keyframe playlist that a line names.
fn height(line: &str) -> Option<u32> {
    let attributes = line
        .strip_prefix("#EXT-X-STREAM-INF:")
        .or_else(|| line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:"))?;
    let (_, rest) = attributes.split_once("RESOLUTION=")?;
    let (_, height) = rest.split(',').next()?.split_once('x')?;
    height.parse().ok()
}

/// A DASH description (ISO/IEC 23009-1) without the representations of its highest height, wherever their set keeps a lower one.
/// `None` where nothing is left out, and for what is no description.
pub(crate) fn description(mpd: &str) -> Option<String> {
    let all = representations(mpd)?;
    let highest = all.iter().map(|one| one.height).max()?;
    let mut told = String::with_capacity(mpd.len());
    let mut kept_to = 0;
    for one in all.iter().filter(|one| one.height == highest) {
        if all.iter().any(|other| other.set == one.set && other.height < highest) {
            told.push_str(mpd.get(kept_to..one.at.start)?);
            kept_to = one.at.end;
        }
    }
    told.push_str(mpd.get(kept_to..)?);
    (kept_to > 0).then_some(told)
}

/// A representation that has a height.
struct Representation {
    /// The adaptation set that it is of, counted from 1.
    set: usize,
    height: u32,
    at: Range<usize>,
}

/// The representations of a description; `None` for what is not well formed.
fn representations(mpd: &str) -> Option<Vec<Representation>> {
    let mut reader = Reader::from_str(mpd);
    let (mut all, mut set, mut open) = (vec![], 0, None);
    loop {
        let from = position(&reader)?;
        match reader.read_event().ok()? {
            Event::Start(element) if element.local_name().as_ref() == b"AdaptationSet" => set += 1,
            Event::Start(element) if element.local_name().as_ref() == b"Representation" => {
                open = height_of(&element).map(|height| (from, height));
            }
            Event::Empty(element) if element.local_name().as_ref() == b"Representation" => {
                let at = from..position(&reader)?;
                all.extend(height_of(&element).map(|height| Representation { set, height, at }));
            }
            Event::End(element) if element.local_name().as_ref() == b"Representation" => {
                let to = position(&reader)?;
                all.extend(open.take().map(|(from, height)| Representation { set, height, at: from..to }));
            }
            Event::Eof => return Some(all),
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> Option<usize> {
    usize::try_from(reader.buffer_position()).ok()
}

fn height_of(element: &BytesStart<'_>) -> Option<u32> {
    let height = element.try_get_attribute("height").ok()??;
    std::str::from_utf8(&height.value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rung_is_left_out_with_its_keyframes() {
        let whole = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=1920x1080,CODECS=\"a,b\"\nv1080/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720\nv720/index.m3u8\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=1920x1080,URI=\"v1080/keys.m3u8\"\n";
        let wanted = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720\nv720/index.m3u8\n";
        assert_eq!(playlist(whole).as_deref(), Some(wanted));
        assert_eq!(playlist(wanted), None, "the last stays");
        assert_eq!(playlist("#EXTM3U\n"), None);
    }

    #[test]
    fn a_set_keeps_a_representation_and_sound_keeps_all() {
        let of = |heights: &[u32]| {
            let each = heights.iter().map(|h| {
                format!(
                    "<Representation id=\"v{h}\" height=\"{h}\"><BaseURL>v{h}/</BaseURL></Representation>"
                )
            });
            format!("<AdaptationSet>{}</AdaptationSet>", each.collect::<String>())
        };
        let sound = "<AdaptationSet><Representation id=\"a\" audioSamplingRate=\"48000\"/></AdaptationSet>";
        let mpd = |sets: &str| format!("<?xml version=\"1.0\"?><MPD><Period>{sets}{sound}</Period></MPD>");
        // By codec, and keyframes of the highest alone.
        let whole = mpd(&[of(&[1080, 720]), of(&[480, 1080]), of(&[1080])].concat());
        assert_eq!(description(&whole), Some(mpd(&[of(&[720]), of(&[480]), of(&[1080])].concat())));
        assert_eq!(description(&mpd(&of(&[720]))), None, "the last stays");
        assert_eq!(description(&mpd("")), None);
        assert_eq!(description("<MPD><Period></MPD>"), None);
    }
}
