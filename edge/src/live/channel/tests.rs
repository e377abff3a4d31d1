//! Everybody is told everything, in order and once, whatever comes between.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const OPEN: bool = true;

/// A channel, the origin that it is of, and clients who note what they are told.
struct World {
    channel: Channel,
    now: Instant,
    /// The channel's number at the origin, and how far this edge was told.
    written: u64,
    told: Option<u64>,
    clients: BTreeMap<u64, (Arc<Client>, Option<u64>)>,
}

impl World {
    fn new(written: u64) -> Self {
        let now = Instant::now();
        let channel = Channel::new(Tag::new("a:1").unwrap(), Ipv4Addr::LOCALHOST.into(), now);
        Self { channel, now, written, told: None, clients: BTreeMap::new() }
    }

    fn subscribe(&mut self, after: Option<u64>) {
        let client = Arc::new(Client::new());
        self.clients.insert(client.id, (Arc::clone(&client), after));
        let applicant = Applicant { client, after, listener: None, since: self.now };
        if self.channel.subscribe(applicant, self.now) {
            self.ask();
        }
    }

    /// The origin answers a question: as its own code does.
    fn ask(&mut self) {
        let from = self.channel.ask(self.now).unwrap_or(self.written).min(self.written);
        self.channel.begun(from, self.written, OPEN);
        self.told = Some(from);
        if self.written - from > 100 {
            self.channel.gap(Gap { from: from + 1, to: self.written });
            self.told = Some(self.written);
        }
    }

    fn tell(&mut self, count: u64) {
        let Some(told) = self.told else { return };
        for seq in told + 1..=self.written.min(told + count) {
            self.channel.frame(&Arc::new(Frame::new(seq, "{}".into())));
            self.told = Some(seq);
        }
    }

    /// Everybody reads all there is; what does not follow is a fault.
    fn read(&mut self) {
        for (client, cursor) in self.clients.values_mut() {
            while let Some(out) = client.take().expect("all is read in time") {
                match out {
                    Out::Subscribed(_, at) => {
                        assert!(cursor.is_none_or(|cursor| cursor == at || cursor > self.written));
                        *cursor = Some(at);
                    }
                    Out::Frame(_, frame) => {
                        assert_eq!(frame.seq, cursor.unwrap() + 1, "in order, once, without gaps");
                        *cursor = Some(frame.seq);
                    }
                    Out::Gap(_, gap) => {
                        assert_eq!(gap.from, cursor.unwrap() + 1, "a gap is told from where one is");
                        *cursor = Some(gap.to);
                    }
                    Out::Refused(_, problem) => panic!("{problem:?}"),
                    Out::Aside(..) => panic!("nothing is said beside"),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn everybody_is_told_everything_in_order_and_once(
        written in 0..200_u64,
        steps in prop::collection::vec((0..6_u8, 0..150_u64), 1..80),
    ) {
        let mut world = World::new(written);
        for (step, number) in steps {
            match step {
                0 => world.subscribe(Some(number.min(world.written))),
                1 => world.subscribe(None),
                // The connection to the origin is made anew.
                2 => world.ask(),
                3 => world.written += number % 30,
                4 => world.tell(number % 40),
                _ => {
                    world.now += Duration::from_millis(number * 20);
                    if world.channel.is_due(world.now) {
                        world.ask();
                    }
                }
            }
            world.read();
        }
        // In the end everybody is where the origin is.
        for _ in 0..3 {
            world.now += ASK_AGAIN;
            world.ask();
            world.tell(u64::MAX / 2);
            world.read();
        }
        for (_, cursor) in world.clients.values() {
            prop_assert_eq!(*cursor, Some(world.written));
        }
    }
}

#[test]
fn an_origin_with_another_past_begins_anew() {
    let mut world = World::new(50);
    world.subscribe(Some(50));
    world.ask();
    world.read();
    world.written = 10;
    world.ask();
    world.written = 12;
    world.tell(u64::MAX / 2);
    let (client, _) = world.clients.values().next().unwrap();
    let seqs: Vec<u64> = std::iter::from_fn(|| client.take().unwrap())
        .filter_map(|out| if let Out::Frame(_, frame) = out { Some(frame.seq) } else { None })
        .collect();
    assert_eq!(seqs, [11, 12]);
}

#[test]
fn who_subscribes_again_is_told_nothing_twice() {
    let mut world = World::new(0);
    world.subscribe(None);
    world.ask();
    world.read();
    // It has not read these when it subscribes once more.
    world.written = 2;
    world.tell(2);
    let client = Arc::clone(&world.clients.values().next().unwrap().0);
    let again = Applicant { client, after: Some(0), listener: None, since: world.now };
    assert!(!world.channel.subscribe(again, world.now));
    world.read();
    assert!(world.clients.values().all(|(_, cursor)| *cursor == Some(2)));
}

#[test]
fn who_waits_too_long_is_refused_and_who_goes_leaves_a_channel_that_lingers() {
    let mut world = World::new(1);
    world.subscribe(None);
    world.channel.give_up(world.now + PATIENCE);
    let (client, _) = world.clients.values().next().unwrap();
    assert!(matches!(client.take(), Ok(Some(Out::Refused(_, problem))) if problem.status == 504));
    let linger = Duration::from_secs(60);
    assert!(!world.channel.is_over(linger, world.now + PATIENCE + linger / 2));
    assert!(world.channel.is_over(linger, world.now + PATIENCE + linger));
}

#[test]
fn who_comes_back_with_others_needs_no_question_of_its_own() {
    let mut world = World::new(500);
    // An edge died: each had heard a little more or less, and the first to come had heard more than most.
    world.subscribe(Some(490));
    world.ask();
    let asked = world.channel.asked;
    world.now += ASK_AGAIN;
    for after in [495, 480, 430, 500] {
        world.subscribe(Some(after));
    }
    world.tell(u64::MAX / 2);
    world.read();
    assert_eq!(world.channel.asked, asked, "one question");
    assert!(world.clients.values().all(|(_, cursor)| *cursor == Some(500)));
    world.subscribe(Some(490 - SPARE_REPLAY - 1));
    assert_eq!(world.channel.asked, world.now, "who is further back asks again");
}
