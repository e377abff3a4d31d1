//! What the app's answers show, and what its events are about.

use serde_json::{Value, json};
use sluice_wire::{AccountId, PhotoId, Tag};

use crate::PostId;
use crate::rows::post;

/// A post's fragment.
pub(crate) fn post(id: PostId) -> Tag {
    tag(format!("post:{id}"))
}

/// What reposts a post. Its one event is that the post is deleted, if it was reposted: so its version is 0 as long as the post is
/// there, and no like of it has its reposts fetched anew.
pub(crate) fn reposts(of: PostId) -> Tag {
    tag(format!("reposts:{of}"))
}

/// The order of a conversation, by the post that it began with.
pub(crate) fn thread(root: PostId) -> Tag {
    tag(format!("thread:{root}"))
}

/// A photo, with all that edges made of it.
pub(crate) fn photo(id: PhotoId) -> Tag {
    tag(format!("photo:{id}"))
}

/// A profile and the list of its posts.
pub(crate) fn user(handle: &str) -> Tag {
    tag(format!("user:{handle}"))
}

/// A reader's home.
pub(crate) fn home(account: AccountId) -> Tag {
    tag(format!("home:{account}"))
}

/// What an event says of a post, for pages that show it.
pub(crate) fn live(row: &post::Model) -> Value {
    json!({ "live": { "likes": row.likes, "replies": row.replies, "reposts": row.reposts } })
}

fn tag(text: String) -> Tag {
    Tag::new(text).expect("ids and handles are of a tag's characters")
}
