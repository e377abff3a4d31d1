//! The ladder of one title: which rungs are worth making, and how finely, by what samples of it were measured to need. Pure.
//!
//! A slideshow at full size needs less than a film at a quarter of it: rungs between are then of no use to anybody. A film
//! that was blown up gains nothing by rungs above what it was. Where pictures are clean, coarser coding is as good.

use super::{Ladder, VideoRung};
use crate::media::RungName;
use serde::{Deserialize, Serialize};

/// Constant rate factors that are tried: the ladder's own, and one that takes about a third less.
pub const FACTORS: [u8; 2] = [super::CRF, super::CRF + 4];

/// What a rung needs and gives at a constant rate factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The rung.
    pub rung: RungName,
    /// The constant rate factor.
    pub crf: u8,
    /// Bit/s, of the samples together.
    pub bitrate: u64,
    /// Hundredths of decibels of structural similarity, -10 log(1 - SSIM), as seen at the size of the highest rung.
    pub quality: i32,
}

/// Hundredths of decibels that the highest rung has to gain over one below it. Noise, which no rung shows well, gains 0.3 dB a
/// rung; what was blown up gains less than a tenth.
const GAIN: i32 = 20;
/// What nobody tells from the source (SSIM 0.997): nothing above it is worth its bits.
const PERFECT: i32 = 2_500;
/// What is clean enough to be coded coarsely (SSIM 0.99), and what may be lost by it elsewhere.
const CLEAN: i32 = 2_000;
const LOSS: i32 = 25;
/// The part of the bits, in hundredths, that coarser coding has to save.
const SAVED: u64 = 10;
/// A rung that needs less than this times what the one below it needs makes that one useless (in hundredths)...
const STEP: u64 = 130;
/// ...and neighbours on the ladder that need more than this times what the other does are too far apart to take out what is
/// between them, for being below the hull (in hundredths).
const APART: u64 = 400;

/// The ladder of a title. Rungs that were not measured stay as they are, as does the lowest, which is made before anything is
/// known; at least one rung of the full frame rate stays, which is the grid of all others.
#[must_use]
pub fn judged(ladder: &Ladder, points: &[Point]) -> Ladder {
    let Some((lowest, upper)) = ladder.video.split_first() else { return ladder.clone() };
    let mut chosen = vec![];
    for (place, rung) in ladder.video.iter().enumerate() {
        let Some(point) = choose(rung, points, place == 0) else { return ladder.clone() };
        chosen.push((rung, point));
    }
    let kept = useful(on_the_hull(gaining(chosen)), u64::from(lowest.max_bitrate));
    let mut video: Vec<VideoRung> =
        kept.into_iter().map(|(rung, point)| VideoRung { crf: point.crf, ..rung.clone() }).collect();
    let rate = |rung: &VideoRung| rung.frame_rate.as_f64();
    let full = ladder.video.iter().map(rate).fold(0.0, f64::max);
    if video.iter().all(|rung| rate(rung) < full) {
        video.extend(upper.iter().find(|rung| rate(rung) >= full).cloned());
    }
    // A further codec shows the same pictures: it has the sizes that are of use.
    let size = |rung: &VideoRung| (rung.width, rung.height);
    let of_use = |rung: &&VideoRung| video.iter().any(|kept| size(kept) == size(rung));
    let beside = ladder.beside.iter().filter(of_use).cloned().collect();
    let mut judged = Ladder { video, beside, audio: ladder.audio.clone(), deferred: vec![] };
    judged.deferred =
        ladder.deferred.iter().filter(|name| judged.names().any(|n| n == *name)).cloned().collect();
    judged
}

type Chosen<'a> = (&'a VideoRung, &'a Point);

/// How a rung is coded: coarsely where that saves bits and shows nothing. The lowest stays as it is.
fn choose<'a>(rung: &VideoRung, points: &'a [Point], stays: bool) -> Option<&'a Point> {
    let of = |crf: u8| points.iter().find(|point| point.rung == rung.name && point.crf == crf);
    let own = of(rung.crf)?;
    let coarse = FACTORS.iter().filter(|crf| **crf > rung.crf).filter_map(|crf| of(*crf));
    let good = |point: &&Point| {
        let saves = point.bitrate * 100 <= own.bitrate * (100 - SAVED);
        saves && (point.quality >= CLEAN || own.quality - point.quality <= LOSS)
    };
    Some(coarse.filter(|_| !stays).filter(good).min_by_key(|point| point.bitrate).unwrap_or(own))
}

/// Without those above the highest that shows more than what is below it.
fn gaining(mut all: Vec<Chosen<'_>>) -> Vec<Chosen<'_>> {
    let mut top = 0;
    for place in 1..all.len() {
        let (best, this) = (all[top].1.quality, all[place].1.quality);
        if best < PERFECT && this >= best.saturating_add(GAIN) {
            top = place;
        }
    }
    all.truncate(top + 1);
    all
}

/// Without those below the upper hull of quality over the logarithm of bits, unless that leaves too far a way between.
fn on_the_hull(mut all: Vec<Chosen<'_>>) -> Vec<Chosen<'_>> {
    let mut place = 1;
    while place + 1 < all.len() {
        let [(_, low), (_, this), (_, high)] = [all[place - 1], all[place], all[place + 1]];
        let log = |point: &Point| (point.bitrate.max(1) as f64).ln();
        let part = (log(this) - log(low)) / (log(high) - log(low));
        let line = f64::from(low.quality) + part * f64::from(high.quality - low.quality);
        let near = low.bitrate < high.bitrate
            && high.bitrate.saturating_mul(100) <= low.bitrate.saturating_mul(APART);
        if near && f64::from(this.quality) < line {
            all.remove(place);
            place = place.saturating_sub(1).max(1);
        } else {
            place += 1;
        }
    }
    all
}

/// From the highest down, those that a player gains something by when it cannot have the one above: not where that needs hardly
/// more, nor where it needs no more than the lowest may.
fn useful(mut all: Vec<Chosen<'_>>, cheap: u64) -> Vec<Chosen<'_>> {
    let mut place = all.len().saturating_sub(2);
    while place > 0 {
        let (this, above) = (all[place].1.bitrate, all[place + 1].1.bitrate);
        if above <= cheap || above.saturating_mul(100) < this.saturating_mul(STEP) {
            all.remove(place);
        }
        place -= 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::video;
    use super::super::{Ratio, Source, plan};
    use super::*;
    use proptest::prelude::*;

    fn ladder(width: u32, height: u32, rate: u32) -> Ladder {
        let video = Some(video(width, height, Ratio::new(rate, 1)));
        plan(&Source {
            container: "mov".into(),
            duration_ms: 0,
            zero_us: 0,
            indexed: true,
            video,
            audio: vec![],
        })
    }

    /// Each rung's bits and quality, at each factor.
    fn points(ladder: &Ladder, measured: &[[(u64, i32); 2]]) -> Vec<Point> {
        let of = |(rung, both): (&VideoRung, &[(u64, i32); 2])| -> Vec<Point> {
            let point = |(crf, (kbits, quality)): (u8, (u64, i32))| Point {
                rung: rung.name.clone(),
                crf,
                bitrate: kbits * 1_000,
                quality,
            };
            FACTORS.into_iter().zip(*both).map(point).collect()
        };
        ladder.video.iter().zip(measured).flat_map(of).collect()
    }

    fn judge(ladder: &Ladder, measured: &[[(u64, i32); 2]]) -> Vec<(String, u8)> {
        let judged = judged(ladder, &points(ladder, measured));
        judged.video.iter().map(|rung| (rung.name.to_string(), rung.crf)).collect()
    }

    #[test]
    fn titles_get_what_they_need() {
        let hd = ladder(1280, 720, 25);
        // Measured of a second of each.
        let still = [[(69, 1_225), (59, 1_204)], [(109, 1_455), (89, 1_428)], [(155, 3_055), (121, 2_817)]];
        assert_eq!(judge(&hd, &still), [("v240".into(), 23), ("v720".into(), 27)]);
        let zoom =
            [[(234, 998), (133, 965)], [(1_331, 1_249), (626, 1_180)], [(3_821, 2_016), (2_312, 1_763)]];
        assert_eq!(judge(&hd, &zoom), [("v240".into(), 23), ("v480".into(), 23), ("v720".into(), 23)]);
        let noise = [[(760, 191), (735, 191)], [(2_466, 222), (2_638, 227)], [(5_141, 288), (5_073, 286)]];
        assert_eq!(judge(&hd, &noise), [("v240".into(), 23), ("v480".into(), 23), ("v720".into(), 23)]);
        // Blown up from what 480 lines show.
        let blown =
            [[(200, 1_400), (150, 1_350)], [(700, 2_600), (450, 2_450)], [(1_500, 2_700), (900, 2_600)]];
        assert_eq!(judge(&hd, &blown), [("v240".into(), 23), ("v480".into(), 27), ("v720".into(), 27)]);
        // What no rung shows well; between the lowest and the highest would be too far a way.
        let grain = [[(158, 266), (91, 262)], [(1_751, 293), (435, 276)], [(4_315, 293), (3_685, 323)]];
        assert_eq!(judge(&hd, &grain), [("v240".into(), 23), ("v480".into(), 27), ("v720".into(), 27)]);
        let clean =
            [[(200, 1_400), (150, 1_350)], [(700, 2_600), (450, 2_550)], [(1_500, 2_700), (900, 2_600)]];
        assert_eq!(judge(&hd, &clean), [("v240".into(), 23), ("v480".into(), 27)]);
    }

    #[test]
    fn what_stays_is_made_when_it_was_to_be_made() {
        let mut hd = ladder(1280, 720, 25);
        hd.deferred = hd.video[1..].iter().map(|rung| rung.name.clone()).collect();
        let still = [[(69, 1_225), (59, 1_204)], [(109, 1_455), (89, 1_428)], [(155, 3_055), (121, 2_817)]];
        let judged = judged(&hd, &points(&hd, &still));
        assert_eq!(judged.deferred, [hd.video[2].name.clone()], "the one between is left out");
    }

    #[test]
    fn a_rung_of_the_full_rate_stays() {
        let fast = ladder(1280, 720, 50);
        let clean =
            [[(200, 2_600), (150, 2_550)], [(700, 2_610), (450, 2_605)], [(1_500, 2_620), (900, 2_615)]];
        assert_eq!(judge(&fast, &clean), [("v240".into(), 23), ("v720".into(), 23)]);
    }

    #[test]
    fn what_was_not_measured_stays() {
        let hd = ladder(1920, 1080, 25);
        assert_eq!(judged(&hd, &[]), hd);
        assert_eq!(judged(&hd, &points(&hd, &[[(10, 3_000); 2]])), hd);
    }

    proptest! {
        #[test]
        fn a_title_never_gets_more_than_its_source(
            side in 200u32..2_400, rate in 10u32..61,
            measured in prop::collection::vec([(1u64..30_000, 0i32..4_000), (1u64..30_000, 0i32..4_000)], 6),
        ) {
            let all = ladder(side * 16 / 9, side, rate);
            let made = points(&all, &measured);
            let judged = judged(&all, &made);
            prop_assert_eq!(&judged, &super::judged(&all, &made), "the same each time");
            prop_assert_eq!(&judged.video[0], &all.video[0], "the lowest is being made");
            let mut before = None;
            for rung in &judged.video {
                let place = all.video.iter().position(|one| one.name == rung.name).unwrap();
                prop_assert!(before < Some(place), "in order, each once");
                before = Some(place);
                prop_assert!(FACTORS.contains(&rung.crf));
                prop_assert_eq!(&VideoRung { crf: all.video[place].crf, ..rung.clone() }, &all.video[place]);
            }
            let full = |ladder: &Ladder| ladder.video.iter().map(|r| r.frame_rate.as_f64()).fold(0.0, f64::max);
            prop_assert_eq!(full(&judged), full(&all), "one grid");
        }

        #[test]
        fn more_bits_of_no_use_make_no_more_rungs(quality in 0i32..4_000, measured in prop::collection::vec(1u64..9_000, 4)) {
            let all = ladder(1920, 1080, 25);
            let flat: Vec<_> = measured.iter().map(|kbits| [(*kbits, quality); 2]).collect();
            prop_assert_eq!(judged(&all, &points(&all, &flat)).video, &all.video[..1]);
        }
    }
}
