//! Apple's HLS Authoring Specification, as far as a machine can check it: pure functions over what was fetched.
//!
//! Rules by their numbers there:
//!
//! - 1.3a, 1.5, 2.3: H.264 up to High 5.2, H.265 and AV1 up to 5.1, AAC-LC (`codecs`, from the sample entries)
//! - 1.26, 1.27, 9.13, 9.14: average and peak of each variant with its sound within 10% of what is measured
//! - 6.1, 6.8, 6.9, 6.10, 9.3, 9.4: an I-frame playlist for each picture rung, its ranges a `moof` and an IDR, its bandwidths
//! - 7.1, 7.3, 7.4, 7.7: decoding times go on, segments start with an IDR, none exceeds the target duration
//! - 8.1, 8.2, 8.3, 8.6, 8.7, 8.20, 8.22: true durations, one target duration, one time range, VOD, `EXT-X-MAP`, boundaries
//! - 2.3, 2.13, 8.9, 8.10, 9.5, 9.6, 9.7: sound in groups of its own, with languages, in stereo for every device; each variant
//!   with each group
//! - RFC 8216bis, 4.4.6.1 (`media`): groups have the same members, names of their own, one default, true CHANNELS
//! - 8.13, 8.15: no discontinuity anywhere
//! - 8.18, 10.1, 10.4: no redirects, gzip for playlists, media types
//! - 9.1, 9.2, 9.11, 9.15, 9.16, 9.18, 9.19: attributes of variants
//! - 9.21: a variant of 192 kbit/s at most, which is the sound alone
//!
//! Left to people: picture quality, loudness, captions, TLS. 9.9 (several bit rates) depends on the source's size.

pub mod fetch;
pub mod media;
pub mod mp4;
pub mod multivariant;
pub mod sound;

use m3u8_rs::{MasterPlaylist, MediaPlaylist};

/// An answer as it came, decoded if it was coded.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// Where from.
    pub url: String,
    /// Status code.
    pub status: u16,
    /// `Content-Type`.
    pub kind: String,
    /// `Content-Encoding`.
    pub coding: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A media playlist and all it names.
#[derive(Debug, Clone)]
pub struct Rung {
    /// Its URI in the multivariant playlist.
    pub uri: String,
    /// The playlist as it came.
    pub text: Fetched,
    /// The playlist as it was read.
    pub list: MediaPlaylist,
    /// The header.
    pub init: Fetched,
    /// The segments, or the ranges of them that are listed.
    pub segments: Vec<Fetched>,
}

/// All of a video.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// The multivariant playlist as it came.
    pub text: Fetched,
    /// The multivariant playlist as it was read.
    pub master: MasterPlaylist,
    /// Rungs and I-frame playlists.
    pub rungs: Vec<Rung>,
}

impl Presentation {
    /// The rung of a URI.
    #[must_use]
    pub fn rung(&self, uri: &str) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.uri == uri)
    }
}

/// A rule that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its number.
    pub rule: &'static str,
    /// What was found.
    pub text: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Something must hold.
    pub fn must(&mut self, rule: &'static str, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Finding { rule, text: text() });
        }
    }
}

/// Every rule that a finished video does not keep.
#[must_use]
pub fn check(all: &Presentation) -> Vec<Finding> {
    let mut findings = Findings::default();
    delivery(all, &mut findings);
    multivariant::check(all, &mut findings);
    for rung in &all.rungs {
        media::check(rung, &mut findings);
    }
    media::aligned(all, &mut findings);
    findings.0
}

fn delivery(all: &Presentation, findings: &mut Findings) {
    let playlists = all.rungs.iter().map(|rung| &rung.text).chain([&all.text]);
    for text in playlists {
        findings.must("8.18", text.status == 200, || format!("{}: {}", text.url, text.status));
        let small = text.body.len() < SMALL;
        findings.must("10.1", small || text.coding == "gzip", || format!("{}: {:?}", text.url, text.coding));
        let right = text.kind == "application/vnd.apple.mpegurl";
        findings.must("10.4", right, || format!("{}: {}", text.url, text.kind));
    }
    for media in all.rungs.iter().flat_map(|rung| rung.segments.iter().chain([&rung.init])) {
        let good = matches!(media.status, 200 | 206);
        findings.must("8.18", good, || format!("{}: {}", media.url, media.status));
        let right = matches!(media.kind.as_str(), "video/mp4" | "audio/mp4" | "video/iso.segment");
        findings.must("10.4", right, || format!("{}: {}", media.url, media.kind));
    }
}

/// Bytes below which a playlist is sent as it is: it fits into one packet, coded or not.
const SMALL: usize = 256;

/// True when what is said is within a tenth of what is measured, as rules 1.26 and 1.27 have it.
#[must_use]
pub fn within_a_tenth(said: u64, measured: f64) -> bool {
    (said as f64 - measured).abs() <= measured * 0.1
}

/// Peak and average in bit/s of what a playlist lists (RFC 8216bis section 4.4.6.2).
#[must_use]
pub fn rates(rung: &Rung) -> (f64, f64) {
    let pieces: Vec<(f64, f64)> = (rung.segments.iter().zip(&rung.list.segments))
        .map(|(body, listed)| (body.body.len() as f64 * 8.0, f64::from(listed.duration)))
        .collect();
    let rate = |some: &[(f64, f64)]| {
        let sum = some.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.1, sum.0 / sum.1)
    };
    let target = rung.list.target_duration as f64;
    let average = rate(&pieces).1;
    let mut peak: f64 = 0.0;
    for from in 0..pieces.len() {
        for to in from + 1..=pieces.len() {
            let (seconds, bits) = rate(&pieces[from..to]);
            if seconds > target * 1.5 {
                break;
            }
            if seconds >= target * 0.5 {
                peak = peak.max(bits);
            }
        }
    }
    (if peak > 0.0 { peak } else { average }, average)
}
