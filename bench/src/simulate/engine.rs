//! A run: second by second, every viewer plays, asks, fails over and comes and goes; every edge sends what it can.

use super::cache::Caches;
use super::dice;
use super::faults::{Fleet, Kind, LOOKS, Timeline};
use super::policy::{Moved, Policy, Sight, Told};
use super::rest::Rest;
use super::tally::{Cause, HOLD_S, Second, Tally};
use super::viewer::{NEVER, NOWHERE, REFUSED_MS, SILENT_MS, Viewer};
use super::world::{CROWDED, World};

/// One in so many viewers comes with the crowd; while it comes, this share of all who begin want its title.
const CROWD: usize = 10;
const CROWD_S: u64 = 60;
const CROWDING: f64 = 0.3;
/// Milliseconds until a player that was sent back to where it failed tries again.
const AGAIN_MS: u16 = 1_000;
/// Seconds until a player that got no answer asks again.
const UNANSWERED_S: u32 = 300;

const SESSION: u64 = 21;
const CITY: u64 = 22;
const TITLE: u64 = 23;
const COMES: u64 = 24;

/// What a run left.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) tally: Tally,
    pub(super) caches: Caches,
    /// Made by Sluice's code.
    pub(super) decisions: u64,
    /// Of all viewers as they are in the end, and all that was counted.
    pub(super) digest: u64,
}

struct Run<'w> {
    world: &'w World,
    timeline: &'w Timeline,
    policy: &'w mut dyn Policy,
    fleet: Fleet,
    caches: Caches,
    tally: Tally,
    rest: Rest,
    now: Second,
    beginnings: Vec<f64>,
    /// By edge, in Mbit/s: what is asked for, what is sent, and the share of what was asked for a second ago that was sent.
    asked: Vec<f64>,
    sent: Vec<f64>,
    given: Vec<f64>,
    crowd: usize,
}

/// Runs a policy through a timeline.
pub(super) fn run(world: &World, timeline: &Timeline, policy: &mut dyn Policy) -> Outcome {
    let edges = world.edges.len();
    let crowd = if timeline.crowd.is_empty() { 0 } else { world.scale.viewers / CROWD };
    let mut run = Run {
        world,
        timeline,
        policy,
        fleet: Fleet::new(world),
        caches: Caches::new(world),
        tally: Tally::new(),
        rest: Rest::new(world.scale.viewers, edges),
        now: Second::default(),
        beginnings: world.beginnings(0),
        asked: vec![0.0; edges],
        sent: vec![0.0; edges],
        given: vec![1.0; edges],
        crowd: world.scale.viewers - crowd,
    };
    let mut viewers: Vec<Viewer> = (0..world.scale.viewers).map(|slot| run.comes(slot)).collect();
    for second in 0..world.scale.seconds {
        run.observe(second);
        for (slot, viewer) in viewers.iter_mut().enumerate() {
            if !run.rest.rests(slot, second) {
                run.rest.end(slot, viewer.rung);
                run.step(viewer, slot, second);
                run.rests(viewer, slot, second);
            }
        }
        run.close();
    }
    viewers.iter().filter(|v| v.edge != NOWHERE).for_each(|v| run.tally.ended(v.stalled));
    let counted = run.tally.stalled_ms.iter().sum::<u64>() ^ run.tally.chosen << 32;
    let digest = viewers.iter().fold(counted, |digest, v| {
        dice::mix(digest ^ v.id ^ u64::from(v.edge) << 32 ^ u64::from(v.buffer_ms) << 8 ^ u64::from(v.rung))
    });
    let Run { tally, caches, policy, .. } = run;
    Outcome { name: policy.name(), tally, caches, decisions: policy.decided(), digest }
}

impl Run<'_> {
    fn comes(&self, slot: usize) -> Viewer {
        let draw = dice::roll(self.world.scale.seed, COMES, slot as u64);
        if slot >= self.crowd {
            return Viewer::comes(self.timeline.crowd.start + (draw % CROWD_S) as u32);
        }
        Viewer::comes((draw % u64::from(self.timeline.arrive.max(1))) as u32)
    }

    fn observe(&mut self, second: u32) {
        self.fleet.advance(self.timeline, second);
        let known = LOOKS.map(|look| self.fleet.known(u64::from(second) * 1_000 + look));
        // What an edge reports has been sent by it, to whomever.
        for (edge, sent) in self.sent.iter_mut().enumerate() {
            *sent += self.fleet.edges[edge].taken * self.world.edges[edge].capacity;
        }
        let answers = !self.timeline.mute.contains(&second);
        self.policy.observe(&Sight { second, world: self.world, known: &known, sent: &self.sent, answers });
        self.sent.fill(0.0);
        for (at, given) in self.given.iter().enumerate() {
            self.rest.disturb(at, *given < 1.0 || self.fleet.edges[at].is_down());
        }
        if second.is_multiple_of(60) {
            self.beginnings = self.world.beginnings(second);
        }
        self.now =
            Second { outside: vec![0; self.world.edges.len() - self.world.own()], ..Second::default() };
    }

    fn step(&mut self, viewer: &mut Viewer, slot: usize, second: u32) {
        if second >= viewer.ends && !self.turn(viewer, slot, second) {
            return;
        }
        if viewer.id == 0 {
            return;
        }
        let now_ms = second * 1_000 + viewer.phase_ms();
        if second >= viewer.asks {
            self.asks(viewer, second, now_ms);
        }
        if viewer.edge == NOWHERE {
            let told = self.policy.begin(self.world, viewer, now_ms);
            self.follow(viewer, told, second, now_ms);
        }
        self.now.viewers += 1;
        if let Some(outside) = usize::from(viewer.edge).checked_sub(self.world.own())
            && let Some(count) = self.now.outside.get_mut(outside)
        {
            *count += 1;
        }
        let at = usize::from(viewer.edge);
        let stood = self.plays(viewer, second, now_ms);
        if stood > 0 {
            let fault = self.fleet.edges.get(at).and_then(|state| state.fault).map(|(kind, _)| kind);
            let given = self.given.get(at).copied().unwrap_or(1.0);
            self.tally.stalled(Cause::of(fault, given), stood);
            viewer.stalled = true;
        }
    }

    /// Puts a viewer to rest to whom nothing happens.
    fn rests(&mut self, viewer: &Viewer, slot: usize, second: u32) {
        if viewer.id == 0 {
            self.rest.begin(slot, viewer.ends, NOWHERE, 0);
        } else if let Some(edge) = self.world.edges.get(usize::from(viewer.edge)) {
            let line = World::line(viewer.id) * self.world.reach(viewer.city, edge.site);
            if let Some(until) = viewer.rests(line, second) {
                self.rest.begin(slot, until, viewer.edge, viewer.rung);
            }
        }
    }

    /// A session ends, and another begins in its place. False when nobody is there.
    fn turn(&mut self, viewer: &mut Viewer, slot: usize, second: u32) -> bool {
        if viewer.id != 0 {
            self.tally.ended(viewer.stalled);
            if slot >= self.crowd {
                *viewer = Viewer::comes(NEVER);
                return false;
            }
        }
        let id = dice::roll(self.world.scale.seed ^ SESSION, slot as u64, second.into()) | 1;
        let total = self.beginnings.last().copied().unwrap_or(0.0);
        let mark = dice::share(id, CITY, 0) * total;
        let city = self.beginnings.partition_point(|sum| *sum <= mark).min(self.beginnings.len() - 1);
        let crowding = self.timeline.crowd.contains(&second) && dice::share(id, TITLE, 1) < CROWDING;
        let title =
            if crowding || slot >= self.crowd { CROWDED } else { World::title(dice::share(id, TITLE, 0)) };
        *viewer = Viewer::begins(id, second, city as u8, title);
        let now_ms = second * 1_000 + viewer.phase_ms();
        let told = self.policy.begin(self.world, viewer, now_ms);
        self.follow(viewer, told, second, now_ms);
        if second < self.timeline.arrive {
            // Those of the beginning have been there before, and do not ask together.
            let ttl = told.ttl_s.unwrap_or(1).max(1);
            viewer.asks = told.ttl_s.map_or(NEVER, |_| second + 1 + (id >> 32) as u32 % ttl);
        }
        true
    }

    fn asks(&mut self, viewer: &mut Viewer, second: u32, now_ms: u32) {
        self.now.questions += 1;
        let Some(told) = self.policy.ask(self.world, viewer, now_ms) else {
            viewer.asks = second + UNANSWERED_S;
            return;
        };
        if viewer.edge != viewer.told {
            viewer.moved_ms = now_ms;
        }
        match told.moved {
            Moved::No => {}
            Moved::Chosen => {
                self.tally.chosen += 1;
                self.now.chosen += 1;
                let again = viewer.chosen != NEVER && second - viewer.chosen < HOLD_S;
                viewer.burst = if again { viewer.burst.saturating_add(1) } else { 1 };
                viewer.chosen = second;
                self.tally.burst = self.tally.burst.max(viewer.burst);
            }
            Moved::Forced => self.tally.forced += 1,
        }
        if told.moved != Moved::No {
            viewer.moved_ms = now_ms;
        }
        self.follow(viewer, told, second, now_ms);
    }

    fn follow(&mut self, viewer: &mut Viewer, told: Told, second: u32, now_ms: u32) {
        viewer.asks = told.ttl_s.map_or(NEVER, |ttl| second + ttl);
        viewer.next = told.next;
        viewer.told = told.edge;
        if told.edge != viewer.edge {
            self.goes(viewer, told.edge, now_ms);
        }
    }

    fn goes(&mut self, viewer: &mut Viewer, edge: u16, now_ms: u32) {
        if let Some(state) = self.fleet.edges.get(usize::from(viewer.edge)) {
            // Whoever came later was not there.
            let there = |since: u32| viewer.since_ms <= since * 1_000;
            if let Some((kind, since)) = state.fault.filter(|(k, since)| *k != Kind::Swings && there(*since))
            {
                self.tally.left(kind, now_ms.saturating_sub(since * 1_000));
            }
        }
        (viewer.edge, viewer.since_ms, viewer.failing_ms) = (edge, now_ms, 0);
        let group = viewer.group(now_ms / 1_000).0;
        self.touch(viewer, group);
    }

    fn touch(&mut self, viewer: &Viewer, group: u32) {
        if let Some(edge) = self.world.edges.get(usize::from(viewer.edge)) {
            self.caches.touch(viewer.edge, edge.site, viewer.title, viewer.rung, group);
        }
    }

    /// Plays a second; the milliseconds that the picture stood still.
    fn plays(&mut self, viewer: &mut Viewer, second: u32, now_ms: u32) -> u32 {
        let at = usize::from(viewer.edge);
        let Some(edge) = self.world.edges.get(at) else { return viewer.plays(0.0) };
        if let Some((kind, _)) = self.fleet.edges[at].fault.filter(|_| self.fleet.edges[at].is_down()) {
            let stood = viewer.plays(0.0);
            self.fails(viewer, kind, second, now_ms);
            return stood;
        }
        viewer.failing_ms = 0;
        let line = World::line(viewer.id) * self.world.reach(viewer.city, edge.site);
        let (wants, given) = (viewer.wants(line), self.given[at]);
        self.asked[at] += wants;
        self.sent[at] += wants * given;
        let stood = viewer.plays(wants * given);
        if viewer.fetches(second) {
            viewer.adapts(line, given);
        }
        let (group, new) = viewer.group(second);
        if new {
            self.touch(viewer, group);
        }
        stood
    }

    /// A request fails, at once or when it is given up; then the next of what it was told is tried, and when there is none, the
    /// beginning.
    fn fails(&mut self, viewer: &mut Viewer, kind: Kind, second: u32, now_ms: u32) {
        let mut from_ms = second * 1_000;
        if viewer.failing_ms == 0 {
            if !viewer.fetches(second) {
                return;
            }
            viewer.failing_ms = if kind.is_silent() { SILENT_MS } else { REFUSED_MS };
            from_ms = now_ms;
        }
        let left = (second + 1) * 1_000 - from_ms;
        if u32::from(viewer.failing_ms) > left {
            viewer.failing_ms -= left as u16;
            return;
        }
        let at_ms = from_ms + u32::from(viewer.failing_ms);
        if viewer.next[0] != NOWHERE {
            let next = viewer.next[0];
            viewer.next = [viewer.next[1], NOWHERE];
            self.tally.failed_over += 1;
            self.goes(viewer, next, at_ms);
            return;
        }
        let told = self.policy.begin(self.world, viewer, at_ms);
        if told.edge == viewer.edge {
            viewer.failing_ms = AGAIN_MS;
        } else {
            self.tally.failed_over += 1;
            self.follow(viewer, told, second, at_ms);
        }
    }

    /// Ends a second: what edges were asked for says what they give in the next.
    fn close(&mut self) {
        let own = self.world.own();
        self.resting();
        let (mut sum, mut up) = (0.0, 0u32);
        for (at, edge) in self.world.edges.iter().enumerate() {
            let state = &self.fleet.edges[at];
            let has = edge.capacity * (state.capacity - state.taken).max(0.0);
            let load = self.asked[at] / has.max(1e-9);
            self.given[at] = if load > 1.0 { 1.0 / load } else { 1.0 };
            if at < own && state.fault.is_none_or(|(kind, _)| kind == Kind::Swings) {
                (sum, up) = (sum + load, up + 1);
                self.now.busiest = self.now.busiest.max(load);
                self.now.over += u32::from(load > 1.0);
            }
            // The lag of a second lets an edge that fills up send a little more than it can.
            let sent = self.sent[at].min(has);
            self.sent[at] = sent;
            let gigabytes = sent / 8_000.0;
            self.tally.gigabytes += gigabytes;
            self.tally.cost += gigabytes * self.world.sites[usize::from(edge.site)].price;
        }
        self.now.mean = sum / f64::from(up.max(1));
        self.asked.fill(0.0);
        self.tally.seconds.push(std::mem::take(&mut self.now));
    }
    /// Adds what those at rest do in a second; an edge that is disturbed has none.
    fn resting(&mut self) {
        let own = self.world.own();
        for at in 0..self.world.edges.len() {
            let (wants, count) = self.rest.of(at);
            self.asked[at] += wants;
            self.sent[at] += wants;
            self.now.viewers += count;
            if let Some(outside) = at.checked_sub(own) {
                self.now.outside[outside] += count;
            }
        }
        self.tally.watched_ms += u64::from(self.now.viewers) * 1_000;
    }
}
