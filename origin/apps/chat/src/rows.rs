//! Rows of the app's tables.

/// A conversation.
pub(crate) mod conversation {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chats")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        /// See [`Kind`](crate::conversations::Kind).
        pub(crate) kind: String,
        pub(crate) name: String,
        pub(crate) made_by: i64,
        pub(crate) created_ms: i64,
        pub(crate) members: i64,
        /// Of the newest change that this row knows of: a message, always. See [`NEWEST`](crate::record::NEWEST).
        pub(crate) seq: i64,
        /// Of the newest message.
        pub(crate) message_seq: i64,
        /// When something was said last.
        pub(crate) last_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The conversation of two accounts, which is one for ever.
pub(crate) mod pair {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_pairs")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) low: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) high: i64,
        pub(crate) chat: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Somebody in a conversation.
pub(crate) mod member {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_members")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        pub(crate) name: String,
        /// `owner` or `member`.
        pub(crate) role: String,
        pub(crate) since_seq: i64,
        /// The furthest of its devices.
        pub(crate) delivered_seq: i64,
        /// Likewise.
        pub(crate) read_seq: i64,
        /// How far others were told that it has read, ...
        pub(crate) told_seq: i64,
        /// ... and when.
        pub(crate) told_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What was said.
pub(crate) mod message {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_messages")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) seq: i64,
        pub(crate) id: i64,
        pub(crate) author: i64,
        /// The author's, as it was then.
        pub(crate) name: String,
        /// The device's, unlike any other of its author in the conversation.
        pub(crate) client_id: String,
        pub(crate) text: String,
        /// JSON.
        pub(crate) attachments: String,
        pub(crate) at_ms: i64,
        pub(crate) edited_ms: Option<i64>,
        pub(crate) deleted_ms: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What else happened.
pub(crate) mod event {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_events")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) seq: i64,
        pub(crate) kind: String,
        /// What it was done to.
        pub(crate) message: Option<i64>,
        /// Who did it.
        pub(crate) account: i64,
        /// What the live channel said of it: JSON.
        pub(crate) data: String,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An emoji that somebody put on a message.
pub(crate) mod reaction {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_reactions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) message: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) emoji: String,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How far a device is.
pub(crate) mod cursor {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_cursors")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) account: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) device: String,
        pub(crate) delivered_seq: i64,
        pub(crate) read_seq: i64,
        pub(crate) at_ms: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A word of a message.
pub(crate) mod term {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_terms")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) term: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) message: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A file that was sent to a conversation.
pub(crate) mod file {
    use sluice_storage::rows::sea_orm;
    use sluice_storage::rows::sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_files")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) chat: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        /// Who sent it, and may name it in a message.
        pub(crate) owner: i64,
        pub(crate) name: String,
        /// Its media type.
        pub(crate) kind: String,
        pub(crate) bytes: i64,
        /// Its bytes are stored.
        pub(crate) kept: bool,
        /// It is seen by nobody any more.
        pub(crate) gone: bool,
        /// The message that names it.
        pub(crate) message: Option<i64>,
        /// When its object and this row go: none while a message names it.
        pub(crate) due_ms: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
