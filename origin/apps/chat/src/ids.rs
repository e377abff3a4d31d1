//! Kinds of ids that are the app's own, and the tags of conversations.

use sluice_wire::{AccountId, Tag};

sluice_wire::id!(
    /// A conversation: the shard of all that is in it.
    ConversationId
);
sluice_wire::id!(
    /// A message.
    MessageId
);

/// Seqs of a page of history: what a screen or two shows, and a body of some 20 KB.
pub(crate) const PAGE: i64 = 100;

/// The channel's name, and the tag whose version is the conversation's seq.
pub(crate) fn tag(conversation: ConversationId) -> Tag {
    Tag::new(format!("chat:{conversation}")).expect("an id is of a tag's characters")
}

/// The channel of an account's own: what is told to it of all its conversations.
pub(crate) fn own_tag(account: AccountId) -> Tag {
    Tag::new(format!("chats:{account}")).expect("an id is of a tag's characters")
}

/// A settled page's tag.
pub(crate) fn page_tag(conversation: ConversationId, page: i64) -> Tag {
    Tag::new(format!("chat:{conversation}:page:{page}")).expect("an id is of a tag's characters")
}

/// The page that a seq is in: page n holds 100n + 1 to 100n + 100.
pub(crate) const fn page_of(seq: i64) -> i64 {
    (seq - 1) / PAGE
}

/// True when nothing new comes into a page any more: its last seq was given.
pub(crate) const fn is_settled(page: i64, newest: i64) -> bool {
    newest >= (page + 1) * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_settled_with_its_last_seq() {
        assert_eq!([1, 100, 101, 200, 201].map(page_of), [0, 0, 1, 1, 2]);
        assert_eq!([0, 99, 100, 101].map(|newest| is_settled(0, newest)), [false, false, true, true]);
        assert!(!is_settled(1, 199) && is_settled(1, 200));
    }
}
