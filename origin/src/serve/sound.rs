//! What is heard: from the plan, how each audio rung is named to players and in which groups it is. Pure.

use sluice_wire::RungName;
use sluice_wire::ladder::{AudioRung, Ladder, SoundRole, Source};
use sluice_wire::language::Language;
use std::collections::{BTreeMap, BTreeSet};

/// One audio rung, as players are told of it. Rungs of one track differ in their channels alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// Which of the source's tracks; the first is the default.
    pub(super) track: u32,
    pub(super) channels: u32,
    pub(super) language: Option<Language>,
    /// For people; no other track has it.
    pub(super) name: String,
    pub(super) role: SoundRole,
    /// True when a player may take it unasked, by the language of its user.
    pub(super) chosen: bool,
}

impl Heard {
    /// The language, or that it is not known (Apple asks for the attribute).
    pub(super) fn language(&self) -> &str {
        self.language.as_ref().map_or("und", Language::as_str)
    }

    /// True for 5.1.
    pub(super) const fn is_surround(&self) -> bool {
        self.channels > 2
    }
}

/// What is heard in each audio rung of a plan.
pub(super) fn heard(source: &Source, ladder: &Ladder) -> BTreeMap<RungName, Heard> {
    let tracks: Vec<_> = (0..source.audio.len()).filter_map(|track| describe(source, track)).collect();
    let mut names = BTreeSet::new();
    let mut languages = BTreeSet::new();
    let named: Vec<Heard> = tracks
        .into_iter()
        .map(|mut track| {
            // Two tracks of one language and purpose: the first is what is taken unasked.
            let purpose = (track.language().to_owned(), track.role == SoundRole::Description);
            track.chosen = track.role != SoundRole::Commentary && languages.insert(purpose);
            let name = track.name.clone();
            let mut number = 2;
            while !names.insert(track.name.clone()) {
                track.name = format!("{name} {number}");
                number += 1;
            }
            track
        })
        .collect();
    let of = |rung: &AudioRung| {
        let track = named.get(usize::try_from(rung.track).ok()?)?;
        Some((rung.name.clone(), Heard { channels: rung.channels, ..track.clone() }))
    };
    ladder.audio.iter().filter_map(of).collect()
}

fn describe(source: &Source, number: usize) -> Option<Heard> {
    let seen = source.audio.get(number)?;
    let track = u32::try_from(number).ok()?;
    let spoken = seen.language.as_ref().map(ToString::to_string);
    let mut name = seen.title.clone().or(spoken).unwrap_or_else(|| match number {
        0 => "Main".into(),
        _ => format!("Track {}", number + 1),
    });
    if seen.title.is_none() {
        name += match seen.role {
            SoundRole::Commentary => " (commentary)",
            SoundRole::Description => " (audio description)",
            SoundRole::Main | SoundRole::Dub => "",
        };
    }
    let (language, role) = (seen.language.clone(), seen.role);
    Some(Heard { track, channels: seen.channels, language, name, role, chosen: true })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::ladder::{SourceAudio, plan};

    pub(in super::super) fn track(
        channels: u32,
        language: &str,
        title: &str,
        role: SoundRole,
    ) -> SourceAudio {
        SourceAudio {
            stream: 0,
            codec: "aac".into(),
            channels,
            sample_rate: 48_000,
            start_us: 0,
            language: Language::of_container(language),
            title: Some(title.to_owned()).filter(|title| !title.is_empty()),
            role,
            loudness: None,
            surround_loudness: None,
        }
    }

    pub(in super::super) fn planned(audio: Vec<SourceAudio>) -> BTreeMap<RungName, Heard> {
        let source =
            Source { container: "mov".into(), duration_ms: 0, zero_us: 0, indexed: true, video: None, audio };
        heard(&source, &plan(&source))
    }

    #[test]
    fn tracks_have_names_of_their_own() {
        let all = planned(vec![
            track(2, "eng", "", SoundRole::Main),
            track(6, "ger", "", SoundRole::Dub),
            track(2, "eng", "With the director", SoundRole::Commentary),
            track(2, "eng", "", SoundRole::Description),
            track(1, "", "", SoundRole::Main),
            track(2, "eng", "", SoundRole::Main),
        ]);
        let said = |name: &str| {
            let heard = &all[&RungName::new(name).unwrap()];
            (heard.name.as_str(), heard.language(), heard.chosen)
        };
        assert_eq!(said("a128"), ("en", "en", true));
        assert_eq!(said("a320t1"), said("a128t1"));
        assert_eq!(said("a128t1"), ("de", "de", true));
        assert_eq!(said("a128t2"), ("With the director", "en", false));
        assert_eq!(said("a128t3"), ("en (audio description)", "en", true));
        assert_eq!(said("a64t4"), ("Track 5", "und", true));
        assert_eq!(said("a128t5"), ("en 2", "en", false));
    }

    proptest! {
        #[test]
        fn no_two_tracks_share_a_name(titles in prop::collection::vec("(en|en 2|en 3|)", 1..8)) {
            let all = planned(titles.iter().map(|title| track(2, "en", title, SoundRole::Main)).collect());
            let names: BTreeSet<_> = all.values().map(|heard| heard.name.clone()).collect();
            prop_assert_eq!(names.len(), titles.len());
        }
    }
}
