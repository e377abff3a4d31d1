//! What it costs to read accounts, and what edges ask of waiting rooms, on both engines; counted as in `writes.rs`.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_platform::rooms::Opening;
use sluice_platform::testing::{Alone, request};
use sluice_platform::{AccountsConfig, ApiError};
use sluice_storage::testing::Postgres;
use sluice_storage::{ManualClock, SharedClock};
use sluice_wire::room::{Guard, Room, Ticket};

async fn who_asks_is_read_out_of_a_token(server: Option<&Postgres>) {
    let alone = Alone::start(server, &AccountsConfig::default()).await;
    let (_, ann) = alone.join("ann").await;
    let me = request("GET", "/v1/accounts/me", &ann, &Value::Null);
    alone.hold_reads("/v1/accounts/openapi.json", vec![("/v1/accounts/me", me, 0)]).await;
    alone.end().await;
}

/// Rooms are for edges, and in no description.
async fn edges_ask_of_rooms(server: Option<&Postgres>) {
    let clock = ManualClock::at(1_800_000_000_000);
    let at = Arc::clone(&clock) as SharedClock;
    let alone = Alone::start_at(server, &AccountsConfig::default(), at).await;
    let (rooms, database) = (&alone.ground.rooms, &alone.ground.storage.database);
    let guard = Guard { path: "/v1/shop/orders".to_owned(), word: "lamp".to_owned() };
    let opening = &Opening { guard, each: 1, rate: 100, hold_ms: 10_000 };
    let opened = database.write::<_, ApiError, _>(move |tx| Box::pin(rooms.open(tx, "lamps", opening, 4)));
    opened.await.unwrap();
    clock.advance(Duration::from_secs(1));

    // Which are open, the versions of their tags, and, no older than those, what is to be said of them.
    let listed = alone.ask("GET", "/v1/rooms", "", &Value::Null).await;
    assert!(listed.status == 200 && listed.statements <= 3, "{} statements", listed.statements);
    let room: Room = serde_json::from_str(&listed.text).unwrap();
    // The version, the room, who of these was let in before, how many are good and unused; then who is let in and what that costs are
    // two tables. Up to 128 who wait share these.
    let ticket = Ticket { at_ms: 1, n: 1, giver: 1 };
    let ask = json!({ "opened_ms": room.said.opened_ms, "tickets": [ticket] });
    for (again, most) in [(false, 6), (true, 4)] {
        let let_in = alone.ask("POST", "/v1/rooms/lamps/admissions", "", &ask).await;
        assert_eq!(let_in.body["admissions"].as_array().map(Vec::len), Some(1), "{}", let_in.body);
        assert!(let_in.statements <= most, "{} statements, again: {again}", let_in.statements);
    }
    alone.end().await;
}

#[tokio::test]
async fn no_read_has_more_than_its_line_says_on_both_engines() {
    who_asks_is_read_out_of_a_token(None).await;
    edges_ask_of_rooms(None).await;
    let server = Postgres::start().await;
    who_asks_is_read_out_of_a_token(Some(&server)).await;
    edges_ask_of_rooms(Some(&server)).await;
}
