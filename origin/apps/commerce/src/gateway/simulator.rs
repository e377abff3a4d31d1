//! A gateway in this process, for trying out and for tests. What it does wrong is said by what is paid with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Charge, Gateway, Opened, Outcome, Unknown};
use crate::ids::PaymentId;

/// Payments that are remembered; beyond that it is no trial any more.
const MAX_PAYMENTS: usize = 100_000;

/// Refuses.
const DECLINED: &str = "pm_card_chargeDeclined";
/// Fails the first time, before anything was taken.
const ERROR: &str = "pm_sim_error";
/// Takes the money the first time and does not say so.
const TIMEOUT: &str = "pm_sim_timeout";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Simulator {
    payments: Mutex<HashMap<PaymentId, Kept>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    tries: u32,
    charges: u32,
    refunds: u32,
}

impl Simulator {
    fn with(&self, charge: &Charge, then: impl FnOnce(&mut Kept)) -> Result<Kept, Unknown> {
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        if payments.len() >= MAX_PAYMENTS {
            return Err(Unknown("the simulator is full".into()));
        }
        let kept = payments.entry(charge.payment).or_default();
        then(kept);
        Ok(*kept)
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
        Ok(Opened::Intent(format!("pi_sim_{}", charge.payment)))
    }

    async fn charge(&self, charge: &Charge, _: &str) -> Result<Outcome, Unknown> {
        let method = charge.method.as_str();
        let kept = self.with(charge, |kept| {
            kept.tries += 1;
            let refused = method == DECLINED || (method == ERROR && kept.tries == 1);
            if !refused {
                kept.charges = 1;
            }
        })?;
        match method {
            DECLINED => Ok(Outcome::Declined),
            ERROR | TIMEOUT if kept.tries == 1 => Err(Unknown(format!("simulated: {method}"))),
            _ => Ok(Outcome::Charged),
        }
    }

    async fn refund(&self, charge: &Charge, _: &str) -> Result<(), Unknown> {
        self.with(charge, |kept| kept.refunds = kept.charges)?;
        Ok(())
    }
}
