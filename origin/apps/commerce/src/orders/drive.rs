//! Takes an order as far as it goes: asks the gateway, tells the order, and again, until it rests or nobody knows.
//!
//! Several may do so at once, in one process or in many: the gateway is asked for the same under the same key, and of two
//! that tell the order the same, one changes it.

use sluice_platform::ApiError;
use sluice_service::crash;
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::unsigned;
use sluice_wire::AccountId;

use super::Key;
use super::machine::State;
use super::turn::{Told, state_of, turn};
use crate::Shop;
use crate::gateway::{Charge, Opened, Outcome};
use crate::ids;
use crate::raised::Raised;
use crate::rows::{order, payment};

/// Changes that an order can go through in one go: asked, charged, settled; one more for a race.
const MAX_TURNS: usize = 6;

impl Shop {
    /// Takes an order as far as it goes; what was raised on the way.
    pub(crate) async fn drive(&self, key: Key) -> Result<Raised, ApiError> {
        let mut raised = Raised::default();
        for _ in 0..MAX_TURNS {
            let row = self.order_row(key).await?;
            let told = match state_of(&row)? {
                State::Paying => self.ask(&row).await?,
                State::Failed | State::Paid => Some(Told::Settle),
                State::Refunding => self.refund(&row).await?,
                State::Reserved | State::Confirmed | State::Released | State::Refunded => None,
            };
            let Some(told) = told else { break };
            raised.and(self.tell(key, told).await?);
            crash::point(match told {
                Told::Charged => "shop-charged",
                Told::Declined => "shop-declined",
                Told::Refunded => "shop-refunded",
                Told::Settle | Told::Expire => "shop-settled",
            });
        }
        Ok(raised)
    }

    /// Tells an order something; what was raised by it.
    pub(super) async fn tell(&self, key: Key, told: Told) -> Result<Raised, ApiError> {
        let config = &self.config;
        let write = self.storage.database.write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let mut raised = Raised::default();
                turn(tx, &mut raised, config, key, told).await?;
                Ok(raised)
            })
        });
        write.await
    }

    /// Hears from the gateway what became of an order that may have been given up: money that it took after all is no more
    /// lost than any other.
    pub(crate) async fn hear(&self, key: Key) -> Result<Raised, ApiError> {
        let row = self.order_row(key).await?;
        let mut raised = Raised::default();
        if matches!(state_of(&row)?, State::Failed | State::Released) {
            match self.ask(&row).await? {
                Some(told @ Told::Charged) => raised.and(self.tell(key, told).await?),
                Some(_) => self.rest(&row).await?,
                None => {}
            }
        }
        raised.and(self.drive(key).await?);
        Ok(raised)
    }

    /// Has an order that came to its end looked after no more.
    async fn rest(&self, row: &order::Model) -> Result<(), StorageError> {
        let write = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                order::Entity::update_many()
                    .col_expr(order::Column::DueMs, Expr::value(None::<i64>))
                    .filter(order::Column::Account.eq(row.account))
                    .filter(order::Column::Id.eq(row.id))
                    .filter(order::Column::State.eq(State::Released.as_str()))
                    .exec(tx.conn())
                    .await?;
                Ok(())
            })
        });
        write.await
    }

    /// What the gateway made of an order's payment; `None` when that is not known yet, or there is none.
    async fn ask(&self, row: &order::Model) -> Result<Option<Told>, ApiError> {
        let Some(charge) = self.charge(row).await? else { return Ok(None) };
        let opened = match charge.intent.clone() {
            Some(intent) => Ok(Opened::Intent(intent)),
            None => self.gateway.open(&charge).await,
        };
        let outcome = match opened {
            Ok(Opened::Intent(intent)) => {
                crash::point("shop-opened");
                let known = charge.intent.is_some();
                let intent = if known { intent } else { self.named((row.account, row.id), intent).await? };
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

    /// Keeps what the gateway calls a payment, before it is charged: from here on it is charged under this name or not at
    /// all. The name that was kept, if another was first.
    async fn named(&self, key: Key, intent: String) -> Result<String, ApiError> {
        let intent = &intent;
        let write = self.storage.database.write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let row = payment::Entity::find_by_id(key).one(tx.conn()).await?;
                let row = row.ok_or_else(|| ApiError::not_found("no such payment"))?;
                if let Some(first) = row.intent {
                    return Ok(first);
                }
                payment::Entity::update_many()
                    .col_expr(payment::Column::Intent, Expr::value(intent.clone()))
                    .filter(payment::Column::Account.eq(key.0))
                    .filter(payment::Column::OrderId.eq(key.1))
                    .filter(payment::Column::Intent.is_null())
                    .exec(tx.conn())
                    .await?;
                Ok(intent.clone())
            })
        });
        write.await
    }

    async fn refund(&self, row: &order::Model) -> Result<Option<Told>, ApiError> {
        let Some(charge) = self.charge(row).await? else { return Ok(None) };
        let Some(intent) = &charge.intent else { return Ok(None) };
        match self.gateway.refund(&charge, intent).await {
            Ok(()) => Ok(Some(Told::Refunded)),
            Err(error) => {
                tracing::warn!(order = %charge.order, %error, "not given back yet; it is asked again");
                Ok(None)
            }
        }
    }

    /// What the gateway is asked for: the same each time.
    async fn charge(&self, row: &order::Model) -> Result<Option<Charge>, ApiError> {
        let reader = self.storage.database.reader();
        let Some(payment) = payment::Entity::find_by_id((row.account, row.id)).one(reader).await? else {
            return Ok(None);
        };
        Ok(Some(Charge {
            payment: ids::of_column("shop_payments.id", payment.id)?,
            order: ids::of_column("shop_orders.id", row.id)?,
            account: ids::of_column::<AccountId>("shop_orders.account", row.account)?,
            amount: unsigned("shop_orders.total", row.total)?,
            currency: row.currency.clone(),
            method: payment.method,
            intent: payment.intent,
        }))
    }
}
