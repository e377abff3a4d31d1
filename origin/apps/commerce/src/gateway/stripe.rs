//! A gateway that speaks Stripe's interface.
//!
//! ```text
//! open: create an intent (key PAYMENT); charge: confirm it (key PAYMENT-confirm) -> where that says nothing, look at it
//! void: cancel it (key PAYMENT-cancel) -> where that cannot be, look at it
//! refund: give it back (key PAYMENT-refund-0) -> unless that has succeeded, look at all that was given back
//!         -> where each has failed, give it back anew (key PAYMENT-refund-NUMBER)
//! ```
//!
//! Each step may be taken again: an intent is charged once, and a key makes the gateway answer as it did. Its keys are
//! forgotten after a day; an intent is not.

use std::time::Duration;

use async_trait::async_trait;
use form_urlencoded::Serializer;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sluice_service::ProcessError;

use super::refunds::{self, Refunds};
use super::{Charge, Gateway, Opened, Outcome, Returned, Unknown};
use crate::config::GatewayConfig;

/// Bytes of an answer that are read: theirs have a few thousand.
const MAX_ANSWER: usize = 256 << 10;

/// See the module.
pub(crate) struct Stripe {
    client: Client,
    base: String,
    key: String,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stripe").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What is read of an intent, or of an error that has one.
#[derive(Debug, Default, Deserialize)]
struct Answered {
    id: Option<String>,
    status: Option<String>,
    error: Option<Refusal>,
    last_payment_error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Stripe {
    pub(super) fn open(url: &str, config: &GatewayConfig) -> Result<Self, ProcessError> {
        let file = config.key_file.as_ref().ok_or("apps.commerce.gateway.key_file is missing")?;
        let key = std::fs::read_to_string(file)
            .map_err(|error| format!("apps.commerce.gateway.key_file {}: {error}", file.display()))?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let client =
            Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base: url.trim_end_matches('/').to_owned(), key: key.trim().to_owned() })
    }

    fn post(&self, path: &str, key: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(&self.key);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("idempotency-key", key).body(form)
    }

    async fn create(&self, charge: &Charge) -> Result<Opened, Unknown> {
        let (amount, currency) = (charge.amount.to_string(), charge.currency.to_ascii_lowercase());
        let (order, account) = (charge.order.to_string(), charge.account.to_string());
        let fields = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("payment_method", &charge.method),
            ("payment_method_types[]", "card"),
            ("metadata[order]", &order),
            ("metadata[account]", &account),
        ];
        let (status, made) =
            sent::<Answered>(self.post("/v1/payment_intents", &charge.payment.to_string(), &fields)).await?;
        if let Some(id) = made.id {
            return Ok(Opened::Intent(id));
        }
        let kind = made.error.as_ref().and_then(|error| error.kind.as_deref());
        if may_end(status) && matches!(kind, Some("invalid_request_error" | "card_error")) {
            return Ok(Opened::Refused);
        }
        Err(Unknown(format!("no payment intent was made: {status} {:?}", made.error)))
    }

    async fn confirm(&self, charge: &Charge, intent: &str) -> Result<Outcome, Unknown> {
        let path = format!("/v1/payment_intents/{intent}/confirm");
        // By the method that it was opened with.
        let confirm = self.post(&path, &format!("{}-confirm", charge.payment), &[]);
        let (status, answer) = sent::<Answered>(confirm).await?;
        if status == StatusCode::PAYMENT_REQUIRED {
            return Ok(Outcome::Declined);
        }
        read(&answer).ok_or_else(|| Unknown(format!("{intent} not confirmed: {status}")))
    }

    async fn look(&self, intent: &str) -> Result<Outcome, Unknown> {
        let at = format!("{}/v1/payment_intents/{intent}", self.base);
        let (status, answer) = sent::<Answered>(self.client.get(at).bearer_auth(&self.key)).await?;
        read(&answer).ok_or_else(|| Unknown(format!("{intent}: {status} {:?}", answer.status)))
    }

    /// Gives a payment back; the number is how often it was tried before. Its status, where there is one. Asked again under the
    /// same number it says what it said then.
    async fn give_back(
        &self,
        charge: &Charge,
        intent: &str,
        number: usize,
    ) -> Result<Option<String>, Unknown> {
        let key = format!("{}-refund-{number}", charge.payment);
        let (order, account) = (charge.order.to_string(), charge.account.to_string());
        // Events of it say whose it is by these, too.
        let fields =
            [("payment_intent", intent), ("metadata[order]", &order), ("metadata[account]", &account)];
        let (status, answer) = sent::<Answered>(self.post("/v1/refunds", &key, &fields)).await?;
        let code = answer.error.and_then(|error| error.code);
        // Under a key that the gateway has forgotten: it is to be seen among all.
        if status.is_success() || code.as_deref() == Some("charge_already_refunded") {
            return Ok(answer.status.filter(|_| status.is_success()));
        }
        Err(Unknown(format!("{intent} not given back: {status} {code:?}")))
    }

    /// All that was given back of a payment, or is to be.
    async fn given_back(&self, intent: &str) -> Result<Refunds, Unknown> {
        let query = Serializer::new(String::new()).append_pair("payment_intent", intent).finish();
        let at = format!("{}/v1/refunds?limit={}&{query}", self.base, refunds::MOST);
        let (status, all) = sent::<Refunds>(self.client.get(at).bearer_auth(&self.key)).await?;
        if status.is_success() {
            return Ok(all.of_payment(intent));
        }
        Err(Unknown(format!("what was given back of {intent} is not known: {status}")))
    }
}

#[async_trait]
impl Gateway for Stripe {
    async fn open(&self, charge: &Charge) -> Result<Opened, Unknown> {
        self.create(charge).await
    }

    async fn charge(&self, charge: &Charge, intent: &str) -> Result<Outcome, Unknown> {
        match self.confirm(charge, intent).await {
            Ok(outcome @ (Outcome::Charged | Outcome::Declined)) => Ok(outcome),
            Ok(Outcome::Pending) | Err(_) => self.look(intent).await,
        }
    }

    async fn void(&self, charge: &Charge, intent: &str) -> Result<Outcome, Unknown> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        let canceled = sent::<Answered>(self.post(&path, &format!("{}-cancel", charge.payment), &[])).await;
        match canceled.ok().and_then(|(_, answer)| read(&answer)) {
            Some(Outcome::Declined) => Ok(Outcome::Declined),
            // It is refused where there is money in it, or was ended before.
            Some(Outcome::Charged | Outcome::Pending) | None => self.look(intent).await,
        }
    }

    async fn refund(&self, charge: &Charge, intent: &str) -> Result<Returned, Unknown> {
        let first = self.give_back(charge, intent, 0).await?;
        if refunds::said(first.as_deref()) == Some(Returned::Done) {
            return Ok(Returned::Done);
        }
        // What the key's first answer said may be long over.
        let all = self.given_back(intent).await?;
        if let Some(said) = all.of(charge.amount) {
            return Ok(said);
        }
        let again = self.give_back(charge, intent, all.tries()).await?;
        refunds::said(again.as_deref()).ok_or_else(|| Unknown(format!("{intent} not given back: {again:?}")))
    }
}

/// Whether an error is about what was asked for, and would be the same another time: not about our key, or our haste.
fn may_end(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND)
}

/// What an intent says of its payment; `None` where that is nothing.
fn read(answer: &Answered) -> Option<Outcome> {
    let failed = answer.last_payment_error.as_ref().is_some_and(|error| !error.is_null());
    match answer.status.as_deref()? {
        "succeeded" => Some(Outcome::Charged),
        "canceled" => Some(Outcome::Declined),
        "requires_payment_method" if failed => Some(Outcome::Declined),
        "processing" | "requires_confirmation" | "requires_action" | "requires_payment_method" => {
            Some(Outcome::Pending)
        }
        _ => None,
    }
}

async fn sent<T: DeserializeOwned + Default>(request: RequestBuilder) -> Result<(StatusCode, T), Unknown> {
    let failed = |error: reqwest::Error| Unknown(error.without_url().to_string());
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(Unknown(format!("an answer of more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Option<Outcome> {
        read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_intent_is_read_as_what_it_says_and_no_more() {
        assert_eq!(outcome(r#"{"status":"succeeded"}"#), Some(Outcome::Charged));
        let refused = r#"{"status":"requires_payment_method","last_payment_error":{"code":"card_declined"}}"#;
        assert_eq!(outcome(refused), Some(Outcome::Declined));
        let fresh = r#"{"status":"requires_payment_method","last_payment_error":null}"#;
        assert_eq!(
            (outcome(fresh), outcome(r#"{"status":"processing"}"#)),
            (Some(Outcome::Pending), Some(Outcome::Pending))
        );
        assert_eq!((outcome("{}"), outcome(r#"{"status":"new"}"#)), (None, None));
    }
}
