//! A shop on a database of its own.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request};
use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, request};
use sluice_service::Drain;
use sluice_storage::testing::Postgres;
use sluice_storage::{ManualClock, SharedClock};
use sluice_wire::AccountId;
use sluice_wire::tag::parse_versions;
use sluice_wire::token::jwt::Claims;
use tempfile::TempDir;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::gateway::signature::Secret;
use crate::gateway::simulator::Simulator;
use crate::orders::{Counter, Till};
use crate::search::{self, Following};
use crate::{SCHEMA, Shop, routes};

/// 2026-11-23.
const NOON: u64 = 1_795_435_200_000;
/// What webhooks are signed with here.
pub(super) const SECRET: &[u8] = b"whsec_of_a_test";

/// An order of one unit; its id.
pub(super) async fn placed(place: &Place, variant: &str) -> String {
    place.order(variant, 1, None).await.2["id"].as_str().unwrap().to_owned()
}

/// Which version of a tag a document says was made.
pub(super) fn version_of(document: &Value, tag: &str) -> u64 {
    let versions = parse_versions(document["versions"].as_str().unwrap_or_default());
    versions.iter().find(|(of, _)| of.as_str() == tag).map_or(0, |(_, version)| version.0)
}

pub(super) struct Place {
    pub(super) shop: Shop,
    pub(super) gateway: Arc<Simulator>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) admin: String,
    pub(super) buyer: String,
    pub(super) drain: Drain,
    account: AccountId,
    following: Option<Following>,
    pub(super) alone: Alone,
    /// The search's index.
    _index: TempDir,
}

impl Place {
    pub(super) async fn sqlite() -> Self {
        Self::open(None).await
    }

    pub(super) async fn postgres(server: &Postgres) -> Self {
        Self::open(Some(server)).await
    }

    async fn open(server: Option<&Postgres>) -> Self {
        let clock = ManualClock::at(NOON);
        let at = Arc::clone(&clock) as SharedClock;
        let mut alone = Alone::start_at(server, &AccountsConfig::default(), at).await;
        let ground = alone.ground.clone();
        ground.storage.database.install(&SCHEMA).await.unwrap();
        let index = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.search.dir = Some(index.path().to_owned());
        let (gateway, config) = (Arc::new(Simulator::default()), Arc::new(config));
        let counter = ground.once.together(Counter::new(Arc::clone(&config)), &ground.drain);
        let (search, following) = search::open(&ground.storage, &config, &ground.metrics);
        let shop = Shop {
            storage: ground.storage.clone(),
            accounts: ground.accounts.clone(),
            once: ground.once.clone(),
            afterwards: ground.once.afterwards(config.together, &ground.drain),
            rooms: ground.rooms.clone(),
            till: counter.beside(Till::new(Arc::clone(&config)), &ground.drain),
            counter,
            config,
            gateway: Arc::clone(&gateway) as Arc<dyn Gateway>,
            secret: Some(Secret::of(SECRET)),
            search,
            states: crate::states(&ground.metrics),
        };
        let token = |account: AccountId, role: &str| {
            let claims = Claims {
                sub: Some(account.to_string()),
                sid: Some(account.to_string()),
                name: Some("somebody".into()),
                roles: Some(vec![role.to_owned()]),
                iat: Some((NOON / 1_000).into()),
                exp: Some((NOON / 1_000 + 100_000).into()),
                ..Claims::default()
            };
            alone.signer.token(&claims)
        };
        let (boss, account): (AccountId, AccountId) = (shop.storage.ids.make(), shop.storage.ids.make());
        let (admin, buyer) = (token(boss, "admin"), token(account, "buyer"));
        alone.serve(ground.under(routes(shop.clone())));
        let (following, drain) = (Some(following), ground.drain.clone());
        Self { shop, gateway, clock, admin, buyer, drain, account, following, alone, _index: index }
    }

    /// Has the log told, and the search follow it, from now on.
    pub(super) fn follow(&mut self) {
        self.relay();
        self.follow_log();
    }

    /// Has the log told, from now on.
    pub(super) fn relay(&self) {
        let (drain, relay) = (&self.drain, self.shop.storage.relay());
        drain.tasks().spawn(relay.run(drain.token()));
    }

    /// Has the search follow what the log tells, from now on.
    pub(super) fn follow_log(&mut self) {
        let drain = &self.drain;
        drain.tasks().spawn(self.following.take().expect("once").run(drain.token()));
    }

    /// Asks; status, header fields and document.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, HeaderMap, Value) {
        let mut request = request(method, path, token.unwrap_or_default(), body.unwrap_or(&Value::Null));
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        }
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let reply = self.alone.send(request).await;
        (reply.status, reply.headers, reply.body)
    }

    /// Sends a request; the answer's text.
    pub(super) async fn text(&self, request: Request<Body>) -> String {
        self.alone.send(request).await.text
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> (u16, HeaderMap, Value) {
        self.ask("GET", path, token, None, None).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        key: Option<&str>,
        body: &Value,
    ) -> (u16, HeaderMap, Value) {
        self.ask("POST", path, token, key, Some(body)).await
    }

    /// A product for 11.90 EUR and so many of it; its id and its variant's.
    pub(super) async fn product(&self, sku: &str, units: i64) -> (String, String) {
        let variant =
            json!({ "sku": sku, "title": "M", "options": { "size": "M" }, "prices": { "de": 1_190 } });
        let body = json!({ "title": sku, "images": ["/a.jpg"], "variants": [variant] });
        let (status, _, made) = self.post("/v1/shop/products", Some(&self.admin), Some(sku), &body).await;
        assert_eq!(status, 201, "{made}");
        let variant = made["variants"][0].as_str().unwrap().to_owned();
        self.receive(&variant, units).await;
        (made["id"].as_str().unwrap().to_owned(), variant)
    }

    pub(super) async fn receive(&self, variant: &str, units: i64) {
        let (at, body) = (format!("/v1/shop/stock/{variant}"), json!({ "quantity": units }));
        assert_eq!(self.post(&at, Some(&self.admin), None, &body).await.0, 200);
    }

    pub(super) async fn order(
        &self,
        variant: &str,
        units: i64,
        key: Option<&str>,
    ) -> (u16, HeaderMap, Value) {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": units }] });
        self.post("/v1/shop/orders", Some(&self.buyer), key, &body).await
    }

    pub(super) async fn pay(&self, order: &str, method: &str) -> (u16, HeaderMap, Value) {
        let at = format!("/v1/shop/orders/{order}/payment");
        self.post(&at, Some(&self.buyer), None, &json!({ "method": method })).await
    }

    /// An order's state, as its buyer sees it.
    pub(super) async fn state(&self, order: &str) -> String {
        let shown = self.get(&format!("/v1/shop/orders/{order}"), Some(&self.buyer)).await.2;
        shown["state"].as_str().unwrap().to_owned()
    }

    /// Available, reserved and sold; and their entries say the same.
    pub(super) async fn counts(&self, variant: &str) -> [i64; 3] {
        let at = format!("/v1/shop/stock/{variant}/entries");
        let told = self.get(&at, Some(&self.admin)).await.2;
        let entry = |kind: &str| told["entries"][kind].as_i64().unwrap_or(0);
        let [receive, reserve, release, sell] = ["receive", "reserve", "release", "sell"].map(entry);
        let counts = ["available", "reserved", "sold"].map(|name| told[name].as_i64().unwrap());
        assert_eq!(counts, [receive - reserve + release, reserve - release - sell, sell], "{told}");
        counts
    }

    /// Why an order ended without a sale; nothing where it did not.
    pub(super) async fn reason(&self, order: &str) -> String {
        let shown = self.get(&format!("/v1/shop/orders/{order}"), Some(&self.buyer)).await.2;
        shown["reason"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) async fn cancel(&self, order: &str, key: Option<&str>) -> (u16, HeaderMap, Value) {
        self.ask("POST", &format!("/v1/shop/orders/{order}/cancel"), Some(&self.buyer), key, None).await
    }

    /// Orders whose entries in the books are not zero in all.
    pub(super) async fn unbalanced(&self) -> Value {
        self.get("/v1/shop/ledger/balance", Some(&self.admin)).await.2["unbalanced"].clone()
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }
}
