//! A payment gateway of a story's own, shaped as Stripe: intents, confirmation, refunds, signed webhooks. It honours keys, keeps
//! its memory whatever becomes of the origins, and errs when the story wants it.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The secret that its webhooks are signed with.
pub const SECRET: &str = "whsec_of_the_story";
/// The key that it lets in.
pub const KEY: &str = "sk_test_of_the_story";

/// What it does wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Share of requests that fail before anything was done; nothing is kept under their key.
    pub before: f64,
    /// Share of confirmations that are done and answered too late.
    pub late: f64,
    /// How late.
    pub lateness: Duration,
}

/// A payment.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The order it names.
    pub order: String,
    /// The account it names.
    pub account: String,
    /// Minor units.
    pub amount: i64,
    /// How often it was charged.
    pub charges: u32,
    /// How often it was given back.
    pub refunds: u32,
    method: String,
    declined: bool,
}

type Form = HashMap<String, String>;
type Stored = (u16, Value);

#[derive(Debug, Default)]
struct Inner {
    faults: Faults,
    keys: HashMap<String, (Form, Stored)>,
    intents: BTreeMap<String, Intent>,
    hooks: Vec<String>,
    /// Faults of both kinds that there were.
    erred: (u32, u32),
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Inner>>);

/// A gateway. It ends when dropped.
#[derive(Debug)]
pub struct Stripe {
    /// Where it listens.
    pub at: SocketAddr,
    shared: Shared,
    _serving: JoinSet<()>,
}

impl Stripe {
    /// Starts one that does nothing wrong.
    pub async fn start() -> Self {
        let shared = Shared::default();
        let app = Router::new()
            .route("/v1/payment_intents", post(create))
            .route("/v1/payment_intents/{id}", get(look))
            .route("/v1/payment_intents/{id}/confirm", post(confirm))
            .route("/v1/refunds", post(refund))
            .with_state(shared.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, shared, _serving: serving }
    }

    /// Has it err from now on.
    pub fn err(&self, faults: Faults) {
        self.shared.0.lock().unwrap().faults = faults;
    }

    /// Where it tells of payments, from now on: each event twice, and out of order.
    pub fn tell(&self, hooks: Vec<String>) {
        self.shared.0.lock().unwrap().hooks = hooks;
    }

    /// How often it failed before, and answered too late.
    #[must_use]
    pub fn erred(&self) -> (u32, u32) {
        self.shared.0.lock().unwrap().erred
    }

    /// All payments, by id.
    #[must_use]
    pub fn intents(&self) -> BTreeMap<String, Intent> {
        self.shared.0.lock().unwrap().intents.clone()
    }
}

fn error(status: u16, kind: &str, code: &str) -> Stored {
    (status, json!({ "error": { "type": kind, "code": code } }))
}

fn document(id: &str, intent: &Intent) -> Value {
    let status = match (intent.charges, intent.declined) {
        (0, false) => "requires_confirmation",
        (0, true) => "requires_payment_method",
        _ => "succeeded",
    };
    let failed = intent.declined.then(|| json!({ "code": "card_declined" }));
    let metadata = json!({ "order": intent.order, "account": intent.account });
    json!({
        "id": id, "object": "payment_intent", "status": status, "amount": intent.amount,
        "last_payment_error": failed, "metadata": metadata,
    })
}

fn answer((status, body): Stored) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

impl Shared {
    /// Does what was not done under this key, and answers as it did then.
    fn once(
        &self,
        headers: &HeaderMap,
        body: &str,
        work: impl FnOnce(&mut Inner, &Form) -> Stored,
    ) -> Stored {
        let field =
            |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if field("authorization") != format!("Bearer {KEY}") {
            return error(401, "invalid_request_error", "no_key");
        }
        let form: Form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let mut inner = self.0.lock().unwrap();
        if rand::rng().random_bool(inner.faults.before) {
            inner.erred.0 += 1;
            return error(503, "api_error", "injected");
        }
        let key = field("idempotency-key");
        if let Some((first, stored)) = inner.keys.get(&key) {
            return if *first == form {
                stored.clone()
            } else {
                error(400, "idempotency_error", "other_request")
            };
        }
        let stored = work(&mut inner, &form);
        inner.keys.insert(key, (form, stored.clone()));
        stored
    }
}

async fn create(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    answer(shared.once(&headers, &body, |inner, form| {
        if form["payment_method"] == "pm_nobody" {
            return error(400, "invalid_request_error", "resource_missing");
        }
        let id = format!("pi_{:06}", inner.intents.len());
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let intent = Intent {
            order: field("metadata[order]"),
            account: field("metadata[account]"),
            amount: field("amount").parse().unwrap(),
            method: field("payment_method"),
            ..Intent::default()
        };
        let made = document(&id, &intent);
        inner.intents.insert(id, intent);
        (200, made)
    }))
}

async fn look(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let inner = shared.0.lock().unwrap();
    answer(
        inner.intents.get(&id).map_or_else(|| error(404, "", "none"), |intent| (200, document(&id, intent))),
    )
}

async fn confirm(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut fresh = false;
    let stored = shared.once(&headers, &body, |inner, _| {
        let Some(intent) = inner.intents.get_mut(&id) else { return error(404, "", "none") };
        fresh = true;
        if intent.method.ends_with("chargeDeclined") {
            intent.declined = true;
            return error(402, "card_error", "card_declined");
        }
        intent.charges += 1;
        (200, document(&id, intent))
    });
    let (late, hooks) = {
        let mut inner = shared.0.lock().unwrap();
        let late = rand::rng().random_bool(inner.faults.late);
        inner.erred.1 += u32::from(late);
        (late.then_some(inner.faults.lateness), inner.hooks.clone())
    };
    if fresh && !hooks.is_empty() {
        let intent = shared.0.lock().unwrap().intents[&id].clone();
        tell(&id, &intent, &hooks).await;
    }
    if let Some(late) = late {
        sleep(late).await;
    }
    answer(stored)
}

/// What was last is told first, and everything twice.
async fn tell(id: &str, intent: &Intent, hooks: &[String]) {
    let client = reqwest::Client::new();
    let last = if intent.charges > 0 { "payment_intent.succeeded" } else { "payment_intent.payment_failed" };
    for (n, kind) in
        [last, "payment_intent.payment_failed", "payment_intent.created", last].into_iter().enumerate()
    {
        let event = json!({ "id": format!("evt_{id}_{}", n % 3), "type": kind, "data": { "object": document(id, intent) } });
        let body = event.to_string();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{at}.{body}").as_bytes());
        let signature = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
        for hook in hooks {
            let sent = client.post(hook).header("stripe-signature", &signature).body(body.clone());
            // An origin that was killed hears nothing.
            drop(sent.timeout(Duration::from_secs(5)).send().await);
        }
    }
}

async fn refund(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    answer(shared.once(&headers, &body, |inner, form| {
        let Some(intent) = inner.intents.get_mut(&form["payment_intent"]) else {
            return error(404, "", "none");
        };
        intent.refunds += 1;
        (200, json!({ "id": "re_1", "status": "succeeded" }))
    }))
}
