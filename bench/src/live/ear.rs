//! One client of a crowd: how it comes in, what it hears, where it goes on.

use super::frames::{self, CLOSE, Frames, PING, PONG, TEXT};
use super::stamp::{Clock, Stamp};
use super::tally::{Seen, Tally};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer's head.
const MAX_HEAD: usize = 16 << 10;

/// What a client asks for once it may speak.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The channel to subscribe to; `None` where the server's application subscribes who comes.
    pub(super) channel: Option<Arc<str>>,
    /// The token that lets it listen.
    pub(super) token: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Outside,
    /// The answer's head has not come.
    Greeting,
    /// It has, and whether the subscription stands is not known.
    Asking,
    Inside,
}

/// A client.
#[derive(Debug)]
pub(super) struct Ear {
    wish: Wish,
    stage: Stage,
    stream: Option<TcpStream>,
    head: Vec<u8>,
    frames: Frames,
    seen: Seen,
    /// The last number that it has of its channel.
    seq: Option<u64>,
    called_us: u64,
}

impl Ear {
    pub(super) fn new(wish: Wish) -> Self {
        let (head, frames, seen) = (vec![], Frames::default(), Seen::default());
        Self { wish, stage: Stage::Outside, stream: None, head, frames, seen, seq: None, called_us: 0 }
    }

    pub(super) fn is_inside(&self) -> bool {
        self.stage == Stage::Inside
    }

    /// Connects and greets; the socket to watch.
    pub(super) fn call(&mut self, at: SocketAddr, path: &str, now_us: u64) -> anyhow::Result<&TcpStream> {
        let mut stream = TcpStream::connect_timeout(&at, PATIENCE).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.write_all(frames::request(&at.to_string(), path).as_bytes())?;
        stream.set_nonblocking(true)?;
        self.head.clear();
        (self.stage, self.called_us, self.frames) = (Stage::Greeting, now_us, Frames::default());
        Ok(self.stream.insert(stream))
    }

    /// Reads what came, once: what is left announces itself again.
    ///
    /// # Errors
    /// Why the connection is over. It is closed then.
    pub(super) fn read(&mut self, buffer: &mut [u8], clock: Clock, tally: &mut Tally) -> anyhow::Result<()> {
        let outcome = self.take(buffer, clock, tally);
        if outcome.is_err() {
            (self.stage, self.stream) = (Stage::Outside, None);
        }
        outcome
    }

    fn take(&mut self, buffer: &mut [u8], clock: Clock, tally: &mut Tally) -> anyhow::Result<()> {
        let stream = self.stream.as_mut().context("it has no connection")?;
        let count = match stream.read(buffer) {
            Ok(0) => bail!("the server ended it"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let read = &buffer[..count];
        if self.stage != Stage::Greeting {
            return self.hear(read, clock, tally);
        }
        self.head.extend_from_slice(read);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(self.head.len() <= MAX_HEAD, "a head without an end");
            return Ok(());
        };
        let held = std::mem::take(&mut self.head);
        let first = held.split(|byte| *byte == b'\r').next().unwrap_or_default();
        ensure!(first.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&held));
        self.stage = Stage::Asking;
        self.ask()?;
        self.hear(&held[end + 4..], clock, tally)
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        let Some(channel) = &self.wish.channel else { return Ok(()) };
        let asked =
            json!({ "subscribe": channel.as_ref(), "after": self.seq, "token": self.wish.token.as_deref() });
        self.say(TEXT, asked.to_string().as_bytes())
    }

    fn say(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        let stream = self.stream.as_mut().context("it has no connection")?;
        // A client says so little that it always fits into the socket's buffer.
        stream.write_all(&frames::masked(opcode, payload)).context("saying something")
    }

    fn hear(&mut self, read: &[u8], clock: Clock, tally: &mut Tally) -> anyhow::Result<()> {
        let mut framing = std::mem::take(&mut self.frames);
        let (mut over, now_us) = (None, clock.us());
        let fed = framing.feed(read, |opcode, payload| {
            let heard = match opcode {
                TEXT => self.text(payload, now_us, tally),
                PING => self.say(PONG, payload),
                CLOSE => Err(anyhow::anyhow!("closed: {}", String::from_utf8_lossy(payload))),
                _ => Ok(()),
            };
            over = over.take().or_else(|| heard.err());
        });
        self.frames = framing;
        over.map_or(fed, Err)
    }

    fn text(&mut self, payload: &[u8], now_us: u64, tally: &mut Tally) -> anyhow::Result<()> {
        match Said::of(payload) {
            Said::Subscribed => {
                self.seq = self.seq.or_else(|| number(payload));
                self.stage = Stage::Inside;
                tally.entries.note(now_us.saturating_sub(self.called_us));
            }
            Said::Frame => {
                let seq = number(payload);
                let follows = seq.zip(self.seq).is_none_or(|(seq, last)| seq == last + 1);
                tally.skips += u64::from(!follows);
                self.seq = seq.or(self.seq);
                if let Some(stamp) = Stamp::read(payload) {
                    tally.note(stamp, now_us, &mut self.seen);
                }
            }
            Said::Gap => {
                tally.gaps += 1;
                self.seq = None;
            }
            Said::Refused => bail!("{}", String::from_utf8_lossy(payload)),
            Said::Other => {}
        }
        Ok(())
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Subscribed,
    Frame,
    Gap,
    Refused,
    Other,
}

impl Said {
    fn of(payload: &[u8]) -> Self {
        let says = |word: &str| find(payload, word.as_bytes()).is_some();
        if payload.starts_with(b"{\"channel\":") {
            // It follows the channel's name, as a frame's number does.
            let head = &payload[..payload.len().min(100)];
            return if find(head, b"\"gap\":{").is_some() { Self::Gap } else { Self::Frame };
        }
        if says("\"subscribed\":") {
            Self::Subscribed
        } else if says("\"refused\":") || says("\"problem\":") {
            Self::Refused
        } else {
            Self::Other
        }
    }
}

/// The number of a frame, or of where a subscription begins.
fn number(payload: &[u8]) -> Option<u64> {
    let start = find(payload, b"\"seq\":")? + 6;
    let digits = payload[start..].iter().take_while(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn find(payload: &[u8], word: &[u8]) -> Option<usize> {
    payload.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_apart() {
        let told = [
            (r#"{"seq":12,"subscribed":"chat:1"}"#, Said::Subscribed, Some(12)),
            (r#"{"channel":"chat:1","seq":13,"at_ms":1,"data":{"text":"~0:1:2~"}}"#, Said::Frame, Some(13)),
            (r#"{"channel":"chat:1","gap":{"from":13,"to":40}}"#, Said::Gap, None),
            (r#"{"problem":{"status":403},"refused":"chat:1"}"#, Said::Refused, None),
            (r#"{"answer":"c1","status":201}"#, Said::Other, None),
        ];
        for (text, said, seq) in told {
            assert_eq!((Said::of(text.as_bytes()), number(text.as_bytes())), (said, seq), "{text}");
        }
    }

    #[test]
    fn frames_that_do_not_follow_are_counted() {
        let mut ear = Ear::new(Wish { channel: Some("a".into()), token: None });
        let mut tally = Tally::default();
        for text in [
            r#"{"seq":4,"subscribed":"a"}"#,
            r#"{"channel":"a","seq":5,"data":{"text":"~0:0:1~"}}"#,
            r#"{"channel":"a","seq":7,"data":{"text":"~0:1:1~"}}"#,
            r#"{"channel":"a","seq":8,"data":{"text":"~0:1:1~"}}"#,
        ] {
            ear.text(text.as_bytes(), 10, &mut tally).unwrap();
        }
        assert!(ear.is_inside());
        assert_eq!((tally.skips, tally.duplicates, tally.missing(&[0, 1, 2], 1)), (1, 1, 1));
        assert!(ear.text(br#"{"problem":{},"refused":"a"}"#, 10, &mut tally).is_err());
    }
}
