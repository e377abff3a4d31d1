//! Rows of the app's tables.

/// A product.
pub(crate) mod product {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_products")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) title: String,
        pub(crate) description: String,
        /// URLs, a JSON list.
        pub(crate) images: String,
        pub(crate) video: Option<i64>,
        /// Whether it is shown and sold.
        pub(crate) active: bool,
        pub(crate) created_ms: i64,
        pub(crate) changed_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {
        #[sea_orm(has_one = "super::category::Entity")]
        Category,
    }

    impl Related<super::category::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Category.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The category that a product is in; no row where it is in none.
pub(crate) mod category {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_categories")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) product: i64,
        pub(crate) category: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {
        #[sea_orm(
            belongs_to = "super::product::Entity",
            from = "Column::Product",
            to = "super::product::Column::Id"
        )]
        Product,
    }

    impl Related<super::product::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Product.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// What is sold of a product.
pub(crate) mod variant {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_variants")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) product: i64,
        pub(crate) sku: String,
        pub(crate) title: String,
        /// Names and values, a JSON map.
        pub(crate) options: String,
        /// Minor units by market, a JSON map.
        pub(crate) prices: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {
        #[sea_orm(
            belongs_to = "super::product::Entity",
            from = "Column::Product",
            to = "super::product::Column::Id"
        )]
        Product,
    }

    impl Related<super::product::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Product.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A product's texts in a language; what is in none of a product's rows is in the product itself.
pub(crate) mod text {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_texts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) product: i64,
        /// A tag of BCP 47, in the case that it recommends.
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) language: String,
        pub(crate) title: String,
        pub(crate) description: String,
        /// Titles by variant, a JSON map.
        pub(crate) variants: String,
        pub(crate) changed_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Whose a SKU is: each is one variant's alone.
pub(crate) mod sku {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_skus")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) sku: String,
        pub(crate) variant: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How many there are of a variant.
pub(crate) mod stock {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_stock")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) variant: i64,
        pub(crate) available: i64,
        pub(crate) reserved: i64,
        pub(crate) sold: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What changed a stock, for ever.
pub(crate) mod stock_entry {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_stock_entries")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) variant: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) kind: String,
        pub(crate) quantity: i64,
        pub(crate) order_id: Option<i64>,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What somebody may buy.
pub(crate) mod cart {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_carts")]
    pub(crate) struct Model {
        /// An account's id, or chance that stands for nobody.
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: String,
        /// A JSON list.
        pub(crate) lines: String,
        pub(crate) changed_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An order.
pub(crate) mod order {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_orders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) market: String,
        pub(crate) currency: String,
        /// Minor units, with the tax.
        pub(crate) total: i64,
        pub(crate) tax: i64,
        pub(crate) state: String,
        /// Whether it holds its stock.
        pub(crate) held: bool,
        /// Until when it holds its stock; absent where it does so for good, or not at all.
        pub(crate) until_ms: Option<i64>,
        /// When whoever comes by takes it further; absent where it rests.
        pub(crate) due_ms: Option<i64>,
        pub(crate) created_ms: i64,
        pub(crate) changed_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Why an order ended without a sale.
pub(crate) mod reason {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_order_reasons")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) order_id: i64,
        pub(crate) reason: String,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A line of an order, as things were when it was placed.
pub(crate) mod line {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_order_lines")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) order_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) variant: i64,
        pub(crate) sku: String,
        pub(crate) title: String,
        pub(crate) quantity: i64,
        /// Minor units of one.
        pub(crate) price: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Model {
        /// What it takes of the stock.
        pub(crate) const fn units(&self) -> crate::stock::Units {
            crate::stock::Units { variant: self.variant, quantity: self.quantity, order: Some(self.order_id) }
        }
    }
}

/// An order's one payment; there before the gateway is asked.
pub(crate) mod payment {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_payments")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) order_id: i64,
        /// What its keys at the gateway are made of.
        pub(crate) id: i64,
        /// The gateway's token for what is paid with.
        pub(crate) method: String,
        /// What the gateway calls it.
        pub(crate) intent: Option<String>,
        pub(crate) created_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A line of the books.
pub(crate) mod ledger {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_ledger")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) order_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) name: String,
        pub(crate) currency: String,
        /// Minor units; those of an order are zero in all.
        pub(crate) amount: i64,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A webhook that was taken.
pub(crate) mod webhook_event {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_webhook_events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: String,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A warehouse. The default one is there without a row.
pub(crate) mod place {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_places")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) name: String,
        pub(crate) title: String,
        pub(crate) created_ms: i64,
        pub(crate) changed_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Units of a variant that came into a place and left it.
pub(crate) mod shelf {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_shelves")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) variant: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) place: String,
        /// Nothing for the default place: all that came in and is at no other came in there.
        pub(crate) received: i64,
        /// In parcels that did not come back.
        pub(crate) shipped: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Units that came in at a place that is not the default one, for ever.
pub(crate) mod receipt {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_receipts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) variant: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) place: String,
        pub(crate) quantity: i64,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A parcel of an order.
pub(crate) mod parcel {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "shop_parcels")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) order_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        /// Where it left from.
        pub(crate) place: String,
        pub(crate) carrier: String,
        /// What the carrier knows it by.
        pub(crate) code: String,
        pub(crate) state: String,
        /// What is in it, a JSON list.
        pub(crate) lines: String,
        /// The states that it came to and when, a JSON list.
        pub(crate) moves: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
