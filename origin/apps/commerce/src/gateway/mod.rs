//! Who takes the money: a trait, with a gateway that speaks Stripe's interface and a simulator behind it.
//!
//! A payment is opened first, and charged under the name that it got. Whoever asks again for the same payment hears what
//! became of the first question.

mod refunds;
pub(crate) mod signature;
pub(crate) mod simulator;
mod stripe;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_service::ProcessError;
use sluice_wire::AccountId;

use crate::config::GatewayConfig;
use crate::ids::{OrderId, PaymentId};
use simulator::Simulator;
use stripe::Stripe;

/// What is asked for: the same for a payment each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    /// What its keys are made of.
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) account: AccountId,
    /// Minor units.
    pub(crate) amount: u64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// The gateway's token for what is paid with.
    pub(crate) method: String,
    /// What the gateway calls the payment; absent until it was opened.
    pub(crate) intent: Option<String>,
}

/// What came of opening a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    /// What the gateway calls it. Nothing was charged.
    Intent(String),
    /// The gateway does not take what is to be paid with.
    Refused,
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The gateway has the money.
    Charged,
    /// It has not, and will not have it.
    Declined,
    /// It does not know yet.
    Pending,
}

/// What became of money that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    /// Whoever paid has it, for all that the gateway knows.
    Done,
    /// It is on its way, and may come back still: it is asked for again later.
    Pending,
}

/// The gateway did not say what became of a payment: it may have the money or not. Asking again is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unknown(pub(crate) String);

/// Takes money, and gives it back.
#[async_trait]
pub(crate) trait Gateway: fmt::Debug + Send + Sync {
    /// Opens a payment, so that it has a name before there is money in it. Opened again, it is the same one, for as long as
    /// the gateway keeps keys.
    async fn open(&self, charge: &Charge) -> Result<Opened, Unknown>;

    /// Asks for an opened payment, or for what became of it: it is charged once, however often and however late it is asked
    /// for.
    async fn charge(&self, charge: &Charge, intent: &str) -> Result<Outcome, Unknown>;

    /// Ends an opened payment that nobody waits for, so that it cannot be charged any more: [`Outcome::Declined`]. Where the
    /// money was taken before, it says so, and it is there.
    async fn void(&self, charge: &Charge, intent: &str) -> Result<Outcome, Unknown>;

    /// Gives an opened payment back, once, or says what became of that. One that failed is tried anew; where that fails at once,
    /// it is an error.
    async fn refund(&self, charge: &Charge, intent: &str) -> Result<Returned, Unknown>;
}

/// The gateway of a configuration.
///
/// # Errors
/// A key that cannot be read.
pub(crate) fn open(config: &GatewayConfig) -> Result<Arc<dyn Gateway>, ProcessError> {
    let Some(url) = &config.url else {
        tracing::warn!("apps.commerce.gateway.url is not set: payments are simulated, and nobody pays");
        return Ok(Arc::new(Simulator::default()));
    };
    Ok(Arc::new(Stripe::open(url, config)?))
}
