//! A small world: what steering is to hold to, and that a run is the same each time.

use super::dice;
use super::engine::{self, Outcome};
use super::faults::{Fault, Kind, Timeline};
use super::policy::{Policy, Sight, Told};
use super::sluice::Sluice;
use super::viewer::{NEVER, Viewer};
use super::world::{Scale, World};
use sluice_wire::steering;

const SECONDS: u32 = 720;

fn scale() -> Scale {
    Scale { seed: 1, viewers: 10_000, edges: 40, seconds: SECONDS, outside: vec![0.10, 0.05] }
}

/// An edge swings, one is killed, a crowd comes.
fn troubles(world: &World) -> Timeline {
    let edge = |nth: usize| world.sites[nth].edges.start..world.sites[nth].edges.start + 1;
    let faults = vec![
        Fault { kind: Kind::Killed, when: 200..230, edges: edge(0) },
        Fault { kind: Kind::Swings, when: 240..340, edges: edge(1) },
    ];
    Timeline { faults, crowd: 420..450, arrive: 30, peace: 60..200, ..Timeline::default() }
}

/// Sluice, and what it decided for those who do not lie. The others, one in twenty, say beside what is so that they are
/// elsewhere, were never moved and play something else.
struct Watched {
    sluice: Sluice,
    liars: bool,
    digest: u64,
}

impl Policy for Watched {
    fn name(&self) -> String {
        self.sluice.name()
    }

    fn observe(&mut self, sight: &Sight<'_>) {
        self.sluice.observe(sight);
    }

    fn begin(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Told {
        self.sluice.begin(world, viewer, now_ms)
    }

    fn ask(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Option<Told> {
        if viewer.id % 20 == 7 {
            if self.liars {
                let edge = (viewer.id >> 7) as u16 % world.edges.len() as u16;
                let said = Viewer { edge, told: edge, moved_ms: NEVER, title: edge, ..*viewer };
                let _ = self.sluice.ask(world, &said, now_ms);
            }
            return self.sluice.ask(world, viewer, now_ms);
        }
        let told = self.sluice.ask(world, viewer, now_ms)?;
        self.digest = dice::mix(self.digest ^ viewer.id ^ u64::from(told.edge) << 48 ^ u64::from(now_ms));
        Some(told)
    }
}

fn played(liars: bool) -> (Outcome, u64) {
    let world = World::new(scale());
    let sluice = Sluice::new("sluice", &world, steering::Policy::default());
    let mut watched = Watched { sluice, liars, digest: 0 };
    let outcome = engine::run(&world, &troubles(&world), &mut watched);
    (outcome, watched.digest)
}

#[test]
fn steering_is_calm_and_fair_and_the_same_each_time() {
    let (first, second) = std::thread::scope(|threads| {
        let other = threads.spawn(|| played(true));
        (played(false), other.join().unwrap())
    });
    let (outcome, decided) = first;
    assert_eq!(
        (outcome.digest, decided),
        (second.0.digest, second.1),
        "twice the same, and liars are not noticed"
    );
    let tally = &outcome.tally;
    assert!(tally.questions(60..200) < 15.0, "{}", tally.questions(60..200));
    assert!(tally.burst <= 1, "{} moves by choice in 30 s", tally.burst);
    let moves = |from, to| tally.within(from..to).iter().map(|s| s.chosen).sum::<u32>();
    let failed_over = tally.failed_over + tally.forced;
    assert!(tally.chosen <= failed_over, "{} come home of {failed_over} who failed over far", tally.chosen);
    assert!(moves(340, 420) < 80, "one by one after the swing: {}", moves(340, 420));
    assert_eq!(moves(600, SECONDS), 0, "and none once they are home");
    let at = &tally.seconds[199];
    for (count, wanted) in at.outside.iter().zip([0.10, 0.05]) {
        let share = f64::from(*count) / f64::from(at.viewers);
        assert!((share - wanted).abs() < 0.02, "{share} instead of {wanted}");
    }
}

#[test]
fn a_lost_region_is_left_before_pictures_stand_still_for_long_and_a_lost_site_before_they_do() {
    let world = World::new(Scale { edges: 320, viewers: 4_000, seconds: 120, outside: vec![], ..scale() });
    let stalled = |kind, edges| {
        let faults = vec![Fault { kind, when: 60..120, edges }];
        let timeline = Timeline { faults, arrive: 20, ..Timeline::default() };
        let mut sluice = Sluice::new("sluice", &world, steering::Policy::default());
        let tally = engine::run(&world, &timeline, &mut sluice).tally;
        let (_, moved) = tally.delays.iter().find(|(of, _)| *of == kind).unwrap();
        (tally.stalled_ms.iter().sum::<u64>(), moved.len(), moved.max())
    };
    let (ms, viewers, last) = stalled(Kind::SiteLost, world.sites[0].edges.clone());
    assert!(viewers > 100 && last < 9_000, "{viewers} left, the last after {last} ms");
    // Of those who had begun a moment before, and those to whom all else is far, buffers do not last.
    assert!(ms < 300 * viewers, "{ms} ms for {viewers} viewers");
    let of = |wanted| world.sites.iter().filter(move |site| site.region == Some(wanted));
    let lost = of(super::earth::Region::Oceania).next().unwrap().edges.clone();
    let (ms, viewers, _) = stalled(Kind::RegionLost, lost);
    assert!(ms < 3_000 * viewers, "{ms} ms for {viewers} viewers");
}
