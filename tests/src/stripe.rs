//! A payment gateway of a story's own, shaped as Stripe: intents, confirmation, refunds, signed webhooks. It honours keys, keeps
//! its memory whatever becomes of the origins, and errs when the story wants it.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
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
    /// Whether it tells nothing: each answer is a failure, whatever was done.
    pub mute: bool,
    /// How late.
    pub lateness: Duration,
    /// What refunds that are made are at first, such as `pending`; absent, they have succeeded.
    pub refunds: Option<&'static str>,
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
    /// Whether it was ended before it was charged.
    pub canceled: bool,
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
    /// In their order: the intent, and the status.
    refunds: Vec<(String, &'static str)>,
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
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .route("/v1/refunds", get(refunds).post(refund))
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

    /// The status of each refund, in their order.
    #[must_use]
    pub fn refunds(&self) -> Vec<&'static str> {
        self.shared.0.lock().unwrap().refunds.iter().map(|(_, status)| *status).collect()
    }

    /// Has the refunds that are pending succeed.
    pub fn settle(&self) {
        let mut inner = self.shared.0.lock().unwrap();
        let Inner { refunds, intents, .. } = &mut *inner;
        for (intent, status) in refunds.iter_mut().filter(|(_, status)| *status == "pending") {
            *status = "succeeded";
            intents.get_mut(intent.as_str()).unwrap().refunds += 1;
        }
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
        _ if intent.canceled => "canceled",
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
        let stored = match inner.keys.get(&key) {
            Some((first, stored)) if *first == form => stored.clone(),
            Some(_) => error(400, "idempotency_error", "other_request"),
            None => {
                let stored = work(&mut inner, &form);
                inner.keys.insert(key, (form, stored.clone()));
                stored
            }
        };
        if inner.faults.mute { error(503, "api_error", "mute") } else { stored }
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
    if inner.faults.mute {
        return answer(error(503, "api_error", "mute"));
    }
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
        if intent.canceled {
            return error(400, "invalid_request_error", "payment_intent_unexpected_state");
        }
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

async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    answer(shared.once(&headers, &body, |inner, _| {
        let Some(intent) = inner.intents.get_mut(&id) else { return error(404, "", "none") };
        if intent.charges > 0 || intent.canceled {
            return error(400, "invalid_request_error", "payment_intent_unexpected_state");
        }
        intent.canceled = true;
        (200, document(&id, intent))
    }))
}

/// What was last is told first, and everything twice.
async fn tell(id: &str, intent: &Intent, hooks: &[String]) {
    let client = crate::client::client();
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
        let (of, status) = (&form["payment_intent"], inner.faults.refunds.unwrap_or("succeeded"));
        let Some(intent) = inner.intents.get_mut(of) else {
            return error(404, "", "none");
        };
        if inner.refunds.iter().any(|(given, status)| given == of && *status != "failed") {
            return error(400, "invalid_request_error", "charge_already_refunded");
        }
        intent.refunds += u32::from(status == "succeeded");
        inner.refunds.push((of.clone(), status));
        (200, json!({ "id": format!("re_{}", inner.refunds.len()), "status": status }))
    }))
}

async fn refunds(State(shared): State<Shared>, Query(asked): Query<Form>) -> Response {
    let inner = shared.0.lock().unwrap();
    if inner.faults.mute {
        return answer(error(503, "api_error", "mute"));
    }
    let of_this = inner.refunds.iter().filter(|(of, _)| asked.get("payment_intent") == Some(of));
    let all: Vec<Value> =
        of_this.map(|(of, status)| json!({ "status": status, "amount": inner.intents[of].amount })).collect();
    answer((200, json!({ "object": "list", "data": all })))
}
