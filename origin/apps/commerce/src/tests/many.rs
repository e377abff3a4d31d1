//! Orders of many variants.

use sluice_platform::ApiError;
use sluice_storage::count_statements;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, EntityTrait};

use super::place::Place;
use crate::carts::MAX_LINES;
use crate::ids::VariantId;
use crate::raised::Raised;
use crate::rows::stock;
use crate::stock::{Move, Units, shift};

impl Place {
    /// Stocks of so many variants with so many units each; one unit of each variant.
    async fn stocked(&self, variants: usize, available: i64) -> Vec<Units> {
        let id = || self.shop.storage.ids.make::<VariantId>().as_i64();
        let units: Vec<Units> =
            (0..variants).map(|_| Units { variant: id(), quantity: 1, order: None }).collect();
        let all = &units;
        let write = self.shop.storage.database.write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let rows = all.iter().map(|units| stock::ActiveModel {
                    variant: Set(units.variant),
                    available: Set(available),
                    reserved: Set(0),
                    sold: Set(0),
                });
                stock::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
                Ok(())
            })
        });
        write.await.unwrap();
        units
    }

    /// Moves units in a transaction, which is kept where there are enough; the statements that it took.
    async fn moved(&self, what: Move, units: &[Units]) -> (Result<usize, ApiError>, u64) {
        let write = self.shop.storage.database.write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let moved = shift(tx, what, units).await?;
                let moved = moved.ok_or_else(|| ApiError::conflict("there are not so many"))?;
                Raised::default().emit_all(tx, moved.changes).await?;
                Ok(moved.rows.len())
            })
        });
        count_statements(write).await
    }

    /// Available, reserved and sold of all variants together.
    async fn all_counts(&self) -> [i64; 3] {
        let rows = stock::Entity::find().all(self.shop.storage.database.reader()).await.unwrap();
        rows.iter().fold([0; 3], |[available, reserved, sold], row| {
            [available + row.available, reserved + row.reserved, sold + row.sold]
        })
    }
}

/// The counters, their entries, and the rooms, beside events.
const STATEMENTS: u64 = 3;

/// As many variants as the orders of one transaction can name: it is one transaction for all of them, and all or nothing.
pub(super) async fn all_that_orders_can_name_is_moved_at_once(place: Place) {
    let most = place.shop.config.together * MAX_LINES;
    let units = place.stocked(most, 2).await;
    let (all, one) = (i64::try_from(most).unwrap(), &units[most / 2..=most / 2]);
    let (moved, sent) = place.moved(Move::Reserve, &units).await;
    let sent = sent - place.alone.events();
    assert_eq!((moved.unwrap(), sent, place.all_counts().await), (most, STATEMENTS, [all, all, 0]));

    assert_eq!(place.moved(Move::Reserve, one).await.0.unwrap(), 1);
    assert_eq!(
        place.moved(Move::Reserve, &units).await.0.unwrap_err().0.status,
        409,
        "one of them is sold out"
    );
    assert_eq!(place.all_counts().await, [all - 1, all + 1, 0]);

    assert_eq!(place.moved(Move::Release, one).await.0.unwrap(), 1);
    assert_eq!(place.moved(Move::Sell, &units).await.0.unwrap(), most);
    assert_eq!(place.moved(Move::Receive, &units).await.0.unwrap(), most);
    assert_eq!(place.all_counts().await, [2 * all, 0, all]);
}
