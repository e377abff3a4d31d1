//! Origins with a shop, on one database, and what its administrator and its buyers do.

use crate::client::client;
use crate::process::Process;
use crate::stack::lone_edge;
use crate::stripe::{self, Stripe};
use serde_json::{Value, json};
use sluice_wire::token::mint::SigningKey;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long anything may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// States in which an order rests.
const ENDS: [&str; 4] = ["confirmed", "released", "refunded", "canceled"];

/// The shop's ground: folders, keys, a database.
#[derive(Debug)]
pub struct Shop {
    dir: TempDir,
    database: String,
    /// Keys that each of its origins has.
    pub flags: Vec<(&'static str, String)>,
}

impl Shop {
    /// On SQLite.
    #[must_use]
    pub fn sqlite() -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-shop-").tempdir().unwrap();
        let database = format!("sqlite:{}", dir.path().join("sluice.db").display());
        Self::on(dir, database)
    }

    /// On a database that is there.
    #[must_use]
    pub fn at(database: String) -> Self {
        Self::on(tempfile::Builder::new().prefix("sluice-shop-").tempdir().unwrap(), database)
    }

    fn on(dir: TempDir, database: String) -> Self {
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let pem = SigningKey::generate().unwrap();
        write("key.pem", &pem);
        write("keys.json", &SigningKey::from_pem(pem.as_bytes(), "1").unwrap().jwks().to_string());
        write("gateway.key", stripe::KEY);
        write("gateway.secret", stripe::SECRET);
        Self { dir, database, flags: vec![] }
    }

    /// What its origins sign with.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        SigningKey::from_pem(&std::fs::read(self.file("key.pem")).unwrap(), "1").unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// An edge in front of origins, not started yet. It has their public keys. Crowds come from one address here.
    #[must_use]
    pub fn edge(&self, name: &str, origins: &[String]) -> Process {
        let all: Vec<String> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
        lone_edge(
            self.dir.path(),
            name,
            &format!("[{}]", all.join(",")),
            &[("access.keys_file", &self.file("keys.json")), ("shares.tickets", "200000")],
        )
    }

    /// An origin with this gateway, not started yet.
    #[must_use]
    pub fn origin(&self, name: &str, gateway: &str) -> Process {
        let mut flags = vec![
            ("listen.http", "127.0.0.1:0".to_owned()),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("storage.database", self.database.clone()),
            ("storage.objects", format!("file:{}", self.file("objects"))),
            ("playback.key_file", self.file("key.pem")),
            ("accounts.admins", "boss".to_owned()),
            ("apps.run", "commerce".to_owned()),
            ("apps.commerce.gateway.url", gateway.to_owned()),
            ("apps.commerce.gateway.key_file", self.file("gateway.key")),
            ("apps.commerce.gateway.webhook_secret_file", self.file("gateway.secret")),
        ];
        flags.extend(self.flags.iter().cloned());
        Process::new(name, "sluice-origin", self.dir.path(), &flags)
    }
}

/// Opens the waiting room in front of a variant; its name, once all of these edges hold the crowd.
pub async fn open_room(edges: &[String], boss: &str, variant: &str, room: &Value) -> String {
    open_room_at(&edges[0], edges, boss, variant, room).await
}

/// The same, at this address.
pub async fn open_room_at(at: &str, edges: &[String], boss: &str, variant: &str, room: &Value) -> String {
    let at = format!("{at}/v1/shop/rooms/{variant}");
    let answer = client().put(at).bearer_auth(boss).json(room).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let name = answer.json::<Value>().await.unwrap()["name"].as_str().unwrap().to_owned();
    for edge in edges {
        let begun = Instant::now();
        // No ticket of this name: nobody is put in line by asking.
        let at = format!("{edge}/v1/rooms/{name}/tickets/none");
        loop {
            let told: Value = client().get(&at).send().await.unwrap().json().await.unwrap();
            if told["type"] == "/problems/unknown-ticket" {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{edge} does not know of the room: {told}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    name
}

/// Signs up; an access token.
pub async fn sign_up(origin: &str, handle: &str) -> String {
    let body = json!({ "handle": handle, "password": "correct horse" });
    let answer = client().post(format!("{origin}/v1/accounts")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// Posts a document; status and document.
pub async fn post(at: &str, token: &str, body: &Value) -> (u16, Value) {
    let answer = client().post(at).bearer_auth(token).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Gets a document; status and document.
pub async fn get(at: &str, token: &str) -> (u16, Value) {
    let answer = client().get(at).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// A product for 11.90 EUR, and so many of it; its id and its variant's.
pub async fn product(origin: &str, boss: &str, units: i64) -> (String, String) {
    let variant = json!({ "sku": "shirt-m", "title": "M", "prices": { "de": 1_190 } });
    let body = json!({ "title": "Shirt", "variants": [variant] });
    let (status, made) = post(&format!("{origin}/v1/shop/products"), boss, &body).await;
    assert_eq!(status, 201, "{made}");
    let variant = made["variants"][0].as_str().unwrap().to_owned();
    let stock = format!("{origin}/v1/shop/stock/{variant}");
    assert_eq!(post(&stock, boss, &json!({ "quantity": units })).await.0, 200);
    (made["id"].as_str().unwrap().to_owned(), variant)
}

/// Available, reserved and sold.
pub async fn counts(origin: &str, boss: &str, variant: &str) -> [i64; 3] {
    let (status, told) = get(&format!("{origin}/v1/shop/stock/{variant}/entries"), boss).await;
    assert_eq!(status, 200, "{told}");
    ["available", "reserved", "sold"].map(|name| told[name].as_i64().unwrap())
}

/// All orders of these accounts, by id.
pub async fn all_orders(origin: &str, tokens: &[String]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for token in tokens {
        let mut after = String::new();
        loop {
            let (_, page) = get(&format!("{origin}/v1/shop/orders?limit=100{after}"), token).await;
            for order in page["orders"].as_array().unwrap() {
                all.insert(order["id"].as_str().unwrap().to_owned(), order.clone());
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
    }
    all
}

/// Waits until all orders of these accounts rest; all of them, by id.
pub async fn all_rested(origin: &str, tokens: &[String]) -> BTreeMap<String, Value> {
    let begun = Instant::now();
    loop {
        let orders = all_orders(origin, tokens).await;
        let rests = |order: &&Value| ENDS.iter().any(|state| order["state"] == *state);
        let Some(moving) = orders.values().find(|order| !rests(order)) else { return orders };
        assert!(begun.elapsed() < PATIENCE, "it never rests: {moving}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Every confirmed order was charged once, nothing else was, and so many are; the gateway's word against the shop's.
pub fn are_charged_once(orders: &BTreeMap<String, Value>, stripe: &Stripe, units: i64) {
    let confirmed = orders.values().filter(|order| order["state"] == "confirmed").count();
    assert_eq!(i64::try_from(confirmed).unwrap(), units);
    let mut charged = 0;
    for (id, intent) in stripe.intents() {
        let order = orders.get(&intent.order).unwrap_or_else(|| panic!("{id} is of no order: {intent:?}"));
        let kept = intent.charges - intent.refunds;
        assert!(intent.charges <= 1 && intent.amount == order["total"].as_i64().unwrap(), "{intent:?}");
        assert_eq!(kept == 1, order["state"] == "confirmed", "{intent:?}: {order}");
        charged += i64::from(kept);
    }
    assert_eq!(charged, units);
}

/// Waits until an order rests; its document.
pub async fn rested(origin: &str, token: &str, order: &str) -> Value {
    until(origin, token, order, &ENDS).await
}

/// Waits until an order is in one of these states; its document.
pub async fn until(origin: &str, token: &str, order: &str, states: &[&str]) -> Value {
    let begun = Instant::now();
    loop {
        let (_, told) = get(&format!("{origin}/v1/shop/orders/{order}"), token).await;
        if states.iter().any(|state| told["state"] == *state) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "it never gets to {states:?}: {told}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The books: the sum of one name in one currency, once all orders were found to be zero in all.
pub async fn balance(origin: &str, boss: &str, name: &str, currency: &str) -> i64 {
    let (status, told) = get(&format!("{origin}/v1/shop/ledger/balance"), boss).await;
    assert_eq!((status, &told["unbalanced"]), (200, &json!(0)), "{told}");
    let sums = told["accounts"].as_array().unwrap();
    let sum = sums.iter().find(|sum| sum["name"] == name && sum["currency"] == currency);
    sum.map_or(0, |sum| sum["amount"].as_i64().unwrap())
}
