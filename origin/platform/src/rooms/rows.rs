//! Rooms, and who was let in to them.

/// A room.
pub(super) mod room {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "rooms")]
    pub(in super::super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in super::super) name: String,
        pub(in super::super) open: bool,
        pub(in super::super) opened_ms: i64,
        /// What it guards.
        pub(in super::super) path: String,
        pub(in super::super) word: String,
        /// What tickets are signed with.
        pub(in super::super) secret: String,
        /// Units that can be had, and how many edges were told of.
        pub(in super::super) units: i64,
        pub(in super::super) told: i64,
        /// Units of one admission.
        pub(in super::super) each: i64,
        /// Admissions in a second.
        pub(in super::super) rate: i64,
        /// Thousandths of admissions that the rate allows now, and when that was.
        pub(in super::super) credit: i64,
        pub(in super::super) credit_ms: i64,
        /// How long an admission is good.
        pub(in super::super) hold_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(in super::super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A ticket that was let in.
pub(super) mod admission {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "room_admissions")]
    pub(in super::super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in super::super) room: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(in super::super) ticket: String,
        pub(in super::super) until_ms: i64,
        /// What it was used for; once, for ever.
        pub(in super::super) used_by: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(in super::super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
