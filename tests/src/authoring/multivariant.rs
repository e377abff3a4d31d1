//! Rules of the multivariant playlist.

use super::{Findings, Presentation, rates, within_a_tenth};
use m3u8_rs::{ClosedCaptionGroupId, VariantStream};

/// The highest level of H.264 (rule 1.3a), ten times the number.
const HIGHEST_LEVEL: u32 = 52;

pub(super) fn check(all: &Presentation, findings: &mut Findings) {
    let list = &all.master;
    findings.must("9.11", list.independent_segments, || "no EXT-X-INDEPENDENT-SEGMENTS".into());
    let steering = String::from_utf8_lossy(&all.text.body);
    let steered = steering.lines().find(|line| line.starts_with("#EXT-X-CONTENT-STEERING"));
    findings.must("9.18", steered.is_none_or(|l| l.contains("PATHWAY-ID=")), || format!("{steered:?}"));
    for variant in list.variants.iter().filter(|v| !v.is_i_frame) {
        attributes(variant, findings);
        bandwidths(all, variant, findings);
        codecs(all, variant, findings);
        if variant.resolution.is_some() {
            // In the same codec and range, so that a player has them whatever it can play.
            let kind = |v: &VariantStream| {
                let codec = v.codecs.as_deref().and_then(|c| c.split('.').next()).map(str::to_owned);
                (v.resolution, codec, other(v, "VIDEO-RANGE"))
            };
            let keyframes = list.variants.iter().any(|v| v.is_i_frame && kind(v) == kind(variant));
            findings.must("6.1", keyframes, || format!("{}: no I-frame playlist", variant.uri));
        }
    }
    for variant in list.variants.iter().filter(|v| v.is_i_frame) {
        findings.must("9.3", variant.codecs.is_some(), || variant.uri.clone());
        findings.must("9.4", variant.resolution.is_some(), || variant.uri.clone());
        bandwidths(all, variant, findings);
    }
    super::sound::check(all, findings);
    alone(all, findings);
    let scored = list.variants.iter().filter(|v| other(v, "SCORE").is_some()).count();
    findings.must("9.19", scored == 0 || scored == list.variants.len(), || format!("{scored} have a SCORE"));
}

fn other(variant: &VariantStream, name: &str) -> Option<String> {
    variant.other_attributes.as_ref()?.get(name).map(ToString::to_string)
}

fn attributes(variant: &VariantStream, findings: &mut Findings) {
    let uri = || variant.uri.clone();
    let codecs = variant.codecs.clone().unwrap_or_default();
    let picture = ["avc1", "hvc1", "av01"].iter().any(|codec| codecs.contains(codec));
    findings.must("9.1", !codecs.is_empty(), uri);
    findings.must("9.2", !picture || variant.resolution.is_some(), uri);
    findings.must("9.14", variant.average_bandwidth.is_some(), uri);
    findings.must("9.15", !picture || variant.frame_rate.is_some_and(|rate| rate <= 60.0), uri);
    // RFC 8216bis section 4.4.6.2: NONE on every variant, where there are no captions.
    findings.must("4.4", variant.closed_captions == Some(ClosedCaptionGroupId::None), uri);
}

/// A film with sound has it as a variant of its own.
fn alone(all: &Presentation, findings: &mut Findings) {
    let variants = || all.master.variants.iter().filter(|v| !v.is_i_frame);
    let picture = variants().any(|v| v.resolution.is_some());
    let sound = variants().any(|v| v.audio.is_some());
    let small = || variants().filter(|v| v.resolution.is_none() && v.bandwidth <= CELLULAR);
    findings.must("9.21", !picture || !sound || small().count() == 1, || {
        format!("{} variants of sound alone within {CELLULAR} bit/s", small().count())
    });
}

/// Bit/s of a variant for links that carry no picture (rule 9.21).
const CELLULAR: u64 = 192_000;

/// A variant with the loudest of its sound, as it plays.
fn bandwidths(all: &Presentation, variant: &VariantStream, findings: &mut Findings) {
    let Some(rung) = all.rung(&variant.uri) else {
        return findings.must("9.13", false, || format!("{} was not fetched", variant.uri));
    };
    let group = all.master.alternatives.iter().filter(|m| variant.audio.as_ref() == Some(&m.group_id));
    // Of sound alone its own playlist is one of those of its group, which is played in its place.
    let same = group.clone().any(|m| m.uri.as_ref() == Some(&variant.uri));
    let sound = group.filter_map(|m| all.rung(m.uri.as_ref()?)).map(rates);
    let sound = sound.fold((0.0, 0.0), |most: (f64, f64), r| (most.0.max(r.0), most.1.max(r.1)));
    let picture = if same { (0.0, 0.0) } else { rates(rung) };
    let (peak, average) = (picture.0 + sound.0, picture.1 + sound.1);
    let (rule, said) = (if variant.is_i_frame { "6.9" } else { "1.27" }, variant.bandwidth);
    findings.must(rule, within_a_tenth(said, peak), || format!("{}: {said}, measured {peak}", variant.uri));
    let said = variant.average_bandwidth.unwrap_or(0);
    findings.must("1.26", within_a_tenth(said, average), || {
        format!("{}: average {said}, measured {average}", variant.uri)
    });
}

/// H.265 in the main tier of Main or Main 10 up to 5.1 (rules 1.5, 1.6), or AV1's main profile up to 5.1.
fn further(codec: &str) -> bool {
    let parts: Vec<&str> = codec.split('.').collect();
    match parts[..] {
        ["hvc1", "1" | "2", _, level, ..] => {
            level.strip_prefix('L').is_some_and(|l| l.parse().is_ok_and(|l: u32| l <= 153))
        }
        ["av01", "0", level, "08" | "10", ..] => {
            level.strip_suffix('M').is_some_and(|l| l.parse().is_ok_and(|l: u32| l <= 13))
        }
        _ => false,
    }
}

fn codecs(all: &Presentation, variant: &VariantStream, findings: &mut Findings) {
    let group = all.master.alternatives.iter().filter(|m| variant.audio.as_ref() == Some(&m.group_id));
    let uris = group.filter_map(|m| m.uri.as_deref()).chain([variant.uri.as_str()]);
    let headers: Vec<_> =
        uris.filter_map(|uri| all.rung(uri)).map(|r| super::mp4::header(&r.init.body)).collect();
    let mut said: Vec<&str> = variant.codecs.iter().flat_map(|c| c.split(',')).collect();
    let mut found: Vec<&str> = headers.iter().map(|h| h.codecs.as_str()).collect();
    said.sort_unstable();
    found.sort_unstable();
    found.dedup();
    let same = said.iter().zip(&found).all(|(a, b)| a.eq_ignore_ascii_case(b)) && said.len() == found.len();
    findings.must("9.1", same, || format!("{}: says {said:?}, is {found:?}", variant.uri));
    for codec in found {
        let level = codec.strip_prefix("avc1.").and_then(|hex| u32::from_str_radix(hex.get(4..)?, 16).ok());
        let h264 = codec == "mp4a.40.2" || level.is_some_and(|level| level <= HIGHEST_LEVEL);
        findings.must("1.3a", h264 || further(codec), || format!("{}: {codec}", variant.uri));
    }
    let range = headers.iter().find(|h| h.size.is_some()).map(|header| match header.colours {
        [9, 16, 9] => "PQ",
        [9, 18, 9] => "HLG",
        _ => "SDR",
    });
    let listed = other(variant, "VIDEO-RANGE");
    findings.must("9.16", listed.as_deref() == range, || {
        format!("{}: says {listed:?}, is {range:?}", variant.uri)
    });
    let size = headers.iter().find_map(|h| h.size);
    let listed = variant.resolution.map(|r| (r.width, r.height));
    findings.must("9.2", size == listed, || format!("{}: says {listed:?}, is {size:?}", variant.uri));
}
