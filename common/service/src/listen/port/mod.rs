//! One UDP port and the processes that serve it one after another.
//!
//! Only the newest reads the port. What comes in for connections of one before it (`ids` tells) goes to that one over a
//! line between the two (`envelope`), and it answers over its own copy of the port's socket. Where there is no process
//! before this one, reading is the library's own, with what the system gathers (GRO).
//!
//! When the line of an older process ends, nobody reads the port for it: it does so itself again.
//!
//! `unproven` bounds what is sent to who may not be there.

mod envelope;
mod ids;
mod line;
mod unproven;

pub(crate) use ids::Ids;
pub(crate) use line::{Elder, pair};

use crate::Metrics;
use line::{Sent, Tail};
use prometheus::{IntCounterVec, IntGauge};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::time::Instant;
use unproven::Unproven;

/// Counts what is passed on.
#[derive(Debug, Clone)]
pub(super) struct Relayed {
    datagrams: IntCounterVec,
    elders: IntGauge,
}

impl Relayed {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let datagrams = metrics.counters(
            "sluice_quic_relayed_total",
            "QUIC datagrams for processes before this one by what came of them",
            &["result"],
        );
        let elders =
            metrics.gauge("sluice_quic_elders", "Processes before this one that finish QUIC connections");
        Self { datagrams, elders }
    }
}

/// The port.
#[derive(Debug)]
pub(super) struct Port {
    socket: Arc<dyn AsyncUdpSocket>,
    /// Of this process.
    ids: Ids,
    state: Mutex<State>,
    unproven: Mutex<Unproven>,
    /// How many are unproven.
    suspects: AtomicUsize,
    relayed: Relayed,
}

#[derive(Debug, Default)]
struct State {
    /// Processes before this one that live.
    elders: Vec<line::Listening>,
    /// Where what is for this process comes from, once another reads the port.
    tail: Option<Tail>,
    /// Who waits for datagrams.
    waker: Option<Waker>,
    envelope: Vec<u8>,
}

impl Port {
    pub(super) fn new(
        socket: Arc<dyn AsyncUdpSocket>,
        ids: Ids,
        elders: Vec<Elder>,
        relayed: Relayed,
    ) -> io::Result<Self> {
        let elders = elders.into_iter().map(Elder::listen).collect::<io::Result<Vec<_>>>()?;
        let state = Mutex::new(State { elders, ..State::default() });
        let unproven = Mutex::new(Unproven::new(Instant::now()));
        Ok(Self { socket, ids, state, unproven, suspects: AtomicUsize::new(0), relayed })
    }

    /// Reads the port no more: what is for this process comes over a line from now on.
    pub(super) fn hand_over(&self, line: OwnedFd) -> io::Result<()> {
        let tail = Tail::new(line)?;
        let mut state = self.state();
        state.tail = Some(tail);
        // Whoever waits for the port must wait for the line.
        state.waker.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Notes who may not be there, and who is.
    fn watch(&self, datagrams: &[u8], meta: &RecvMeta) {
        let begins = datagrams.first().is_some_and(|first| first & 0x80 != 0);
        if !begins && self.suspects.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ids.has(datagrams) {
            unproven.proven(meta.addr);
        } else if begins {
            unproven.received(meta.addr, meta.len, Instant::now());
        }
        self.suspects.store(unproven.len(), Ordering::Relaxed);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_recv(
        &mut self,
        port: &Port,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if let Some(tail) = &mut self.tail {
            match ready!(tail.poll_recv(cx, bufs, meta)) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) => {
                    tracing::info!(%error, "nobody passes HTTP/3 on any more: the port is read here again");
                    self.tail = None;
                }
            }
        }
        if self.elders.is_empty() {
            return port.socket.poll_recv(cx, bufs, meta);
        }
        self.elders.retain(|elder| elder.lives(cx));
        port.relayed.elders.set(i64::try_from(self.elders.len()).unwrap_or(i64::MAX));
        let count = ready!(port.socket.poll_recv(cx, bufs, meta))?;
        for (buffer, meta) in bufs.iter_mut().zip(meta).take(count) {
            self.pass_on(buffer, meta, &port.relayed);
        }
        Poll::Ready(Ok(count))
    }

    /// Passes on what is for others: it is gone from its buffer then.
    fn pass_on(&mut self, buffer: &mut [u8], meta: &mut RecvMeta, relayed: &Relayed) {
        let (stride, mut kept, mut at) = (meta.stride.max(1), 0, 0);
        while at < meta.len {
            let owner = |at: usize| {
                let datagram = &buffer[at..meta.len.min(at + stride)];
                self.elders.iter().position(|elder| elder.ids.has(datagram))
            };
            let whose = owner(at);
            // A run of datagrams for one process goes there as it came: at once.
            let mut end = meta.len.min(at + stride);
            while end < meta.len && owner(end) == whose {
                end = meta.len.min(end + stride);
            }
            match whose {
                None => {
                    buffer.copy_within(at..end, kept);
                    kept += end - at;
                }
                Some(elder) => {
                    envelope::seal(&mut self.envelope, meta, &buffer[at..end]);
                    let sent = self.elders[elder].send(&self.envelope);
                    let count = (end - at).div_ceil(stride) as u64;
                    relayed.datagrams.with_label_values(&[sent.as_str()]).inc_by(count);
                    if sent == Sent::Gone {
                        self.elders.swap_remove(elder);
                    }
                }
            }
            at = end;
        }
        meta.len = kept;
    }
}

impl AsyncUdpSocket for Port {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.suspects.load(Ordering::Relaxed) == 0 {
            return self.socket.try_send(transmit);
        }
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = unproven.grants(transmit);
        // The rest is as if it were lost on its way.
        if granted > 0 {
            let contents = &transmit.contents[..granted];
            self.socket.try_send(&Transmit { contents, ..transmit.clone() })?;
            unproven.sent(transmit.destination, granted);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.state().poll_recv(self, cx, bufs, meta))?;
        for (buffer, meta) in bufs.iter().zip(&*meta).take(count) {
            self.watch(&buffer[..meta.len], meta);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
