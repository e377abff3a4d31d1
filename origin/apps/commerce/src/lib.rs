//! Sluice's shop: catalog, stock, carts, orders, payments. Its routes are below `/v1/shop`.
//!
//! - `catalog`: products and their variants, as anybody sees them and administrators change them, with texts in several languages
//! - `search`: products by words, facets and prices, out of an index that follows the catalog
//! - `stock`: counters that cannot go below nothing, and every change of them for ever
//! - `carts`, `orders`: what somebody may buy, and what somebody buys: reserved, paid, confirmed, whatever crashes on the way
//! - `places`: warehouses, and what is on their shelves; `parcels`: what leaves them, and where it is
//! - `room`: waiting rooms in front of stocks, which edges hold
//! - `gateway`: who takes the money; `webhooks`: what it tells by itself; `ledger`: the books
//!
//! Public answers name their tags and versions, and each write raises those that it changed (`raised`): edges keep the catalog
//! and the stock until the moment they change. Accounts, idempotency and problems are the platform's.

mod carts;
mod catalog;
mod config;
mod gateway;
mod ids;
mod ledger;
mod openapi;
mod orders;
mod parcels;
mod places;
mod raised;
mod room;
mod rows;
mod schema;
mod search;
mod stock;
#[cfg(test)]
mod tests;
mod webhooks;

pub use config::{Config, GatewayConfig, Market, MarketError, SearchConfig};
pub use ids::{EntryId, OrderId, ParcelId, PaymentId, ProductId, VariantId};
pub use schema::SCHEMA;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use gateway::Gateway;
use gateway::signature::Secret;
use orders::{Ask, Counter, Standing, Till, Wanted};
use prometheus::IntCounterVec;
use search::Search;
use sluice_platform::cache::{self, Lifetime};
use sluice_platform::once::{Afterwards, Once, Together};
use sluice_platform::rooms::Rooms;
use sluice_platform::{Accounts, Ground};
use sluice_service::{Metrics, ProcessError};
use sluice_storage::Storage;

/// Channels by the beginnings of their names, and whether anybody may listen.
pub const CHANNELS: [(&str, bool); 4] =
    [("product:", true), ("products", true), ("stock:", true), ("order:", false)];

/// What handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) storage: Storage,
    pub(crate) accounts: Accounts,
    pub(crate) once: Once,
    pub(crate) afterwards: Afterwards,
    pub(crate) counter: Together<Wanted>,
    pub(crate) till: Together<Ask, Standing>,
    pub(crate) rooms: Rooms,
    pub(crate) config: Arc<Config>,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) secret: Option<Secret>,
    pub(crate) search: Search,
    /// How often an order has come to a state.
    pub(crate) states: IntCounterVec,
}

/// Counts what becomes of orders, each by the process that told it.
pub(crate) fn states(metrics: &Metrics) -> IntCounterVec {
    let help = "Orders that came to a state after they were placed: refunding is of money for which there was no stock any more, or nobody who \
                wanted it.";
    metrics.counters("sluice_shop_orders_total", help, &["state"])
}

/// An answer that nobody keeps.
pub(crate) fn private(answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}

/// Brings the app's tables up to date, begins its background work, and gives its routes.
///
/// # Errors
/// The engine's; a file of the configuration that cannot be read.
pub async fn start(ground: &Ground, config: &Config) -> Result<Router, ProcessError> {
    ground.storage.database.install(&SCHEMA).await?;
    let config = Arc::new(config.clone());
    let secret = config.gateway.webhook_secret_file.as_deref().map(Secret::read).transpose()?;
    let counter = ground.once.together(Counter::new(Arc::clone(&config)), &ground.drain);
    let (search, following) = search::open(&ground.storage, &config, &ground.metrics);
    ground.drain.tasks().spawn(following.run(ground.drain.token()));
    let shop = Shop {
        storage: ground.storage.clone(),
        accounts: ground.accounts.clone(),
        once: ground.once.clone(),
        afterwards: ground.once.afterwards(config.together, &ground.drain),
        till: counter.beside(Till::new(Arc::clone(&config)), &ground.drain),
        counter,
        rooms: ground.rooms.clone(),
        config: Arc::clone(&config),
        gateway: gateway::open(&config.gateway)?,
        secret,
        search,
        states: states(&ground.metrics),
    };
    orders::begin(&shop, &ground.drain);
    Ok(ground.under(routes(shop)))
}

fn routes(shop: Shop) -> Router {
    Router::new()
        .route("/v1/shop/openapi.json", get(openapi::show))
        .route("/v1/shop/products", get(catalog::list).post(catalog::create))
        .route("/v1/shop/products/{id}", get(catalog::one).patch(catalog::edit))
        .route(
            "/v1/shop/products/{id}/texts/{language}",
            put(catalog::put_texts).delete(catalog::delete_texts),
        )
        .route("/v1/shop/variants/{variant}", get(catalog::by_variant))
        .route("/v1/shop/search", get(search::search))
        .route("/v1/shop/stock/{variant}", get(stock::show).post(stock::receive))
        .route("/v1/shop/stock/{variant}/entries", get(stock::entries))
        .route("/v1/shop/places", get(places::list))
        .route("/v1/shop/places/{place}", put(places::keep))
        .route("/v1/shop/rooms/{variant}", get(room::show).put(room::open).delete(room::close))
        .route("/v1/shop/carts", post(carts::create))
        .route("/v1/shop/carts/{cart}", get(carts::show).put(carts::put))
        .route("/v1/shop/orders", get(orders::list).post(orders::place))
        .route("/v1/shop/orders/{id}", get(orders::one))
        .route("/v1/shop/orders/{id}/payment", post(orders::pay))
        .route("/v1/shop/orders/{id}/cancel", post(orders::cancel))
        .route("/v1/shop/orders/{id}/channel", post(orders::channel))
        .route("/v1/shop/orders/{id}/parcels", get(parcels::list).post(parcels::pack))
        .route("/v1/shop/orders/{id}/parcels/{parcel}", patch(parcels::onward))
        .route("/v1/shop/ledger/balance", get(ledger::balance))
        .route("/v1/shop/webhooks/payments", post(webhooks::payments))
        .with_state(shop)
}
