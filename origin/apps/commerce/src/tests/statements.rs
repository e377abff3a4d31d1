//! What reads and writes cost.
//!
//! A statement is what `sluice_storage::count_statements` counts: each that is sent, but for where a transaction begins and ends.
//! So a write's events count: two or three statements for all of them (`Alone::events`),
//! the same for every write of every app. An `Idempotency-Key` adds two: what was answered before is looked for, and the answer is
//! kept. The lines of writes say what each has beside these. SQLite changes one table with a statement, so that a write has at
//! least as many as it changes tables; what administrators do is written down in one of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_platform::testing::request;
use sluice_storage::count_statements;

use super::place::{Place, SECRET, placed};
use super::webhooks;

pub(super) async fn reads_cost_three_statements_at_most(mut place: Place) {
    place.follow();
    let (product, variant) = place.product("a", 5).await;
    let (kept, gone) = (placed(&place, &variant).await, placed(&place, &variant).await);
    assert_eq!(place.cancel(&gone, None).await.0, 200);
    let sold = placed(&place, &variant).await;
    assert_eq!(place.pay(&sold, "pm_card_visa").await.0, 200);
    let room = format!("/v1/shop/rooms/{variant}");
    assert_eq!(place.ask("PUT", &room, Some(&place.admin), None, Some(&json!({}))).await.0, 200);
    let texts = format!("/v1/shop/products/{product}/texts/de");
    let said = json!({ "title": "eins", "variants": { &variant: "mittel" } });
    assert_eq!(place.ask("PUT", &texts, Some(&place.admin), None, Some(&said)).await.0, 200);
    let (admin, buyer) = (place.admin.as_str(), place.buyer.as_str());
    let get = |path: &str, token: &str| request("GET", &format!("/v1/shop/{path}"), token, &Value::Null);
    let search = "search?market=de&language=de-CH&q=a&option=size:M&in_stock=true&price=1-2000";
    let reads = vec![
        ("/v1/shop/products", get("products?market=de&language=de-CH&limit=2", ""), 3),
        ("/v1/shop/products/{id}", get(&format!("products/{product}?market=de&language=de-CH"), ""), 3),
        ("/v1/shop/variants/{variant}", get(&format!("variants/{variant}?market=de&language=de-CH"), ""), 3),
        ("/v1/shop/search", get(search, ""), 2),
        ("/v1/shop/stock/{variant}", get(&format!("stock/{variant}"), ""), 2),
        ("/v1/shop/stock/{variant}/entries", get(&format!("stock/{variant}/entries"), admin), 3),
        ("/v1/shop/places", get("places", admin), 1),
        ("/v1/shop/carts/{cart}", get("carts/mine", buyer), 1),
        // Why those among them ended that were not sold is one more.
        ("/v1/shop/orders", get("orders", buyer), 2),
        ("/v1/shop/orders/{id}", get(&format!("orders/{kept}"), buyer), 2),
        ("/v1/shop/orders/{id}", get(&format!("orders/{gone}"), buyer), 3),
        // With what of it was sent.
        ("/v1/shop/orders/{id}", get(&format!("orders/{sold}"), buyer), 3),
        ("/v1/shop/orders/{id}/parcels", get(&format!("orders/{sold}/parcels"), admin), 3),
        ("/v1/shop/ledger/balance", get("ledger/balance", admin), 2),
        // The room, who may come in, and who came.
        ("/v1/shop/rooms/{variant}", get(&format!("rooms/{variant}"), admin), 3),
    ];
    place.alone.hold_reads("/v1/shop/openapi.json", reads).await;
    let described = place.get("/v1/shop/openapi.json", None).await.2;
    assert_eq!(described["paths"].as_object().unwrap().len(), 21, "each of our paths is described");
}

/// Each write of the description, and the statements that it has at most. Those about orders are of one that comes alone: those
/// that come together share them. Who did it is one: it is written down.
const MOST: [(&str, u64); 17] = [
    // The product, its variants, their SKUs and stocks, however many they are, and who did it are five tables.
    ("post /v1/shop/products", 5),
    // As making one; and how it was is read, and which variants there are.
    ("patch /v1/shop/products/{id}", 7),
    // The product is held, what is there of its languages and its variants are read, the texts written, and who did it.
    ("put /v1/shop/products/{id}/texts/{language}", 5),
    ("delete /v1/shop/products/{id}/texts/{language}", 3),
    // The counter, its entry, whether a room is open in front of it, and who did it; and where a place is named, whether there is
    // one, its entry, and its shelf.
    ("post /v1/shop/stock/{variant}", 7),
    // Which there are, the place, and who did it.
    ("put /v1/shop/places/{place}", 3),
    // What there is, whether the room is open, how many are, those who were let in before, the room, and who did it.
    ("put /v1/shop/rooms/{variant}", 6),
    ("delete /v1/shop/rooms/{variant}", 4),
    ("post /v1/shop/carts", 0),
    ("put /v1/shop/carts/{cart}", 1),
    // Variants, products, stocks and open rooms are read; the counters, their entries, the order and its lines are written.
    ("post /v1/shop/orders", 8),
    // Three transactions, with the gateway between them: the order is read, changed, and the payment written; both are read and
    // written with the payment's name; the order and its lines are read, and it, the counter, its entry and the books written.
    ("post /v1/shop/orders/{id}/payment", 13),
    // The order and its lines are read, and it, the counter, its entry and the reason written; whether a room is open, which
    // reason counts, and, after it, the order and its payment, of which there is none.
    ("post /v1/shop/orders/{id}/cancel", 10),
    ("post /v1/shop/orders/{id}/channel", 1),
    // The order's row is written; its lines, its parcels, the shelves and the stocks that the default one depends on are read; the
    // shelf and the parcel are written, and who did it.
    ("post /v1/shop/orders/{id}/parcels", 8),
    // The order's row is written, the parcel read and written, the shelf that it is on again, and who did it.
    ("patch /v1/shop/orders/{id}/parcels/{parcel}", 5),
    // The order, its payment, and whether the event is known; it is, from then on. An order that is not at its end is taken
    // further after that, as when it is paid.
    ("post /v1/shop/webhooks/payments", 4),
];

pub(super) async fn no_write_has_more_than_its_line_says(place: Place) {
    let (product, variant) = place.product("first", 1).await;
    let new = |sku: &str| json!({ "sku": sku, "title": "M", "options": {}, "prices": { "de": 1_190 } });
    let made = json!({ "title": "two", "variants": [new("b"), new("c")] });
    let changed = json!({ "id": variant, "title": "L" });
    let edited = json!({ "title": "other", "variants": [changed], "add": [new("d"), new("e")] });
    let at = |path: &str, id: &str| format!("/v1/shop/{path}/{id}");
    let lines = json!({ "lines": [{ "variant": variant, "quantity": 1 }] });
    let (events, at_north) = (place.alone.events(), json!({ "quantity": 5, "place": "north" }));
    let texts = || format!("/v1/shop/products/{product}/texts/de");
    let said = json!({ "title": "eins", "variants": { &variant: "groß" } });
    let asks = [
        ("post /v1/shop/products", "/v1/shop/products".to_owned(), made, events),
        ("patch /v1/shop/products/{id}", at("products", &product), edited, events),
        ("patch /v1/shop/products/{id}", at("products", &product), json!({ "active": true }), events),
        ("put /v1/shop/products/{id}/texts/{language}", texts(), said.clone(), events),
        ("put /v1/shop/products/{id}/texts/{language}", texts(), said, events),
        ("delete /v1/shop/products/{id}/texts/{language}", texts(), Value::Null, events),
        ("post /v1/shop/stock/{variant}", at("stock", &variant), json!({ "quantity": 5 }), events),
        ("put /v1/shop/places/{place}", at("places", "north"), json!({ "title": "North" }), 0),
        ("post /v1/shop/stock/{variant}", at("stock", &variant), at_north, events),
        ("put /v1/shop/rooms/{variant}", at("rooms", &variant), json!({ "rate": 10 }), events),
        ("put /v1/shop/rooms/{variant}", at("rooms", &variant), json!({ "rate": 20 }), events),
        ("delete /v1/shop/rooms/{variant}", at("rooms", &variant), Value::Null, events),
        ("post /v1/shop/carts", "/v1/shop/carts".to_owned(), Value::Null, 0),
        ("put /v1/shop/carts/{cart}", at("carts", "mine"), lines, 0),
    ];
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    for (route, path, body, beside) in asks {
        let method = route.split(' ').next().unwrap().to_uppercase();
        let body = (!body.is_null()).then_some(&body);
        let asked = place.ask(&method, &path, Some(&place.admin), None, body);
        let ((status, _, told), statements) = count_statements(asked).await;
        assert!(status < 300, "{route}: {status} {told}");
        let own = statements.saturating_sub(beside);
        let kept = sent.entry(route).or_default();
        *kept = own.max(*kept);
    }
    sent.extend(sent_for_orders(&place, &variant).await);
    assert_eq!(sent, BTreeMap::from(MOST), "as few as said");
    let shown = place.get(&format!("/v1/shop/products/{product}?market=de"), None).await.2;
    assert_eq!(
        (&shown["title"], shown["variants"].as_array().unwrap().len()),
        (&json!("other"), 3),
        "{shown}"
    );
    let described = place.get("/v1/shop/openapi.json", None).await.2;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            let route = format!("{method} {path}");
            assert!(MOST.iter().any(|(name, _)| *name == route), "{route} has a line above");
        }
    }
}

/// What an order costs from its placing to what the gateway tells of it, and another that is canceled; beside their events.
async fn sent_for_orders(place: &Place, variant: &str) -> [(&'static str, u64); 7] {
    let events = place.alone.events();
    let ((status, _, sold), places) = count_statements(place.order(variant, 1, None)).await;
    assert_eq!(status, 201, "{sold}");
    let sold = sold["id"].as_str().unwrap();
    let ((_, _, told), pays) = count_statements(place.pay(sold, "pm_card_visa")).await;
    assert_eq!(told["state"], "confirmed", "{told}");
    let heard = webhooks::sent(place, SECRET, "evt_1", "payment_intent.succeeded", sold);
    let (status, hears) = count_statements(heard).await;
    assert_eq!(status, 200);
    let (packs, returns) = sent_for_a_parcel(place, sold).await;
    let other = placed(place, variant).await;
    let at = format!("/v1/shop/orders/{other}/channel");
    let nothing = json!({});
    let asked = place.post(&at, Some(&place.buyer), None, &nothing);
    let ((status, _, told), channel) = count_statements(asked).await;
    assert_eq!(status, 200, "{told}");
    let ((_, _, told), cancels) = count_statements(place.cancel(&other, None)).await;
    assert_eq!(told["state"], "canceled", "{told}");
    [
        ("post /v1/shop/orders", places.saturating_sub(events)),
        ("post /v1/shop/orders/{id}/payment", pays.saturating_sub(2 * events)),
        ("post /v1/shop/orders/{id}/cancel", cancels.saturating_sub(events)),
        ("post /v1/shop/orders/{id}/channel", channel),
        ("post /v1/shop/orders/{id}/parcels", packs.saturating_sub(events)),
        ("patch /v1/shop/orders/{id}/parcels/{parcel}", returns.saturating_sub(events)),
        ("post /v1/shop/webhooks/payments", hears),
    ]
}

/// What a parcel of an order costs, and that it is back.
async fn sent_for_a_parcel(place: &Place, order: &str) -> (u64, u64) {
    let (at, new) = (format!("/v1/shop/orders/{order}/parcels"), json!({ "carrier": "c", "code": "1" }));
    let asked = place.post(&at, Some(&place.admin), None, &new);
    let ((status, _, told), packs) = count_statements(asked).await;
    assert_eq!(status, 201, "{told}");
    let (at, back) = (format!("{at}/{}", told["id"].as_str().unwrap()), json!({ "state": "returned" }));
    let asked = place.ask("PATCH", &at, Some(&place.admin), None, Some(&back));
    let ((status, _, told), returns) = count_statements(asked).await;
    assert_eq!(status, 200, "{told}");
    (packs, returns)
}
