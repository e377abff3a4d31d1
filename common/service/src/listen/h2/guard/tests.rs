use super::*;
use crate::listen::h2::PREFACE;
use proptest::prelude::*;
use std::time::Duration;

/// A client and its connection's account, with a clock of their own.
struct Client {
    guard: Guard,
    now: Instant,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        let mut client = Self { guard: Guard::new(LimitsConfig::default(), PREFACE.len(), now), now };
        client.guard.received(PREFACE, now).unwrap();
        client
    }

    fn sends(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Reason> {
        self.guard.received(&frame(kind, flags, stream, payload), self.now)
    }

    fn gets(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Reason> {
        self.guard.sent(&frame(kind, flags, stream, payload), self.now)
    }

    fn asks(&mut self, stream: u32) -> Result<(), Reason> {
        self.sends(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, b"head")
    }

    fn waits(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }
}

/// How many of a frame pass until the connection is cut, and why it is.
fn flood(mut one: impl FnMut(&mut Client, u32) -> Result<(), Reason>) -> (usize, Reason) {
    let mut client = Client::new();
    for n in 0..100_000u32 {
        client.waits(0.000_1);
        if let Err(reason) = one(&mut client, n) {
            return (n as usize, reason);
        }
    }
    panic!("a flood went through");
}

#[test]
fn each_flood_is_cut_at_its_bound() {
    let cut = |kind, flags, stream, payload: &'static [u8]| {
        flood(move |client, _| client.sends(kind, flags, stream, payload))
    };
    assert_eq!(cut(kind::SETTINGS, 0, 0, &[]), (20, Reason::Settings));
    assert_eq!(cut(kind::PING, 0, 0, &[0; 8]), (100, Reason::Ping));
    assert_eq!(cut(kind::PRIORITY, 0, 1, &[0; 5]), (200, Reason::Priority));
    assert_eq!(cut(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"), (200, Reason::Priority));
    assert_eq!(cut(kind::DATA, 0, 1, &[]), (100, Reason::EmptyData));
    assert_eq!(cut(0xfa, 0, 0, b"unknown"), (100, Reason::Other));
    let (small, reason) = cut(kind::DATA, 0, 1, b"x");
    assert!(small < 2_100 && reason == Reason::SmallData);
    let (updates, reason) = cut(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    assert!(updates < 1_100 && reason == Reason::WindowUpdate);
}

#[test]
fn what_breaks_a_rule_is_cut_with_its_code() {
    for (kind, flags, length) in [
        (kind::PRIORITY, 0, 4),
        (kind::RST_STREAM, 0, 3),
        (kind::WINDOW_UPDATE, 0, 5),
        (kind::SETTINGS, 0, 5),
        (kind::SETTINGS, flag::ACK, 6),
        (kind::PING, 0, 7),
        (kind::GOAWAY, 0, 7),
    ] {
        assert_eq!(Client::new().sends(kind, flags, 1, &vec![0; length]), Err(Reason::FrameSize), "{kind}");
    }
    // A cut is the end: each case has a connection of its own.
    let asked = || {
        let mut client = Client::new();
        client.asks(1).unwrap();
        client
    };
    assert_eq!(asked().sends(kind::DATA, 0, 1, b"more"), Err(Reason::StreamClosed));
    assert_eq!(asked().asks(1), Err(Reason::StreamClosed));
    let too_much = asked().sends(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
    assert_eq!(too_much, Err(Reason::FlowControl));
    for provoking in [&0u32.to_be_bytes(), &0x7fff_ffffu32.to_be_bytes()] {
        let (frames, reason) = flood(|client, n| {
            client.sends(kind::HEADERS, flag::END_HEADERS, n * 2 + 1, b"head")?;
            client.sends(kind::WINDOW_UPDATE, 0, n * 2 + 1, provoking)
        });
        assert!(frames <= 81 && reason == Reason::ServerReset, "{frames}");
    }
}

#[test]
fn rapid_reset_is_cut_within_a_hundred_streams() {
    let (streams, reason) = flood(|client, n| {
        client.asks(n * 2 + 1)?;
        client.sends(kind::RST_STREAM, 0, n * 2 + 1, &8u32.to_be_bytes())
    });
    assert!(streams <= 101 && reason == Reason::Reset, "{streams}");
}

#[test]
fn streams_that_the_client_makes_reset_are_counted_by_their_code() {
    for code in BLAMED {
        let (streams, reason) = flood(|client, n| {
            client.asks(n * 2 + 1)?;
            client.gets(kind::RST_STREAM, 0, n * 2 + 1, &code.to_be_bytes())
        });
        assert!(streams <= 81 && reason == Reason::ServerReset, "{streams}");
    }
    let mut client = Client::new();
    for n in 0..10_000u32 {
        client.asks(n * 2 + 1).unwrap();
        client.gets(kind::RST_STREAM, 0, n * 2 + 1, &0u32.to_be_bytes()).unwrap();
    }
    assert!(client.guard.streams.is_empty(), "an early end of an answer is no fault");
}

#[test]
fn a_header_block_has_an_end() {
    let continued = |piece: &'static [u8]| {
        flood(move |client, n| {
            let kind = if n == 0 { kind::HEADERS } else { kind::CONTINUATION };
            client.sends(kind, 0, 1, piece)
        })
    };
    assert_eq!(continued(b""), (17, Reason::Continuation), "one HEADERS and 16 CONTINUATION");
    assert_eq!(continued(&[0; 16 << 10]), (2, Reason::HeaderBlock));
    let mut client = Client::new();
    for stream in [1, 3] {
        client.sends(kind::HEADERS, 0, stream, &[0; 1 << 10]).unwrap();
        for n in 1..=16 {
            let last = if n == 16 { flag::END_HEADERS } else { 0 };
            client.sends(kind::CONTINUATION, last, stream, &[0; 1 << 10]).unwrap();
        }
    }
}

#[test]
fn a_head_must_be_whole_in_time_and_a_body_is_not_judged_here() {
    let head = LimitsConfig::default().head().as_secs_f64();
    let mut client =
        Client { guard: Guard::new(LimitsConfig::default(), 24, Instant::now()), now: Instant::now() };
    client.waits(head);
    assert_eq!(client.guard.tick(false, client.now), Err(Reason::SlowHead), "no preface");

    let mut client = Client::new();
    client.sends(kind::HEADERS, 0, 1, b"begun").unwrap();
    client.waits(head / 2.0);
    client.sends(kind::CONTINUATION, 0, 1, b"on").unwrap();
    client.waits(head / 2.0);
    assert_eq!(client.guard.tick(false, client.now), Err(Reason::SlowHead), "a block without end");

    let mut client = Client::new();
    let text = frame(kind::HEADERS, flag::END_HEADERS, 1, b"head");
    client.guard.received(&text[..12], client.now).unwrap();
    client.waits(head);
    assert_eq!(client.guard.tick(false, client.now), Err(Reason::SlowHead), "half a frame");

    let mut client = Client::new();
    client.sends(kind::HEADERS, flag::END_HEADERS, 1, b"head").unwrap();
    let text = frame(kind::DATA, 0, 1, &[0; 1 << 14]);
    client.guard.received(&text[..100], client.now).unwrap();
    client.waits(head * 2.0);
    assert_eq!(client.guard.tick(false, client.now), Ok(()), "a body");
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_and_who_takes_it_slowly_is_not() {
    let stall = LimitsConfig::default().write_stall().as_secs_f64();
    // Bytes of room given once a second, and whether that is enough.
    for (room, enough) in [(0u32, false), (1, false), (400, false), (600, true), (100_000, true)] {
        let mut client = Client::new();
        client.sends(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).unwrap();
        client.asks(1).unwrap();
        client.gets(kind::HEADERS, flag::END_HEADERS, 1, b"200").unwrap();
        let mut cut = None;
        for _ in 0..(stall as u32 * 3) {
            client.waits(1.0);
            if room > 0 {
                client.sends(kind::WINDOW_UPDATE, 0, 1, &room.to_be_bytes()).unwrap();
                client.sends(kind::WINDOW_UPDATE, 0, 0, &room.to_be_bytes()).unwrap();
                client.gets(kind::DATA, 0, 1, &vec![0; room as usize]).unwrap();
            }
            cut = cut.or_else(|| client.guard.tick(false, client.now).err());
        }
        assert_eq!(cut, (!enough).then_some(Reason::Stall), "{room}");
    }
    let mut client = Client::new();
    client.asks(1).unwrap();
    assert_eq!(client.guard.tick(true, client.now), Ok(()));
    client.waits(stall);
    assert_eq!(client.guard.tick(true, client.now), Err(Reason::Stall), "the transport is full");
}

#[test]
fn a_slow_origin_is_no_fault_of_the_client_and_an_idle_connection_ends() {
    let mut client = Client::new();
    client.asks(1).unwrap();
    client.gets(kind::HEADERS, flag::END_HEADERS, 1, b"200").unwrap();
    client.waits(1_000.0);
    assert_eq!(client.guard.tick(false, client.now), Ok(()));
    client.gets(kind::DATA, flag::END_STREAM, 1, b"at last").unwrap();
    client.waits(74.0);
    assert_eq!(client.guard.tick(false, client.now), Ok(()));
    client.waits(1.0);
    assert_eq!(client.guard.tick(false, client.now), Err(Reason::Idle));
    assert_eq!(Reason::Idle.code(), 0);
}

#[test]
fn no_farewell_goes_into_the_middle_of_a_frame() {
    let mut client = Client::new();
    client.asks(5).unwrap();
    assert_eq!(client.guard.farewell(Reason::Ping), goaway(5, 11, "ping"));
    let text = frame(kind::DATA, 0, 5, b"body");
    client.guard.sent(&text[..10], client.now).unwrap();
    assert_eq!(client.guard.farewell(Reason::Ping), b"");
}

/// What an honest client does next.
#[derive(Debug, Clone)]
enum Step {
    /// Fetches an object of so many KiB, giving room after each piece of so many.
    Fetch(u32, u32),
    Upload(u32),
    Ping,
    GiveUp,
    Wait(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..400, 1u32..64).prop_map(|(size, step)| Step::Fetch(size, step)),
        1 => (1u32..64).prop_map(Step::Upload),
        1 => Just(Step::Ping),
        1 => Just(Step::GiveUp),
        2 => (0.0..2.0f64).prop_map(Step::Wait),
    ]
}

fn does(client: &mut Client, stream: u32, step: &Step) -> Result<(), Reason> {
    client.waits(0.02);
    match *step {
        Step::Fetch(size, at_a_time) => {
            client.asks(stream)?;
            client.sends(kind::PRIORITY, 0, stream, &[0; 5])?;
            client.gets(kind::HEADERS, flag::END_HEADERS, stream, b"200")?;
            let mut left = size;
            while left > 0 {
                let piece = left.min(at_a_time).min(16) << 10;
                left -= piece >> 10;
                client.gets(kind::DATA, 0, stream, &vec![0; piece as usize])?;
                client.sends(kind::WINDOW_UPDATE, 0, stream, &piece.to_be_bytes())?;
                client.sends(kind::WINDOW_UPDATE, 0, 0, &piece.to_be_bytes())?;
            }
            client.gets(kind::DATA, flag::END_STREAM, stream, b"")
        }
        Step::Upload(pieces) => {
            client.sends(kind::HEADERS, flag::END_HEADERS, stream, b"head")?;
            for _ in 0..pieces {
                client.sends(kind::DATA, 0, stream, &[0; 4 << 10])?;
            }
            client.sends(kind::DATA, flag::END_STREAM, stream, b"")?;
            client.gets(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, b"201")
        }
        Step::Ping => client.sends(kind::PING, 0, 0, &[0; 8]),
        Step::GiveUp => {
            client.asks(stream)?;
            client.waits(0.1);
            client.sends(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())
        }
        Step::Wait(seconds) => {
            client.waits(seconds);
            client.guard.tick(false, client.now)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_honest_client_is_never_cut(steps in prop::collection::vec(step(), 1..400)) {
        let mut client = Client::new();
        for (n, step) in steps.iter().enumerate() {
            prop_assert_eq!(does(&mut client, n as u32 * 2 + 1, step), Ok(()), "{}: {:?}", n, step);
        }
        prop_assert!(client.guard.streams.is_empty());
    }

    #[test]
    fn ten_thousand_requests_on_one_connection_are_served(pause in 0.0..0.001f64) {
        let mut client = Client::new();
        for n in 0..10_000u32 {
            client.waits(pause);
            prop_assert_eq!(does(&mut client, n * 2 + 1, &Step::Fetch(1, 1)), Ok(()));
        }
    }

    #[test]
    fn no_bytes_make_the_account_fail(bytes in prop::collection::vec(any::<u8>(), 0..2_000), cut in 1usize..50) {
        let mut client = Client::new();
        for piece in bytes.chunks(cut) {
            let ended = client.guard.received(piece, client.now).is_err() | client.guard.sent(piece, client.now).is_err();
            if ended || client.guard.tick(false, client.now).is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_farewell_follows_whole_frames_though_one_of_them_was_too_much() {
    let mut client = Client::new();
    client.asks(1).unwrap();
    let reset = frame(kind::RST_STREAM, 0, 1, &BLAMED[0].to_be_bytes());
    let (more, text) = (reset.repeat(200), frame(kind::DATA, 0, 1, b"body"));
    assert_eq!(client.guard.sent(&[more, text].concat(), client.now), Err(Reason::ServerReset));
    assert_eq!(client.guard.farewell(Reason::ServerReset), goaway(1, 11, Reason::ServerReset.as_str()));
}
