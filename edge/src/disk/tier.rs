//! The tier as the store sees it: put, find, forget.

use super::body::Recorded;
use super::config::DiskConfig;
use super::health::Health;
use super::index::{Index, Slot};
use super::metrics::{DiskMetrics, Dropped, Fault, Lookup};
use super::record::{Answer, Content, FIXED, Fixed, Record};
use super::region::Region;
use super::sums::{BLOCK, is_sound};
use super::writer::{self, Put};
use super::{Corrupt, READERS, Shared};
use crate::cache::{Growing, Key, Object, selection};
use crate::transform::is_codable;
use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use sluice_service::Drain;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

/// Writes that wait. A disk that falls behind loses writes, never time of a request.
const QUEUE: usize = 256;
/// Bytes of bodies that wait to be written: they are held in memory, whatever the store's budget says.
const QUEUE_BYTES: u64 = 64 << 20;
/// Time for a lookup: a miss goes to a parent at about this cost.
const LOOKUP_LIMIT: Duration = Duration::from_secs(1);
/// Bodies up to this size come back to memory with their heads.
const SMALL: u64 = 64 << 10;
/// Bodies up to this size are verified whole when they are found: one that is damaged is a miss, not a body cut.
const VERIFIED_WHOLE: u64 = 4 << 20;
/// Freshness below which a renewed head is not written again: the record is revalidated after a restart instead.
const RENEW_FROM: Duration = Duration::from_secs(60);
/// Freshness below which an answer that cannot be revalidated is not worth a write.
const KEEP_FROM: Duration = Duration::from_secs(10);

/// The disk tier. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Tier {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Put>,
    queued: Arc<AtomicU64>,
}

impl Tier {
    /// A tier, if the configuration wants one. Its files are opened in the background.
    pub(crate) fn start(
        config: &DiskConfig,
        state_dir: &Path,
        metrics: DiskMetrics,
        drain: &Drain,
    ) -> Option<Self> {
        if config.bytes == 0 {
            return None;
        }
        let shared = Arc::new(Shared {
            dir: config.dir.clone().unwrap_or_else(|| state_dir.join("disk")),
            bytes: config.bytes,
            region_bytes: config.region_bytes(),
            index: Index::default(),
            health: Health::new(),
            metrics,
            readers: Arc::new(Semaphore::new(READERS)),
            begun: Instant::now(),
            marks: Mutex::default(),
            doomed: Mutex::default(),
            wake: Notify::new(),
        });
        let (queue, puts) = mpsc::channel(QUEUE);
        drain.tasks().spawn(writer::run(Arc::clone(&shared), puts, drain.token()));
        Some(Self { shared, queue, queued: Arc::default() })
    }

    /// Has a whole object written. Never waits: what cannot be queued is dropped.
    pub(crate) fn put(&self, target: &Key, object: &Arc<Object>) {
        let Some(length) = object.body.length() else { return };
        let drop_it = |reason| {
            self.shared.metrics.dropped(reason);
            // What the disk has is older than what was to be written.
            self.forget(target);
        };
        if !is_worth_keeping(object) {
            return self.forget(target);
        }
        if length >= self.shared.region_bytes {
            return drop_it(Dropped::TooLarge);
        }
        if !self.shared.health.may_write() {
            return drop_it(Dropped::Paused);
        }
        let Some(held) = Held::new(&self.queued, length) else { return drop_it(Dropped::Queue) };
        let generation = self.shared.index.promise(target.hash());
        let (target, object) = (target.clone(), Arc::clone(object));
        if let Err(error) = self.queue.try_send(Put { target, generation, object, held }) {
            let (mpsc::error::TrySendError::Full(put) | mpsc::error::TrySendError::Closed(put)) = error;
            self.shared.index.take_back(put.target.hash());
            drop_it(Dropped::Queue);
        }
    }

    /// Has an object written whose head alone is new. Where that is not worth a write of its body, the older record
    /// stays: it is revalidated when it is needed.
    pub(crate) fn renew(&self, target: &Key, object: &Arc<Object>) {
        let lifetimes = &object.head.lifetimes;
        if lifetimes.pushed.fresh.max(lifetimes.plain.fresh) >= RENEW_FROM {
            self.put(target, object);
        }
    }

    /// True when there may be something for a target: worth a look at the disk.
    pub(crate) fn may_have(&self, target: &Key) -> bool {
        self.shared.index.contains(target.hash()) && self.shared.health.may_read()
    }

    /// Forgets a target, in all its forms.
    pub(crate) fn forget(&self, target: &Key) {
        if let Some(place) = self.shared.index.forget(target.hash()) {
            self.shared.mark(place);
        }
    }

    /// The object that a request selects, verified as far as it is small, if it is here and the disk gives it in time.
    pub(crate) async fn find(&self, target: &Key, request: &HeaderMap) -> Option<Arc<Object>> {
        let (result, object) = match timeout(LOOKUP_LIMIT, self.look(target, request)).await {
            Ok(Ok(Some(object))) => (Lookup::Hit, Some(object)),
            Ok(Ok(None)) => (Lookup::Miss, None),
            Ok(Err(error)) if Corrupt::is(&error) => (Lookup::Corrupt, None),
            Ok(Err(error)) => {
                self.shared.fault(Fault::Read, &error);
                (Lookup::Failed, None)
            }
            Err(_) => {
                self.shared.fault(Fault::Read, &io::ErrorKind::TimedOut.into());
                (Lookup::Failed, None)
            }
        };
        if result == Lookup::Failed {
            self.shared.health.read_failed();
        }
        self.shared.metrics.looked_up(result);
        object
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn look(&self, target: &Key, request: &HeaderMap) -> io::Result<Option<Arc<Object>>> {
        match self.read(target).await? {
            Some(Read { record: Record { content: Content::Sign { family, fields }, .. }, .. }) => {
                let variant = target.variant(&selection(&fields, request));
                let found = self.read(&variant).await?;
                Ok(found.and_then(|read| self.object(&variant, read, family)))
            }
            found => Ok(found.and_then(|read| self.object(target, read, 0))),
        }
    }

    /// Reads and verifies what is in force for a key.
    async fn read(&self, key: &Key) -> io::Result<Option<Read>> {
        let Some((slot, region)) = self.shared.index.find(key.hash()) else { return Ok(None) };
        let text = Arc::clone(key.text());
        let read = self.shared.read(move || read_record(&region, slot, &text)).await;
        if read.as_ref().is_err_and(Corrupt::is) {
            self.shared.corrupt(key.hash(), slot.place());
        }
        read
    }

    fn object(&self, key: &Key, read: Read, family: u64) -> Option<Arc<Object>> {
        let Content::Answer(answer) = read.record.content else { return None };
        if answer.family != family {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = answer.age_at(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let Answer { head, asked_at, sums, .. } = *answer;
        let body = read.small.map_or_else(
            || {
                let place = read.slot.place();
                let of_body = (place.at + read.fixed.body_from(), read.fixed.body);
                let body = Recorded::new(&self.shared, &read.region, (key.hash(), place), of_body, sums);
                Growing::recorded(Arc::new(body))
            },
            Growing::whole,
        );
        Some(Arc::new(Object::restored(head, Arc::new(body), asked_at, age)))
    }
}

/// A record that was read.
struct Read {
    slot: Slot,
    region: Arc<Region>,
    fixed: Fixed,
    record: Record,
    /// The whole body of a small one.
    small: Option<Bytes>,
}

/// Reads a record, and as much of its body as is verified at once. Blocks.
fn read_record(region: &Arc<Region>, slot: Slot, key: &str) -> io::Result<Option<Read>> {
    let (body, place) = (u64::from(slot.body), slot.place());
    let with_head = if body <= SMALL { body } else { 0 };
    let length = usize::try_from(u64::from(slot.head) + with_head).map_err(|_| Corrupt::error())?;
    let bytes = match region.read(place.at, length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Corrupt::error()),
        read => read?,
    };
    let (fixed, record) = Record::decode(&bytes, place).ok_or_else(Corrupt::error)?;
    let as_indexed = fixed.body == body && fixed.body_from() == u64::from(slot.head);
    if !as_indexed || slot.head < FIXED as u32 {
        return Err(Corrupt::error());
    }
    if record.key != key {
        // Two keys of one hash: the other was written last.
        return Ok(None);
    }
    let mut small = None;
    if let Content::Answer(answer) = &record.content {
        if body <= SMALL {
            let body = bytes.slice(slot.head as usize..);
            if !is_sound(&body, 0, &answer.sums) {
                return Err(Corrupt::error());
            }
            small = Some(body);
        } else {
            let from = place.at + fixed.body_from();
            let verified = if body <= VERIFIED_WHOLE { body } else { BLOCK as u64 };
            // What has coded forms is needed in memory.
            let codable = is_codable(answer.head.status, &answer.head.headers);
            let mut wanted = (codable && verified == body).then(BytesMut::new);
            verify(region, from, verified, &answer.sums, |piece| {
                wanted.iter_mut().for_each(|wanted| wanted.extend_from_slice(piece));
            })?;
            small = wanted.map(BytesMut::freeze);
        }
    }
    Ok(Some(Read { slot, region: Arc::clone(region), fixed, record, small }))
}

/// Verifies the first bytes of a body. Blocks.
fn verify(
    region: &Region,
    from: u64,
    length: u64,
    sums: &[u64],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    const STEP: u64 = 4 * BLOCK as u64;
    for at in (0..length).step_by(STEP as usize) {
        let bytes = match region.read(from + at, STEP.min(length - at) as usize) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Corrupt::error()),
            read => read?,
        };
        if !is_sound(&bytes, (at / BLOCK as u64) as usize, sums) {
            return Err(Corrupt::error());
        }
        each(&bytes);
    }
    Ok(())
}

fn is_worth_keeping(object: &Object) -> bool {
    let lifetimes = &object.head.lifetimes;
    lifetimes.pushed.fresh.max(lifetimes.plain.fresh) >= KEEP_FROM || object.validators().next().is_some()
}

/// Bytes that wait to be written, counted until they are.
#[derive(Debug)]
pub(super) struct Held(Arc<AtomicU64>, u64);

impl Held {
    fn new(queued: &Arc<AtomicU64>, bytes: u64) -> Option<Self> {
        let held = Self(Arc::clone(queued), bytes);
        let before = queued.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= QUEUE_BYTES || before == 0).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}
