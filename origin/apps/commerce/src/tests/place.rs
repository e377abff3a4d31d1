//! A shop on a database of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use sluice_platform::{AccountsConfig, Ground};
use sluice_service::{Drain, Metrics};
use sluice_storage::testing::Postgres;
use sluice_storage::{Clock, ManualClock, Storage, StorageConfig};
use sluice_wire::AccountId;
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::gateway::signature::Secret;
use crate::gateway::simulator::Simulator;
use crate::orders::Counter;
use crate::{SCHEMA, Shop, routes};

/// 2026-11-23.
const NOON: u64 = 1_795_435_200_000;
/// What webhooks are signed with here.
pub(super) const SECRET: &[u8] = b"whsec_of_a_test";

pub(super) struct Place {
    pub(super) shop: Shop,
    pub(super) gateway: Arc<Simulator>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) admin: String,
    pub(super) buyer: String,
    account: AccountId,
    routes: Router,
    _folder: TempDir,
}

impl Place {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("sluice.db").display());
        Self::open(folder, database).await
    }

    pub(super) async fn postgres(server: &Postgres) -> Self {
        Self::open(tempfile::tempdir().unwrap(), server.fresh_database().await).await
    }

    async fn open(folder: TempDir, database: String) -> Self {
        let objects = format!("file:{}", folder.path().join("objects").display());
        let config = StorageConfig { database, bus: "local:".into(), objects };
        let clock = ManualClock::at(NOON);
        let storage = Storage::open_with(&config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let pem = SigningKey::generate().unwrap();
        let signer = Arc::new(SigningKey::from_pem(pem.as_bytes(), "1").unwrap());
        let (accounts, drain) = (AccountsConfig::default(), Drain::new(Duration::from_secs(1)));
        let ground = Ground::open(storage, Arc::clone(&signer), &accounts, Metrics::default(), drain);
        let ground = ground.await.unwrap();
        ground.storage.database.install(&SCHEMA).await.unwrap();
        let (gateway, config) = (Arc::new(Simulator::default()), Arc::new(Config::default()));
        let shop = Shop {
            storage: ground.storage.clone(),
            accounts: ground.accounts.clone(),
            once: ground.once.clone(),
            rooms: ground.rooms.clone(),
            counter: ground.once.together(Counter::new(Arc::clone(&config)), &ground.drain),
            config,
            gateway: Arc::clone(&gateway) as Arc<dyn Gateway>,
            secret: Some(Secret::of(SECRET)),
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
            signer.token(&claims)
        };
        let (boss, account): (AccountId, AccountId) = (shop.storage.ids.make(), shop.storage.ids.make());
        let (admin, buyer) = (token(boss, "admin"), token(account, "buyer"));
        let routes = ground.under(routes(shop.clone())).merge(ground.routes());
        Self { shop, gateway, clock, admin, buyer, account, routes, _folder: folder }
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
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Sends a request; the answer's text.
    pub(super) async fn text(&self, request: Request<Body>) -> String {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
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

    pub(super) fn account(&self) -> AccountId {
        self.account
    }
}
