//! Waiting rooms, as edges and those they let in see them at an origin.

use serde_json::{Value, json};
use sluice_wire::room::Ticket;

use super::place::Place;

fn ticket(n: u32) -> Ticket {
    Ticket { at_ms: 1, n, giver: 1 }
}

impl Place {
    async fn open_room(&self, variant: &str, room: &Value) -> String {
        let at = format!("/v1/shop/rooms/{variant}");
        let (status, _, told) = self.ask("PUT", &at, Some(&self.admin), None, Some(room)).await;
        assert_eq!(status, 200, "{told}");
        told["name"].as_str().unwrap().to_owned()
    }

    /// The rooms that edges are told of, by name.
    async fn rooms(&self) -> Vec<sluice_wire::room::Room> {
        let request = http::Request::get("/v1/rooms").body(axum::body::Body::empty()).unwrap();
        let text = self.text(request).await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asks for admissions for tickets: the tokens, in their order.
    async fn let_in(&self, room: &str, tickets: &[u32]) -> Vec<String> {
        let listed = self.rooms().await.remove(0);
        let opened_ms = listed.said.opened_ms;
        let tickets: Vec<Ticket> = tickets.iter().map(|n| ticket(*n)).collect();
        let ask = json!({ "opened_ms": opened_ms, "tickets": tickets });
        let (status, _, told) = self.post(&format!("/v1/rooms/{room}/admissions"), None, None, &ask).await;
        assert_eq!(status, 200, "{told}");
        // An edge that has heard more does not take what is older.
        assert_eq!(told["version"], json!(listed.version), "{told}");
        let given = told["admissions"].as_array().unwrap();
        given.iter().map(|one| one["token"].as_str().unwrap().to_owned()).collect()
    }

    async fn enter(&self, variant: &str, admission: &str, units: i64) -> (u16, Value) {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": units }] });
        let request = http::Request::post("/v1/shop/orders")
            .header("authorization", format!("Bearer {}", self.buyer))
            .header("sluice-admission", admission)
            .body(axum::body::Body::from(body.to_string()));
        let (status, _, told) = self.send(request.unwrap()).await;
        (status, told)
    }
}

pub(super) async fn an_admission_is_good_once_for_what_there_is(place: Place) {
    let (_, variant) = place.product("lamp", 4).await;
    let room = place.open_room(&variant, &json!({ "rate": 100, "hold_ms": 10_000, "each": 2 })).await;
    assert_eq!(place.order(&variant, 1, None).await.0, 403);
    assert_eq!(place.let_in(&room, &[1]).await.len(), 0, "the rate lets in nobody yet");
    place.clock.advance(std::time::Duration::from_secs(1));
    // Four units are two admissions of two; who asks gets half of what is free.
    let first = place.let_in(&room, &[1, 2, 3]).await;
    assert_eq!(first.len(), 1);
    assert_eq!(place.let_in(&room, &[1]).await, first, "asked again, it is the same");
    let second = place.let_in(&room, &[2, 3]).await;
    assert_eq!((second.len(), place.let_in(&room, &[3]).await.len()), (1, 0), "the rest is held for others");

    assert_eq!(place.enter(&variant, &first[0], 3).await.0, 422, "three are more than it is for");
    assert_eq!(place.enter(&variant, &first[0], 2).await.0, 201);
    let (status, told) = place.enter(&variant, &first[0], 1).await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/admission-used")));
    assert_eq!(place.counts(&variant).await, [2, 2, 0], "and nothing was kept of it");

    // One that nobody uses is the next one's.
    place.clock.advance(std::time::Duration::from_secs(10));
    let (status, told) = place.enter(&variant, &second[0], 1).await;
    assert_eq!((status, &told["type"]), (403, &json!("/problems/admission-expired")));
    let third = place.let_in(&room, &[3]).await;
    assert_eq!((third.len(), place.let_in(&room, &[2]).await.len()), (1, 0));
    assert_eq!(place.enter(&variant, &third[0], 2).await.0, 201);
    let shown = place.get(&format!("/v1/shop/rooms/{variant}"), Some(&place.admin)).await.2;
    assert_eq!((&shown["used"], &shown["outstanding"]), (&json!(2), &json!(0)), "{shown}");
    assert_eq!(place.rooms().await[0].said.left, 0, "edges are told");
}

pub(super) async fn a_room_is_opened_anew_and_closed(place: Place) {
    let (_, variant) = place.product("bulb", 4).await;
    let at = format!("/v1/shop/rooms/{variant}");
    for bad in [json!({ "rate": 0 }), json!({ "each": 0 }), json!({ "hold_ms": 1 })] {
        assert_eq!(place.ask("PUT", &at, Some(&place.admin), None, Some(&bad)).await.0, 422, "{bad}");
    }
    assert_eq!(place.ask("PUT", &at, Some(&place.buyer), None, Some(&json!({}))).await.0, 403);
    let room = place.open_room(&variant, &json!({})).await;
    let before = place.rooms().await.remove(0);
    assert_eq!((before.said.left, before.said.guard.word.as_str()), (4, variant.as_str()));
    place.clock.advance(std::time::Duration::from_secs(1));
    let admission = place.let_in(&room, &[1]).await.remove(0);
    place.open_room(&variant, &json!({ "rate": 1 })).await;
    assert_eq!(place.rooms().await[0].secret, before.secret, "open already, the line stays as it is");

    assert_eq!(place.ask("DELETE", &at, Some(&place.admin), None, None).await.0, 200);
    assert!(place.rooms().await.is_empty());
    assert_eq!(place.order(&variant, 1, None).await.0, 201, "no admission is needed");
    place.open_room(&variant, &json!({})).await;
    let after = place.rooms().await.remove(0);
    assert!(after.secret != before.secret && after.version > before.version);
    let (status, told) = place.enter(&variant, &admission, 1).await;
    assert_eq!((status, &told["type"]), (403, &json!("/problems/admission-expired")), "of another opening");
    let (at, ask) = (
        format!("/v1/rooms/{room}/admissions"),
        json!({ "opened_ms": before.said.opened_ms, "tickets": [ticket(9)] }),
    );
    assert_eq!(place.ask("POST", &at, None, None, Some(&ask)).await.0, 404);
}
