//! Rules of media playlists and of what they name.

use super::mp4::{Fragment, fragments, header};
use super::{Findings, Presentation, Rung};
use m3u8_rs::MediaPlaylistType;

/// What `EXT-X-MAP` in a playlist of segments asks for (RFC 8216bis section 8).
const VERSION_OF_MAP: usize = 6;

pub(super) fn check(rung: &Rung, findings: &mut Findings) {
    let (uri, list) = (&rung.uri, &rung.list);
    findings.must("8.6", list.end_list && list.playlist_type == Some(MediaPlaylistType::Vod), || uri.clone());
    findings.must("8.20", list.segments.first().is_some_and(|s| s.map.is_some()), || uri.clone());
    findings.must("8.20", list.version.is_some_and(|v| v >= VERSION_OF_MAP), || {
        format!("{uri}: version {:?} does not know EXT-X-MAP", list.version)
    });
    findings.must("8.13", list.segments.iter().all(|s| !s.discontinuity), || uri.clone());
    let longest = list.segments.iter().map(|s| s.duration).fold(0.0, f32::max);
    let target = list.target_duration as f32;
    findings.must("7.7", longest.round() <= target && longest <= target + 0.5, || {
        format!("{uri}: {longest} s in target durations of {target} s")
    });
    if list.i_frames_only {
        keyframes(rung, findings)
    } else {
        segments(rung, findings)
    }
    let text = String::from_utf8_lossy(&rung.text.body);
    let named = uri.contains("iframes") == text.contains("#EXT-X-I-FRAMES-ONLY\n");
    findings.must("6.8", named, || uri.clone());
}

fn keyframes(rung: &Rung, findings: &mut Findings) {
    let codecs = header(&rung.init.body).codecs;
    for (body, listed) in rung.segments.iter().zip(&rung.list.segments) {
        let range = listed.byte_range.as_ref();
        let whole = range.is_some_and(|range| range.length == body.body.len() as u64);
        let starts = body.body.get(4..8) == Some(b"moof");
        let found = fragments(&body.body, &codecs);
        let right = whole && starts && found.len() == 1 && found[0].idr;
        findings.must("6.10", right, || format!("{}: {range:?} is {found:?}", body.url));
    }
}

fn segments(rung: &Rung, findings: &mut Findings) {
    let header = header(&rung.init.body);
    let (mut next, mut promised, mut found) = (None, 0.0, 0.0);
    for (body, listed) in rung.segments.iter().zip(&rung.list.segments) {
        let all: Vec<Fragment> = fragments(&body.body, &header.codecs);
        let picture = header.size.is_some();
        findings
            .must("7.4", !all.is_empty() && (!picture || all[0].idr), || format!("{}: {all:?}", body.url));
        for fragment in &all {
            findings.must("7.3", next.is_none_or(|next| next == fragment.start), || {
                format!("{}: at {}, not {next:?}", body.url, fragment.start)
            });
            next = Some(fragment.start + fragment.duration);
            found += fragment.duration as f64 / header.timescale as f64;
        }
        promised += f64::from(listed.duration);
        // Sound may hide what its encoder needs to begin with; a frame of 1024 samples at 48 kHz or of 25 a second.
        findings.must("8.1", (promised - found).abs() <= FRAME, || {
            format!("{}: {found} s so far, {promised} s promised", body.url)
        });
    }
}

/// One video frame at 20 a second, and more than the 1024 or 2048 samples that AAC begins with.
const FRAME: f64 = 0.05;

pub(super) fn aligned(all: &Presentation, findings: &mut Findings) {
    let rungs: Vec<&Rung> = all.rungs.iter().filter(|rung| !rung.list.i_frames_only).collect();
    let Some(first) = rungs.first() else { return };
    let ends = |rung: &Rung| -> Vec<f64> {
        let ends = rung.list.segments.iter().scan(0.0, |at, s| {
            *at += f64::from(s.duration);
            Some(*at)
        });
        ends.collect()
    };
    let wanted = ends(first);
    for rung in &rungs {
        let found = ends(rung);
        let target = (rung.list.target_duration, first.list.target_duration);
        findings.must("8.2", target.0 == target.1, || format!("{}: {target:?}", rung.uri));
        let total = (found.last().copied().unwrap_or(0.0), wanted.last().copied().unwrap_or(0.0));
        findings.must("8.3", (total.0 - total.1).abs() <= 2.0 * FRAME, || format!("{}: {total:?}", rung.uri));
        let inner = found.iter().zip(&wanted).take(found.len().min(wanted.len()).saturating_sub(1));
        let apart = inner.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        findings.must("8.22", apart <= FRAME, || format!("{}: {apart} s apart", rung.uri));
    }
    for keyframes in all.rungs.iter().filter(|rung| rung.list.i_frames_only) {
        let sum = ends(keyframes).last().copied().unwrap_or(0.0);
        let total = wanted.last().copied().unwrap_or(0.0);
        let same = (sum - total).abs() <= 2.0 * FRAME;
        findings.must("8.7", same, || format!("{}: {sum} s of {total} s", keyframes.uri));
    }
}
