//! What a player saw.

use super::Playhead;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A segment of a track that came.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its place in the playlist.
    pub at: usize,
    /// The track.
    pub track: usize,
    /// The pathway that was asked.
    pub pathway: String,
    /// The node that answered, which another may have sent the player to.
    pub node: String,
    /// When it was asked for.
    pub asked: Instant,
    /// When all of it was there.
    pub whole: Instant,
}

/// Something that did not come.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The pathway that was asked.
    pub pathway: String,
    /// When it was given up.
    pub at: Instant,
    /// Why.
    pub why: String,
}

/// All that a player saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name in the story.
    pub name: String,
    /// How long the picture stood still once it had begun.
    pub frozen: Duration,
    /// How often.
    pub stalls: u32,
    /// How long it took to begin; `None` for one that never did.
    pub startup: Option<Duration>,
    /// Media that was played.
    pub position: Duration,
    /// Segments, as they came.
    pub parts: Vec<Part>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Each steering manifest's first pathways.
    pub steered: Vec<(Instant, Vec<String>)>,
}

impl Seen {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            frozen: Duration::ZERO,
            stalls: 0,
            startup: None,
            position: Duration::ZERO,
            parts: vec![],
            failures: vec![],
            steered: vec![],
        }
    }

    pub(super) fn told(&mut self, now: Instant, priority: &[String]) {
        self.steered.push((now, priority.to_vec()));
    }

    pub(super) fn played(&mut self, head: &Playhead) {
        (self.frozen, self.stalls) = head.frozen();
        self.startup = head.startup();
        self.position = head.position();
    }

    /// The node that it was on at a time: whose segment came last.
    #[must_use]
    pub fn node_at(&self, time: Instant) -> Option<&str> {
        self.parts.iter().filter(|part| part.whole <= time).map(|part| part.node.as_str()).next_back()
    }

    /// When it knew first that a pathway is not to be asked any more: it failed, or steering named another before it.
    #[must_use]
    pub fn knew(&self, pathway: &str, since: Instant) -> Option<Instant> {
        let failed =
            self.failures.iter().filter(|failure| failure.pathway == pathway).map(|failure| failure.at);
        let first = |priority: &[String]| priority.first().is_some_and(|first| first == pathway);
        let told = self.steered.iter().filter(|(_, priority)| !first(priority)).map(|(at, _)| *at);
        failed.chain(told).filter(|at| *at >= since).min()
    }

    /// The longest time that a segment took which was asked for since then, or asked for before and not there: with all that
    /// was tried for it.
    #[must_use]
    pub fn slowest_since(&self, since: Instant) -> Duration {
        let parts = self.parts.iter().filter(|part| part.asked >= since);
        parts.map(|part| part.whole - part.asked).max().unwrap_or_default()
    }

    /// The first segment that came from another node than this one, of those that were whole after a time.
    #[must_use]
    pub fn first_elsewhere(&self, node: &str, since: Instant) -> Option<&Part> {
        self.parts.iter().find(|part| part.whole >= since && part.node != node)
    }

    /// Segments of a node that were asked for after a time.
    pub fn asked_of(&self, node: &str, since: Instant) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.asked >= since && part.node == node)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{}: frozen {} ms in {} stalls, played {:.1} s, {} parts; ",
            self.name,
            self.frozen.as_millis(),
            self.stalls,
            self.position.as_secs_f64(),
            self.parts.len()
        )?;
        let Some(begun) = self.parts.first().map(|part| part.asked) else { return Ok(()) };
        let at = |time: Instant| time.saturating_duration_since(begun).as_secs_f64();
        for part in &self.parts {
            write!(
                to,
                "{}.{}@{} {:.2}-{:.2}, ",
                part.at,
                part.track,
                part.node,
                at(part.asked),
                at(part.whole)
            )?;
        }
        for failure in &self.failures {
            write!(to, "FAILED {} {:.2} {}, ", failure.pathway, at(failure.at), failure.why)?;
        }
        for (time, priority) in &self.steered {
            write!(to, "told {:.2} {}, ", at(*time), priority.join(">"))?;
        }
        Ok(())
    }
}
