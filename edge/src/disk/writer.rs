//! The writer: one task that appends records, marks what was forgotten, and removes the oldest region for room.

use super::body::{Pin, Recorded};
use super::health::PAUSE;
use super::index::{MAX_RECORDS, MAX_REGIONS, Slot};
use super::metrics::{Dropped, Fault};
use super::record::{ALIGN, Answer, Content, Place, Record};
use super::region::Region;
use super::source::Source;
use super::tier::Held;
use super::{Corrupt, Shared, recovery};
use crate::cache::{Head, Key, Object};
use http::HeaderName;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Writes made in one go on a thread.
const BATCH: usize = 32;
/// What is written anew when a region goes, as a share of it: the rest of the region is room gained.
const SURVIVORS: u64 = 4;

/// A write that was promised.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) target: Key,
    pub(super) generation: u32,
    pub(super) object: Arc<Object>,
    pub(super) held: Held,
}

/// Opens the folder, as often as it takes; then writes until the drain has begun and nothing waits.
pub(super) async fn run(shared: Arc<Shared>, mut puts: mpsc::Receiver<Put>, stop: CancellationToken) {
    let Some(writer) = open(&shared, &mut puts, &stop).await else { return };
    let old = recovery::regions(&shared);
    let recovering = recovery::run(Arc::clone(&shared), old, stop.clone());
    tokio::join!(recovering, write(shared, writer, puts, stop));
}

/// Opens the folder. Until that succeeds, what comes to be written is dropped.
async fn open(
    shared: &Arc<Shared>,
    puts: &mut mpsc::Receiver<Put>,
    stop: &CancellationToken,
) -> Option<Writer> {
    loop {
        let opening = Arc::clone(shared);
        match spawn_blocking(move || Writer::open(opening)).await {
            Ok(Ok(writer)) => return Some(writer),
            Ok(Err(error)) => shared.fault(Fault::Open, &error),
            Err(error) => shared.fault(Fault::Open, &io::Error::other(error)),
        }
        shared.health.write_failed();
        let dropping = async {
            while let Some(put) = puts.recv().await {
                shared.index.take_back(put.target.hash());
                shared.metrics.dropped(Dropped::Paused);
            }
        };
        tokio::select! {
            _ = timeout(PAUSE, dropping) => {}
            () = stop.cancelled() => return None,
        }
    }
}

async fn write(
    shared: Arc<Shared>,
    mut writer: Writer,
    mut puts: mpsc::Receiver<Put>,
    stop: CancellationToken,
) {
    let mut batch = vec![];
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return finish(writer, puts).await,
            received = puts.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = shared.wake.notified() => {}
        }
        let due = std::mem::take(&mut batch);
        let writing = spawn_blocking(move || {
            writer.tidy();
            due.into_iter().for_each(|put| writer.put(put));
            writer
        });
        match writing.await {
            Ok(back) => writer = back,
            Err(error) => return tracing::error!(%error, "the disk tier's writer ended"),
        }
        if !shared.health.may_write() {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
            // What could not be marked is tried again.
            shared.wake.notify_one();
        }
    }
}

/// Writes what was promised before the drain began.
async fn finish(mut writer: Writer, mut puts: mpsc::Receiver<Put>) {
    puts.close();
    let writing = spawn_blocking(move || {
        while let Ok(put) = puts.try_recv() {
            writer.put(put);
        }
        writer.tidy();
    });
    if let Err(error) = writing.await {
        tracing::error!(%error, "the disk tier's writer ended");
    }
}

/// What appends to regions. All of it blocks.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    current: Option<Arc<Region>>,
    next: u32,
    /// Survivors of a region that goes are being written: their room is kept free.
    reclaiming: bool,
    /// Nobody else writes below this folder while it is held.
    _lock: File,
}

impl Writer {
    /// Takes the folder, and adds the regions of earlier lives to the index, unread.
    pub(super) fn open(shared: Arc<Shared>) -> io::Result<Self> {
        std::fs::create_dir_all(&shared.dir)?;
        let lock = File::create(shared.dir.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let ids = Region::list(&shared.dir)?;
        let next = ids.last().map_or(0, |last| last.saturating_add(1));
        let regions: Vec<Region> =
            ids.into_iter().map(|id| Region::open(&shared.dir, id)).collect::<io::Result<_>>()?;
        regions.into_iter().for_each(|region| shared.index.add(Arc::new(region)));
        shared.index.begin_recovery();
        shared.gauge();
        Ok(Self { shared, current: None, next, reclaiming: false, _lock: lock })
    }

    /// Writes what was promised. A disk that fails is left alone for a while.
    pub(super) fn put(&mut self, put: Put) {
        let Put { target, generation, object, held } = put;
        let (index, metrics) = (&self.shared.index, &self.shared.metrics);
        if !self.shared.health.may_write() {
            index.take_back(target.hash());
            return metrics.dropped(Dropped::Paused);
        }
        match self.write(&target, &object) {
            Ok(written) => match self.shared.index.keep(target.hash(), generation, &written) {
                Some(replaced) => {
                    self.shared.metrics.writes.inc();
                    replaced.into_iter().for_each(|place| self.mark(place));
                }
                None => {
                    self.shared.metrics.dropped(Dropped::Forgotten);
                    written.into_iter().for_each(|(_, slot)| self.mark(slot.place()));
                }
            },
            Err(error) => {
                self.shared.index.take_back(target.hash());
                self.failed(&error);
            }
        }
        drop(held);
        self.shared.gauge();
    }

    fn failed(&mut self, error: &io::Error) {
        self.shared.metrics.dropped(Dropped::Failed);
        if Corrupt::is(error) {
            return;
        }
        self.shared.fault(Fault::Write, error);
        self.shared.health.write_failed();
        // What it left is not appended to again.
        self.current = None;
        if error.kind() == io::ErrorKind::StorageFull && self.shared.index.extent().1 > 1 {
            // There is less room than was allowed: the oldest region makes some, and the next try will tell.
            self.remove_oldest();
        }
    }

    /// Appends an object's record, and a sign in front of it when it varies and there is none.
    fn write(&mut self, target: &Key, object: &Arc<Object>) -> io::Result<Vec<(u64, Slot)>> {
        let Head { status, headers, lifetimes, varies } = &object.head;
        let (fields, selected) = varies;
        let mut written = vec![];
        let (key, family) = if fields.is_empty() {
            (target.clone(), 0)
        } else {
            let family = match self.family(target, fields)? {
                Some(family) => family,
                None => {
                    let family = rand::random::<u64>().max(1);
                    let content = Content::Sign { family, fields: fields.clone() };
                    let sign = Record { key: target.text().to_string(), content };
                    written.push((target.hash(), self.append(&sign, &Source::Memory(vec![]))?));
                    family
                }
            };
            (target.variant(selected), family)
        };
        let source = Source::of(object)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let answer = Answer {
            head: Head {
                status: *status,
                headers: headers.clone(),
                lifetimes: *lifetimes,
                varies: varies.clone(),
            },
            family,
            asked_at: object.asked_at,
            age: object.age(),
            unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            sums: source.sums(),
        };
        let record = Record { key: key.text().to_string(), content: Content::Answer(Box::new(answer)) };
        written.push((key.hash(), self.append(&record, &source)?));
        Ok(written)
    }

    /// The family of a target's variants, if its sign is on disk and names these fields.
    fn family(&self, target: &Key, fields: &[HeaderName]) -> io::Result<Option<u64>> {
        let Some((slot, region)) = self.shared.index.find(target.hash()) else { return Ok(None) };
        let head = region.read(slot.place().at, slot.head as usize)?;
        Ok(match Record::decode(&head, slot.place()) {
            Some((_, Record { key, content: Content::Sign { family, fields: known } }))
                if known == fields && key == **target.text() =>
            {
                Some(family)
            }
            _ => None,
        })
    }

    /// Appends a record. What fails half way is cut off again.
    fn append(&mut self, record: &Record, source: &Source) -> io::Result<Slot> {
        let body = source.length();
        let head = record.encode(Place { region: 0, at: 0 }, body).len() as u64;
        let span = (head + body).next_multiple_of(ALIGN);
        let region = self.region_for(span)?;
        let place = Place { region: region.id, at: region.length() };
        let slot = Slot::new(place, head, body).ok_or(io::ErrorKind::FileTooLarge)?;
        let bytes = record.encode(place, body);
        let appended = region.write(place.at, &bytes).and_then(|()| source.write(&region, place.at + head));
        if let Err(error) = appended {
            if let Err(error) = region.cut(place.at) {
                tracing::debug!(%error, "what was written in part stays until the region is read again");
            }
            self.current = None;
            return Err(error);
        }
        let hash = Key::of_text(&record.key).hash();
        region.commit(place.at + span, [hash]);
        self.shared.metrics.written_bytes.inc_by(span);
        Ok(slot)
    }

    /// The region to append so many bytes to.
    fn region_for(&mut self, span: u64) -> io::Result<Arc<Region>> {
        if span > self.shared.region_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        while !self.reclaiming && self.is_full(span) && self.reclaim() {}
        let fits = |region: &&Arc<Region>| region.length() + span <= self.shared.region_bytes;
        if let Some(region) = self.current.as_ref().filter(fits) {
            return Ok(Arc::clone(region));
        }
        let region = Arc::new(Region::create(&self.shared.dir, self.next)?);
        self.next = self.next.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        self.shared.index.add(Arc::clone(&region));
        self.current = Some(Arc::clone(&region));
        Ok(region)
    }

    /// True when one more record goes beyond a bound; room for survivors is left free.
    fn is_full(&self, span: u64) -> bool {
        let (bytes, regions, records) = self.shared.index.extent();
        let most = self.shared.bytes - self.shared.region_bytes / SURVIVORS;
        bytes + span > most || regions >= MAX_REGIONS || records + 2 > MAX_RECORDS
    }

    /// Removes the oldest region. What was asked for since it was written is written once more, as far as its share goes.
    /// False when there is nothing to remove.
    fn reclaim(&mut self) -> bool {
        let Some(oldest) = self.shared.index.oldest() else { return false };
        if self.current.as_ref().is_some_and(|current| current.id == oldest.id) {
            self.current = None;
        }
        let mut share = self.shared.region_bytes / SURVIVORS;
        self.reclaiming = true;
        for hash in oldest.take_keys() {
            let Some((slot, asked)) = self.shared.index.in_region(hash, oldest.id) else { continue };
            let span = (u64::from(slot.head) + u64::from(slot.body)).next_multiple_of(ALIGN);
            // A new head may be a little longer than it was.
            let fits = asked && span <= share;
            if fits && let Ok(copy) = self.copy(hash, slot, &oldest) {
                share -= span;
                if self.shared.index.moved(hash, slot.place(), copy) {
                    continue;
                }
                self.mark(copy.place());
            }
            self.shared.index.forget_at(hash, slot.place());
        }
        self.reclaiming = false;
        self.remove_oldest();
        true
    }

    fn copy(&mut self, hash: u64, slot: Slot, region: &Arc<Region>) -> io::Result<Slot> {
        let place = slot.place();
        let bytes = region.read(place.at, slot.head as usize)?;
        let (fixed, record) = Record::decode(&bytes, place).ok_or_else(Corrupt::error)?;
        let sums = match &record.content {
            Content::Answer(answer) => answer.sums.clone(),
            Content::Sign { .. } => [].into(),
        };
        let of_body = (place.at + fixed.body_from(), fixed.body);
        let body = Recorded::new(&self.shared, region, (hash, place), of_body, sums);
        self.append(&record, &Source::Disk(Arc::new(body), Pin(Arc::clone(region))))
    }

    fn remove_oldest(&self) {
        let Some(oldest) = self.shared.index.oldest() else { return };
        self.shared.index.take_out(oldest.id);
        self.remove(&oldest);
        self.shared.metrics.reclaimed.inc();
    }

    fn remove(&self, region: &Region) {
        for hash in region.take_keys() {
            if let Some((slot, _)) = self.shared.index.in_region(hash, region.id) {
                self.shared.index.forget_at(hash, slot.place());
            }
        }
        if let Err(error) = region.remove() {
            self.shared.fault(Fault::Write, &error);
        }
    }

    /// Marks and removes what others asked for.
    pub(super) fn tidy(&mut self) {
        for place in self.shared.take_marks() {
            self.mark(place);
        }
        for region in self.shared.take_doomed() {
            if self.current.as_ref().is_some_and(|current| current.id == region.id) {
                self.current = None;
            }
            self.remove(&region);
        }
        self.shared.gauge();
    }

    /// Marks a record as forgotten; tried again later when the disk does not take it now.
    fn mark(&self, place: Place) {
        let Some(region) = self.shared.index.region(place.region) else { return };
        if let Err(error) = region.kill(place) {
            self.shared.fault(Fault::Mark, &error);
            self.shared.health.write_failed();
            self.shared.mark(place);
        }
    }
}
