//! The edge's metrics, and the counts it reports.

use crate::disk::DiskMetrics;
use crate::floors::Severity;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sluice_service::Metrics as Registry;
use sluice_wire::node::NodeCounters;

/// What the edge counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Requests by outcome.
    pub(crate) requests: IntCounterVec,
    /// Requests under way.
    pub(crate) active: IntGauge,
    /// What players said of themselves, by how it came and what became of it.
    pub(crate) cmcd: IntCounterVec,
    /// How much is given up: 0 nothing, 1 what nobody waits for, 2 the highest rung, 3 those who begin.
    pub(crate) stage: IntGauge,
    /// Answers that overload changed: `capped`, `refused`.
    pub(crate) shed: IntCounterVec,
    /// Segments fetched before they were asked for, by what became of it.
    pub(crate) ahead: IntCounterVec,
    /// Bytes of plans, by what became of them.
    plan_bytes: IntCounterVec,
    /// Groups of plans, by what became of them.
    pub(crate) plan_groups: IntCounterVec,
    /// Plans, by what became of them.
    pub(crate) plans: IntCounterVec,
    /// Sessions that played in the last seconds.
    pub(crate) sessions: IntGauge,
    /// Those of them that starved.
    pub(crate) starved: IntGauge,
    /// Route tables taken, whole or as changes.
    pub(crate) tables: IntCounterVec,
    /// Route tables refused, by reason.
    pub(crate) tables_refused: IntCounterVec,
    /// Misses by class.
    pub(crate) misses: IntCounterVec,
    /// Fetches from parents by result.
    pub(crate) fetches: IntCounterVec,
    /// Near edges of the same site that were asked, by what became of that.
    pub(crate) siblings: IntCounterVec,
    /// Second fetches beside a slow parent's, by what became of them.
    pub(crate) hedges: IntCounterVec,
    /// Bodies that were cut and gone on with elsewhere, by what became of that.
    pub(crate) resumes: IntCounterVec,
    /// Body bytes from parents.
    pub(crate) bytes_in: IntCounter,
    /// Body bytes to clients, as far as they are known beforehand.
    pub(crate) bytes_out: IntCounter,
    /// Bytes the cache holds.
    pub(crate) cache_bytes: IntGauge,
    /// Objects the cache holds.
    pub(crate) cache_objects: IntGauge,
    /// Paths that answers have spoken of queries for.
    pub(crate) searches: IntGauge,
    /// Questions about names by result.
    pub(crate) names: IntCounterVec,
    /// Objects evicted for room.
    pub(crate) evictions: IntCounter,
    /// Coded forms by coding and result.
    pub(crate) codings: IntCounterVec,
    /// Variants of images by result.
    pub(crate) images: IntCounterVec,
    /// Bodies refused because they were below a floor.
    pub(crate) floor_refusals: IntCounter,
    /// Purges by severity.
    pub(crate) purges: IntCounterVec,
    /// Requests of askers that had heard of more than this node, by how it ended.
    pub(crate) catch_ups: IntCounterVec,
    /// Events applied.
    pub(crate) events: IntCounter,
    /// From an event's commit to its floor here.
    pub(crate) event_delay: HistogramVec,
    /// WebSockets.
    pub(crate) tunnels: Tunnels,
    /// Live channels.
    pub(crate) live: LiveCounts,
    /// Waiting rooms.
    pub(crate) rooms: RoomCounts,
    /// Decisions on access by result.
    pub(crate) access: IntCounterVec,
    /// Rules, keys and places read again, by result.
    pub(crate) access_reads: IntCounterVec,
    /// 1 while the event feed is live.
    pub(crate) feed_live: IntGauge,
    /// The disk tier's.
    pub(crate) disk: DiskMetrics,
}

/// What is counted of WebSockets.
#[derive(Debug, Clone)]
pub(crate) struct Tunnels {
    /// Those under way.
    pub(crate) open: IntGauge,
    /// Bytes from clients to origins.
    pub(crate) up: IntCounter,
    /// Bytes from origins to clients.
    pub(crate) down: IntCounter,
    ended: IntCounterVec,
}

impl Tunnels {
    fn new(r: &Registry) -> Self {
        let bytes = r.counters("sluice_edge_tunnel_bytes_total", "Bytes of WebSockets by way", &["way"]);
        Self {
            open: r.gauge("sluice_edge_tunnels_open", "WebSockets under way"),
            up: bytes.with_label_values(&["up"]),
            down: bytes.with_label_values(&["down"]),
            ended: r.counters("sluice_edge_tunnels_total", "WebSockets by who or what ended them", &["end"]),
        }
    }

    /// Counts one that ended.
    pub(crate) fn ended(&self, end: TunnelEnd) {
        self.ended.with_label_values(&[end.as_str()]).inc();
    }
}

/// What carries live channels to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A WebSocket.
    Socket,
    /// Server-sent events.
    Events,
    /// A request that waits.
    Poll,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Socket, Self::Events, Self::Poll];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "websocket",
            Self::Events => "events",
            Self::Poll => "poll",
        }
    }
}

/// What is counted of live channels.
#[derive(Debug, Clone)]
pub(crate) struct LiveCounts {
    clients: IntGaugeVec,
    /// Channels that are held, also those nobody listens to just now.
    pub(crate) channels: IntGauge,
    /// Subscriptions that origins were asked for.
    pub(crate) asked: IntCounter,
    /// Frames that clients were given.
    pub(crate) frames: IntCounter,
    ended: IntCounterVec,
}

impl LiveCounts {
    fn new(r: &Registry) -> Self {
        Self {
            clients: r.gauges("sluice_edge_live_clients", "Clients of live channels, by what carries them", &["transport"]),
            channels: r.gauge("sluice_edge_live_channels", "Live channels that are held"),
            asked: r.counter("sluice_edge_live_subscriptions_total", "Subscriptions to channels that origins were asked for"),
            frames: r.counter("sluice_edge_live_frames_total", "Frames given to clients"),
            ended: r.counters(
                "sluice_edge_live_ended_total",
                "Clients that went (client) or were cut (slow, dead, fault, drain), and subscriptions that were ended (revoked)",
                &["reason"],
            ),
        }
    }

    /// Clients there are.
    pub(crate) fn all_clients(&self) -> i64 {
        Transport::ALL.iter().map(|one| self.clients.with_label_values(&[one.as_str()]).get()).sum()
    }

    pub(crate) fn came(&self, transport: Transport) {
        self.clients.with_label_values(&[transport.as_str()]).inc();
    }

    pub(crate) fn went(&self, transport: Transport) {
        self.clients.with_label_values(&[transport.as_str()]).dec();
    }

    /// Counts so many that ended.
    pub(crate) fn ended(&self, reason: &str, count: usize) {
        self.ended.with_label_values(&[reason]).inc_by(count as u64);
    }
}

/// What is counted of waiting rooms.
#[derive(Debug, Clone)]
pub(crate) struct RoomCounts {
    /// Who waits.
    pub(crate) waiting: IntGauge,
    /// Tickets that were asked for, by what became of that.
    pub(crate) tickets: IntCounterVec,
    /// Tickets that were let in.
    pub(crate) admitted: IntCounter,
    /// Requests for what a room guards, by what became of them.
    pub(crate) guarded: IntCounterVec,
    /// Questions to origins whom to let in, by result.
    pub(crate) asked: IntCounterVec,
}

impl RoomCounts {
    fn new(r: &Registry) -> Self {
        Self {
            waiting: r.gauge("sluice_edge_room_waiting", "Tickets in line in waiting rooms"),
            tickets: r.counters(
                "sluice_edge_room_tickets_total",
                "Tickets asked for: given, or why not (sold-out, room-full, too-many-tickets, no-room, room-unknown)",
                &["result"],
            ),
            admitted: r.counter("sluice_edge_room_admitted_total", "Tickets that were let in"),
            guarded: r.counters(
                "sluice_edge_room_guarded_total",
                "Requests for what a waiting room guards: passed on, or why not",
                &["result"],
            ),
            asked: r.counters(
                "sluice_edge_room_asks_total",
                "Questions to origins whom to let in",
                &["result"],
            ),
        }
    }
}

/// What ended a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TunnelEnd {
    /// Its client.
    Client,
    /// Its origin.
    Origin,
    /// A connection that broke.
    Fault,
    /// Silence.
    Idle,
    /// The end of this server.
    Cut,
}

impl TunnelEnd {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Origin => "origin",
            Self::Fault => "fault",
            Self::Idle => "idle",
            Self::Cut => "cut",
        }
    }
}

/// How a request ended, as the metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Hit,
    Miss,
    Collapsed,
    Stale,
    Bypass,
    Redirect,
    Refused,
    Cut,
    Error,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Redirect => "redirect",
            Self::Refused => "refused",
            Self::Cut => "cut",
            Self::Error => "error",
        }
    }
}

/// Why a request was a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nobody asked for it here before, as far as is remembered.
    FirstEver,
    /// It was here, and gave way to something else.
    Evicted,
    /// It is here, and no longer fresh.
    Expired,
    /// It was here, and was purged or changed.
    Purged,
    /// Another node was its owner until the last change of the route table.
    RingMoved,
    /// Another node is its owner, and could not serve it.
    Health,
}

impl Miss {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::FirstEver => "first-ever",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Purged => "purged",
            Self::RingMoved => "ring-moved",
            Self::Health => "health",
        }
    }
}

impl Metrics {
    pub(crate) fn new(r: &Registry) -> Self {
        Self {
            requests: r.counters("sluice_edge_requests_total", "Requests by outcome", &["outcome"]),
            active: r.gauge("sluice_edge_requests_active", "Requests under way"),
            cmcd: r.counters("sluice_edge_cmcd_total", "What players said of themselves, by how it came and what became of it", &["mode", "result"]),
            stage: r.gauge("sluice_edge_overload_stage", "0 calm, 1 spare, 2 brown, 3 full"),
            shed: r.counters("sluice_edge_shed_total", "Answers that overload changed", &["what"]),
            ahead: r.counters("sluice_edge_ahead_total", "Segments fetched before they were asked for, by what became of it", &["result"]),
            plan_bytes: r.counters(
                "sluice_edge_plan_bytes_total",
                "Bytes of plans: planned, fetched, used (asked for since), wasted (let go of before anybody asked)",
                &["result"],
            ),
            plan_groups: r.counters(
                "sluice_edge_plan_groups_total",
                "Media groups of plans: fetched, kept (all of it was here), failed (in part), unknown (no playlist names it)",
                &["result"],
            ),
            plans: r.counters(
                "sluice_edge_plans_total",
                "Plans: followed, refused, ended early (out-of-budget, out-of-time, out-of-room)",
                &["result"],
            ),
            sessions: r.gauge("sluice_edge_sessions", "Sessions that played in the last seconds"),
            starved: r.gauge("sluice_edge_sessions_starved", "Sessions that ran out of what to play in the last seconds"),
            tables: r.counters("sluice_edge_tables_total", "Route tables taken, whole or as changes", &["form"]),
            tables_refused: r.counters(
                "sluice_edge_tables_refused_total",
                "Route tables refused, by reason; the last good one stays in force",
                &["reason"],
            ),
            misses: r.counters(
                "sluice_edge_misses_total",
                "Misses by class: each has exactly one",
                &["class"],
            ),
            fetches: r.counters("sluice_edge_fetches_total", "Fetches from parents by result", &["result"]),
            siblings: r.counters(
                "sluice_edge_sibling_asks_total",
                "Near edges of the same site that were asked, by result",
                &["result"],
            ),
            hedges: r.counters(
                "sluice_edge_hedges_total",
                "Second fetches beside a slow parent's: won, lost, or denied by their budget",
                &["result"],
            ),
            resumes: r.counters(
                "sluice_edge_resumes_total",
                "Bodies cut by a parent: resumed, refused by the next, or denied by their budget",
                &["result"],
            ),
            bytes_in: r.counter("sluice_edge_bytes_in_total", "Body bytes from parents into the cache"),
            bytes_out: r.counter("sluice_edge_bytes_out_total", "Body bytes to clients out of the cache"),
            cache_bytes: r.gauge("sluice_edge_cache_bytes", "Bytes the cache holds"),
            cache_objects: r.gauge("sluice_edge_cache_objects", "Objects the cache holds"),
            names: r.counters("sluice_edge_names_total", "Questions about names by result", &["result"]),
            searches: r.gauge("sluice_edge_searches", "Paths whose answers say which parameters do not count"),
            evictions: r.counter("sluice_edge_evictions_total", "Objects evicted for room"),
            codings: r.counters(
                "sluice_edge_codings_total",
                "Coded forms by coding and what became of them: made, not_worth (saves too little) or failed",
                &["coding", "result"],
            ),
            images: r.counters(
                "sluice_edge_images_total",
                "Variants of images by what became of them: made, renewed (its source was confirmed), refused (no image, or \
                 too large), busy (as much waits as may) or failed",
                &["result"],
            ),
            floor_refusals: r.counter("sluice_edge_floor_refusals_total", "Bodies refused below a floor"),
            purges: r.counters("sluice_edge_purges_total", "Purges applied by severity", &["severity"]),
            catch_ups: r.counters(
                "sluice_edge_catch_ups_total",
                "Requests of nodes further in the log, by whether this one caught up in time",
                &["result"],
            ),
            events: r.counter("sluice_edge_events_total", "Events of the log applied"),
            event_delay: r.seconds(
                "sluice_edge_event_delay_seconds",
                "From an event's commit to its floor here",
                &[],
            ),
            tunnels: Tunnels::new(r),
            live: LiveCounts::new(r),
            rooms: RoomCounts::new(r),
            access: r.counters("sluice_edge_access_total", "Decisions on access by result", &["result"]),
            access_reads: r.counters(
                "sluice_edge_access_reads_total",
                "Rules, keys and places read, by what and result",
                &["what", "result"],
            ),
            feed_live: r.gauge("sluice_edge_feed_live", "1 while the event feed is live"),
            disk: DiskMetrics::new(r),
        }
    }

    /// Counts bytes of plans.
    pub(crate) fn planned(&self, result: &str, bytes: u64) {
        self.plan_bytes.with_label_values(&[result]).inc_by(bytes);
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.requests.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Counts a decision on access: `open`, `allowed`, or the reason of a refusal.
    pub(crate) fn access(&self, result: &str) {
        self.access.with_label_values(&[result]).inc();
    }

    /// Counts a reading of what access is decided by.
    pub(crate) fn reloaded(&self, what: &str, good: bool) {
        self.access_reads.with_label_values(&[what, if good { "good" } else { "bad" }]).inc();
    }

    pub(crate) fn missed(&self, class: Miss) {
        self.misses.with_label_values(&[class.as_str()]).inc();
    }

    pub(crate) fn purged(&self, severity: Severity) {
        self.purges.with_label_values(&[severity.as_str()]).inc();
    }

    /// The counts of a report.
    pub(crate) fn report(&self) -> NodeCounters {
        let of = |outcome: Outcome| self.requests.with_label_values(&[outcome.as_str()]).get();
        let positive = |gauge: &IntGauge| u64::try_from(gauge.get()).unwrap_or(0);
        let all = [
            Outcome::Hit,
            Outcome::Miss,
            Outcome::Collapsed,
            Outcome::Stale,
            Outcome::Bypass,
            Outcome::Redirect,
            Outcome::Refused,
            Outcome::Cut,
            Outcome::Error,
        ];
        NodeCounters {
            requests: all.into_iter().map(of).sum(),
            hits: of(Outcome::Hit) + of(Outcome::Collapsed) + of(Outcome::Stale),
            misses: of(Outcome::Miss),
            errors: of(Outcome::Error) + of(Outcome::Cut),
            bytes_out: self.bytes_out.get(),
            bytes_in: self.bytes_in.get(),
            active: positive(&self.active),
            cache_bytes: positive(&self.cache_bytes),
            cache_objects: positive(&self.cache_objects),
        }
    }
}
