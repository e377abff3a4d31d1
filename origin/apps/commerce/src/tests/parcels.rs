//! Places and parcels: what leaves which shelf, and what becomes of it.

use futures::future::{join, join_all};
use http::HeaderMap;
use serde_json::{Value, json};

use super::place::{Place, placed, version_of};

impl Place {
    /// A place, and so many units of a variant at it.
    async fn stock_at(&self, name: &str, variant: &str, units: i64) {
        let body = json!({ "title": name });
        let at = format!("/v1/shop/places/{name}");
        assert_eq!(self.ask("PUT", &at, Some(&self.admin), None, Some(&body)).await.0, 200);
        let body = json!({ "quantity": units, "place": name });
        let at = format!("/v1/shop/stock/{variant}");
        let (status, _, told) = self.post(&at, Some(&self.admin), None, &body).await;
        assert_eq!(status, 200, "{told}");
    }

    /// An order of so many units that is paid; its id.
    async fn bought(&self, variant: &str, units: i64) -> String {
        let order = self.order(variant, units, None).await.2;
        let id = order["id"].as_str().unwrap().to_owned();
        assert_eq!(self.pay(&id, "pm_card_visa").await.2["state"], "confirmed");
        id
    }

    async fn pack(&self, order: &str, key: Option<&str>, parcel: &Value) -> (u16, HeaderMap, Value) {
        let mut body = json!({ "carrier": "Parcel Post", "code": "PP1" });
        let named = parcel.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(named);
        self.post(&format!("/v1/shop/orders/{order}/parcels"), Some(&self.admin), key, &body).await
    }

    async fn onward(&self, order: &str, parcel: &str, state: &str) -> (u16, Value) {
        let (at, body) = (format!("/v1/shop/orders/{order}/parcels/{parcel}"), json!({ "state": state }));
        let (status, _, told) = self.ask("PATCH", &at, Some(&self.admin), None, Some(&body)).await;
        (status, told)
    }

    /// What is on a variant's shelves, by place, with what its ledger and its parcels say of the sum.
    async fn shelves(&self, variant: &str, out: i64) -> Value {
        let at = format!("/v1/shop/stock/{variant}/entries");
        let told = self.get(&at, Some(&self.admin)).await.2;
        let units = |shelf: &Value| shelf["units"].as_i64().unwrap();
        let places = told["places"].as_object().unwrap();
        let sum: i64 = places.values().map(units).sum();
        let counted: i64 = self.counts(variant).await.iter().sum();
        assert_eq!((sum, told["entries"]["receive"].as_i64().unwrap()), (counted - out, counted), "{told}");
        places.iter().map(|(place, shelf)| (place.clone(), json!(units(shelf)))).collect()
    }
}

fn kind(told: &Value) -> &str {
    told["type"].as_str().unwrap_or_default().trim_start_matches("/problems/")
}

pub(super) async fn what_is_bought_is_sent_once_from_where_it_is(place: Place) {
    let (_, variant) = place.product("a", 5).await;
    assert_eq!(place.shelves(&variant, 0).await, json!({ "main": 5 }), "as it was before there were places");
    place.stock_at("north", &variant, 3).await;
    assert_eq!(place.counts(&variant).await, [8, 0, 0], "what can be sold is one number");
    let id = place.bought(&variant, 4).await;
    assert_eq!(place.shelves(&variant, 0).await, json!({ "main": 5, "north": 3 }), "nothing has left");

    let some = |units: i64| json!([{ "variant": variant, "quantity": units }]);
    for (parcel, status, why) in [
        (json!({ "place": "north" }), 409, "not-on-shelf"),
        (json!({ "place": "south" }), 404, "not-found"),
        (json!({ "lines": some(5) }), 409, "nothing-left"),
        (json!({ "carrier": "" }), 422, "invalid"),
    ] {
        let (was, _, told) = place.pack(&id, None, &parcel).await;
        assert_eq!((was, kind(&told)), (status, why), "{parcel}: {told}");
    }
    assert_eq!(place.shelves(&variant, 0).await, json!({ "main": 5, "north": 3 }));

    let (status, _, first) = place.pack(&id, None, &json!({ "place": "north", "lines": some(3) })).await;
    assert_eq!(
        (status, &first["state"], &first["place"]),
        (201, &json!("packed"), &json!("north")),
        "{first}"
    );
    assert_eq!(version_of(&first, &format!("order:{id}")), 4, "reserved, paying, confirmed, packed");
    let (status, _, second) = place.pack(&id, None, &json!({})).await;
    assert_eq!((status, &second["place"], &second["lines"]), (201, &json!("main"), &some(1)), "{second}");
    let (status, _, told) = place.pack(&id, None, &json!({})).await;
    assert_eq!((status, kind(&told)), (409, "nothing-left"));
    assert_eq!(place.shelves(&variant, 4).await, json!({ "main": 4, "north": 0 }));
    assert_eq!(place.counts(&variant).await, [4, 0, 4], "the ledger knows nothing of it");

    let shown = place.get(&format!("/v1/shop/orders/{id}"), Some(&place.buyer)).await.2;
    let ids: Vec<&Value> = shown["parcels"].as_array().unwrap().iter().map(|parcel| &parcel["id"]).collect();
    assert_eq!(ids, [&first["id"], &second["id"]], "{shown}");
    let at = format!("/v1/shop/orders/{id}/parcels");
    let listed = place.get(&at, Some(&place.admin)).await.2;
    assert_eq!((&listed["left"], &listed["parcels"]), (&json!([]), &shown["parcels"]));
    assert_eq!(place.get(&at, Some(&place.buyer)).await.0, 403, "he has them in the order");
    let entry = place.shop.storage.audit().list(None, 1).await.unwrap().remove(0);
    assert_eq!(
        (entry.action.as_str(), entry.subject.as_str()),
        ("pack-parcel", second["id"].as_str().unwrap())
    );
}

pub(super) async fn a_parcel_goes_its_way_and_no_other(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let id = place.bought(&variant, 2).await;
    let parcel = place.pack(&id, None, &json!({})).await.2["id"].as_str().unwrap().to_owned();
    for wrong in ["packed", "in-transit", "delivered"] {
        let (status, told) = place.onward(&id, &parcel, wrong).await;
        assert_eq!((status, kind(&told)), (409, "illegal-move"), "{wrong}");
    }
    assert_eq!(place.onward(&id, &parcel, "lost").await.0, 400);
    let mut version = 4;
    for state in ["handed-over", "in-transit", "delivered"] {
        place.clock.advance(std::time::Duration::from_secs(60));
        let (status, told) = place.onward(&id, &parcel, state).await;
        version += 1;
        assert_eq!((status, &told["state"]), (200, &json!(state)), "{told}");
        assert_eq!(version_of(&told, &format!("order:{id}")), version, "{state}");
    }
    let (status, told) = place.onward(&id, &parcel, "returned").await;
    assert_eq!((status, kind(&told)), (409, "illegal-move"));
    let shown = place.get(&format!("/v1/shop/orders/{id}"), Some(&place.buyer)).await.2;
    let moves = shown["parcels"][0]["moves"].as_array().unwrap();
    let times: Vec<i64> = moves.iter().map(|one| one["at_ms"].as_i64().unwrap()).collect();
    assert_eq!(times.len(), 4, "{shown}");
    assert!(times.windows(2).all(|two| two[1] - two[0] == 60_000), "{times:?}");
    assert_eq!((&shown["state"], &shown["changed_ms"]), (&json!("confirmed"), &json!(times[3])));
    assert_eq!(place.shelves(&variant, 2).await, json!({ "main": 1 }));

    // Only what is sold is sent, by administrators, and a parcel is one order's.
    let unpaid = placed(&place, &variant).await;
    assert_eq!(kind(&place.pack(&unpaid, None, &json!({})).await.2), "not-sold");
    assert_eq!(place.onward(&unpaid, &parcel, "returned").await.0, 409);
    assert_eq!(place.pay(&unpaid, "pm_card_visa").await.2["state"], "confirmed");
    assert_eq!(place.onward(&unpaid, &parcel, "returned").await.0, 404);
    assert_eq!(place.pack(&variant, None, &json!({})).await.0, 404, "no order has this id");
    let at = format!("/v1/shop/orders/{id}/parcels");
    let body = json!({ "carrier": "c", "code": "1" });
    assert_eq!(place.post(&at, Some(&place.buyer), None, &body).await.0, 403);
}

pub(super) async fn what_came_back_is_on_its_shelf_and_may_be_sent_again(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    place.stock_at("north", &variant, 2).await;
    let id = place.bought(&variant, 2).await;
    let north = json!({ "place": "north" });
    let parcel = place.pack(&id, None, &north).await.2["id"].as_str().unwrap().to_owned();
    assert_eq!(place.shelves(&variant, 2).await, json!({ "main": 1, "north": 0 }));
    assert_eq!(place.onward(&id, &parcel, "handed-over").await.0, 200);
    assert_eq!(place.onward(&id, &parcel, "returned").await.0, 200);
    assert_eq!(place.shelves(&variant, 0).await, json!({ "main": 1, "north": 2 }));
    for again in ["returned", "packed", "handed-over"] {
        assert_eq!(place.onward(&id, &parcel, again).await.0, 409, "{again}");
    }
    let listed = place.get(&format!("/v1/shop/orders/{id}/parcels"), Some(&place.admin)).await.2;
    assert_eq!(listed["left"], json!([{ "variant": variant, "quantity": 2 }]));
    assert_eq!(place.pack(&id, None, &json!({})).await.0, 409, "the default place has one");
    assert_eq!(place.pack(&id, None, &north).await.0, 201);
    assert_eq!(place.shelves(&variant, 2).await, json!({ "main": 1, "north": 0 }));
}

pub(super) async fn a_key_makes_one_parcel(place: Place) {
    let (_, variant) = place.product("a", 3).await;
    let id = place.bought(&variant, 3).await;
    let one = json!({ "lines": [{ "variant": variant, "quantity": 1 }] });
    let (status, headers, made) = place.pack(&id, Some("one"), &one).await;
    assert_eq!((status, headers.get("idempotency-replayed")), (201, None), "{made}");
    let (status, headers, again) = place.pack(&id, Some("one"), &one).await;
    assert!(headers["idempotency-replayed"] == "true" && (status, &again) == (201, &made), "{again}");
    assert_eq!(place.pack(&id, Some("one"), &json!({})).await.0, 422);
    assert_eq!(place.shelves(&variant, 1).await, json!({ "main": 2 }));
    let parcel = made["id"].as_str().unwrap();
    let (at, body) = (format!("/v1/shop/orders/{id}/parcels/{parcel}"), json!({ "state": "handed-over" }));
    for replayed in [false, true] {
        let told = place.ask("PATCH", &at, Some(&place.admin), Some("two"), Some(&body)).await;
        assert_eq!((told.0, told.1.contains_key("idempotency-replayed")), (200, replayed), "{}", told.2);
    }
}

/// Whoever packs at the same time, at whatever places: an order is sent once, and no shelf has less than nothing.
pub(super) async fn parcels_made_at_once_are_no_more_than_was_bought(place: Place) {
    let (_, variant) = place.product("a", 4).await;
    place.stock_at("north", &variant, 2).await;
    let id = place.bought(&variant, 5).await;
    let one = |n: usize| {
        let at = if n.is_multiple_of(2) { "north" } else { "main" };
        json!({ "place": at, "lines": [{ "variant": variant, "quantity": 1 }] })
    };
    let all: Vec<Value> = (0..8).map(one).collect();
    let made = join_all(all.iter().map(|parcel| place.pack(&id, None, parcel))).await;
    let (sent, refused): (Vec<_>, Vec<_>) = made.iter().partition(|(status, ..)| *status == 201);
    assert!(refused.iter().all(|(status, ..)| *status == 409), "{refused:?}");
    let shelves = place.shelves(&variant, 5).await;
    assert!(shelves.as_object().unwrap().values().all(|units| units.as_i64().unwrap() >= 0), "{shelves}");
    assert_eq!(sent.len(), 5, "as many as there are, wherever each of them was: {made:?}");
    let listed = place.get(&format!("/v1/shop/orders/{id}/parcels"), Some(&place.admin)).await.2;
    assert_eq!((&listed["left"], listed["parcels"].as_array().unwrap().len()), (&json!([]), 5));
}

/// Whoever looks while units come in at another place: the default one has what it had.
pub(super) async fn shelves_are_of_one_moment(place: Place) {
    let (_, variant) = place.product("a", 5).await;
    place.stock_at("north", &variant, 1).await;
    let (at, more) = (format!("/v1/shop/stock/{variant}"), json!({ "quantity": 1, "place": "north" }));
    let come = async {
        for _ in 0..20 {
            assert_eq!(place.post(&at, Some(&place.admin), None, &more).await.0, 200);
        }
    };
    let entries = format!("{at}/entries");
    let look = async {
        for _ in 0..60 {
            let told = place.get(&entries, Some(&place.admin)).await.2;
            let units = |name: &str| told["places"][name]["units"].as_i64().unwrap();
            assert_eq!((units("main"), &told["available"]), (5, &told["entries"]["receive"]), "{told}");
            assert_eq!(told["available"], 5 + units("north"), "{told}");
        }
    };
    join(come, look).await;
    assert_eq!(place.shelves(&variant, 0).await, json!({ "main": 5, "north": 21 }));
}

pub(super) async fn places_are_few_and_called_as_administrators_say(place: Place) {
    let put = async |name: &str, token: &str, title: &str| {
        let body = json!({ "title": title });
        place.ask("PUT", &format!("/v1/shop/places/{name}"), Some(token), None, Some(&body)).await.0
    };
    let (admin, buyer) = (place.admin.as_str(), place.buyer.as_str());
    let listed = async || place.get("/v1/shop/places", Some(admin)).await.2["places"].clone();
    assert_eq!(listed().await, json!([{ "name": "main", "title": "Main" }]));
    assert_eq!((put("north", buyer, "North").await, put("No", admin, "No").await), (403, 422));
    assert_eq!(put("north", admin, "").await, 422);
    assert_eq!((put("north", admin, "Kiel").await, put("north", admin, "Hamburg").await), (200, 200));
    assert_eq!(put("main", admin, "Berlin").await, 200);
    let both = json!([{ "name": "main", "title": "Berlin" }, { "name": "north", "title": "Hamburg" }]);
    assert_eq!(listed().await, both);
    let entry = place.shop.storage.audit().list(None, 1).await.unwrap().remove(0);
    assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("keep-place", "main"));
    for n in 0..62 {
        assert_eq!(put(&format!("p{n}"), admin, "p").await, 200);
    }
    assert_eq!((put("one-more", admin, "p").await, put("north", admin, "Kiel").await), (409, 200));
    assert_eq!(listed().await.as_array().unwrap().len(), 64);
    let (_, variant) = place.product("a", 1).await;
    let body = json!({ "quantity": 1, "place": "south" });
    assert_eq!(place.post(&format!("/v1/shop/stock/{variant}"), Some(admin), None, &body).await.0, 404);
    let body = json!({ "quantity": 1, "place": "s".repeat(10_000) });
    let told = place.post(&format!("/v1/shop/stock/{variant}"), Some(admin), None, &body).await;
    assert!(told.0 == 404 && told.2.to_string().len() < 500, "what is no name is not told again: {}", told.2);
    assert_eq!(place.counts(&variant).await, [1, 0, 0], "nothing came in");
}
