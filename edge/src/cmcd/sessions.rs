//! Sessions that play here, by what their players say.
//!
//! An empty buffer is said with the next request, which may go to another edge than the one that let it run empty. So one
//! that is said by who has just come is not charged to this node: it is charged to the node that the request was sent on
//! from, or, where that is not known, told by the session's name, which another node has among those that left it.

use sluice_wire::cmcd::Record;
use sluice_wire::quality::{MAX_NAMED, MAX_PARTS, Part, Quality, SESSIONS_OF_AN_ADDRESS, WINDOW_MS};
use sluice_wire::{NodeId, VideoId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use xxhash_rust::xxh3::xxh3_64;

/// Sessions that are known at a time: more than an edge of 40 Gbit/s has.
const MAX_SESSIONS: usize = 65_536;
/// Requests of a session for media, one for pictures and one for sound, with which it may bring what happened elsewhere: what
/// it waited for before them it had asked for there.
const ARRIVAL: u32 = 2;
/// Between two requests of a session that plays, at most: longer, and it paused or left.
const GAP_MS: u64 = 15_000;
/// A session that was silent for so long is forgotten.
const FORGET_MS: u64 = 60_000;
/// Start-ups that are remembered, and for how long.
const STARTS: (usize, u64) = (1_024, 60_000);

/// Who plays here.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: HashMap<u64, Seen>,
    /// When, and after how many milliseconds, sessions began to play.
    starts: VecDeque<(u64, u64)>,
    /// Who came with an empty buffer, when, and from where if that is known.
    arrived: VecDeque<(u64, u64, Option<NodeId>)>,
    stalls: u64,
    played_ms: u64,
}

#[derive(Debug)]
struct Seen {
    client: IpAddr,
    video: Option<VideoId>,
    first_ms: u64,
    requests: u32,
    last_ms: u64,
    starved_ms: Option<u64>,
    waits: bool,
    kbps: u32,
}

/// A record, and where it came from.
pub(super) struct Told<'a> {
    pub(super) record: &'a Record,
    pub(super) client: IpAddr,
    pub(super) video: Option<VideoId>,
    /// The node that sent the request on.
    pub(super) from: Option<&'a NodeId>,
}

impl Sessions {
    /// Takes a record. False when there is no room for its session.
    pub(super) fn take(&mut self, told: &Told<'_>, now_ms: u64) -> bool {
        let Some(name) = &told.record.session else { return true };
        let id = xxh3_64(name.as_bytes());
        if !self.known.contains_key(&id) {
            if self.known.len() >= MAX_SESSIONS {
                self.known.retain(|_, seen| now_ms.saturating_sub(seen.last_ms) < FORGET_MS);
            }
            if self.known.len() >= MAX_SESSIONS {
                return false;
            }
            self.known.insert(id, Seen::new(told, now_ms));
        }
        let Some(seen) = self.known.get_mut(&id) else { return false };
        let passed = now_ms.saturating_sub(seen.last_ms);
        if passed < GAP_MS && !seen.waits {
            self.played_ms += passed;
        }
        (seen.last_ms, seen.video) = (now_ms, told.video.or(seen.video));
        seen.kbps =
            told.record.kbps.filter(|_| told.record.object.as_deref() != Some("a")).unwrap_or(seen.kbps);
        if seen.waits && !told.record.urgent {
            seen.waits = false;
            self.starts.push_back((now_ms, now_ms - seen.first_ms));
        }
        seen.requests += u32::from(told.record.object.as_deref() != Some("m"));
        if told.record.starved {
            self.starved(id, told.from, now_ms);
        }
        true
    }

    fn starved(&mut self, id: u64, from: Option<&NodeId>, now_ms: u64) {
        let Some(seen) = self.known.get_mut(&id) else { return };
        if seen.requests > ARRIVAL {
            self.stalls += u64::from(seen.starved_ms.is_none_or(|at| at + 1_000 < now_ms));
            seen.starved_ms = Some(now_ms);
        } else if !self.arrived.iter().any(|(of, ..)| *of == id) && self.arrived.len() < MAX_NAMED {
            self.arrived.push_back((id, now_ms, from.cloned()));
        }
    }

    /// What was seen within the window.
    pub(super) fn report(&mut self, now_ms: u64) -> Quality {
        self.starts.retain(|(at, _)| now_ms.saturating_sub(*at) < STARTS.1);
        while self.starts.len() > STARTS.0 {
            self.starts.pop_front();
        }
        self.arrived.retain(|(_, at, _)| now_ms.saturating_sub(*at) < WINDOW_MS);
        self.known.retain(|_, seen| now_ms.saturating_sub(seen.last_ms) < FORGET_MS);
        let mut of_address: HashMap<IpAddr, usize> = HashMap::new();
        let (mut networks, mut videos) = (HashMap::new(), HashMap::new());
        let (mut kbps, mut quality) = (BTreeMap::new(), Quality::default());
        for (id, seen) in &self.known {
            let silent = now_ms.saturating_sub(seen.last_ms);
            if silent >= GAP_MS && quality.departed.len() < MAX_NAMED {
                quality.departed.push(*id);
            }
            let counted = of_address.entry(seen.client).or_default();
            if silent >= WINDOW_MS || *counted >= SESSIONS_OF_AN_ADDRESS {
                continue;
            }
            *counted += 1;
            let part = seen.part(now_ms);
            quality.all = quality.all.and(part);
            add(&mut networks, network(seen.client), part);
            if let Some(video) = seen.video {
                add(&mut videos, video.to_string(), part);
            }
            *kbps.entry(u64::from(seen.kbps)).or_default() += 1;
        }
        quality.networks = largest(networks);
        quality.videos = largest(videos);
        quality.kbps = kbps.into_iter().filter(|(kbps, _)| *kbps > 0).take(MAX_NAMED).collect();
        quality.startup_ms = counted(self.starts.iter().map(|(_, took)| *took));
        (quality.stalls, quality.played_ms) = (self.stalls, self.played_ms);
        for (id, _, from) in &self.arrived {
            match from {
                Some(node) => *quality.charged.entry(node.clone()).or_default() += 1,
                None => quality.inherited.push(*id),
            }
        }
        quality
    }
}

impl Seen {
    fn new(told: &Told<'_>, now_ms: u64) -> Self {
        Self {
            client: told.client,
            video: told.video,
            first_ms: now_ms,
            requests: 0,
            last_ms: now_ms,
            starved_ms: None,
            waits: told.record.urgent,
            kbps: 0,
        }
    }

    fn part(&self, now_ms: u64) -> Part {
        let starved = self.starved_ms.is_some_and(|at| now_ms.saturating_sub(at) < WINDOW_MS);
        Part { sessions: 1, starved: starved.into() }
    }
}

fn add(parts: &mut HashMap<String, Part>, of: String, part: Part) {
    let all = parts.entry(of).or_default();
    *all = all.and(part);
}

/// Those with most sessions.
fn largest(parts: HashMap<String, Part>) -> BTreeMap<String, Part> {
    let mut all: Vec<_> = parts.into_iter().collect();
    all.sort_by(|a, b| b.1.sessions.cmp(&a.1.sessions).then_with(|| a.0.cmp(&b.0)));
    all.into_iter().take(MAX_PARTS).collect()
}

/// How often each of some numbers was there, with two figures of each: 1,234 is 1,200.
fn counted(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    for number in numbers {
        let step = 10u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
        *all.entry(number / step * step).or_default() += 1;
    }
    all.into_iter().take(MAX_NAMED).collect()
}

/// The network of an address: its first 24 bits, or 48 of version 6.
fn network(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn said(text: &str) -> Record {
        Record::parse(text).unwrap()
    }

    struct Story(Sessions);

    impl Story {
        fn says(&mut self, client: u8, text: &str, now_ms: u64) {
            self.comes(client, text, None, now_ms);
        }

        fn comes(&mut self, client: u8, text: &str, from: Option<&NodeId>, now_ms: u64) {
            let client = Ipv4Addr::new(192, 0, 2, client).into();
            assert!(self.0.take(&Told { record: &said(text), client, video: None, from }, now_ms));
        }
    }

    #[test]
    fn a_session_starts_plays_and_starves_here() {
        let mut story = Story(Sessions::default());
        story.says(1, "sid=\"a\",su,br=800,ot=v", 1_000);
        story.says(1, "sid=\"a\",br=800,ot=v", 1_730);
        for second in 2..14 {
            story.says(1, "sid=\"a\",br=3000,ot=v", second * 1_000);
        }
        story.says(1, "sid=\"a\",bs,su,br=800,ot=v", 15_000);
        let quality = story.0.report(16_000);
        assert_eq!(quality.all, Part { sessions: 1, starved: 1 });
        assert_eq!(quality.networks["192.0.2.0/24"], quality.all);
        assert_eq!((quality.startup_ms, quality.kbps), (vec![(730, 1)], vec![(800, 1)]));
        assert_eq!((quality.stalls, quality.played_ms), (1, 13_270));
        let later = story.0.report(31_000);
        assert_eq!((later.all, later.departed.len()), (Part::default(), 1));
    }

    #[test]
    fn what_happened_elsewhere_is_not_charged_here() {
        let mut story = Story(Sessions::default());
        let other = NodeId::new("near-b").unwrap();
        story.comes(1, "sid=\"a\",bs,su", Some(&other), 1_000);
        story.says(2, "sid=\"b\",bs,su", 1_000);
        let quality = story.0.report(2_000);
        assert_eq!((quality.all.starved, quality.stalls), (0, 0));
        assert_eq!((quality.charged[&other], quality.inherited.len()), (1, 1));
    }

    #[test]
    fn one_address_is_a_few_sessions_however_many_it_makes_up() {
        let mut story = Story(Sessions::default());
        for liar in 0..500 {
            for now in [0, 1, 2, 12_000] {
                story.says(9, &format!("sid=\"liar-{liar}\",bs"), now);
            }
        }
        for honest in 0..40u8 {
            story.says(10 + honest, &format!("sid=\"{honest}\""), 12_000);
        }
        let quality = story.0.report(12_500);
        assert_eq!(quality.all, Part { sessions: 44, starved: 4 });
        assert!(quality.is_true());
    }
}
