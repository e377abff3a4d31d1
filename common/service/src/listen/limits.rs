//! Bounds of a connection, each with how it was chosen. Those that a site may need otherwise are in
//! [`LimitsConfig`](crate::config::LimitsConfig).

use std::time::Duration;

/// Connections of one listener at a time; a further one waits in the kernel's queue. Half of a common limit of 20,000
/// open files, since a connection may need a parent's beside its own.
pub(super) const MAX_CONNECTIONS: usize = 10_000;
/// Connections in the kernel's queue before they are accepted.
pub(super) const BACKLOG: u32 = 1_024;
/// Time an idle connection may wait for its last request once another process has taken the port over: a client that is
/// busy sends it at once.
pub(super) const LAST_REQUEST: Duration = Duration::from_secs(2);
/// Time for a balancer's PROXY header, which it sends at once.
pub(super) const PROXY_TIMEOUT: Duration = Duration::from_secs(3);
/// TLS sessions remembered for their resumption: at a few hundred bytes each no more than the connections they open.
pub(super) const SESSIONS: usize = 4_096;
/// Time in which a client must take something of a tunnel.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(30);
/// Bytes of an HTTP/1 head; also the read buffer's limit.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// Header fields of a request.
pub(super) const MAX_FIELDS: usize = 128;
/// Bytes of a target. Longer ones get 414.
pub(super) const MAX_TARGET: usize = 8 << 10;
/// Concurrent streams of an HTTP/2 or HTTP/3 connection.
pub(super) const MAX_STREAMS: u32 = 128;
/// Streams reset by the client before they were accepted (rapid reset, CVE-2023-44487).
pub(super) const MAX_RESETS: usize = 20;
/// Bytes of an HTTP/2 or HTTP/3 header list.
pub(super) const MAX_HEADER_LIST: u32 = 32 << 10;
/// HTTP/2 receive windows: an upload over 50 ms of round trip reaches 160 Mbit/s a stream.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;
/// See [`STREAM_WINDOW`].
pub(super) const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes of a QUIC connection's streams that were sent and not read: with what may be sent and not acknowledged, 2.5 MiB
/// at most.
pub(super) const QUIC_WINDOW: u32 = 3 << 19;
/// Bytes of a QUIC connection's streams sent and not acknowledged: as [`STREAM_WINDOW`].
pub(super) const QUIC_SEND: u32 = 1 << 20;
/// Silence after which an HTTP/2 peer is asked whether it lives, and the time for its answer.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Silence after which a QUIC connection ends.
pub(super) const QUIC_IDLE: Duration = Duration::from_secs(30);
/// Pieces of a request body between a connection and the service.
pub(super) const BODY_PIECES: usize = 8;
/// How long the rest of a refused request's body is read, and how long without a byte of it: what nginx has as
/// `lingering_time` and `lingering_timeout`.
pub(super) const LINGER: Duration = Duration::from_secs(30);
/// See [`LINGER`].
pub(super) const LINGER_STALL: Duration = Duration::from_secs(5);
/// Pause after a failed accept (no file descriptors left, say).
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that an HTTP/2 connection gathers before it writes: four records of TLS, what rustls takes at a time.
pub(super) const CORK: usize = 64 << 10;
/// How long a connection waits for its next request with all it has before only its socket is kept: a busy client asks
/// again within milliseconds, a viewer after seconds.
pub(super) const PARK_AFTER: Duration = Duration::from_millis(100);
/// How often connections whose time is over are looked for.
pub(super) const REAP: Duration = Duration::from_secs(1);
