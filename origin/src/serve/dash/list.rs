//! Segments as a description lists them (ISO/IEC 23009-1 section 5.3.9.3). A stock player knows lists of one duration alone (its
//! `duration`, which durations may differ from a little); what is cut unevenly has a timeline, which others read.

use std::io;

use super::{Track, Xml};
use crate::sealer::Seal;
use crate::serve::locks::{init_name, segment_name};
use sluice_storage::SegmentRow;

/// The list of a track's segments, with their one duration where they have one, and each by itself where not.
pub(super) fn write(xml: &mut Xml, track: &Track, seal: Option<&Seal<'_>>) -> io::Result<()> {
    let timescale = track.rendition.timescale.to_string();
    let even = even(&track.segments);
    let duration = even.map(|ticks| ticks.to_string());
    xml.create_element("SegmentList")
        .with_attribute(("timescale", timescale.as_str()))
        .with_attributes(duration.iter().map(|ticks| ("duration", ticks.as_str())))
        .write_inner_content(|xml| {
            let init = init_name(&track.rendition, 0, seal);
            xml.create_element("Initialization")
                .with_attribute(("sourceURL", init.as_str()))
                .write_empty()?;
            if even.is_none() {
                xml.create_element("SegmentTimeline").write_inner_content(|xml| {
                    timeline(&track.segments).into_iter().try_for_each(|entry| entry.write(xml))
                })?;
            }
            track.segments.iter().try_for_each(|row| {
                let media = segment_name(row, seal);
                xml.create_element("SegmentURL").with_attribute(("media", media.as_str())).write_empty()?;
                Ok(())
            })
        })?;
    Ok(())
}

/// The duration by which a segment's number tells where it is: none begins before its turn, and none a quarter of one after it.
fn even(segments: &[SegmentRow]) -> Option<u64> {
    let (first, rest) = segments.split_first()?;
    let starts = || rest.iter().zip(1u64..);
    let duration = starts().map(|(row, nth)| row.start / nth).min().unwrap_or(first.duration);
    let in_time = |(row, nth): (&SegmentRow, u64)| row.start - nth * duration < duration.div_ceil(4);
    (first.start == 0 && starts().all(in_time)).then_some(duration)
}

/// Segments of one duration without a gap in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    start: u64,
    duration: u64,
    repeated: u64,
}

impl Entry {
    fn write(self, xml: &mut Xml) -> io::Result<()> {
        let (start, duration, repeated) =
            (self.start.to_string(), self.duration.to_string(), self.repeated.to_string());
        let mut entry = xml.create_element("S").with_attributes([("t", start.as_str()), ("d", &duration)]);
        if self.repeated > 0 {
            entry = entry.with_attribute(("r", repeated.as_str()));
        }
        entry.write_empty()?;
        Ok(())
    }
}

fn timeline(segments: &[SegmentRow]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![];
    for row in segments {
        match entries.last_mut() {
            Some(last)
                if last.duration == row.duration
                    && last.start + last.duration * (last.repeated + 1) == row.start =>
            {
                last.repeated += 1;
            }
            _ => entries.push(Entry { start: row.start, duration: row.duration, repeated: 0 }),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::playlist::tests::segments;
    use proptest::prelude::*;

    fn cut(starts: &[u64]) -> Vec<SegmentRow> {
        let mut rows = segments(starts.len() as u32, 100);
        rows.iter_mut().zip(starts).for_each(|(row, start)| row.start = *start);
        rows
    }

    #[test]
    fn what_is_cut_evenly_has_one_duration() {
        // Frames of sound begin at the picture's cut or up to one of them later.
        assert_eq!(even(&cut(&[0, 192_512, 384_000, 576_512])), Some(192_000));
        assert_eq!(even(&cut(&[0, 4_000, 8_000])), Some(4_000));
        assert_eq!(even(&cut(&[0, 4_000, 9_500])), None, "its third is over a quarter late");
        assert_eq!(even(&cut(&[20, 4_000])), None, "it begins late");
        assert_eq!(even(&cut(&[0])), Some(120_120), "as long as it is");
        assert_eq!(even(&[]), None);
    }

    proptest! {
        #[test]
        fn a_number_tells_which_segment_is_due(starts in prop::collection::vec(0u64..400, 1..40), nominal in 1_000u64..5_000) {
            let starts: Vec<u64> = starts.iter().zip(0u64..).map(|(late, nth)| if nth == 0 { 0 } else { nth * nominal + late % (nominal / 8) }).collect();
            if let Some(duration) = even(&cut(&starts)) && starts.len() > 1 {
                for (start, nth) in starts.iter().zip(0u64..) {
                    prop_assert_eq!(start / duration, nth, "{} of {}", start, duration);
                }
            }
        }

        #[test]
        fn a_timeline_says_each_start_and_duration(durations in prop::collection::vec(1u64..4, 0..60), late in 0u64..9) {
            let mut rows = segments(durations.len() as u32, 100);
            let mut at = late;
            for (row, ticks) in rows.iter_mut().zip(durations) {
                (row.start, row.duration) = (at, ticks);
                at += ticks;
            }
            let said: Vec<_> = timeline(&rows).into_iter()
                .flat_map(|e| (0..=e.repeated).map(move |n| (e.start + n * e.duration, e.duration)))
                .collect();
            prop_assert_eq!(said, rows.iter().map(|row| (row.start, row.duration)).collect::<Vec<_>>());
        }
    }
}
