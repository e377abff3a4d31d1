//! Sluice: the decision code of `common/wire`, in views that are made as the control plane makes them.

use super::faults::{self, Known, LOOKS};
use super::policy::{Moved, Policy, Sight, Told};
use super::viewer::{NEVER, NOWHERE, Viewer};
use super::world::World;
use sluice_wire::NodeId;
use sluice_wire::steering::{self, Decision, Reason, Session, Steer, View};

/// As the control plane has them: the milliseconds in which an old rate loses two thirds of its part, and the steps of a load.
const MEMORY_MS: f64 = 3_000.0;
const LOAD_STEPS: f64 = 64.0;
/// Operators say of an edge that it can send a little less than it can.
const SAID: f64 = 0.85;
/// When the run begins, in Unix milliseconds.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// The decision code, driven.
#[derive(Debug)]
pub(super) struct Sluice {
    name: String,
    second: u32,
    /// What is in force in this second, and which of it after each look.
    steers: Vec<Steer>,
    looks: [usize; LOOKS.len()],
    rates: Vec<f64>,
    answers: bool,
    session: Session,
    decisions: u64,
}

impl Sluice {
    pub(super) fn new(name: &str, world: &World, policy: steering::Policy) -> Self {
        let view = View { policy, places: places(world), ..View::default() };
        Self {
            name: name.into(),
            second: 0,
            steers: vec![Steer::new(view)],
            looks: [0; LOOKS.len()],
            rates: vec![0.0; world.edges.len()],
            answers: true,
            session: Session::new(0, world.titles[0]),
            decisions: 0,
        }
    }

    /// Makes the session that the control plane makes of a question.
    fn session(&mut self, world: &World, viewer: &Viewer, now_ms: u32) {
        let session = &mut self.session;
        session.id = viewer.id;
        session.key = world.titles[usize::from(viewer.title)];
        session.position = Some(world.cities[usize::from(viewer.city)].position);
        let itself = viewer.edge != viewer.told;
        let moved = if itself { now_ms } else { viewer.moved_ms };
        session.moved_ms = (moved != NEVER).then(|| EPOCH_MS + u64::from(moved));
        if viewer.edge == NOWHERE {
            session.pathway = None;
        } else {
            let pathway = session.pathway.get_or_insert_default();
            pathway.clear();
            name(viewer.edge, pathway);
        }
    }

    fn decide(&mut self, now_ms: u32) -> Decision {
        let steer = &self.steers[self.looks[faults::look(self.second, now_ms)]];
        self.decisions += 1;
        steer.decide(&self.session, EPOCH_MS + u64::from(now_ms))
    }

    fn told(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Option<Told> {
        self.session(world, viewer, now_ms);
        let decision = self.decide(now_ms);
        let mut choices = decision.choices.iter().map(|choice| number(&choice.pathway));
        let edge = choices.next()?;
        let next = [choices.next().unwrap_or(NOWHERE), choices.next().unwrap_or(NOWHERE)];
        let moved = match decision.reason {
            Reason::Better { .. } | Reason::Relieved => Moved::Chosen,
            reason if reason.is_move() => Moved::Forced,
            _ => Moved::No,
        };
        Some(Told { edge, next, ttl_s: Some(decision.ttl_s), moved })
    }

    /// The view of a look, after another one.
    fn seen(&self, before: &View, sight: &Sight<'_>, known: &[Known]) -> View {
        let mut view = before.clone();
        let edges = view.places.iter_mut().flat_map(|place| &mut place.edges);
        for (nth, edge) in edges.enumerate() {
            (edge.open, edge.health) = (known[nth].open, known[nth].health);
            if nth < sight.world.own() {
                let load = self.rates[nth] / (sight.world.edges[nth].capacity * SAID);
                edge.load = (load * LOAD_STEPS).round() / LOAD_STEPS;
            }
        }
        view.version += 1;
        view
    }

    /// Where a page sends a viewer while nobody steers: to an edge of the nearest site, and after that to one of the next two,
    /// as a name server would that knows nothing else.
    fn unsteered(&self, world: &World, viewer: &Viewer, now_ms: u32) -> Told {
        let near = &world.near[usize::from(viewer.city)];
        let turn = if viewer.edge == NOWHERE { 0 } else { 1 + now_ms as usize / 1_000 % 2 };
        let edges = &world.sites[usize::from(near[turn.min(near.len() - 1)])].edges;
        let edge = edges.start + (viewer.id % u64::from(edges.end - edges.start)) as u16;
        Told { ttl_s: Some(self.steers[0].view().policy.calm_ttl_s), ..Told::only(edge) }
    }
}

impl Policy for Sluice {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn observe(&mut self, sight: &Sight<'_>) {
        (self.answers, self.second) = (sight.answers, sight.second);
        let part = 1.0 - (-1_000.0 / MEMORY_MS).exp();
        for (rate, sent) in self.rates.iter_mut().zip(sight.sent) {
            *rate += part * (sent - *rate);
        }
        if !sight.answers {
            return;
        }
        let last = self.looks[LOOKS.len() - 1];
        self.steers.swap(0, last);
        self.steers.truncate(1);
        for (look, known) in sight.known.iter().enumerate() {
            let before = self.steers.last().expect("one is in force");
            if look == 0 || *known != sight.known[look - 1] {
                let view = self.seen(before.view(), sight, known);
                if view.places != before.view().places {
                    self.steers.push(Steer::new(view));
                }
            }
            self.looks[look] = self.steers.len() - 1;
        }
    }

    fn begin(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Told {
        let fresh = Viewer { edge: NOWHERE, ..*viewer };
        let told = if self.answers { self.told(world, &fresh, now_ms) } else { None };
        told.unwrap_or_else(|| self.unsteered(world, viewer, now_ms))
    }

    fn ask(&mut self, world: &World, viewer: &Viewer, now_ms: u32) -> Option<Told> {
        if self.answers { self.told(world, viewer, now_ms) } else { None }
    }

    fn decided(&self) -> u64 {
        self.decisions
    }
}

fn places(world: &World) -> Vec<steering::Place> {
    let edge = |nth: u16| {
        let mut pathway = String::new();
        name(nth, &mut pathway);
        steering::Edge {
            url: format!("https://{pathway}.cdn.example"),
            pathway: NodeId::new(pathway).expect("a letter and digits are a name"),
            weight: world.edges[usize::from(nth)].weight,
            open: true,
            health: 1.0,
            load: 0.0,
        }
    };
    (world.sites.iter())
        .map(|site| steering::Place {
            name: site.name.clone(),
            position: site.position,
            price: site.price,
            share: site.share,
            networks: [].into(),
            quality: 1.0,
            edges: site.edges.clone().map(edge).collect(),
        })
        .collect()
}

/// Writes an edge's name.
fn name(edge: u16, text: &mut String) {
    text.push('e');
    for place in [10_000, 1_000, 100, 10, 1] {
        text.push(char::from(b'0' + (edge / place % 10) as u8));
    }
}

fn number(name: &str) -> u16 {
    name.bytes().skip(1).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}
