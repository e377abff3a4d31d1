//! The shop from outside: a catalog, an order, a payment, the books; an origin that is killed between any two steps; a gateway that
//! says nothing any more, and buyers who do not want what they ordered.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::client::{client, header};
use sluice_tests::ear::Ear;
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, balance, counts, get, post, product, rested, sign_up, until};
use sluice_tests::stripe::{Faults, Stripe};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long these shops wait for the gateway.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How long anything may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_ordered_is_paid_and_sold_on_sqlite() {
    an_order_from_catalog_to_books(Shop::sqlite()).await;
}

#[tokio::test]
async fn what_is_ordered_is_paid_and_sold_on_postgres() {
    let server = Postgres::start().await;
    an_order_from_catalog_to_books(Shop::at(server.fresh_database().await)).await;
}

async fn an_order_from_catalog_to_books(shop: Shop) {
    let stripe = Stripe::start().await;
    let mut origin = shop.origin("origin", &format!("http://{}", stripe.at));
    origin.start().await;
    stripe.tell(vec![format!("{}/v1/shop/webhooks/payments", origin.url())]);
    let url = origin.url();
    let (boss, ann, ben) =
        (sign_up(&url, "boss").await, sign_up(&url, "ann").await, sign_up(&url, "ben").await);
    let (product, variant) = product(&url, &boss, 3).await;
    assert_eq!(
        post(&format!("{url}/v1/shop/products"), &ann, &json!({ "title": "x", "variants": [] })).await.0,
        403
    );

    let shown = client().get(format!("{url}/v1/shop/products/{product}?market=de")).send().await.unwrap();
    assert_eq!(header(&shown, "surrogate-key"), format!("product:{product}"));
    assert!(header(&shown, "sluice-cache-control").contains("max-age"));
    let listed = client().get(format!("{url}/v1/shop/products?market=de")).send().await.unwrap();
    assert_eq!(listed.json::<Value>().await.unwrap()["products"][0]["from"], 1_190);

    // An order that is asked for twice under one key is one order.
    let order = async || {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 2 }] });
        let asked = client().post(format!("{url}/v1/shop/orders")).bearer_auth(&ann);
        let answer = asked.header("idempotency-key", "one").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (first, second) = (order().await, order().await);
    assert_eq!((first.0, &first.1["state"], &first.1["id"]), (201, &json!("reserved"), &second.1["id"]));
    let id = first.1["id"].as_str().unwrap();
    assert_eq!(get(&format!("{url}/v1/shop/orders/{id}"), &ben).await.0, 404, "another's order");
    let (status, channel) = post(&format!("{url}/v1/shop/orders/{id}/channel"), &ann, &json!(null)).await;
    assert_eq!((status, &channel["channel"]), (200, &json!(format!("order:{id}"))));

    let pay = format!("{url}/v1/shop/orders/{id}/payment");
    let (status, paid) = post(&pay, &ann, &json!({ "method": "pm_card_visa" })).await;
    assert_eq!((status, &paid["state"], &paid["tax"]), (200, &json!("confirmed"), &json!(380)), "{paid}");
    let (refused, _) = post(&pay, &ann, &json!({ "method": "4242424242424242" })).await;
    assert_eq!(refused, 422);
    assert_eq!(counts(&url, &boss, &variant).await, [1, 0, 2]);
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 2_380);
    assert_eq!(balance(&url, &boss, "buyers", "EUR").await, 0);
    assert_eq!(balance(&url, &boss, "tax", "EUR").await, -380);

    // Refused, or of no card that the gateway knows: the stock goes back, and nothing was charged.
    for method in ["pm_card_chargeDeclined", "pm_nobody"] {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (_, order) = post(&format!("{url}/v1/shop/orders"), &ben, &body).await;
        let pay = format!("{url}/v1/shop/orders/{}/payment", order["id"].as_str().unwrap());
        let (status, told) = post(&pay, &ben, &json!({ "method": method })).await;
        assert_eq!((status, &told["state"]), (200, &json!("released")), "{told}");
    }
    assert_eq!(counts(&url, &boss, &variant).await, [1, 0, 2]);
    let charges: Vec<u32> = stripe.intents().values().map(|intent| intent.charges).collect();
    assert_eq!(charges, [1, 0]);
}

#[tokio::test]
async fn each_market_has_its_own_prices_and_goods_at_every_edge_on_sqlite() {
    markets_at_two_edges(Shop::sqlite()).await;
}

#[tokio::test]
async fn each_market_has_its_own_prices_and_goods_at_every_edge_on_postgres() {
    let server = Postgres::start().await;
    markets_at_two_edges(Shop::at(server.fresh_database().await)).await;
}

async fn markets_at_two_edges(mut shop: Shop) {
    let (_stripe, origin, [boss, _], _) = opened(&mut shop, 1).await;
    let url = origin.url();
    let mut edges = ["near", "far"].map(|name| shop.edge(name, std::slice::from_ref(&url)));
    for edge in &mut edges {
        edge.start().await;
    }
    let made = async |title: &str, prices: Value| {
        let variant = json!({ "sku": title, "title": "M", "prices": prices });
        let body = json!({ "title": title, "variants": [variant] });
        let (status, told) = post(&format!("{url}/v1/shop/products"), &boss, &body).await;
        assert_eq!(status, 201, "{told}");
        told["id"].as_str().unwrap().to_owned()
    };
    let both = made("both", json!({ "de": 990, "us": 1_500 })).await;
    let home = made("home", json!({ "de": 800 })).await;
    let abroad = made("abroad", json!({ "us": 2_000 })).await;
    let seen = async |edge: &Process, path: &str| {
        let answer = client().get(format!("{}/v1/shop/{path}", edge.url())).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let markets = [
        ("de", 990, vec![("home", 800), ("both", 990), ("Shirt", 1_190)], &home, &abroad),
        ("us", 1_500, vec![("abroad", 2_000), ("both", 1_500)], &abroad, &home),
    ];
    // The second time out of what edges keep.
    for edge in edges.iter().chain(&edges) {
        for (market, price, goods, own, others) in &markets {
            let shown = seen(edge, &format!("products/{both}?market={market}")).await.1;
            assert_eq!((&shown["market"], &shown["variants"][0]["price"]), (&json!(market), &json!(price)));
            assert_eq!(seen(edge, &format!("products/{own}?market={market}")).await.0, 200);
            assert_eq!(seen(edge, &format!("products/{others}?market={market}")).await.0, 404);
            // A page is full of what is sold there, and the last one says so.
            let (mut listed, mut after) = (vec![], String::new());
            loop {
                let page = seen(edge, &format!("products?market={market}&limit=1{after}")).await.1;
                let one = &page["products"][0];
                listed.push((one["title"].as_str().unwrap().to_owned(), one["from"].as_i64().unwrap()));
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            let goods: Vec<_> = goods.iter().map(|(title, from)| ((*title).to_owned(), *from)).collect();
            assert_eq!(listed, goods, "{market}");
        }
    }
    languages_at_two_edges(&url, &boss, &edges, &both).await;
}

/// What an edge shows of a product in a market and a language, by itself and in the list: its title, price, language, and the one
/// that the answer is said to be in.
async fn shown_at(
    edge: &Process,
    product: &str,
    asked: &str,
    at_least: Option<&str>,
) -> (String, i64, String, String) {
    let get = async |path: &str| {
        let mut request = client().get(format!("{}/v1/shop/{path}?{asked}", edge.url()));
        if let Some(versions) = at_least {
            request = request.header("sluice-at-least", versions);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}?{asked}");
        let said = header(&answer, "content-language");
        (answer.json::<Value>().await.unwrap(), said)
    };
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let (one, said) = get(&format!("products/{product}")).await;
    let page = get("products").await.0;
    let listed = page["products"].as_array().unwrap().iter().find(|listed| listed["id"] == product).unwrap();
    assert_eq!((&listed["title"], &listed["language"]), (&one["title"], &one["language"]), "{asked}");
    let price = one["variants"][0]["price"].as_i64().unwrap();
    assert_eq!(listed["from"], price, "{asked}");
    (text(&one["title"]), price, text(&one["language"]), said)
}

/// A market and a language are never another's at any edge, and a text that changes is the new one at all of them.
async fn languages_at_two_edges(url: &str, boss: &str, edges: &[Process; 2], product: &str) {
    let say = async |language: &str, title: &str| {
        let at = format!("{url}/v1/shop/products/{product}/texts/{language}");
        let body = json!({ "title": title });
        let answer = client().put(at).bearer_auth(boss).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["versions"].as_str().unwrap().to_owned()
    };
    say("en", "Both of them").await;
    let mut versions = say("de", "Beides").await;
    for german in ["Beides", "Alle beide"] {
        if german != "Beides" {
            versions = say("de", german).await;
        }
        let wanted = [
            ("market=de&language=de-AT", german, 990, "de"),
            ("market=us&language=de-AT", german, 1_500, "de"),
            ("market=de&language=en-US", "Both of them", 990, "en"),
            ("market=us&language=en-US", "Both of them", 1_500, "en"),
            ("market=us&language=fr", "both", 1_500, ""),
            ("market=de", "both", 990, ""),
        ];
        // The second time out of what edges keep, of which nothing is demanded.
        for at_least in [Some(versions.as_str()), None] {
            for edge in edges {
                for (asked, title, price, language) in wanted {
                    let shown = shown_at(edge, product, asked, at_least).await;
                    let language = language.to_owned();
                    assert_eq!(shown, (title.to_owned(), price, language.clone(), language), "{asked}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_buyer_hears_what_becomes_of_an_order_whoever_brought_it_there() {
    let mut shop = Shop::sqlite();
    shop.flags.push(("apps.commerce.reserve_ms", "1500".to_owned()));
    let (_stripe, origin, [boss, ann], variant) = opened(&mut shop, 5).await;
    let url = origin.url();
    let mut edge = shop.edge("near", std::slice::from_ref(&url));
    edge.start().await;
    let ben = sign_up(&url, "ben").await;
    let listening = async || {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (_, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
        let at = format!("{}/v1/shop/orders/{}", edge.url(), order["id"].as_str().unwrap());
        assert_eq!(post(&format!("{at}/channel"), &ben, &json!(null)).await.0, 404, "another's order");
        let (_, told) = post(&format!("{at}/channel"), &ann, &json!(null)).await;
        let mut ear = Ear::open(&edge, None).await;
        ear.say(json!({ "subscribe": told["channel"], "token": told["token"] })).await;
        let said = ear.json().await;
        assert_eq!(said["subscribed"], told["channel"], "{said}");
        (ear, at)
    };
    // By the buyer, on another device.
    let (mut ear, at) = listening().await;
    post(&format!("{at}/payment"), &ann, &json!({ "method": "pm_card_visa" })).await;
    assert_eq!(states(&mut ear, "confirmed").await.first().unwrap(), "paying");
    // By nobody: its time is over.
    let (mut ear, _) = listening().await;
    assert_eq!(states(&mut ear, "released").await, ["released"]);
    // Who has no token for it hears nothing.
    let mut other = Ear::open(&edge, None).await;
    let named = at.rsplit('/').next().unwrap();
    other.say(json!({ "subscribe": format!("order:{named}") })).await;
    assert!(other.json().await["refused"].is_string());
    assert_eq!(counts(&url, &boss, &variant).await, [4, 0, 1]);
}

/// What is heard of an order until it comes to a state.
async fn states(ear: &mut Ear, last: &str) -> Vec<String> {
    let mut heard: Vec<String> = vec![];
    while heard.last().is_none_or(|state| state != last) {
        let frame = ear.json().await;
        heard.extend(frame["data"]["state"].as_str().map(str::to_owned));
    }
    heard
}

/// A gateway, an origin that looks after its orders often, its administrator and a buyer, and a variant with so many units.
async fn opened(shop: &mut Shop, units: i64) -> (Stripe, Process, [String; 2], String) {
    let stripe = Stripe::start().await;
    shop.flags.extend([
        ("apps.commerce.sweep_ms", "50".to_owned()),
        ("apps.commerce.gateway.timeout_ms", TIMEOUT.as_millis().to_string()),
    ]);
    let mut origin = shop.origin("origin", &format!("http://{}", stripe.at));
    origin.start().await;
    let url = origin.url();
    let (boss, ann) = (sign_up(&url, "boss").await, sign_up(&url, "ann").await);
    let (_, variant) = product(&url, &boss, units).await;
    (stripe, origin, [boss, ann], variant)
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_and_doubles_nothing_on_sqlite() {
    kills_between_steps(Shop::sqlite()).await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_and_doubles_nothing_on_postgres() {
    let server = Postgres::start().await;
    kills_between_steps(Shop::at(server.fresh_database().await)).await;
}

async fn kills_between_steps(mut shop: Shop) {
    let (stripe, mut origin, [boss, ann], variant) = opened(&mut shop, 10).await;
    let url = origin.url();
    let steps = ["shop-before-charge", "shop-opened", "shop-named", "shop-after-charge", "shop-charged"];
    for (n, step) in steps.into_iter().enumerate() {
        origin.kill9();
        origin.crash_at(Some(step));
        origin.start().await;
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (status, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
        assert_eq!(status, 201, "{step}: {order}");
        let id = order["id"].as_str().unwrap();
        let pay = client().post(format!("{url}/v1/shop/orders/{id}/payment")).bearer_auth(&ann);
        pay.json(&json!({ "method": "pm_card_visa" })).send().await.unwrap_err();
        origin.ended().await;
        origin.crash_at(None);
        origin.start().await;
        assert_eq!(rested(&url, &ann, id).await["state"], "confirmed", "{step}");
        let sold = i64::try_from(n).unwrap() + 1;
        assert_eq!(counts(&url, &boss, &variant).await, [10 - sold, 0, sold], "{step}");
        assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 1_190 * sold, "{step}");
        let intents = stripe.intents();
        assert!(intents.values().all(|intent| intent.charges == 1), "{step}: {intents:?}");
        assert_eq!(intents.len(), n + 1, "{step}");
    }
}

#[tokio::test]
async fn a_kill_after_an_order_ended_unsold_keeps_it_ended_on_sqlite() {
    kills_after_an_end(Shop::sqlite()).await;
}

#[tokio::test]
async fn a_kill_after_an_order_ended_unsold_keeps_it_ended_on_postgres() {
    let server = Postgres::start().await;
    kills_after_an_end(Shop::at(server.fresh_database().await)).await;
}

async fn kills_after_an_end(mut shop: Shop) {
    // As soon as may be: three questions and a second.
    shop.flags = vec![("apps.commerce.give_up_ms", (3 * TIMEOUT.as_millis() + 1_000).to_string())];
    let (stripe, mut origin, [boss, ann], variant) = opened(&mut shop, 5).await;
    let url = origin.url();
    let ends = [
        ("shop-declined", "pm_card_chargeDeclined", "released", "declined"),
        ("shop-given-up", "pm_card_visa", "canceled", "gateway"),
        ("shop-refunded", "pm_card_visa", "refunded", "buyer"),
    ];
    for (step, method, state, reason) in ends {
        origin.kill9();
        origin.crash_at(Some(step));
        origin.start().await;
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (status, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
        assert_eq!(status, 201, "{step}: {order}");
        let id = order["id"].as_str().unwrap();
        let at = format!("{url}/v1/shop/orders/{id}");
        let (pays, with) = (format!("{at}/payment"), json!({ "method": method }));
        match step {
            "shop-declined" => {
                client().post(&pays).bearer_auth(&ann).json(&with).send().await.unwrap_err();
            }
            "shop-given-up" => {
                stripe.err(Faults { mute: true, ..Faults::default() });
                assert_eq!(post(&pays, &ann, &with).await.0, 202);
            }
            _ => {
                paid_in_vain(&stripe, post(&pays, &ann, &with)).await;
                assert_eq!(post(&format!("{at}/cancel"), &ann, &json!({})).await.0, 200);
                stripe.err(Faults::default());
            }
        }
        origin.ended().await;
        stripe.err(Faults::default());
        origin.crash_at(None);
        origin.start().await;
        assert_eq!(until(&url, &ann, id, &[state]).await["reason"], reason, "{step}");
        assert_eq!(counts(&url, &boss, &variant).await, [5, 0, 0], "{step}");
        assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 0, "{step}");
        let intents = stripe.intents();
        let is_even = |charges: u32, refunds: u32| charges <= 1 && charges == refunds;
        assert!(intents.values().all(|one| is_even(one.charges, one.refunds)), "{step}: {intents:?}");
    }
    assert_eq!(stripe.refunds(), ["succeeded"], "it was asked for once");
}

/// Pays at a gateway that takes the money, does not say so in time, and says nothing more.
async fn paid_in_vain(stripe: &Stripe, pays: impl Future<Output = (u16, Value)>) {
    let charges = || stripe.intents().values().map(|intent| intent.charges).sum::<u32>();
    let before = charges();
    stripe.err(Faults { late: 1.0, lateness: 2 * TIMEOUT, ..Faults::default() });
    let (paid, ()) = tokio::join!(pays, async {
        while charges() == before {
            sleep(Duration::from_millis(1)).await;
        }
        stripe.err(Faults { before: 1.0, mute: true, ..Faults::default() });
    });
    assert_eq!((paid.0, &paid.1["state"]), (202, &json!("paying")));
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_given_up_and_what_it_took_comes_back_on_sqlite() {
    a_gateway_that_is_gone(Shop::sqlite()).await;
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_given_up_and_what_it_took_comes_back_on_postgres() {
    let server = Postgres::start().await;
    a_gateway_that_is_gone(Shop::at(server.fresh_database().await)).await;
}

async fn a_gateway_that_is_gone(mut shop: Shop) {
    // As soon as may be: three questions and a second.
    shop.flags = vec![("apps.commerce.give_up_ms", (3 * TIMEOUT.as_millis() + 1_000).to_string())];
    let (stripe, mut origin, [boss, ann], variant) = opened(&mut shop, 5).await;
    let url = origin.url();
    let order = async || {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
        let (status, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
        assert_eq!(status, 201, "{order}");
        order["id"].as_str().unwrap().to_owned()
    };
    let pay = async |id: &str| {
        let at = format!("{url}/v1/shop/orders/{id}/payment");
        post(&at, &ann, &json!({ "method": "pm_card_visa" })).await
    };
    let cancel = async |id: &str| {
        let asked = client().post(format!("{url}/v1/shop/orders/{id}/cancel")).bearer_auth(&ann);
        asked.header("idempotency-key", id).send().await
    };

    // One payment that was opened, and the gateway's answer lost; one that it has been paid.
    let (opened, taken) = (order().await, order().await);
    stripe.err(Faults { mute: true, ..Faults::default() });
    assert_eq!(pay(&opened).await.0, 202);
    paid_in_vain(&stripe, pay(&taken)).await;
    for id in [&opened, &taken] {
        assert_eq!(until(&url, &ann, id, &["canceled"]).await["reason"], "gateway");
    }
    assert_eq!(counts(&url, &boss, &variant).await, [5, 0, 0]);
    assert_eq!(pay(&taken).await.1["state"], "canceled");
    // It is there again: what it took goes back, and what it did not take is never taken.
    stripe.err(Faults::default());
    until(&url, &ann, &taken, &["refunded"]).await;
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 0);

    // A buyer cancels what the gateway has been paid for; the origin is killed before it could tell the gateway.
    origin.kill9();
    origin.crash_at(Some("shop-canceled"));
    origin.start().await;
    let id = order().await;
    paid_in_vain(&stripe, pay(&id)).await;
    cancel(&id).await.unwrap_err();
    origin.ended().await;
    stripe.err(Faults::default());
    origin.crash_at(None);
    origin.start().await;
    let again = cancel(&id).await.unwrap();
    assert_eq!((again.status().as_u16(), header(&again, "idempotency-replayed").as_str()), (200, "true"));
    assert_eq!(until(&url, &ann, &id, &["refunded"]).await["reason"], "buyer");
    // Canceled again it is as it is; what the gateway's silence ended is not the buyer's to cancel any more.
    let late = async |id: &str| post(&format!("{url}/v1/shop/orders/{id}/cancel"), &ann, &json!({})).await;
    let (status, told) = late(&id).await;
    assert_eq!((status, &told["state"]), (200, &json!("refunded")));
    let (status, told) = late(&taken).await;
    assert_eq!((status, &told["type"]), (409, &json!("/problems/too-late")));
    let intents = stripe.intents();
    assert!(intents.values().all(|intent| intent.charges == intent.refunds), "{intents:?}");
    assert_eq!(intents.values().filter(|intent| intent.charges == 1).count(), 2, "{intents:?}");
    assert_eq!(counts(&url, &boss, &variant).await, [5, 0, 0]);
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 0);
}

#[tokio::test]
async fn money_is_given_back_when_the_gateway_says_that_it_is_there_on_sqlite() {
    money_on_its_way_back(Shop::sqlite()).await;
}

#[tokio::test]
async fn money_is_given_back_when_the_gateway_says_that_it_is_there_on_postgres() {
    let server = Postgres::start().await;
    money_on_its_way_back(Shop::at(server.fresh_database().await)).await;
}

async fn money_on_its_way_back(mut shop: Shop) {
    let (stripe, origin, [boss, ann], variant) = opened(&mut shop, 1).await;
    let url = origin.url();
    let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
    let (_, order) = post(&format!("{url}/v1/shop/orders"), &ann, &body).await;
    let at = format!("{url}/v1/shop/orders/{}", order["id"].as_str().unwrap());
    // The gateway takes the money, and does not say so in time; its buyer does not want it any more.
    let failing = Faults { refunds: Some("failed"), ..Faults::default() };
    stripe.err(Faults { late: 1.0, lateness: 2 * TIMEOUT, ..failing });
    let (pays, method) = (format!("{at}/payment"), json!({ "method": "pm_card_visa" }));
    let (paid, ()) = tokio::join!(post(&pays, &ann, &method), async {
        while stripe.intents().values().all(|intent| intent.charges == 0) {
            sleep(Duration::from_millis(1)).await;
        }
        stripe.err(Faults { before: 1.0, mute: true, ..failing });
    });
    assert_eq!((paid.0, &paid.1["state"]), (202, &json!("paying")));
    stripe.err(failing);
    assert_eq!(post(&format!("{at}/cancel"), &ann, &json!({})).await.0, 200);
    // Giving it back fails, and is tried anew: that it was asked for does not count.
    assert_eq!(get(&at, &ann).await.1["state"], "refunding");
    assert!(stripe.refunds().len() >= 2 && stripe.refunds().iter().all(|status| *status == "failed"));
    stripe.err(Faults { refunds: Some("pending"), ..Faults::default() });
    let begun = Instant::now();
    while stripe.refunds().last() != Some(&"pending") {
        assert!(begun.elapsed() < PATIENCE, "{:?}", stripe.refunds());
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(&at, &ann).await.1["state"], "refunding");
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 1_190);
    stripe.settle();
    until(&url, &ann, order["id"].as_str().unwrap(), &["refunded"]).await;
    assert_eq!(stripe.refunds().iter().filter(|status| **status == "succeeded").count(), 1);
    assert_eq!(balance(&url, &boss, "gateway", "EUR").await, 0);
    assert_eq!(counts(&url, &boss, &variant).await, [1, 0, 0]);
}
