//! Rows of the app's tables.

/// Declares an entity without relations.
macro_rules! entity {
    ($(#[$doc:meta])* $module:ident, $table:literal, { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        pub(crate) mod $module {
            use sluice_storage::rows::sea_orm;
            use sluice_storage::rows::sea_orm::entity::prelude::*;

            #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub(crate) struct Model {
                $($(#[$attribute])* pub(crate) $field: $kind,)*
            }

            #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
            pub(crate) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(
    /// An account, as the feed knows it.
    profile, "feed_profiles", {
        #[sea_orm(primary_key, auto_increment = false)]
        account: i64,
        handle: String,
        followers: i64,
        following: i64,
        posts: i64,
        /// It has posts that readers pull: it had too many followers for pushes once.
        pulled: bool,
        /// Its home list is good, if it is there.
        listed: bool,
        /// It was told of something new and has not looked since.
        badged: bool,
        /// When it last read its home, to within what [`crate::Config::badge_ms`] allows.
        read_ms: i64,
        /// The newest post that it has seen on any device.
        seen: i64,
    }
);
entity!(
    /// Whom a reader follows.
    follow, "feed_follows", {
        #[sea_orm(primary_key, auto_increment = false)]
        reader: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        author: i64,
        made_ms: i64,
    }
);
entity!(
    /// A post, a reply or a repost. Once deleted it is a tombstone: it has no words left, and stays for its replies.
    post, "feed_posts", {
        #[sea_orm(primary_key, auto_increment = false)]
        id: i64,
        author: i64,
        handle: String,
        kind: String,
        text: String,
        photos: String,
        video: Option<i64>,
        parent: Option<i64>,
        /// The post that the conversation began with; itself, if it began one.
        root: i64,
        /// What a repost shows.
        original: Option<i64>,
        likes: i64,
        replies: i64,
        reposts: i64,
        /// It was pushed to nobody: readers pull it.
        pulled: bool,
        deleted_ms: Option<i64>,
    }
);
entity!(
    /// A like: a post's counter is the number of its rows here.
    like, "feed_likes", {
        #[sea_orm(primary_key, auto_increment = false)]
        post: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        account: i64,
        made_ms: i64,
    }
);
entity!(
    /// Who reposted what, by which post.
    repost, "feed_reposts", {
        #[sea_orm(primary_key, auto_increment = false)]
        post: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        account: i64,
        repost: i64,
    }
);
entity!(
    /// How much a reader has to do with an author; see [`crate::affinity`].
    affinity, "feed_affinity", {
        #[sea_orm(primary_key, auto_increment = false)]
        reader: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        author: i64,
        score: f64,
    }
);
entity!(
    /// An entry of a reader's home list. Post 0 says that the list is there.
    home, "feed_home", {
        #[sea_orm(primary_key, auto_increment = false)]
        reader: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        post: i64,
        author: i64,
    }
);
entity!(
    /// A post that is yet to be brought to followers above `after`.
    work, "feed_work", {
        #[sea_orm(primary_key, auto_increment = false)]
        post: i64,
        author: i64,
        after: i64,
        holder: String,
        until_ms: i64,
    }
);
entity!(
    /// A photo; see [`crate::photos`].
    photo, "feed_photos", {
        #[sea_orm(primary_key, auto_increment = false)]
        id: i64,
        owner: i64,
        /// The end of its path.
        kind: String,
        width: i64,
        height: i64,
        blur: String,
        /// Its object is there, and its sender was told so.
        kept: bool,
        /// Nobody may have it any more.
        gone: bool,
        /// The post that shows it.
        post: Option<i64>,
        /// From when on it is swept.
        due_ms: Option<i64>,
    }
);
entity!(
    /// The generation of kept lists: one row.
    generation, "feed_generation", {
        #[sea_orm(primary_key, auto_increment = false)]
        id: i64,
        number: i64,
    }
);
