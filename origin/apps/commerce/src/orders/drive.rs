//! Takes an order as far as it goes: asks the gateway, tells the order, and again, until it rests or nobody knows.
//!
//! Several may do so at once, in one process or in many: the gateway is asked for the same under the same key, and of two
//! that tell the order the same, one changes it. What is told goes through the [till](super::till), with that of other orders.

use sluice_platform::ApiError;
use sluice_service::crash;
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::EntityTrait;
use sluice_storage::rows::{signed, unsigned};
use sluice_wire::AccountId;

use super::Key;
use super::book::state_of;
use super::machine::State;
use super::till::{Ask, Standing, Step, Told};
use crate::Shop;
use crate::gateway::{Charge, Opened, Outcome, Returned};
use crate::ids;
use crate::raised::Raised;
use crate::rows::payment;

/// What an order can be told in one go: charged and given back; more for races.
const MAX_TURNS: usize = 6;

impl Shop {
    /// Does a step of an order, with those of others.
    pub(super) async fn step(&self, key: Key, step: Step) -> Result<Standing, ApiError> {
        self.till.step(Ask { key, step }).await
    }

    /// Takes an order as far as it goes.
    pub(super) async fn drive(&self, at: &mut Standing) -> Result<(), ApiError> {
        for _ in 0..MAX_TURNS {
            let told = match state_of(&at.row)? {
                State::Paying => self.ask(at).await?,
                State::Failed | State::Paid => Some(Told::Settle),
                State::Refunding => self.refund(at).await?,
                State::Reserved | State::Confirmed | State::Released | State::Refunded | State::Canceled => {
                    None
                }
            };
            let Some(told) = told else { break };
            self.tell(at, told).await?;
        }
        Ok(())
    }

    /// Tells an order something.
    async fn tell(&self, at: &mut Standing, told: Told) -> Result<(), ApiError> {
        let later = self.step(at.key(), Step::Tell(told)).await?;
        if later.stepped && later.row.state != at.row.state {
            self.states.with_label_values(&[later.row.state.as_str()]).inc();
        }
        at.follow(later);
        crash::point(match told {
            Told::Charged => "shop-charged",
            Told::Declined => "shop-declined",
            Told::Refunded => "shop-refunded",
            Told::GiveUp { .. } => "shop-given-up",
            Told::Settle | Told::Expire | Told::Cancel => "shop-settled",
        });
        Ok(())
    }

    /// Hears of an event of the gateway's, once, and looks what it is about. One of no order of ours is nothing.
    ///
    /// # Errors
    /// It could not be kept, and should be sent again. What comes after that is for whoever looks after orders.
    pub(crate) async fn heard(&self, key: Key, event: String) -> Result<(), ApiError> {
        let mut at = match self.step(key, Step::Hear { event }).await {
            Err(error) if error.0.status == 404 => return Ok(()),
            kept => kept?,
        };
        if at.stepped
            && let Err(error) = self.look_after(&mut at).await
        {
            tracing::warn!(order = key.1, error = ?error.0, "an event was taken, its order not taken further yet");
        }
        Ok(())
    }

    /// Looks what became of an order's payment.
    pub(super) async fn hear(&self, key: Key) -> Result<(), ApiError> {
        let row = self.order_row(key).await?;
        let payment = payment::Entity::find_by_id(key).one(self.storage.database.reader()).await?;
        let mut at = Standing { row, payment, lines: vec![], raised: Raised::default(), stepped: false };
        self.look_after(&mut at).await
    }

    /// Looks after an order that nobody else does. What has ended without a sale has its payment ended at the gateway: money
    /// that it took after all is no more lost than any other. A payment that the gateway says nothing of for too long is
    /// given up.
    pub(super) async fn look_after(&self, at: &mut Standing) -> Result<(), ApiError> {
        let told = match state_of(&at.row)? {
            State::Released | State::Canceled => match self.void(at).await? {
                Some(Outcome::Declined) if at.row.due_ms.is_some() => {
                    let rests = self.step(at.key(), Step::Rest).await?;
                    at.follow(rests);
                    None
                }
                Some(Outcome::Charged) => Some(Told::Charged),
                Some(Outcome::Declined | Outcome::Pending) | None => None,
            },
            State::Paying if self.is_given_up(at) => match self.void(at).await? {
                Some(Outcome::Charged) => Some(Told::Charged),
                // Who named it meanwhile may have charged it: what had no name is looked at again.
                Some(Outcome::Declined) => Some(Told::GiveUp { heard: at.intent().is_some() }),
                Some(Outcome::Pending) | None => Some(Told::GiveUp { heard: false }),
            },
            _ => None,
        };
        if let Some(told) = told {
            self.tell(at, told).await?;
        }
        self.drive(at).await
    }

    /// Whether the gateway was asked for long enough.
    fn is_given_up(&self, at: &Standing) -> bool {
        let until =
            |payment: &payment::Model| payment.created_ms.saturating_add(signed(self.config.give_up_ms));
        let now = signed(self.storage.clock.now_ms());
        at.payment.as_ref().is_some_and(|payment| until(payment) <= now)
    }

    /// What the gateway made of an order's payment; `None` when that is not known yet, or not waited for any more.
    async fn ask(&self, at: &mut Standing) -> Result<Option<Told>, ApiError> {
        let Some(charge) = at.charge()? else { return Ok(None) };
        let opened = match charge.intent.clone() {
            Some(intent) => Ok(Opened::Intent(intent)),
            None => self.gateway.open(&charge).await,
        };
        let outcome = match opened {
            Ok(Opened::Intent(intent)) => {
                crash::point("shop-opened");
                let Some(intent) = self.named(at, intent).await? else { return Ok(None) };
                crash::point("shop-named");
                self.gateway.charge(&charge, &intent).await
            }
            Ok(Opened::Refused) => Ok(Outcome::Declined),
            Err(error) => Err(error),
        };
        crash::point("shop-after-charge");
        Ok(match outcome {
            Ok(Outcome::Charged) => Some(Told::Charged),
            Ok(Outcome::Declined) => Some(Told::Declined),
            Ok(Outcome::Pending) => None,
            Err(error) => {
                tracing::warn!(order = %charge.order, %error, "the gateway did not say; it is asked again");
                None
            }
        })
    }

    /// Keeps what the gateway calls a payment, before it is charged. The name that was kept, if another was first; `None` where
    /// nobody waits for the payment any more.
    async fn named(&self, at: &mut Standing, intent: String) -> Result<Option<String>, ApiError> {
        if at.intent().is_none() {
            let later = self.step(at.key(), Step::Name { intent }).await?;
            at.follow(later);
        }
        let waits = state_of(&at.row)? == State::Paying;
        Ok(at.intent().filter(|_| waits).map(str::to_owned))
    }

    /// Has the gateway end an order's payment; what became of it, or `None` where it does not say. What it has no name for was
    /// never charged.
    async fn void(&self, at: &Standing) -> Result<Option<Outcome>, ApiError> {
        let charge = at.charge()?;
        let named = charge.as_ref().and_then(|charge| Some((charge, charge.intent.as_deref()?)));
        let Some((charge, intent)) = named else { return Ok(Some(Outcome::Declined)) };
        Ok(match self.gateway.void(charge, intent).await {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                tracing::warn!(order = %charge.order, %error, "a payment was not ended yet; it is asked again");
                None
            }
        })
    }

    async fn refund(&self, at: &Standing) -> Result<Option<Told>, ApiError> {
        let Some(charge) = at.charge()? else { return Ok(None) };
        let Some(intent) = &charge.intent else { return Ok(None) };
        match self.gateway.refund(&charge, intent).await {
            Ok(Returned::Done) => Ok(Some(Told::Refunded)),
            // Whoever looks after orders asks again, or an event has it asked.
            Ok(Returned::Pending) => Ok(None),
            Err(error) => {
                tracing::warn!(order = %charge.order, %error, "not given back yet; it is asked again");
                Ok(None)
            }
        }
    }
}

impl Standing {
    /// What the gateway calls its payment.
    fn intent(&self) -> Option<&str> {
        self.payment.as_ref()?.intent.as_deref()
    }

    /// What the gateway is asked for: the same each time; `None` where nobody pays.
    fn charge(&self) -> Result<Option<Charge>, StorageError> {
        let (row, Some(payment)) = (&self.row, &self.payment) else { return Ok(None) };
        Ok(Some(Charge {
            payment: ids::of_column("shop_payments.id", payment.id)?,
            order: ids::of_column("shop_orders.id", row.id)?,
            account: ids::of_column::<AccountId>("shop_orders.account", row.account)?,
            amount: unsigned("shop_orders.total", row.total)?,
            currency: row.currency.clone(),
            method: payment.method.clone(),
            intent: payment.intent.clone(),
        }))
    }
}
