//! A player of ours without a screen, for crowds: it does what RFC 8216bis asks of players that are steered, and what stock
//! players do besides.
//!
//! - [`Pathways`]: which host is asked next; pure
//! - [`Playhead`]: what is played, and how long the picture stood still; pure
//! - `stream`: playlists and segments over HTTP
//! - [`Seen`]: what it saw
//!
//! It holds at most ten seconds of media and plays in real time. It plays one rung, the lowest with a picture, and its sound,
//! which is loaded beside it: a rung that is changed would hide an edge that is slow. What fails is asked for on the next
//! pathway at once.

mod pathways;
mod playhead;
mod seen;
mod stream;

pub use pathways::{Pathways, Steering};
pub use playhead::Playhead;
pub use seen::{Failure, Part, Seen};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use stream::{Line, Stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Media that is held at most.
pub const BUFFER: Duration = Duration::from_secs(10);
/// How long the first steering manifest is waited for before the first segment is asked for without, as hls.js does.
const FIRST_STEERING: Duration = Duration::from_secs(2);
/// Between two asks for steering where nobody has said (rfc8216bis section 7.2).
const USUAL_TTL: Duration = Duration::from_secs(300);
/// After every pathway has failed.
const BREATH: Duration = Duration::from_millis(100);
/// Tries at beginning.
const BEGINS: u32 = 10;

/// A player.
#[derive(Debug)]
pub struct Viewer {
    line: Line,
    pathways: Mutex<Pathways>,
    playhead: Mutex<Playhead>,
    seen: Mutex<Seen>,
}

fn open<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap()
}

impl Viewer {
    /// One at an address of this machine.
    #[must_use]
    pub fn at(name: &str, address: IpAddr) -> Self {
        let now = Instant::now();
        Self {
            line: Line::from(address),
            pathways: Mutex::default(),
            playhead: Mutex::new(Playhead::new(now)),
            seen: Mutex::new(Seen::new(name)),
        }
    }

    /// Plays what a multivariant playlist names until a time; what it saw.
    pub async fn watch(self, master: &str, until: Instant) -> Seen {
        let mut stream = None;
        for _ in 0..BEGINS {
            match Stream::open(&self.line, master).await {
                Ok(opened) => {
                    stream = Some(opened);
                    break;
                }
                Err(why) => self.failed("", &why),
            }
            sleep(BREATH).await;
        }
        let stream = stream.expect("a multivariant playlist");
        open(&self.pathways).begins(&stream.base, &stream.host);
        let first = stream.steering.clone();
        tokio::select! {
            () = async { tokio::join!(self.steer(first), self.load(&stream)); } => {}
            () = sleep_until(until) => {}
        }
        open(&self.playhead).at(Instant::now());
        let mut seen = self.seen.into_inner().unwrap();
        seen.played(&self.playhead.into_inner().unwrap());
        seen
    }

    /// Asks where to go, and again each time that its answer says.
    async fn steer(&self, first: Option<String>) {
        let Some(mut uri) = first else { return };
        loop {
            let on = open(&self.pathways).current(Instant::now()).0;
            let ttl = match self.line.steering(&uri, &on).await {
                Ok(told) => {
                    let now = Instant::now();
                    open(&self.seen).told(now, &told.priority);
                    uri = told.reload_uri.clone().unwrap_or(uri);
                    open(&self.pathways).told(told)
                }
                // Whoever does not answer is asked again as if it had.
                Err(_) => open(&self.pathways).ttl(),
            };
            sleep(ttl.unwrap_or(USUAL_TTL)).await;
        }
    }

    /// Loads segment after segment, as far as there is room.
    async fn load(&self, stream: &Stream) {
        let steered = async {
            while stream.steering.is_some() && open(&self.seen).steered.is_empty() {
                sleep(BREATH).await;
            }
        };
        drop(timeout(FIRST_STEERING, steered).await);
        let mut at = 0;
        loop {
            let (pathway, host) = open(&self.pathways).current(Instant::now());
            let length = match stream.length(&self.line, &host, at).await {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(why) => {
                    self.failed(&pathway, &why);
                    sleep(BREATH).await;
                    continue;
                }
            };
            let room = open(&self.playhead).room_at(Instant::now(), length, BUFFER);
            sleep_until(room).await;
            self.segment(stream, at).await;
            open(&self.playhead).add(Instant::now(), length);
            at += 1;
        }
        open(&self.playhead).ends();
        std::future::pending::<()>().await;
    }

    /// Loads a segment of each track, from wherever it can be had.
    async fn segment(&self, stream: &Stream, at: usize) {
        let mut left: Vec<usize> = (0..stream.tracks.len()).collect();
        while !left.is_empty() {
            let (pathway, host) = open(&self.pathways).current(Instant::now());
            let loads = left.iter().map(|track| async {
                let asked = Instant::now();
                (*track, asked, stream.segment(&self.line, &host, *track, at).await)
            });
            let mut missing = vec![];
            for (track, asked, loaded) in futures::future::join_all(loads).await {
                match loaded {
                    Ok(None) => {}
                    Ok(Some((node, whole))) => {
                        let part = Part { at, track, pathway: pathway.clone(), node, asked, whole };
                        open(&self.seen).parts.push(part);
                    }
                    Err(why) => {
                        self.failed(&pathway, &why);
                        missing.push(track);
                    }
                }
            }
            left = missing;
            if open(&self.pathways).all_have_failed(Instant::now()) {
                sleep(BREATH).await;
            }
        }
    }

    fn failed(&self, pathway: &str, why: &str) {
        let now = Instant::now();
        open(&self.pathways).failed(pathway, now);
        open(&self.seen).failures.push(Failure { pathway: pathway.to_owned(), at: now, why: why.to_owned() });
    }
}
