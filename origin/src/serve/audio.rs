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

    fn codec_list(&self) -> String {
        self.codecs().into_iter().collect::<Vec<_>>().join(",")
    }

    /// True for stereo, which every device plays.
    pub(super) fn is_for_all(&self) -> bool {
        self.members.iter().all(|member| !member.heard.is_surround())
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
        variant(list, group, |variant| {
            variant
                .plain("SCORE", score)
                .quoted("CODECS", group.codec_list())
                .with(|list| if grouped { list.quoted("AUDIO", group.id) } else { list })
                .plain("CLOSED-CAPTIONS", "NONE")
                .with(|list| pathway(list, steered))
        });
    }
}

/// Writes the sound of a film as a variant of its own, for links that carry no picture (rule 9.21 of Apple's authoring
/// specification: one of 192 kbit/s at most). `what` adds what each of its variants has.
pub(super) fn only(
    list: &mut Playlist,
    group: &Group<'_>,
    score: usize,
    what: impl FnOnce(Attributes) -> Attributes,
) {
    variant(list, group, |variant| {
        let said = variant.plain("SCORE", score).quoted("CODECS", group.codec_list());
        what(said.quoted("AUDIO", group.id))
    });
}

/// A variant whose own playlist is a group's default.
fn variant(list: &mut Playlist, group: &Group<'_>, more: impl FnOnce(Attributes) -> Attributes) {
    let Some(default) = group.members.first() else { return };
    let rates = group.rates();
    list.tag_of("STREAM-INF", more(bandwidth(rates.peak, rates.average)));
    list.line(MediaAsset::Playlist(default.rung.rendition.rung.clone()));
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
