//! Stories of the tier on a real folder.

use super::*;
use crate::cache::{FeedMark, Growing, Head, Key, Lifetimes, Object, POLICY, vary_fields};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use sluice_service::{Drain, Metrics};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// A tier on a folder, as one process has it.
struct Life {
    tier: Tier,
    drain: Drain,
}

impl Life {
    async fn begin(dir: &Path, bytes: u64) -> Self {
        let life = Self::open(dir, bytes);
        life.until("it has read what there was", |shared| shared.metrics.rebuilt.get() == 1).await;
        life
    }

    fn open(dir: &Path, bytes: u64) -> Self {
        let drain = Drain::new(Duration::from_secs(10));
        let config = DiskConfig { dir: Some(dir.into()), bytes };
        let metrics = DiskMetrics::new(&Metrics::default());
        let tier = Tier::start(&config, dir, metrics, &drain).unwrap();
        Self { tier, drain }
    }

    async fn end(self) {
        drop(self.tier);
        assert_eq!(self.drain.finish().await.cut, 0);
    }

    async fn until(&self, what: &str, done: impl Fn(&Shared) -> bool) {
        let begun = Instant::now();
        while !done(self.tier.shared()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn put(&self, name: &str, body: Vec<u8>) {
        self.put_object(name, object(&[], &[], body)).await;
    }

    async fn put_object(&self, name: &str, object: Object) {
        let before = self.tier.shared().metrics.writes.get();
        self.tier.put(&Key::of_text(name), &Arc::new(object));
        self.until("written", |shared| shared.metrics.writes.get() > before).await;
    }

    /// The body under a name; an error when it ends early.
    async fn get(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        self.select(name, &[]).await
    }

    async fn select(&self, name: &str, asked: &[(&str, &str)]) -> Option<io::Result<Vec<u8>>> {
        let object = self.tier.find(&Key::of_text(name), &fields(asked)).await?;
        let length = object.body.length().unwrap();
        let pieces: Vec<io::Result<Bytes>> = object.body.read(0, length).collect().await;
        Some(pieces.into_iter().collect::<io::Result<Vec<Bytes>>>().map(|pieces| pieces.concat()))
    }
}

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    headers
}

fn object(lines: &[(&str, &str)], asked: &[(&str, &str)], body: Vec<u8>) -> Object {
    let mut headers = fields(lines);
    headers.insert("cache-control", "max-age=600".parse().unwrap());
    headers.insert("etag", "\"1\"".parse().unwrap());
    let lifetimes =
        Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers, SystemTime::now(), POLICY).unwrap();
    let varies = vary_fields(&headers).unwrap();
    let selected = crate::cache::selection(&varies, &fields(asked));
    let head = Head { status: StatusCode::OK, headers, lifetimes, varies: (varies, selected) };
    Object::new(head, Arc::new(Growing::whole(body.into())), FeedMark { epoch: 3, seq: 4, here: 5 })
}

/// A body that no other name has.
fn body(name: &str, length: usize) -> Vec<u8> {
    let seed = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    (0..length as u64).map(|i| (seed.wrapping_add(i * i) >> (i % 7 * 8)) as u8).collect()
}

fn region_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "region"))
        .collect();
    files.sort();
    files
}

const BUDGET: u64 = 32 << 20;

#[tokio::test]
async fn what_is_put_is_found_in_the_next_life() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [("/empty", 0), ("/small", 100), ("/block", 64 << 10), ("/large", 900_001)];
    let life = Life::begin(dir.path(), BUDGET).await;
    for (name, size) in sizes {
        life.put(name, body(name, size)).await;
    }
    life.put("/gone", body("/gone", 10)).await;
    life.tier.forget(&Key::of_text("/gone"));
    life.put("/small", body("/small again", 50)).await;
    life.end().await;
    let life = Life::begin(dir.path(), BUDGET).await;
    for (name, size) in sizes.into_iter().filter(|(name, _)| *name != "/small") {
        assert_eq!(life.get(name).await.unwrap().unwrap(), body(name, size), "{name}");
    }
    assert_eq!(life.get("/small").await.unwrap().unwrap(), body("/small again", 50), "the newest");
    assert!(life.get("/gone").await.is_none(), "forgotten is forgotten");
    let object = life.tier.find(&Key::of_text("/large"), &HeaderMap::new()).await.unwrap();
    assert_eq!(object.asked_at, FeedMark { epoch: 3, seq: 4, here: 5 });
    assert_eq!(object.head.headers["etag"], "\"1\"");
    let part: Vec<Bytes> = object.body.read(100_000, 400_000).map(Result::unwrap).collect().await;
    assert_eq!(part.concat(), &body("/large", 900_001)[100_000..400_000]);
}

#[tokio::test]
async fn variants_are_found_by_what_selects_them_and_go_with_their_target() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), BUDGET).await;
    for language in ["de", "en"] {
        let asked = [("accept-language", language)];
        let object = object(&[("vary", "accept-language")], &asked, language.into());
        life.put_object("/varies", object).await;
    }
    life.end().await;
    let life = Life::begin(dir.path(), BUDGET).await;
    for language in ["de", "en"] {
        let got = life.select("/varies", &[("accept-language", language)]).await.unwrap().unwrap();
        assert_eq!(got, language.as_bytes());
    }
    assert!(life.select("/varies", &[("accept-language", "fr")]).await.is_none());
    life.tier.forget(&Key::of_text("/varies"));
    let asked = [("accept-language", "de")];
    life.put_object("/varies", object(&[("vary", "accept-language")], &asked, b"neu".to_vec())).await;
    assert_eq!(life.select("/varies", &asked).await.unwrap().unwrap(), b"neu");
    assert!(life.select("/varies", &[("accept-language", "en")]).await.is_none(), "of the family before");
}

#[tokio::test]
async fn the_budget_holds_and_what_is_asked_for_stays() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 8 << 20;
    let life = Life::begin(dir.path(), budget).await;
    life.put("/asked", body("/asked", 100_000)).await;
    for i in 0..80 {
        let name = format!("/{i}");
        life.put(&name, body(&name, 250_000)).await;
        assert_eq!(life.get("/asked").await.unwrap().unwrap(), body("/asked", 100_000), "after {i}");
        let used: u64 = region_files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(used <= budget, "{used}");
    }
    assert!(life.get("/0").await.is_none(), "the oldest gave way");
    assert_eq!(life.get("/79").await.unwrap().unwrap(), body("/79", 250_000));
    let (bytes, _, records) = life.tier.shared().index.extent();
    assert!(bytes > budget / 2 && records < 40, "{bytes} {records}");
}

#[tokio::test]
async fn a_reader_keeps_its_region() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), 8 << 20).await;
    life.put("/read", body("/read", 900_000)).await;
    let object = life.tier.find(&Key::of_text("/read"), &HeaderMap::new()).await.unwrap();
    let mut reading = Box::pin(object.body.read(0, 900_000));
    let mut got = reading.next().await.unwrap().unwrap().to_vec();
    let file = region_files(dir.path()).remove(0);
    for i in 0..40 {
        life.put(&format!("/{i}"), vec![i; 900_000]).await;
    }
    assert!(!file.exists(), "its region went");
    while let Some(piece) = reading.next().await {
        got.extend(piece.unwrap());
    }
    assert_eq!(got, body("/read", 900_000));
    drop(reading);
    life.put("/last", vec![]).await;
    assert!(object.body.is_gone());
}

/// Damages files in every way there is, and reads everything after each: 10,000 reads, none of them wrong (R23).
#[tokio::test]
async fn no_damage_gives_a_wrong_byte() {
    const ROUNDS: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<(String, usize)> =
        (0..100usize).map(|i| (format!("/{i}"), [17, 3_000, 70_000, 200_000][i % 4] + i)).collect();
    let mut rng = 1u64;
    let mut below = |bound: u64| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (rng >> 33) % bound.max(1)
    };
    let (mut right, mut lost) = (0u64, 0u64);
    for round in 0..ROUNDS {
        let life = Life::begin(dir.path(), BUDGET).await;
        // Half of the rounds damage what this very process has indexed, half what the next one will read.
        let files = region_files(dir.path());
        if round % 2 == 0 && !files.is_empty() {
            damage(&files, round, &mut below);
        }
        for (name, size) in &names {
            match life.get(name).await {
                Some(Ok(got)) => {
                    assert!(got == body(name, *size), "round {round}: wrong bytes of {name}");
                    right += 1;
                }
                Some(Err(_)) | None => {
                    lost += 1;
                    life.put(name, body(name, *size)).await;
                }
            }
        }
        life.end().await;
        if round % 2 == 1 {
            damage(&region_files(dir.path()), round, &mut below);
        }
    }
    assert_eq!(right + lost, 10_000);
    assert!(right > 5_000, "it heals: {right} right, {lost} lost");
}

fn damage(files: &[PathBuf], round: u64, below: &mut impl FnMut(u64) -> u64) {
    let file = &files[below(files.len() as u64) as usize];
    let mut bytes = fs::read(file).unwrap();
    let length = bytes.len() as u64;
    if length == 0 {
        return;
    }
    match round / 2 % 5 {
        // Some bits.
        0 | 1 => (0..8).for_each(|_| bytes[below(length) as usize] ^= 1 << below(8)),
        // A torn tail.
        2 => bytes.truncate(below(length) as usize),
        // Two stretches change places, as a disk that mixes up its sectors would have it.
        3 => {
            let (a, b) = (below(length / 512) as usize * 512, below(length / 512) as usize * 512);
            let span = 512.min(bytes.len() - a.max(b));
            let first = bytes[a..a + span].to_vec();
            bytes.copy_within(b..b + span, a);
            bytes[b..b + span].copy_from_slice(&first);
        }
        // Two whole records change places, or two files their names.
        _ => {
            let other = &files[below(files.len() as u64) as usize];
            let others = fs::read(other).unwrap();
            fs::write(other, &bytes).unwrap();
            bytes = others;
        }
    }
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn two_swapped_records_are_both_refused() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), BUDGET).await;
    life.put("/a", body("/a", 5_000)).await;
    life.put("/b", body("/b", 5_000)).await;
    let file = region_files(dir.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    let second = life.tier.shared().index.find(Key::of_text("/b").hash()).unwrap().0.place().at as usize;
    let (a, b) = bytes.split_at(second);
    let padding = a.len() - b.len();
    let swapped = [b, &vec![0; padding], &a[..b.len()]].concat();
    fs::write(&file, swapped).unwrap();
    assert!(life.get("/a").await.is_none() && life.get("/b").await.is_none());
    assert_eq!(life.tier.shared().metrics.corruptions.get(), 2);
    life.put("/a", body("/a", 5_000)).await;
    assert_eq!(life.get("/a").await.unwrap().unwrap(), body("/a", 5_000), "healed");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("below");
    fs::write(&place, b"in the way").unwrap();
    let life = Life::open(&place, BUDGET);
    life.until("refused", |shared| !shared.health.may_write()).await;
    life.tier.put(&Key::of_text("/a"), &Arc::new(object(&[], &[], vec![1])));
    fs::remove_file(&place).unwrap();
    life.until("opened", |shared| shared.metrics.rebuilt.get() == 1 && shared.health.may_write()).await;
    life.put("/a", body("/a", 10)).await;
    assert!(life.get("/a").await.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// A region torn anywhere gives what lies whole before the tear, and nothing else.
    #[test]
    fn a_torn_region_gives_its_whole_records(sizes in prop::collection::vec(0usize..90_000, 1..6), cut in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let dir = tempfile::tempdir().unwrap();
            let life = Life::begin(dir.path(), BUDGET).await;
            let mut ends = vec![];
            for (i, size) in sizes.iter().enumerate() {
                let name = format!("/{i}");
                life.put(&name, body(&name, *size)).await;
                let slot = life.tier.shared().index.find(Key::of_text(&name).hash()).unwrap().0;
                ends.push(slot.place().at + u64::from(slot.head) + u64::from(slot.body));
            }
            life.end().await;
            let file = region_files(dir.path()).remove(0);
            let cut = cut.index(fs::metadata(&file).unwrap().len() as usize) as u64;
            fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut).unwrap();
            let life = Life::begin(dir.path(), BUDGET).await;
            for (i, size) in sizes.iter().enumerate() {
                let name = format!("/{i}");
                let got = life.get(&name).await.map(Result::unwrap);
                assert_eq!(got, (ends[i] <= cut).then(|| body(&name, *size)), "{name} of {ends:?}, cut at {cut}");
            }
        });
    }
}
