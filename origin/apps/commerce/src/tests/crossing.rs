//! Two who are about one order at the same moment, of one process and of two.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::once::Batch;
use sluice_storage::Engine;
use sluice_storage::rows::sea_orm::EntityTrait;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::place::{Place, placed};
use super::together::{name, pay};
use crate::orders::{Ask, Standing, Step, Till, Told};
use crate::rows::{order, payment};

/// For two transactions, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

impl Place {
    /// Begins `one`, and does `other` while its transaction is open and has read what it decides on. Where an engine has
    /// several open at a time, `other` is committed before `one` writes; where it has not, `other` waits.
    async fn crossed(&self, one: &Ask, other: &Ask) -> (Standing, Standing) {
        let (database, till) = (&self.shop.storage.database, &Till::new(Arc::clone(&self.shop.config)));
        let (read, committed) = (&CancellationToken::new(), &CancellationToken::new());
        let has_several = database.engine() == Engine::Postgres;
        let first = database.write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                // From here on it sees what is there now, whatever others commit.
                order::Entity::find_by_id(one.key).one(tx.conn()).await?;
                read.cancel();
                if has_several {
                    committed.cancelled().await;
                }
                till.write(tx, &[one]).await
            })
        });
        let second = async {
            read.cancelled().await;
            let write = database
                .write::<_, ApiError, _>(|tx| Box::pin(async move { till.write(tx, &[other]).await }));
            let decided = write.await;
            committed.cancel();
            decided
        };
        let (first, second) = timeout(LIMIT, futures::future::join(first, second)).await.unwrap();
        let [first, second] = [first, second].map(|decided| decided.unwrap().pop().unwrap().unwrap());
        (first, second)
    }

    /// What the gateway calls an order's payment.
    async fn intent(&self, of: &Ask) -> Option<String> {
        let row = payment::Entity::find_by_id(of.key).one(self.shop.storage.database.reader()).await.unwrap();
        row.unwrap().intent
    }
}

/// Whoever charges a payment has kept its name before the order was canceled, so that canceling finds the name; or is told that
/// nobody waits for it.
pub(super) async fn what_is_canceled_is_not_named_after_it(place: Place) {
    let (_, variant) = place.product("a", 2).await;
    let has_several = place.shop.storage.database.engine() == Engine::Postgres;
    for name_is_begun_first in [true, false] {
        let id = placed(&place, &variant).await;
        let begun = place.at_once(&[place.ask_for(&id, pay("pm_card_visa"))]).await.0;
        assert_eq!(begun[0].as_ref().unwrap().row.state, "paying");
        let (named, canceled) = (place.ask_for(&id, name(&id)), place.ask_for(&id, Step::Tell(Told::Cancel)));
        let (name, cancel) = if name_is_begun_first {
            place.crossed(&named, &canceled).await
        } else {
            let (cancel, name) = place.crossed(&canceled, &named).await;
            (name, cancel)
        };
        // Of two that are open, whoever was committed is first, and the other one decides anew.
        let name_is_first = name_is_begun_first != has_several;
        let told = if name_is_first { "paying" } else { "canceled" };
        assert_eq!((name.row.state.as_str(), cancel.row.state.as_str()), (told, "canceled"));
        assert_eq!(
            place.intent(&named).await.is_some(),
            name_is_first,
            "only what was named in time has a name"
        );
        assert_eq!(place.state(&id).await, "canceled");
    }
    assert_eq!((place.counts(&variant).await, place.unbalanced().await), ([2, 0, 0], json!(0)));
}

/// In one process a buyer who cancels waits for a turn, as the steps of orders do.
pub(super) async fn who_cancels_takes_a_turn_with_the_till(place: Place) {
    let (_, variant) = place.product("a", 1).await;
    let id = placed(&place, &variant).await;
    let meanwhile = async {
        // Whoever waits for no turn is done.
        for _ in 0..5 {
            place.receive(&variant, 1).await;
        }
        place.state(&id).await
    };
    let (state, canceled) = tokio::join!(place.shop.till.in_turn(meanwhile), place.cancel(&id, None));
    assert_eq!((state.unwrap().as_str(), &canceled.2["state"]), ("reserved", &json!("canceled")));
    assert_eq!(place.counts(&variant).await, [6, 0, 0]);
}
