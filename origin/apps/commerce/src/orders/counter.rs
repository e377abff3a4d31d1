//! The counter at which orders are placed: those that came together in one transaction, in the order in which they came.
//!
//! All that is read is read once, and whoever gets what is decided on that by a function without a database ([`Shelf::take`]);
//! what is written is written with one statement of each kind, under the condition that the stock is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use sluice_platform::ApiError;
use sluice_platform::once::{Answer, Batch, Decided};
use sluice_platform::rooms::{self, Brought, Room};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{from_json, signed};
use sluice_storage::{StorageError, Tx};
use sluice_wire::EventKind;

use super::machine::State;
use super::show::Order;
use crate::carts::{self, Line};
use crate::catalog::invalid;
use crate::config::Config;
use crate::ids::{OrderId, VariantId};
use crate::raised::{self, Raised};
use crate::rows::{line, order, product, stock, variant};
use crate::stock::{Move, shift_behind};
use crate::{ids, ledger, room};

/// An order that somebody wants: fine in itself.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) account: i64,
    /// One of the configured.
    pub(crate) market: String,
    /// Each variant once; none where there is a cart.
    pub(crate) lines: Vec<Line>,
    pub(crate) cart: Option<String>,
    /// To waiting rooms.
    pub(crate) brought: Brought,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Counter {
    config: Arc<Config>,
}

/// What can be sold of a variant, as a transaction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Goods {
    sku: String,
    title: String,
    prices: BTreeMap<String, i64>,
    left: i64,
    /// The waiting room in front of it, where one is open.
    room: Option<Room>,
}

/// All that is asked for in a transaction.
#[derive(Debug, Default)]
struct Shelf(BTreeMap<i64, Goods>);

/// An order that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Granted {
    row: order::Model,
    lines: Vec<line::Model>,
}

impl Counter {
    pub(crate) const fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// An order, if there is all that it wants.
    fn grant(
        &self,
        tx: &Tx<'_>,
        shelf: &mut Shelf,
        wanted: &Wanted,
        lines: &[Line],
    ) -> Result<Granted, ApiError> {
        let id = tx.ids().make::<OrderId>().as_i64();
        let lines = shelf.take(wanted, id, &carts::tidy(lines)?)?;
        let row = self.order(tx, wanted, id, &lines);
        let row = row.ok_or_else(|| ApiError::not_found(format!("no market {:?}", wanted.market)))?;
        Ok(Granted { row, lines })
    }

    /// The row of an order with these lines.
    fn order(&self, tx: &Tx<'_>, wanted: &Wanted, id: i64, lines: &[line::Model]) -> Option<order::Model> {
        let market = self.config.markets.iter().find(|market| market.name == wanted.market)?;
        let total: i64 = lines.iter().map(|line| line.price * line.quantity).sum();
        Some(order::Model {
            account: wanted.account,
            id,
            market: market.name.clone(),
            currency: market.currency.clone(),
            total,
            tax: ledger::tax_within(total, market.tax_bp),
            state: State::Reserved.as_str().to_owned(),
            held: true,
            until_ms: Some(signed(tx.now_ms() + self.config.reserve_ms)),
            due_ms: None,
            created_ms: signed(tx.now_ms()),
            changed_ms: signed(tx.now_ms()),
        })
    }
}

#[async_trait::async_trait]
impl Batch for Counter {
    type Ask = Wanted;
    type Done = Answer;

    fn most(&self) -> usize {
        self.config.together
    }

    async fn write(&self, tx: &Tx<'_>, asks: &[&Wanted]) -> Result<Vec<Decided>, ApiError> {
        let names: Vec<_> = asks.iter().filter_map(|wanted| wanted.cart.as_deref()).collect();
        let mut carts = if names.is_empty() { BTreeMap::new() } else { carts::read(tx, &names).await? };
        let wanted: Vec<(&Wanted, Vec<Line>)> = asks
            .iter()
            .map(|wanted| match &wanted.cart {
                // Who comes second with a cart finds it empty.
                Some(cart) => (*wanted, carts.remove(cart).unwrap_or_default()),
                None => (*wanted, wanted.lines.clone()),
            })
            .collect();
        let mut shelf = Shelf::read(tx, wanted.iter().flat_map(|(_, lines)| lines)).await?;
        let mut decided: Vec<Result<Granted, ApiError>> = vec![];
        for (wanted, lines) in &wanted {
            let granted = self.grant(tx, &mut shelf, wanted, lines);
            decided.push(match granted {
                Ok(granted) => shelf.admit(tx, wanted, granted).await?,
                Err(refused) => Err(refused),
            });
        }
        let granted = asks.iter().zip(&decided).filter(|(_, decided)| decided.is_ok());
        let emptied: Vec<_> = granted.filter_map(|(wanted, _)| wanted.cart.as_deref()).collect();
        if !emptied.is_empty() {
            carts::empty(tx, &emptied).await?;
        }
        let raised = write(tx, decided.iter().flatten(), &shelf.rooms()).await?;
        Ok(decided.into_iter().map(|decided| answer(decided?, &raised)).collect())
    }
}

/// Writes orders, what they hold, and their events; `open` are the rooms in front of it.
async fn write(
    tx: &Tx<'_>,
    granted: impl Iterator<Item = &Granted> + Clone,
    open: &[Room],
) -> Result<Raised, ApiError> {
    let mut raised = Raised::default();
    let units: Vec<_> = granted.clone().flat_map(|one| one.lines.iter().map(line::Model::units)).collect();
    if units.is_empty() {
        return Ok(raised);
    }
    // It was read in this transaction: the engine lets nobody change it meanwhile.
    let short = || StorageError::Corrupt("there is less stock than this transaction has read".into());
    let moved = shift_behind(tx, Move::Reserve, &units, Some(open)).await?.ok_or_else(short)?;
    let orders = granted.clone().map(|one| order::ActiveModel::from(one.row.clone()));
    order::Entity::insert_many(orders).exec_without_returning(tx.conn()).await?;
    let lines = granted.clone().flat_map(|one| one.lines.iter().cloned().map(line::ActiveModel::from));
    line::Entity::insert_many(lines).exec_without_returning(tx.conn()).await?;
    let created = granted.map(|one| {
        let tag = raised::order(ids::of_column("shop_orders.id", one.row.id)?);
        Ok((tag, EventKind::Created, json!({ "state": one.row.state })))
    });
    let created: Result<Vec<_>, StorageError> = created.collect();
    raised.emit_all(tx, moved.changes.into_iter().chain(created?)).await?;
    Ok(raised)
}

fn answer(Granted { row, lines }: Granted, raised: &Raised) -> Decided {
    let id: OrderId = ids::of_column("shop_orders.id", row.id)?;
    let stocks: Result<Vec<VariantId>, StorageError> =
        lines.iter().map(|line| ids::of_column("shop_order_lines.variant", line.variant)).collect();
    let tags = stocks?.into_iter().map(raised::stock).chain([raised::order(id)]);
    let raised = raised.of(tags);
    Ok(Answer::created(Order::of(row, lines)?.and(&raised)))
}

impl Shelf {
    /// Uses up an order's admissions to the waiting rooms in front of what it takes; refused, it gives all back.
    ///
    /// # Errors
    /// Where one was used up and the next is refused: nothing of the transaction may be kept.
    async fn admit(
        &mut self,
        tx: &Tx<'_>,
        wanted: &Wanted,
        granted: Granted,
    ) -> Result<Result<Granted, ApiError>, ApiError> {
        let order: OrderId = ids::of_column("shop_orders.id", granted.row.id)?;
        let what = format!("order {order}");
        let mut used = false;
        for line in &granted.lines {
            let Some(room) = self.0.get(&line.variant).and_then(|goods| goods.room.as_ref()) else {
                continue;
            };
            match wanted.brought.enter(tx, room, line.quantity, &what).await {
                Ok(()) => used = true,
                Err(refused) if !used => {
                    self.put_back(&granted.lines);
                    return Ok(Err(refused));
                }
                Err(refused) => return Err(refused),
            }
        }
        Ok(Ok(granted))
    }

    /// The open rooms in front of what is on it.
    fn rooms(&self) -> Vec<Room> {
        self.0.values().filter_map(|goods| goods.room.clone()).collect()
    }

    fn put_back(&mut self, lines: &[line::Model]) {
        for line in lines {
            if let Some(goods) = self.0.get_mut(&line.variant) {
                goods.left += line.quantity;
            }
        }
    }

    /// Reads all variants of these lines: four statements.
    async fn read(tx: &Tx<'_>, lines: impl Iterator<Item = &Line>) -> Result<Self, ApiError> {
        let mut ids: Vec<i64> = lines.map(|line| line.variant.as_i64()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let these = variant::Column::Id.is_in(ids.iter().copied());
        let variants = variant::Entity::find().filter(these).all(tx.conn()).await?;
        let mut of: Vec<i64> = variants.iter().map(|variant| variant.product).collect();
        of.sort_unstable();
        of.dedup();
        let sold = product::Entity::find().filter(product::Column::Id.is_in(of)).all(tx.conn()).await?;
        let stocks = stock::Entity::find().filter(stock::Column::Variant.is_in(ids)).all(tx.conn()).await?;
        let names: Result<Vec<_>, StorageError> =
            variants.iter().map(|row| Ok(room::name(ids::of_column("shop_variants.id", row.id)?))).collect();
        let open = rooms::open_among(tx, names?).await?;
        let left: BTreeMap<i64, i64> = stocks.iter().map(|stock| (stock.variant, stock.available)).collect();
        let active: BTreeSet<i64> = sold.iter().filter(|of| of.active).map(|of| of.id).collect();
        let on_sale = |row: &variant::Model| active.contains(&row.product);
        let goods = |row: variant::Model| {
            let left = left.get(&row.id).copied().unwrap_or_default();
            let prices = from_json("shop_variants.prices", &row.prices)?;
            let name = room::name(ids::of_column("shop_variants.id", row.id)?);
            let room = open.iter().find(|room| room.name == name).cloned();
            Ok((row.id, Goods { sku: row.sku, title: row.title, prices, left, room }))
        };
        Ok(Self(variants.into_iter().filter(on_sale).map(goods).collect::<Result<_, ApiError>>()?))
    }

    /// Takes what an order wants off the shelf, at the prices that hold now: all of it, or nothing.
    fn take(&mut self, wanted: &Wanted, order: i64, lines: &[Line]) -> Result<Vec<line::Model>, ApiError> {
        if lines.is_empty() {
            return Err(invalid("cart: it is empty"));
        }
        let taken = lines.iter().map(|line| {
            let missing =
                || ApiError::not_found(format!("variant {} is not sold in {}", line.variant, wanted.market));
            let goods = self.0.get(&line.variant.as_i64()).ok_or_else(missing)?;
            let price = *goods.prices.get(&wanted.market).ok_or_else(missing)?;
            if goods.left < line.quantity {
                let detail = format!("there are no {} of {:?} left", line.quantity, goods.sku);
                return Err(ApiError::new(409, "sold-out", "Sold out", detail));
            }
            Ok(line::Model {
                account: wanted.account,
                order_id: order,
                variant: line.variant.as_i64(),
                sku: goods.sku.clone(),
                title: goods.title.clone(),
                quantity: line.quantity,
                price,
            })
        });
        let taken: Vec<_> = taken.collect::<Result<_, _>>()?;
        for line in &taken {
            if let Some(goods) = self.0.get_mut(&line.variant) {
                goods.left -= line.quantity;
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::id::Id;

    fn goods(left: i64) -> Goods {
        let prices = BTreeMap::from([("de".to_owned(), 100)]);
        Goods { sku: "a".into(), title: "A".into(), prices, left, room: None }
    }

    fn wanted(market: &str) -> Wanted {
        Wanted { account: 1, market: market.into(), lines: vec![], cart: None, brought: Brought::default() }
    }

    proptest! {
        /// However many come together: no more goes than there is, who is refused takes nothing, and who could have had it all
        /// is not refused.
        #[test]
        fn what_goes_was_there(
            stocks in prop::collection::vec(0..10_i64, 1..4),
            orders in prop::collection::vec(prop::collection::btree_map(1..5_u64, 1..6_i64, 1..4), 0..20),
        ) {
            let mut shelf = Shelf(stocks.iter().zip(1..).map(|(left, id)| (id, goods(*left))).collect());
            let mut gone = BTreeMap::new();
            for (order, lines) in (1..).zip(&orders) {
                let left = |id: &u64| shelf.0.get(&signed(*id)).map(|goods| goods.left);
                let enough = lines.iter().all(|(id, quantity)| left(id).is_some_and(|left| left >= *quantity));
                let lines: Vec<_> = lines
                    .iter()
                    .map(|(id, quantity)| Line { variant: VariantId::numbered(*id).unwrap(), quantity: *quantity })
                    .collect();
                let taken = shelf.take(&wanted("de"), order, &lines);
                prop_assert_eq!(taken.is_ok(), enough);
                for line in taken.into_iter().flatten() {
                    *gone.entry(line.variant).or_insert(0) += line.quantity;
                }
            }
            for (id, stock) in (1..).zip(&stocks) {
                let gone = gone.get(&id).copied().unwrap_or(0);
                prop_assert_eq!(shelf.0[&id].left, stock - gone);
                prop_assert!(gone <= *stock);
            }
        }
    }

    #[test]
    fn what_has_no_price_in_a_market_is_not_sold_there() {
        let mut shelf = Shelf(BTreeMap::from([(1, goods(5))]));
        let line = Line { variant: VariantId::numbered(1).unwrap(), quantity: 1 };
        let refused = shelf.take(&wanted("us"), 1, &[line]).unwrap_err();
        assert_eq!((refused.0.status, shelf.0[&1].left), (404, 5));
    }
}
