//! The app's tables. What is a buyer's is keyed by the account first, what is a variant's by the variant: either can be spread
//! over several databases.

use sluice_storage::rows::columns::{big_integer, big_integer_null, boolean, string, string_null, text};
use sluice_storage::rows::sea_orm::sea_query::{
    ConditionalStatement, Expr, IndexCreateStatement, TableCreateStatement,
};
use sluice_storage::rows::{index, table};
use sluice_storage::{Schema, Step};

/// That an order is sold. As a text and not as a value: the engine looks such orders up by their ids, which [`SCHEMA`] has an index
/// for, where it reads in a statement that it is asked for these alone.
pub(crate) const SOLD: &str = "state = 'confirmed'";

/// The app's tables: catalog, stock, carts, orders, payments, the books, places and parcels.
pub const SCHEMA: Schema = Schema {
    migrations: "commerce_migrations",
    steps: &[
        Step { name: "s0001_catalog", tables: catalog, indexes: catalog_indexes },
        Step { name: "s0002_orders", tables: orders, indexes: order_indexes },
        Step { name: "s0003_reasons", tables: reasons, indexes: Vec::new },
        Step { name: "s0004_categories", tables: categories, indexes: Vec::new },
        Step { name: "s0005_places", tables: places, indexes: place_indexes },
        Step { name: "s0006_texts", tables: texts, indexes: Vec::new },
    ],
};

fn catalog() -> Vec<TableCreateStatement> {
    let product = vec![
        big_integer("id"),
        string("title"),
        text("description"),
        text("images"),
        big_integer_null("video"),
        boolean("active"),
        big_integer("created_ms"),
        big_integer("changed_ms"),
    ];
    let variant = vec![
        big_integer("id"),
        big_integer("product"),
        string("sku"),
        string("title"),
        text("options"),
        text("prices"),
    ];
    let stock =
        vec![big_integer("variant"), big_integer("available"), big_integer("reserved"), big_integer("sold")];
    let entry = vec![
        big_integer("variant"),
        big_integer("id"),
        string("kind"),
        big_integer("quantity"),
        big_integer_null("order_id"),
        big_integer("at_ms"),
    ];
    vec![
        table("shop_products", product, &["id"]),
        table("shop_variants", variant, &["id"]),
        table("shop_skus", vec![string("sku"), big_integer("variant")], &["sku"]),
        table("shop_stock", stock, &["variant"]),
        table("shop_stock_entries", entry, &["variant", "id"]),
        table("shop_carts", vec![string("id"), text("lines"), big_integer("changed_ms")], &["id"]),
    ]
}

fn catalog_indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("shop_variants_product", "shop_variants", &["product"]),
        index("shop_carts_changed", "shop_carts", &["changed_ms"]),
    ]
}

fn orders() -> Vec<TableCreateStatement> {
    let order = vec![
        big_integer("account"),
        big_integer("id"),
        string("market"),
        string("currency"),
        big_integer("total"),
        big_integer("tax"),
        string("state"),
        boolean("held"),
        big_integer_null("until_ms"),
        big_integer_null("due_ms"),
        big_integer("created_ms"),
        big_integer("changed_ms"),
    ];
    let line = vec![
        big_integer("account"),
        big_integer("order_id"),
        big_integer("variant"),
        string("sku"),
        string("title"),
        big_integer("quantity"),
        big_integer("price"),
    ];
    let mut tables = vec![
        table("shop_orders", order, &["account", "id"]),
        table("shop_order_lines", line, &["account", "order_id", "variant"]),
    ];
    tables.extend(payments());
    tables
}

fn payments() -> Vec<TableCreateStatement> {
    let payment = vec![
        big_integer("account"),
        big_integer("order_id"),
        big_integer("id"),
        string("method"),
        string_null("intent"),
        big_integer("created_ms"),
    ];
    let ledger = vec![
        big_integer("account"),
        big_integer("order_id"),
        big_integer("id"),
        string("name"),
        string("currency"),
        big_integer("amount"),
        big_integer("at_ms"),
    ];
    vec![
        table("shop_payments", payment, &["account", "order_id"]),
        table("shop_ledger", ledger, &["account", "order_id", "id"]),
        table("shop_webhook_events", vec![string("id"), big_integer("at_ms")], &["id"]),
    ]
}

fn reasons() -> Vec<TableCreateStatement> {
    let reason =
        vec![big_integer("account"), big_integer("order_id"), string("reason"), big_integer("at_ms")];
    vec![table("shop_order_reasons", reason, &["account", "order_id"])]
}

fn order_indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("shop_orders_until", "shop_orders", &["until_ms"]),
        index("shop_orders_due", "shop_orders", &["due_ms"]),
        index("shop_webhook_events_at", "shop_webhook_events", &["at_ms"]),
    ]
}

/// Beside the products: a step adds tables alone.
fn categories() -> Vec<TableCreateStatement> {
    vec![table("shop_categories", vec![big_integer("product"), string("category")], &["product"])]
}

/// Beside the stock and the orders, which are as they were.
fn places() -> Vec<TableCreateStatement> {
    let place = vec![string("name"), string("title"), big_integer("created_ms"), big_integer("changed_ms")];
    let shelf =
        vec![big_integer("variant"), string("place"), big_integer("received"), big_integer("shipped")];
    let receipt = vec![
        big_integer("variant"),
        big_integer("id"),
        string("place"),
        big_integer("quantity"),
        big_integer("at_ms"),
    ];
    let parcel = vec![
        big_integer("account"),
        big_integer("order_id"),
        big_integer("id"),
        string("place"),
        string("carrier"),
        string("code"),
        string("state"),
        text("lines"),
        text("moves"),
    ];
    vec![
        table("shop_places", place, &["name"]),
        table("shop_shelves", shelf, &["variant", "place"]),
        table("shop_receipts", receipt, &["variant", "id"]),
        table("shop_parcels", parcel, &["account", "order_id", "id"]),
    ]
}

/// Who ships an order knows its id and not whose it is. Only what is sold is in this index, so that placing an order does not write
/// it. It goes with the orders' table, and is there still where only this step was undone.
fn place_indexes() -> Vec<IndexCreateStatement> {
    let mut sold = index("shop_orders_sold", "shop_orders", &["id"]);
    sold.if_not_exists().and_where(Expr::cust(SOLD));
    vec![sold]
}

/// Products' texts in other languages than their own, a row for each language.
fn texts() -> Vec<TableCreateStatement> {
    let columns = vec![
        big_integer("product"),
        string("language"),
        string("title"),
        text("description"),
        text("variants"),
        big_integer("changed_ms"),
    ];
    vec![table("shop_texts", columns, &["product", "language"])]
}
