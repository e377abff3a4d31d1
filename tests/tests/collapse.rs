//! Many cold readers of one object cost the origin one fetch.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::stack::Stack;

/// Cold readers at the same moment, over both near edges.
const READERS: usize = 50;

#[tokio::test]
async fn fifty_cold_readers_over_two_edges_fetch_each_object_once() {
    let stack = Stack::start().await;
    let document = client::put(&stack.edge(), "cold.mp4", clips::made(6, "320x240", 25)).await;
    let id = document["id"].as_str().unwrap();
    client::wait_ready(&stack.edge(), id).await;
    let rungs = client::rungs(&stack.origin.url(), id).await;
    let origin = stack.origin.url();
    let paths: Vec<String> = rungs
        .iter()
        .flat_map(|r| r.segments.iter().chain([&r.init]))
        .map(|url| url.strip_prefix(&origin).unwrap().to_owned())
        .collect();

    for path in &paths {
        let before = fetches(&stack).await;
        let truth = client::bytes(&format!("{origin}{path}")).await;
        let own = fetches(&stack).await - before;
        assert_eq!(own, 1.0, "the counter counts what the origin served of media");
        let readers = (0..READERS).map(|reader| {
            let url = format!("{}{path}", stack.near[reader % 2].url());
            async move { client::bytes(&url).await }
        });
        for got in join_all(readers).await {
            assert_eq!(client::sha256(&got), client::sha256(&truth), "{path}");
        }
        assert_eq!(fetches(&stack).await - before, 2.0, "{path}: one fetch of ours, one of the fleet's");
    }
}

/// Segments and headers the origin has served.
async fn fetches(stack: &Stack) -> f64 {
    stack.origin.metric("sluice_origin_media_served_total", &["segment"]).await
        + stack.origin.metric("sluice_origin_media_served_total", &["init"]).await
}
