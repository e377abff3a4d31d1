//! A gateway in this process, for trying out and for tests. What it does wrong is said by what is paid with, and by tests that
//! have it be gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Charge, Gateway, Opened, Outcome, Returned, Unknown};
use crate::ids::PaymentId;

/// Payments that are remembered; beyond that it is no trial any more.
const MAX_PAYMENTS: usize = 100_000;

/// Refuses.
const DECLINED: &str = "pm_card_chargeDeclined";
/// Fails the first time, before anything was taken.
const ERROR: &str = "pm_sim_error";
/// Takes the money the first time and does not say so.
const TIMEOUT: &str = "pm_sim_timeout";
/// How long a question waits at most while it hangs.
const HANGS: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Simulator {
    payments: Mutex<HashMap<PaymentId, Kept>>,
    /// Whether it answers nobody.
    gone: AtomicBool,
    /// Whether it keeps whoever asks waiting.
    hangs: watch::Sender<bool>,
    /// Whether money that is given back is on its way.
    delays: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    tries: u32,
    charges: u32,
    refunds: u32,
    voided: bool,
}

impl Simulator {
    async fn is_there(&self) -> Result<(), Unknown> {
        if *self.hangs.borrow() {
            let mut hangs = self.hangs.subscribe();
            let waited = timeout(HANGS, hangs.wait_for(|hangs| !hangs)).await;
            waited.map_err(|_| Unknown("the simulator hangs".into()))?.map_err(|e| Unknown(e.to_string()))?;
        }
        let gone = self.gone.load(Ordering::Relaxed);
        if gone { Err(Unknown("the simulator is gone".into())) } else { Ok(()) }
    }

    async fn with(&self, charge: &Charge, then: impl FnOnce(&mut Kept) + Send) -> Result<Kept, Unknown> {
        self.is_there().await?;
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        if payments.len() >= MAX_PAYMENTS {
            return Err(Unknown("the simulator is full".into()));
        }
        let kept = payments.entry(charge.payment).or_default();
        then(kept);
        Ok(*kept)
    }

    /// Has it answer nobody from now on, or everybody again.
    #[cfg(test)]
    pub(crate) fn be_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Relaxed);
    }

    /// Has it keep whoever asks waiting from now on, or answer them.
    #[cfg(test)]
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.send_replace(hangs);
    }

    /// Those whom it keeps waiting.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.hangs.receiver_count()
    }

    /// Has money that is given back be on its way from now on, or arrive.
    #[cfg(test)]
    pub(crate) fn delay_refunds(&self, delays: bool) {
        self.delays.store(delays, Ordering::Relaxed);
    }

    /// Charges and refunds of all payments.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u32, u32) {
        let payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        payments
            .values()
            .fold((0, 0), |(charges, refunds), one| (charges + one.charges, refunds + one.refunds))
    }
}

#[async_trait]
impl Gateway for Simulator {
    async fn open(&self, charge: &Charge) -> Result<Opened, Unknown> {
        self.is_there().await?;
        Ok(Opened::Intent(format!("pi_sim_{}", charge.payment)))
    }

    async fn charge(&self, charge: &Charge, _: &str) -> Result<Outcome, Unknown> {
        let method = charge.method.as_str();
        let kept = self.with(charge, |kept| {
            kept.tries += 1;
            let refused = method == DECLINED || (method == ERROR && kept.tries == 1);
            if !refused && !kept.voided {
                kept.charges = 1;
            }
        });
        let kept = kept.await?;
        if kept.voided {
            return Ok(Outcome::Declined);
        }
        match method {
            DECLINED => Ok(Outcome::Declined),
            ERROR | TIMEOUT if kept.tries == 1 => Err(Unknown(format!("simulated: {method}"))),
            _ => Ok(Outcome::Charged),
        }
    }

    async fn void(&self, charge: &Charge, _: &str) -> Result<Outcome, Unknown> {
        let kept = self.with(charge, |kept| kept.voided = kept.charges == 0).await?;
        Ok(if kept.voided { Outcome::Declined } else { Outcome::Charged })
    }

    async fn refund(&self, charge: &Charge, _: &str) -> Result<Returned, Unknown> {
        self.with(charge, |kept| kept.refunds = kept.charges).await?;
        Ok(if self.delays.load(Ordering::Relaxed) { Returned::Pending } else { Returned::Done })
    }
}
