//! What the apps write while their store is killed, promoted, locked, cut off, busy, torn, restored or without power: what was
//! acknowledged is there, once; writes are back within ten seconds; what was in doubt is settled by its key.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::Method;
use serde_json::json;
use sluice_storage::rows::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait,
};
use sluice_storage::testing::{Postgres, Redis};
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_tests::faulty::{LoopDisk, PowerDisk};
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::shop::get;
use sluice_tests::town::{Acked, Town};
use sluice_wire::{EventKind, Tag};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Within which writes are back once the store is.
const BACK: Duration = Duration::from_secs(10);

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Others write, the store suffers, and it is all there.
async fn survives(town: &mut Town, what: &str, harm: impl AsyncFnOnce(&mut Town)) {
    let writers = town.write();
    writers.more(3).await;
    harm(town).await;
    let back = writers.more(2).await;
    assert!(back < BACK, "{what}: writes are back after {back:?}");
    let acked = writers.end().await;
    println!("{what}: back after {back:?}; {} messages, {} orders", acked.messages.len(), acked.orders.len());
    town.has(&town.origin.url(), &acked, true).await;
}

#[tokio::test]
async fn postgresql_is_killed_under_load_and_comes_back() {
    let mut postgres = Postgres::start().await;
    let mut town = Town::start(Some(postgres.url()), &[]).await;
    survives(&mut town, "killed", async |_| {
        postgres.stop();
        sleep(Duration::from_secs(3)).await;
        postgres.start_again().await;
    })
    .await;
}

#[tokio::test]
async fn a_standby_of_postgresql_is_promoted_when_the_primary_dies_under_load() {
    let mut primary = Postgres::start().await;
    let standby = primary.standby().await;
    // What is acknowledged is on both; their one address goes over to the other as that of a cluster does.
    let (line, through) = line_to(&primary.url());
    let mut town = Town::start(Some(through), &[]).await;
    survives(&mut town, "promoted", async |_| {
        primary.kill9();
        line.set(Line::Reset);
        standby.promote().await;
        line.lead_to(address(&standby.url()).parse().unwrap());
        line.set(Line::Up);
    })
    .await;
    has_no_gap(&town).await;
}

/// The conversation's seqs are 1, 2, 3 and so on.
async fn has_no_gap(town: &Town) {
    let (mut seqs, mut after) = (vec![], 0);
    loop {
        let at = format!("{}/v1/chat/{}/events?after={after}&limit=1000", town.origin.url(), town.chat);
        let (status, told) = get(&at, &town.ann).await;
        assert_eq!(status, 200, "{told}");
        seqs.extend(told["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()));
        if told["more"] == false {
            break;
        }
        after = told["last"].as_u64().unwrap();
    }
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

/// Where a server is, by its URL.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    rest.rsplit('@').next().unwrap().split('/').next().unwrap()
}

/// A line to a server, and the URL of what is at its end.
fn line_to(url: &str) -> (Proxy, String) {
    let line = Proxy::start(address(url).parse().unwrap());
    let through = url.replace(address(url), &line.at.to_string());
    (line, through)
}

#[tokio::test]
async fn a_long_lock_holds_writes_up_and_loses_none() {
    let postgres = Postgres::start().await;
    let mut town = Town::start(Some(postgres.url()), &[]).await;
    let other = connect(&postgres.url()).await;
    survives(&mut town, "locked", async |_| {
        let lock = other.begin().await.unwrap();
        lock.execute_unprepared("LOCK TABLE tag_versions IN ACCESS EXCLUSIVE MODE").await.unwrap();
        sleep(Duration::from_secs(6)).await;
        lock.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_network_to_postgresql_is_cut_and_heals() {
    let postgres = Postgres::start().await;
    let (line, through) = line_to(&postgres.url());
    let mut town = Town::start(Some(through), &[]).await;
    survives(&mut town, "cut", async |_| {
        line.set(Line::Silent);
        sleep(Duration::from_secs(4)).await;
        line.set(Line::Up);
    })
    .await;
}

#[tokio::test]
async fn somebody_else_takes_all_connections_of_postgresql() {
    let postgres = Postgres::start().await;
    let mut town = Town::start(Some(postgres.url()), &[]).await;
    let greedy = format!("{}?application_name=greedy", postgres.url());
    survives(&mut town, "no connections", async |_| {
        let (begun, mut taken) = (Instant::now(), vec![connect(&greedy).await]);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name <> 'greedy' AND backend_type = 'client backend'";
        while begun.elapsed() < Duration::from_secs(4) {
            taken[0].execute_unprepared(end).await.unwrap();
            let mut options = ConnectOptions::new(&greedy);
            options.max_connections(1).connect_timeout(Duration::from_millis(100)).sqlx_logging(false);
            taken.extend(Database::connect(options).await);
        }
        assert!(taken.len() > 50, "{} were taken", taken.len());
    })
    .await;
}

#[tokio::test]
async fn the_disk_under_sqlite_fills_up_and_is_given_room() {
    let Some(disk) = LoopDisk::mount(64) else { return };
    let database = format!("sqlite:{}", disk.at().join("sluice.db").display());
    let mut town = Town::start(Some(database), &[]).await;
    survives(&mut town, "full disk", async |town| {
        let filler = disk.at().join("filler");
        fill(&filler);
        let begun = Instant::now();
        let refused = loop {
            let post = json!({ "text": "x".repeat(250) });
            let (status, told) = town.ask(Method::POST, "/v1/feed/posts", &town.boss, &post).await;
            if status != 201 {
                break (status, told["type"].clone());
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "writes are taken on a full disk");
        };
        assert_eq!(refused, (507, json!("/problems/storage-full")));
        std::fs::remove_file(filler).unwrap();
    })
    .await;
}

/// Writes a file until nothing more fits.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for piece in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![7; piece]).is_ok() {}
    }
}

#[tokio::test]
async fn an_origin_on_sqlite_is_killed_again_and_again_with_its_log_torn() {
    let mut town = Town::start(None, &[]).await;
    let file = town.file("sluice.db");
    survives(&mut town, "kill -9", async |town| {
        for n in 0..6_u64 {
            sleep(Duration::from_millis(200 + 70 * n)).await;
            town.origin.kill9();
            if n % 2 == 1 {
                tear(&file);
            }
            is_whole(&file).await;
            town.origin.start().await;
        }
    })
    .await;
}

/// Leaves the log of a file of SQLite's as a power cut may: with a frame that was begun and never written whole.
fn tear(file: &str) {
    let wal = std::fs::OpenOptions::new().append(true).open(format!("{file}-wal"));
    if let Ok(mut wal) = wal {
        wal.write_all(&vec![0x5a; 24 + 1_000]).unwrap();
    }
}

/// A file of SQLite's that was left in any state is good, once it is opened.
async fn is_whole(file: &str) {
    let database = connect(&format!("sqlite:{file}")).await;
    let statement = Statement::from_string(database.get_database_backend(), "PRAGMA integrity_check");
    let told: String = database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(told, "ok");
    database.close().await.unwrap();
}

#[tokio::test]
async fn the_power_is_cut_again_and_again_under_an_origin_on_sqlite() {
    let Some(disk) = PowerDisk::mount(192) else { return };
    let file = disk.at().join("sluice.db").display().to_string();
    let mut town = Town::start(Some(format!("sqlite:{file}")), &[]).await;
    survives(&mut town, "power cut", async |town| {
        for n in 0..8_u64 {
            sleep(Duration::from_millis(200 + 70 * n)).await;
            disk.cut_under(&mut town.origin);
            disk.restore();
            is_whole(&file).await;
            town.origin.start().await;
        }
    })
    .await;
    town.origin.kill9();
}

#[tokio::test]
async fn the_power_is_cut_again_and_again_under_postgresql_and_its_origin_lives_on() {
    let Some(disk) = PowerDisk::mount(512) else { return };
    let mut postgres = Postgres::start_in(&disk.at().join("postgres")).await;
    let town = Town::start(Some(postgres.url()), &[]).await;
    let writers = town.write();
    writers.more(3).await;
    for n in 0..4_u64 {
        sleep(Duration::from_millis(200 + 70 * n)).await;
        postgres.lose_power(|| disk.cut());
        disk.restore();
        postgres.start_again().await;
        let back = writers.more(2).await;
        println!("power cut {n}: back after {back:?}");
        assert!(back < BACK, "power cut {n}: writes are back after {back:?}");
    }
    let acked = writers.end().await;
    assert!(!acked.paid.is_empty(), "nothing was paid: {acked:?}");
    town.has(&town.origin.url(), &acked, true).await;
}

/// Power cuts under the store by itself: with an origin to be started after each they would be minutes.
const CUTS: usize = 100;
/// Who writes at once.
const HANDS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_whole_after_each_of_a_hundred_power_cuts_and_has_what_was_acknowledged() {
    let Some(disk) = PowerDisk::mount(192) else { return };
    let at = |name: &str| disk.at().join(name).display().to_string();
    let (file, begun) = (at("sluice.db"), Instant::now());
    let config = StorageConfig {
        database: format!("sqlite:{file}"),
        bus: "local:".into(),
        objects: format!("file:{}", at("objects")),
    };
    let (mut all, mut head) = (BTreeSet::new(), 0);
    for cut in 0..CUTS {
        let storage = Storage::open(&config).await.unwrap();
        let acked = written_until_cut(&storage, &disk, cut).await;
        // What it has open is closed; there is nothing left to be written.
        drop(storage.database.close().await);
        disk.restore();
        if cut % 2 == 1 {
            tear(&file);
        }
        is_whole(&file).await;
        let storage = Storage::open(&config).await.unwrap();
        head = has_whole(&storage, head, &acked).await;
        storage.database.close().await.unwrap();
        all.extend(acked);
    }
    let storage = Storage::open(&config).await.unwrap();
    has_whole(&storage, 0, &all).await;
    storage.database.close().await.unwrap();
    println!("whole {CUTS} times of {CUTS}, {} acknowledged, in {:?}", all.len(), begun.elapsed());
}

/// Several hands write until the power is cut, after some acknowledgements and amid whatever is under way then: commits, and each third
/// time the log's way into the file. What was acknowledged.
async fn written_until_cut(storage: &Storage, disk: &PowerDisk, cut: usize) -> BTreeSet<String> {
    let (acked, is_cut) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicBool::new(false)));
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let (storage, acked) = (storage.clone(), Arc::clone(&acked));
        hands.spawn(async move {
            for n in 0.. {
                let name = format!("{cut}-{hand}-{n}");
                if write_twice(&storage, hand, &name).await.is_err() {
                    return;
                }
                acked.lock().unwrap().insert(name);
            }
        });
    }
    if cut.is_multiple_of(3) {
        let (url, is_cut) =
            (format!("sqlite:{}", disk.at().join("sluice.db").display()), Arc::clone(&is_cut));
        hands.spawn(async move {
            let other = connect(&url).await;
            while !is_cut.load(Ordering::Relaxed) {
                drop(other.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await);
            }
            drop(other.close().await);
        });
    }
    let (begun, enough) = (Instant::now(), rand::random_range(4..32));
    while acked.lock().unwrap().len() < enough {
        assert!(begun.elapsed() < BACK, "nothing is written");
        sleep(Duration::from_millis(1)).await;
    }
    let told = acked.lock().unwrap().clone();
    disk.cut();
    is_cut.store(true, Ordering::Relaxed);
    hands.join_all().await;
    told
}

/// One transaction that says a name in two places.
async fn write_twice(storage: &Storage, hand: u32, name: &str) -> Result<(), StorageError> {
    let events = &[Tag::new(format!("post:{hand}")).unwrap(), Tag::everything()]
        .map(|tag| (tag, EventKind::Changed, json!(name)));
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            tx.emit_all(events).await?;
            Ok(())
        })
    });
    write.await
}

/// From a number on, the log has no gap, what was acknowledged, and nothing of what was half written; its head.
async fn has_whole(storage: &Storage, from: u64, acked: &BTreeSet<String>) -> u64 {
    let (mut times, mut head): (BTreeMap<String, u32>, _) = (BTreeMap::new(), from);
    loop {
        let events = storage.log().since(head, 1_000).await.unwrap();
        if events.is_empty() {
            break;
        }
        for event in events {
            head += 1;
            assert_eq!(event.seq, head, "no gap");
            *times.entry(event.data.as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    let half: Vec<_> = times.iter().filter(|(_, times)| **times != 2).collect();
    assert!(half.is_empty(), "each is there in both places, or in none: {half:?}");
    let missing: Vec<_> = acked.iter().filter(|name| !times.contains_key(*name)).collect();
    assert!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    head
}

#[tokio::test]
async fn another_process_keeps_sqlite_busy_and_a_second_origin_writes_to_the_same_file() {
    let mut town = Town::start(None, &[]).await;
    let url = format!("sqlite:{}", town.file("sluice.db"));
    let mut second = town.moved(&url);
    second.set("listen.http", "127.0.0.1:0");
    second.start().await;
    let other = connect(&url).await;
    let at = second.url();
    survives(&mut town, "busy", async |town| {
        other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
        sleep(Duration::from_secs(4)).await;
        other.execute_unprepared("COMMIT").await.unwrap();
        // Whatever the one has acknowledged the other shows.
        let seen = get(&format!("{at}/v1/shop/orders"), &town.ann).await;
        assert!(seen.0 == 200 && !seen.1["orders"].as_array().unwrap().is_empty(), "{seen:?}");
    })
    .await;
    let writers = town.write();
    writers.more(2).await;
    let acked = writers.end().await;
    town.has(&at, &acked, false).await;
}

#[tokio::test]
async fn redis_is_paused_killed_and_emptied_and_nothing_that_was_acknowledged_is_missing() {
    let mut redis = Redis::start().await;
    let (line, through) = line_to(&redis.url());
    let mut town = Town::start(None, &[("storage.bus", through)]).await;
    survives(&mut town, "Redis paused", async |_| {
        line.set(Line::Silent);
        sleep(Duration::from_secs(5)).await;
        line.set(Line::Up);
    })
    .await;
    let writers = town.write();
    redis.stop();
    sleep(Duration::from_secs(2)).await;
    redis.start_again().await;
    let back = writers.more(2).await;
    assert!(back < BACK, "Redis killed: writes are back after {back:?}");
    town.has(&town.origin.url(), &writers.end().await, false).await;
}

#[tokio::test]
async fn redis_goes_back_to_an_old_state_and_nothing_that_was_acknowledged_is_missing() {
    /// Within which writes go on once it is back.
    const SOON: Duration = Duration::from_secs(5);
    let (mut redis, replica) = (Redis::start().await, Redis::start().await);
    let town = Town::start(None, &[("storage.bus", redis.url())]).await;
    let writers = town.write();
    writers.more(3).await;
    // A replica that lags takes its place, without a connection being lost.
    replica.take_over(&redis).await;
    writers.more(5).await;
    redis.take_over(&replica).await;
    let lagged = writers.more(2).await;
    // It is started from a snapshot.
    redis.save().await;
    writers.more(5).await;
    redis.stop();
    redis.start_again().await;
    let restored = writers.more(2).await;
    println!("writes go on after {lagged:?} (a replica), {restored:?} (a snapshot)");
    assert!(lagged < SOON && restored < SOON, "{lagged:?}, {restored:?}");
    town.has(&town.origin.url(), &writers.end().await, true).await;
}

/// All statements that a server was sent, whoever sent them.
async fn statements(database: &DatabaseConnection) -> f64 {
    let asked = "SELECT sum(calls)::float8 FROM pg_stat_statements";
    let asked = Statement::from_string(database.get_database_backend(), asked);
    database.query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Statements for each of some hundred acknowledged writes, with all that goes on behind them.
async fn load(town: &Town, database: &DatabaseConnection) -> f64 {
    let writers = town.write();
    writers.more(2).await;
    let all = |acked: Acked| acked.messages.len() + acked.orders.len() + acked.paid.len() + acked.posts.len();
    let (before, acked) = (statements(database).await, all(writers.acked()));
    writers.more(100).await;
    let sent = statements(database).await - before;
    let load = sent / (all(writers.acked()) - acked) as f64;
    town.has(&town.origin.url(), &writers.end().await, false).await;
    load
}

#[tokio::test]
async fn without_redis_the_apps_load_on_postgresql_at_most_doubles() {
    let mut postgres = Postgres::start().await;
    let counting = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
    connect(&postgres.url()).await.execute_unprepared(counting).await.unwrap();
    postgres.start_again().await;
    let database = connect(&postgres.url()).await;
    database.execute_unprepared("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let mut redis = Redis::start().await;
    let town = Town::start(Some(postgres.url()), &[("storage.bus", redis.url())]).await;
    let with = load(&town, &database).await;
    redis.stop();
    let without = load(&town, &database).await;
    redis.start_again().await;
    let again = load(&town, &database).await;
    println!("statements a write: {with:.1} with Redis, {without:.1} without, {again:.1} with it again");
    assert!(without <= 2.0 * with, "{with:.1} became {without:.1}");
}
