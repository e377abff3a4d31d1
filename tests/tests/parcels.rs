//! A parcel on its way from a warehouse to its buyer, who listens at one edge while the warehouse speaks to another.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]

use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::client::client;
use sluice_tests::ear::Ear;
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, counts, get, post, product, sign_up};
use sluice_tests::stripe::Stripe;
use std::time::Duration;
use tokio::time::Instant;

/// Between the answer to whoever moves a parcel and the buyer's hearing of it: what is promised is a tenth, on a machine that has
/// nothing else to do.
const BOUND: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_buyer_hears_each_move_of_a_parcel_at_another_edge_on_sqlite() {
    moves_at_another_edge(Shop::sqlite()).await;
}

#[tokio::test]
async fn a_buyer_hears_each_move_of_a_parcel_at_another_edge_on_postgres() {
    let server = Postgres::start().await;
    moves_at_another_edge(Shop::at(server.fresh_database().await)).await;
}

/// Sends a document that changes something, to an administrator's edge; status and document.
async fn send(method: &str, at: &str, token: &str, body: &Value) -> (u16, Value) {
    let method = method.parse::<reqwest::Method>().unwrap();
    let answer = client().request(method, at).bearer_auth(token).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// An order of so many units that is paid at an edge, whose buyer listens to it there from its beginning on; its id.
async fn bought(edge: &Process, buyer: &str, variant: &str, units: i64) -> (String, Ear) {
    let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": units }] });
    let (status, order) = post(&format!("{}/v1/shop/orders", edge.url()), buyer, &body).await;
    assert_eq!(status, 201, "{order}");
    let id = order["id"].as_str().unwrap().to_owned();
    let at = format!("{}/v1/shop/orders/{id}", edge.url());
    let (status, told) = post(&format!("{at}/channel"), buyer, &json!(null)).await;
    assert_eq!(status, 200, "{told}");
    let mut ear = Ear::open(edge, None).await;
    ear.subscribe(&format!("order:{id}"), None, told["token"].as_str()).await;
    let (status, paid) = post(&format!("{at}/payment"), buyer, &json!({ "method": "pm_card_visa" })).await;
    assert_eq!((status, &paid["state"]), (200, &json!("confirmed")), "{paid}");
    while ear.json().await["data"]["state"] != "confirmed" {}
    (id, ear)
}

/// Hears of a parcel what its answer says, under the version that the answer made; how long that took from the answer on.
async fn hears(ear: &mut Ear, order: &str, told: &Value) -> Duration {
    let answered = Instant::now();
    let frame = ear.json().await;
    let took = answered.elapsed();
    let version = format!("order:{order}={}", frame["seq"]);
    assert_eq!(frame["channel"], json!(format!("order:{order}")), "{frame}");
    assert_eq!(told["versions"], json!(version), "the next one, and none left out: {frame}");
    let parcel = &frame["data"]["parcel"];
    for member in ["id", "state", "place", "carrier", "code", "lines", "moves"] {
        assert_eq!(parcel[member], told[member], "{member}: {frame}");
    }
    assert!(frame["data"].get("state").is_none(), "the order is as it was: {frame}");
    took
}

async fn moves_at_another_edge(shop: Shop) {
    let stripe = Stripe::start().await;
    let mut origin = shop.origin("origin", &format!("http://{}", stripe.at));
    origin.start().await;
    let url = origin.url();
    let [mut near, mut far] = ["near", "far"].map(|name| shop.edge(name, std::slice::from_ref(&url)));
    near.start().await;
    far.start().await;
    let (boss, ann) = (sign_up(&url, "boss").await, sign_up(&url, "ann").await);
    let (_, variant) = product(&url, &boss, 2).await;
    let shop_at = |path: &str| format!("{}/v1/shop/{path}", near.url());
    let (status, _) = send("PUT", &shop_at("places/north"), &boss, &json!({ "title": "North" })).await;
    assert_eq!(status, 200);
    let came = json!({ "quantity": 3, "place": "north" });
    assert_eq!(post(&shop_at(&format!("stock/{variant}")), &boss, &came).await.0, 200);

    let (id, mut ear) = bought(&far, &ann, &variant, 3).await;
    let parcels = shop_at(&format!("orders/{id}/parcels"));
    let new = json!({ "place": "north", "carrier": "Parcel Post", "code": "PP1" });
    assert_eq!(post(&parcels, &ann, &new).await.0, 403);
    let (status, told) = post(&parcels, &boss, &new).await;
    assert_eq!((status, &told["state"]), (201, &json!("packed")), "{told}");
    let mut took = vec![("packed", hears(&mut ear, &id, &told).await)];
    let one = format!("{parcels}/{}", told["id"].as_str().unwrap());
    assert_eq!(send("PATCH", &one, &boss, &json!({ "state": "delivered" })).await.0, 409);
    for state in ["handed-over", "in-transit", "delivered"] {
        let (status, told) = send("PATCH", &one, &boss, &json!({ "state": state })).await;
        assert_eq!((status, &told["state"]), (200, &json!(state)), "{told}");
        took.push((state, hears(&mut ear, &id, &told).await));
        // Whoever looks has it as whoever listens.
        let shown = get(&format!("{}/v1/shop/orders/{id}", far.url()), &ann).await.1;
        assert_eq!(shown["parcels"][0]["moves"], told["moves"], "{shown}");
    }
    println!("heard after the answer: {took:?}");
    assert!(took.iter().all(|(_, took)| *took < BOUND), "{took:?}");

    // What can be sold is what it was, and the shelves are without what left.
    assert_eq!(counts(&url, &boss, &variant).await, [2, 0, 3]);
    let entries = get(&format!("{url}/v1/shop/stock/{variant}/entries"), &boss).await.1;
    let units = ["main", "north"].map(|place| entries["places"][place]["units"].as_i64());
    assert_eq!(units, [Some(2), Some(0)], "{entries}");
}
