//! Rows of accounts, sessions and what renews them.

/// Somebody.
pub(super) mod account {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) handle: String,
        pub(crate) name: String,
        /// Argon2id, in PHC's string format.
        pub(crate) password: String,
        /// Names of roles, separated by spaces.
        pub(crate) roles: String,
        pub(crate) created_ms: i64,
        pub(crate) closed: bool,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Whose a handle is: each is somebody's alone.
pub(super) mod handle {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "account_handles")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) handle: String,
        pub(crate) account: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A device that is signed in.
pub(super) mod session {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) device: String,
        pub(crate) created_ms: i64,
        pub(crate) expires_ms: i64,
        pub(crate) ended_ms: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A token that renews a session once; of it only a digest is kept.
pub(super) mod refresh {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "refresh_tokens")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) session: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) digest: String,
        pub(crate) used_ms: Option<i64>,
        pub(crate) expires_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
