//! The same main job once on PostgreSQL, Redis and an S3 store, each a private server.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_storage::testing;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::stack::{Engines, Options, Stack};

#[tokio::test]
async fn the_main_job_works_beyond_one_machine() {
    let postgres = testing::Postgres::start().await;
    let redis = testing::Redis::start().await;
    let s3 = testing::S3::start().await;
    let engines = Engines { database: postgres.url(), bus: redis.url(), objects: s3.url() };
    let stack = Stack::with(Options { engines: Some(engines), ..Options::default() }).await;
    let source = clips::made(6, "640x360", 25);
    let id = client::put(&stack.edge(), "far.mp4", source.clone()).await["id"].as_str().unwrap().to_owned();
    let document = client::wait_ready(&stack.edge(), &id).await;
    assert_eq!(document["sha256"], client::sha256(&source));
    for rung in client::rungs(&stack.edge(), &id).await {
        assert!(rung.ended);
        let packets = sluice_tests::ffprobe::packets(&rung.whole().await);
        let total: f64 = packets.iter().map(|p| p.duration).sum();
        assert!((total - 6.0).abs() < 0.15, "{}: {total}", rung.name);
    }
    let deleted = client::client().delete(format!("{}/v1/videos/{id}", stack.edge())).send().await.unwrap();
    assert!(deleted.status().is_success());
}
