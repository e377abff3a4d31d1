//! The account of an HTTP/2 connection: what the client sends and what is sent to it, frame by frame, and when it is too
//! much, too slow or nothing at all. h2 itself never ends a connection that floods SETTINGS, PING or PRIORITY, and knows
//! no deadline.

use super::budget::{Budgets, Reason};
use super::frames::{Event, Frames, Head, flag, goaway, kind};
use super::streams::Streams;
use crate::config::LimitsConfig;
use tokio::time::Instant;

/// CONTINUATION frames of a header block (CVE-2024-27316).
const MAX_CONTINUATIONS: u32 = 16;
/// Bytes of a header block as it is sent: compressed, it is below the limit of the list itself.
const MAX_BLOCK: u32 = 32 << 10;
/// A body's piece below this is small: its cost is in its number.
const SMALL: u32 = 256;
/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113 section 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Codes of RST_STREAM with which this side answers a client that breaks rules: PROTOCOL_ERROR, FLOW_CONTROL_ERROR,
/// STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM.
const BLAMED: [u32; 6] = [1, 3, 5, 6, 7, 11];

/// A header block that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Block {
    continuations: u32,
    bytes: u32,
}

/// The account.
#[derive(Debug)]
pub(super) struct Guard {
    limits: LimitsConfig,
    inbound: Frames,
    outbound: Frames,
    /// The piece of the payload that is looked at: a setting, or a number of 4 bytes.
    piece: ([u8; 6], usize),
    /// The same of what is sent.
    sent_piece: ([u8; 6], usize),
    block: Option<Block>,
    budgets: Budgets,
    streams: Streams,
    refilled: Instant,
    /// Since when a head, or a frame that is no body's, is incomplete.
    incomplete: Option<Instant>,
    /// Since when answers have no room, and what had been written then.
    stalled: Option<(Instant, u64)>,
    written: u64,
    /// When something was last asked or answered.
    active: Instant,
}

impl Guard {
    /// The account of a connection that begins with so many bytes of preface from the client.
    pub(super) fn new(limits: LimitsConfig, preface: usize, now: Instant) -> Self {
        Self {
            limits,
            inbound: Frames::after(preface),
            outbound: Frames::after(0),
            piece: ([0; 6], 0),
            sent_piece: ([0; 6], 0),
            block: None,
            budgets: Budgets::new(),
            streams: Streams::new(),
            refilled: now,
            incomplete: Some(now),
            stalled: None,
            written: 0,
            active: now,
        }
    }

    /// The client sent this.
    ///
    /// # Errors
    /// Why the connection is to be cut.
    pub(super) fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Reason> {
        self.budgets.refill(now.duration_since(self.refilled));
        self.refilled = now;
        while let Some(event) = self.inbound.next(&mut bytes) {
            match event {
                Event::Head(head) => {
                    self.piece.1 = 0;
                    self.begins(head, now)?;
                    self.incomplete.get_or_insert(now);
                }
                Event::Payload(head, part) => self.told(head, part)?,
                Event::End(head) => {
                    self.ends(head);
                    // What is only part of a header block is complete with the block.
                    if self.block.is_none() {
                        self.incomplete = None;
                    }
                }
            }
        }
        match self.inbound.current() {
            // How fast a body comes is judged by who reads it.
            Some(head) if head.kind == kind::DATA => self.incomplete = None,
            None if self.inbound.at_boundary() && self.block.is_none() => self.incomplete = None,
            _ => drop(self.incomplete.get_or_insert(now)),
        }
        Ok(())
    }

    fn begins(&mut self, head: Head, now: Instant) -> Result<(), Reason> {
        if !has_its_length(head) {
            return Err(Reason::FrameSize);
        }
        if matches!(head.kind, kind::DATA | kind::HEADERS) && self.streams.has_ended(head.stream) {
            return Err(Reason::StreamClosed);
        }
        match head.kind {
            kind::DATA if head.has(flag::END_STREAM) => Ok(()),
            kind::DATA if head.length == 0 => self.budgets.take(Reason::EmptyData),
            kind::DATA if head.length < SMALL || head.has(flag::PADDED) => {
                self.budgets.take(Reason::SmallData)
            }
            kind::DATA => Ok(()),
            kind::HEADERS => {
                let opens = self.streams.asked(head.stream, head.has(flag::END_STREAM));
                if opens.ok_or(Reason::Streams)? {
                    self.budgets.opened();
                }
                self.active = now;
                self.block_goes_on(Block { continuations: 0, bytes: head.length }, head)
            }
            kind::CONTINUATION => {
                let Block { continuations, bytes } =
                    self.block.unwrap_or(Block { continuations: 0, bytes: 0 });
                let bytes = bytes.saturating_add(head.length);
                self.block_goes_on(Block { continuations: continuations + 1, bytes }, head)
            }
            kind::RST_STREAM => {
                self.streams.reset(head.stream);
                self.active = now;
                self.budgets.take(Reason::Reset)
            }
            kind::WINDOW_UPDATE => self.budgets.take(Reason::WindowUpdate),
            kind::SETTINGS => self.budgets.take(Reason::Settings),
            kind::PING => self.budgets.take(Reason::Ping),
            kind::PRIORITY | kind::PRIORITY_UPDATE => self.budgets.take(Reason::Priority),
            _ => self.budgets.take(Reason::Other),
        }
    }

    fn block_goes_on(&mut self, block: Block, head: Head) -> Result<(), Reason> {
        if block.continuations > MAX_CONTINUATIONS {
            return Err(Reason::Continuation);
        }
        if block.bytes > MAX_BLOCK {
            return Err(Reason::HeaderBlock);
        }
        self.block = (!head.has(flag::END_HEADERS)).then_some(block);
        Ok(())
    }

    /// Looks at what of a payload counts: windows, and what a stream is said to depend on.
    fn told(&mut self, head: Head, part: &[u8]) -> Result<(), Reason> {
        match head.kind {
            kind::SETTINGS if !head.has(flag::ACK) => {
                for byte in part {
                    let Some([a, b, value @ ..]) = whole(&mut self.piece, 6, *byte) else { continue };
                    if u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE
                        && !self.streams.initial_window(u32::from_be_bytes(value))
                    {
                        return Err(Reason::FlowControl);
                    }
                }
            }
            kind::WINDOW_UPDATE | kind::PRIORITY => {
                for byte in part {
                    let Some([a, b, c, d, ..]) = whole(&mut self.piece, 4, *byte) else { continue };
                    let number = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
                    let good = match head.kind {
                        kind::WINDOW_UPDATE => number > 0 && self.streams.window(head.stream, number),
                        _ => number != head.stream,
                    };
                    // What the stream will be reset for (MadeYouReset) counts at once: many may come before the first is
                    // answered.
                    if !good {
                        self.budgets.take(Reason::ServerReset)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ends(&mut self, head: Head) {
        if head.kind == kind::DATA && head.has(flag::END_STREAM) {
            self.streams.asked_all(head.stream);
        }
    }

    /// This was sent to the client: all of it is taken note of, so that a farewell finds the boundary of its last frame.
    ///
    /// # Errors
    /// Why the connection is to be cut.
    pub(super) fn sent(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Reason> {
        self.written += bytes.len() as u64;
        let mut allowed = Ok(());
        while let Some(event) = self.outbound.next(&mut bytes) {
            match event {
                Event::Head(head) => {
                    self.sent_piece.1 = 0;
                    match head.kind {
                        kind::DATA => {
                            self.streams.sent(head.stream, head.length);
                            self.budgets.sent(head.length);
                        }
                        kind::HEADERS => self.streams.sent(head.stream, 0),
                        kind::RST_STREAM => self.streams.reset(head.stream),
                        _ => {}
                    }
                }
                Event::Payload(head, part) if head.kind == kind::RST_STREAM => {
                    for byte in part {
                        if let Some([a, b, c, d, ..]) = whole(&mut self.sent_piece, 4, *byte)
                            && BLAMED.contains(&u32::from_be_bytes([a, b, c, d]))
                        {
                            let taken = self.budgets.take(Reason::ServerReset);
                            allowed = allowed.and(taken);
                        }
                    }
                }
                Event::End(head)
                    if matches!(head.kind, kind::DATA | kind::HEADERS) && head.has(flag::END_STREAM) =>
                {
                    self.streams.answered(head.stream);
                    self.budgets.answered();
                    self.active = now;
                }
                Event::Payload(..) | Event::End(_) => {}
            }
        }
        allowed
    }

    /// Looks at the clock. `full` says that the client's side of the transport takes nothing just now.
    ///
    /// # Errors
    /// Why the connection is to be cut.
    pub(super) fn tick(&mut self, full: bool, now: Instant) -> Result<(), Reason> {
        let over = |since: Instant, limit| now.duration_since(since) >= limit;
        if self.incomplete.is_some_and(|since| over(since, self.limits.head())) {
            return Err(Reason::SlowHead);
        }
        if self.streams.is_empty() && !full && over(self.active, self.limits.idle()) {
            return Err(Reason::Idle);
        }
        if !full && !self.streams.is_blocked() {
            self.stalled = None;
            return Ok(());
        }
        match self.stalled {
            Some((since, _)) if !over(since, self.limits.write_stall()) => Ok(()),
            Some((_, before)) if self.written - before < self.limits.least_progress() => Err(Reason::Stall),
            _ => {
                self.stalled = Some((now, self.written));
                Ok(())
            }
        }
    }

    /// What the client is told last: nothing when a frame has been sent in part.
    pub(super) fn farewell(&self, reason: Reason) -> Vec<u8> {
        if self.outbound.at_boundary() {
            goaway(self.streams.last(), reason.code(), reason.as_str())
        } else {
            vec![]
        }
    }
}

/// True for a frame of a length that its type can have. HTTP/2 below ends the connection too, with a vaguer code.
const fn has_its_length(head: Head) -> bool {
    match head.kind {
        kind::PRIORITY => head.length == 5,
        kind::RST_STREAM | kind::WINDOW_UPDATE => head.length == 4,
        kind::SETTINGS if head.has(flag::ACK) => head.length == 0,
        kind::SETTINGS => head.length.is_multiple_of(6),
        kind::PING => head.length == 8,
        kind::GOAWAY => head.length >= 8,
        _ => true,
    }
}

/// Gathers a number of bytes; all of them when the last has come.
fn whole(piece: &mut ([u8; 6], usize), length: usize, byte: u8) -> Option<[u8; 6]> {
    piece.0[piece.1] = byte;
    piece.1 += 1;
    (piece.1 == length).then(|| {
        piece.1 = 0;
        piece.0
    })
}

#[cfg(test)]
mod tests;
