//! Rules of sound: groups, their members, and what each says of itself.

use super::{Findings, Presentation};
use m3u8_rs::{AlternativeMedia, AlternativeMediaType};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(all: &Presentation, findings: &mut Findings) {
    let list = &all.master;
    let mut groups: BTreeMap<&str, Vec<&AlternativeMedia>> = BTreeMap::new();
    for media in list.alternatives.iter().filter(|m| m.media_type == AlternativeMediaType::Audio) {
        groups.entry(&media.group_id).or_default().push(media);
        findings.must("8.10", media.language.is_some(), || format!("{}: no LANGUAGE", media.name));
        let used = list.variants.iter().any(|v| v.audio.as_ref() == Some(&media.group_id));
        findings.must("8.9", used && media.uri.is_some(), || format!("{}: nothing plays it", media.group_id));
        let described = media.characteristics.as_ref().is_some_and(|c| c.contains("describes-video"));
        findings.must("2.13", !described || media.autoselect, || media.name.clone());
        channels(all, media, findings);
    }
    let stereo = |group: &&Vec<&AlternativeMedia>| group.iter().all(|media| count(media) <= 2);
    findings.must("2.3", groups.is_empty() || groups.values().any(|g| stereo(&g)), || "no stereo".into());
    for (id, group) in &groups {
        members(id, group, findings);
        let same = groups.values().all(|other| identities(other) == identities(group));
        findings.must("media", same, || format!("{id}: not the members of the other groups"));
    }
    for uri in list.variants.iter().filter(|v| v.resolution.is_some() && !v.is_i_frame).map(|v| &v.uri) {
        let with: BTreeSet<_> =
            list.variants.iter().filter(|v| v.uri == *uri).filter_map(|v| v.audio.as_deref()).collect();
        findings.must("9.6", with.len() == groups.len(), || format!("{uri}: with {with:?} alone"));
    }
}

/// Everything but what groups may differ in.
fn identities(group: &[&AlternativeMedia]) -> Vec<AlternativeMedia> {
    let of = |media: &&AlternativeMedia| {
        let (group_id, uri, channels) = (String::new(), None, None);
        AlternativeMedia { group_id, uri, channels, ..(*media).clone() }
    };
    group.iter().map(of).collect()
}

fn members(id: &str, group: &[&AlternativeMedia], findings: &mut Findings) {
    let names: BTreeSet<_> = group.iter().map(|media| &media.name).collect();
    findings.must("media", names.len() == group.len(), || format!("{id}: names are not apart"));
    let defaults: Vec<_> = group.iter().filter(|media| media.default).collect();
    let one = defaults.len() == 1 && defaults[0].autoselect;
    findings.must("media", one, || format!("{id}: {} defaults", defaults.len()));
    let chosen = || group.iter().filter(|media| media.autoselect);
    let purposes: BTreeSet<_> = chosen().map(|media| (&media.language, &media.characteristics)).collect();
    findings
        .must("media", purposes.len() == chosen().count(), || format!("{id}: two to take for one language"));
}

fn count(media: &AlternativeMedia) -> u64 {
    media.channels.as_ref().and_then(|channels| channels.parse().ok()).unwrap_or(0)
}

fn channels(all: &Presentation, media: &AlternativeMedia, findings: &mut Findings) {
    let rung = media.uri.as_ref().and_then(|uri| all.rung(uri));
    let found = rung.map(|rung| super::mp4::header(&rung.init.body).channels);
    findings.must("media", found == Some(count(media)), || {
        format!("{}: CHANNELS {:?}, is {found:?}", media.name, media.channels)
    });
}
