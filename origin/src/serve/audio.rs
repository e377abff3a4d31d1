//! Groups of sound in the multivariant playlist (RFC 8216bis section 4.4.6.1.1): what every device plays, and what some do.
//!
//! Each group has the same members, a track each; a track without 5.1 is in its group with what it has.

use std::collections::BTreeSet;

use sluice_storage::RenditionKind;
use sluice_wire::MediaAsset;
use sluice_wire::ladder::SoundRole;

use super::master::{Measured, bandwidth, pathway};
use super::rates::Rates;
use super::sound::Heard;
use super::writer::{Attributes, Playlist};

/// A member of a group.
#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    heard: &'a Heard,
    rung: &'a Measured,
}

/// Tracks that a variant is played with, one of them at a time.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) id: &'static str,
    /// The default first.
    members: Vec<Member<'a>>,
}

impl<'a> Group<'a> {
    fn new(id: &'static str, mut members: Vec<Member<'a>>) -> Self {
        members.sort_by_key(|member| member.heard.track);
        Self { id, members }
    }

    /// Of the members that need most: any of them may be played.
    pub(super) fn rates(&self) -> Rates {
        let most = |of: fn(&Rates) -> u64| self.members.iter().map(|m| of(&m.rung.rates)).max().unwrap_or(0);
        Rates { peak: most(|rates| rates.peak), average: most(|rates| rates.average) }
    }

    /// The codecs of its members, each once.
    pub(super) fn codecs(&self) -> BTreeSet<&'a str> {
        self.members.iter().map(|member| member.rung.rendition.codecs.as_str()).collect()
    }
}

/// The groups of what is stored; the one for every device first. None when there is no sound.
pub(super) fn groups(all: &[Measured]) -> Vec<Group<'_>> {
    let sound = all.iter().filter(|m| m.is(RenditionKind::Audio));
    let members: Vec<Member<'_>> =
        sound.filter_map(|rung| Some(Member { heard: rung.heard.as_ref()?, rung })).collect();
    let (surround, stereo): (Vec<_>, Vec<_>) = members.into_iter().partition(|m| m.heard.is_surround());
    let has_surround = |track| surround.iter().any(|member| member.heard.track == track);
    let others = stereo.iter().copied().filter(|member| !has_surround(member.heard.track));
    let with_surround = (!surround.is_empty())
        .then(|| Group::new("surround", surround.iter().copied().chain(others).collect()));
    let stereo = (!stereo.is_empty()).then(|| Group::new("stereo", stereo.clone()));
    stereo.into_iter().chain(with_surround).collect()
}

/// Writes a group's members. The default of sound alone is in its variant, and has no URI of its own.
pub(super) fn media(list: &mut Playlist, group: &Group<'_>, apart: bool) {
    for (index, member) in group.members.iter().enumerate() {
        list.tag_of("MEDIA", alternative(group.id, member, index == 0, apart || index > 0));
    }
}

/// Writes what has no picture: a variant for each group; a single track needs no group.
pub(super) fn alone(list: &mut Playlist, groups: &[Group<'_>], steered: bool) {
    let grouped = groups.len() > 1 || groups.iter().any(|group| group.members.len() > 1);
    groups.iter().filter(|_| grouped).for_each(|group| media(list, group, false));
    for (group, score) in groups.iter().zip(1..) {
        let (rates, codecs) = (group.rates(), group.codecs().into_iter().collect::<Vec<_>>());
        let variant = bandwidth(rates.peak, rates.average)
            .plain("SCORE", score)
            .quoted("CODECS", codecs.join(","))
            .with(|list| if grouped { list.quoted("AUDIO", group.id) } else { list })
            .plain("CLOSED-CAPTIONS", "NONE")
            .with(|list| pathway(list, steered));
        list.tag_of("STREAM-INF", variant);
        if let Some(default) = group.members.first() {
            list.line(MediaAsset::Playlist(default.rung.rendition.rung.clone()));
        }
    }
}

fn alternative(group: &str, member: &Member<'_>, default: bool, apart: bool) -> Attributes {
    let Member { heard, rung } = member;
    let said = |yes: bool| if yes { "YES" } else { "NO" };
    Attributes::default()
        .plain("TYPE", "AUDIO")
        .quoted("GROUP-ID", group)
        .quoted("LANGUAGE", heard.language())
        .quoted("NAME", &heard.name)
        .plain("DEFAULT", said(default))
        .plain("AUTOSELECT", said(default || heard.chosen))
        .with(|list| match heard.role {
            SoundRole::Description => list.quoted("CHARACTERISTICS", "public.accessibility.describes-video"),
            SoundRole::Main | SoundRole::Dub | SoundRole::Commentary => list,
        })
        .quoted("CHANNELS", heard.channels)
        .with(|list| match apart {
            true => list.quoted("URI", MediaAsset::Playlist(rung.rendition.rung.clone())),
            false => list,
        })
}
