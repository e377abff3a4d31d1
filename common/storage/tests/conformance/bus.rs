//! The bus, in process and over Redis.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use sluice_storage::testing::Redis;
use sluice_storage::{Bus, Message, Storage, StorageConfig, StorageError, Subscription};
use sluice_wire::{EventKind, Tag};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, soon};

#[tokio::test]
async fn messages_reach_every_subscriber_in_order_in_process() {
    let bus = Bus::local();
    everyone_hears_everything_in_order(&bus, &bus).await;
}

#[tokio::test]
async fn messages_reach_every_subscriber_in_order_over_redis() {
    let server = Redis::start().await;
    let (near, far) = (redis(&server).await, redis(&server).await);
    everyone_hears_everything_in_order(&near, &far).await;
    a_slow_subscriber_is_told_what_it_missed(&far).await;
    too_large_a_message_is_refused(&near).await;
}

#[tokio::test]
async fn a_slow_subscriber_is_told_in_process() {
    a_slow_subscriber_is_told_what_it_missed(&Bus::local()).await;
    too_large_a_message_is_refused(&Bus::local()).await;
}

#[tokio::test]
async fn subscriptions_outlive_a_restart_of_redis() {
    let mut server = Redis::start().await;
    let bus = redis(&server).await;
    let mut subscription = established(&bus, &bus, "room").await;
    server.stop();
    let down = bus.publish("room", b"lost").await;
    assert!(matches!(down, Err(StorageError::Unavailable { seam: "bus", .. })), "{down:?}");
    server.start_again().await;
    soon("the subscriber hears that it missed something", async {
        while subscription.recv().await.unwrap() != Message::Lagged {}
    })
    .await;
    soon("the publisher is back", async {
        while bus.publish("room", b"again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let heard = soon("and hears on", subscription.recv()).await.unwrap();
    assert_eq!(heard, Message::Data(Bytes::from_static(b"again")));
}

#[tokio::test]
async fn neither_writes_nor_the_relay_wait_for_redis_while_it_stands_still() {
    let (server, ground) = (Redis::start().await, Ground::sqlite());
    let config = StorageConfig { bus: server.url(), ..ground.config() };
    let storage = Storage::open(&config).await.unwrap();
    let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(storage.relay().run(drain.clone()));
    let mut tail = std::pin::pin!(storage.log().tail(0));
    emit(&storage).await;
    soon("the relay works", tail.next()).await.unwrap();

    // A command to a server that stands still waits for two seconds.
    let still = Duration::from_secs(6);
    let begun = Instant::now();
    server.pause(still).await;
    for _ in 0..5 {
        let written = timeout(Duration::from_millis(1_500), emit(&storage)).await;
        assert!(written.is_ok(), "a write waits for the bus");
        soon("it is in the log", tail.next()).await.unwrap();
    }
    assert!(begun.elapsed() < still, "who follows looked by itself: {:?}", begun.elapsed());
    drain.cancel();
    soon("the relay ends", tasks.join_all()).await;
}

async fn emit(storage: &Storage) {
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let thing = Tag::new("thing:1").unwrap();
            tx.emit(&thing, EventKind::Changed, json!({})).await
        })
    });
    write.await.unwrap();
}

#[tokio::test]
async fn a_bus_that_is_not_there_is_told_at_the_start() {
    let config = StorageConfig { bus: "redis://127.0.0.1:1/".into(), ..Ground::sqlite().config() };
    let refused = soon("an answer", Storage::open(&config)).await;
    assert!(matches!(refused, Err(StorageError::Unavailable { seam: "bus", .. })), "{refused:?}");
}

async fn everyone_hears_everything_in_order(publisher: &Bus, other: &Bus) {
    let mut first = established(publisher, publisher, "a").await;
    let mut second = established(publisher, other, "a").await;
    let mut elsewhere = established(publisher, other, "b").await;
    quiet(&mut first).await;
    for n in 0..100_u8 {
        publisher.publish("a", &[n]).await.unwrap();
    }
    publisher.publish("b", b"done").await.unwrap();
    for subscriber in [&mut first, &mut second] {
        for n in 0..100_u8 {
            let heard = soon("a message", subscriber.recv()).await.unwrap();
            assert_eq!(heard, Message::Data(Bytes::from(vec![n])));
        }
    }
    let heard = soon("the other topic", elsewhere.recv()).await.unwrap();
    assert_eq!(heard, Message::Data(Bytes::from_static(b"done")), "topics do not mix");
}

async fn a_slow_subscriber_is_told_what_it_missed(bus: &Bus) {
    let mut slow = established(bus, bus, "busy").await;
    let mut quick = established(bus, bus, "busy").await;
    quiet(&mut slow).await;
    for n in 0..3000_u32 {
        bus.publish("busy", &n.to_be_bytes()).await.unwrap();
        assert_eq!(
            soon("the quick one is not held up", quick.recv()).await,
            Some(Message::Data(Bytes::copy_from_slice(&n.to_be_bytes())))
        );
    }
    assert_eq!(soon("a mark", slow.recv()).await, Some(Message::Lagged));
    let next = soon("then what is still there", slow.recv()).await;
    assert_eq!(next, Some(Message::Data(Bytes::copy_from_slice(&(3000_u32 - 1024).to_be_bytes()))));
}

async fn too_large_a_message_is_refused(bus: &Bus) {
    let refused = bus.publish("a", &vec![0; (1 << 20) + 1]).await;
    assert!(matches!(refused, Err(StorageError::Conflict(_))));
}

async fn redis(server: &Redis) -> Bus {
    let config = StorageConfig { bus: server.url(), ..Ground::sqlite().config() };
    Storage::open(&config).await.unwrap().bus
}

/// A subscription that has taken effect: it has heard what was published after it was made.
async fn established(publisher: &Bus, bus: &Bus, topic: &str) -> Subscription {
    let mut subscription = bus.subscribe(topic);
    soon("the subscription takes effect", async {
        loop {
            publisher.publish(topic, b"hello?").await.unwrap();
            let heard = timeout(Duration::from_millis(50), subscription.recv()).await;
            if matches!(heard, Ok(Some(Message::Data(_)))) {
                break;
            }
        }
    })
    .await;
    quiet(&mut subscription).await;
    subscription
}

/// Forgets what was published until now.
async fn quiet(subscription: &mut Subscription) {
    while timeout(Duration::from_millis(100), subscription.recv()).await.is_ok() {}
}
