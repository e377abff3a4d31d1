//! Kept lists, over Redis: whatever comes in between, a list that is here has all that its rows had when it was put here, and all
//! that was pushed since.

use sluice_storage::testing::Redis;
use sluice_storage::{Lists, Newest, Storage, StorageConfig};
use tempfile::TempDir;
use tokio::time::{Duration, Instant};

async fn lists(dir: &TempDir, bus: String) -> Lists {
    let config = StorageConfig {
        database: format!("sqlite:{}", dir.path().join("rows.db").display()),
        bus,
        objects: format!("file:{}", dir.path().join("objects").display()),
    };
    Storage::open(&config).await.unwrap().lists
}

/// Puts a list here, as who reads it from rows does.
async fn put(lists: &Lists, list: &str, ids: &[u64]) -> bool {
    match lists.begin(list).await {
        Ok(Some(filling)) => lists.fill(&filling, ids).await.unwrap_or_default(),
        _ => false,
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_filled_once_and_has_its_newest_in_order() {
    let (server, dir) = (Redis::start().await, TempDir::new().unwrap());
    let lists = lists(&dir, server.url()).await;
    assert!(lists.are_kept());
    assert_eq!(lists.newest("a", u64::MAX >> 1, 9).await, None);
    assert!(put(&lists, "a", &[30, 20, 10]).await);
    assert!(!put(&lists, "a", &[99]).await, "it is here");
    let newest = |ids: &[u64], whole| Some(Newest { ids: ids.to_vec(), whole });
    assert_eq!(lists.newest("a", u64::MAX >> 1, 9).await, newest(&[30, 20, 10], true));
    assert_eq!(lists.newest("a", 30, 1).await, newest(&[20], false));

    let reading = lists.begin("b").await.unwrap().unwrap();
    let both = names(&["a", "b"]);
    lists.push(&both, 40, 2).await.unwrap();
    assert_eq!(lists.newest("a", u64::MAX >> 1, 9).await, newest(&[40, 30], true), "cut to two");
    assert_eq!(lists.newest("b", u64::MAX >> 1, 9).await, None, "one that is not here gets nothing");
    assert!(lists.begin("b").await.unwrap().is_none(), "a change is under way");
    lists.settled(&both).await;
    assert!(!lists.fill(&reading, &[30]).await.unwrap(), "it was read before what was pushed");
    assert!(put(&lists, "b", &[40, 30]).await, "and is read again");

    let one = names(&["a"]);
    lists.forget(&one).await.unwrap();
    lists.forget(&one).await.unwrap();
    assert_eq!(lists.newest("a", u64::MAX >> 1, 9).await, None);
    lists.settled(&one).await;
    assert!(!put(&lists, "a", &[30]).await, "one of two changes is under way still");
    lists.settled(&one).await;
    assert!(put(&lists, "a", &[]).await);
    assert_eq!(lists.newest("a", u64::MAX >> 1, 9).await, newest(&[], true), "an empty list is one");
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_from_one_that_has_no_list() {
    let (mut server, dir) = (Redis::start().await, TempDir::new().unwrap());
    let lists = lists(&dir, server.url()).await;
    assert!(put(&lists, "a", &[1]).await);
    assert!(!lists.went_back().await.unwrap());
    server.stop();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(lists.newest("a", 9, 9).await, None);
        lists.push(&names(&["a"]), 2, 9).await.unwrap_err();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "it is not waited for each time: {:?}",
        begun.elapsed()
    );
    server.start_again().await;
    let begun = Instant::now();
    while !put(&lists, "b", &[1]).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lists.newest("b", 9, 9).await, None, "it was not looked at since it failed");
    assert!(lists.went_back().await.unwrap(), "it is empty");
    assert_eq!(lists.newest("b", 9, 9).await, None, "names have no new generation yet");
    assert!(!lists.went_back().await.unwrap(), "said once");
    assert_eq!(lists.newest("b", 9, 9).await, Some(Newest { ids: vec![1], whole: true }));
}

#[tokio::test]
async fn an_older_state_is_found_out_by_a_change_and_by_a_look() {
    let (server, old, dir) = (Redis::start().await, Redis::start().await, TempDir::new().unwrap());
    let lists = lists(&dir, server.url()).await;
    assert!(put(&lists, "a", &[1]).await);
    assert!(!lists.went_back().await.unwrap());
    old.take_over(&server).await;
    let one = names(&["a"]);
    lists.push(&one, 2, 9).await.unwrap();
    lists.settled(&one).await;
    assert_eq!(lists.newest("a", 9, 9).await, Some(Newest { ids: vec![2, 1], whole: true }));

    server.take_over(&old).await;
    lists.push(&one, 3, 9).await.unwrap_err();
    assert_eq!(lists.newest("a", 9, 9).await, None, "it has 3 and 1, and not 2");
    assert!(lists.went_back().await.unwrap());
    assert!(!lists.went_back().await.unwrap());

    server.take_over(&old).await;
    assert!(lists.went_back().await.unwrap(), "nobody has changed anything since");
    assert_eq!(lists.newest("a", 9, 9).await, None);
}

#[tokio::test]
async fn without_redis_there_are_none() {
    let dir = TempDir::new().unwrap();
    let lists = lists(&dir, "local:".into()).await;
    assert!(!lists.are_kept());
    lists.push(&names(&["a"]), 1, 9).await.unwrap();
    assert!(!put(&lists, "a", &[1]).await);
    assert_eq!(lists.newest("a", 9, 9).await, None);
    assert!(!lists.went_back().await.unwrap());
}
