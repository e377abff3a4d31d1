//! The tags that a write raised.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_storage::{StorageError, Tx};
use sluice_wire::{EventKind, Tag, Version};

use crate::ids::{OrderId, ProductId, VariantId};

/// The versions that a write made, for its answer: whoever asks with one sees the write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raised(BTreeMap<String, Version>);

impl Raised {
    /// Tells of changes: one event each, with what those who listen to the tag's channel are sent. As many
    /// statements as [`Tx::emit_all`].
    pub(crate) async fn emit_all(
        &mut self,
        tx: &Tx<'_>,
        changes: impl IntoIterator<Item = (Tag, EventKind, Value)>,
    ) -> Result<(), StorageError> {
        let events: Vec<_> =
            changes.into_iter().map(|(tag, kind, live)| (tag, kind, json!({ "live": live }))).collect();
        let versions = tx.emit_all(&events).await?;
        self.0.extend(versions.into_iter().map(|(tag, version)| (tag.as_str().to_owned(), version)));
        Ok(())
    }

    /// What was raised of these tags.
    pub(crate) fn of(&self, tags: impl IntoIterator<Item = Tag>) -> Self {
        let of = |tag: Tag| Some((tag.as_str().to_owned(), *self.0.get(tag.as_str())?));
        Self(tags.into_iter().filter_map(of).collect())
    }

    /// Takes over what another write raised after this one.
    pub(crate) fn and(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// As `Sluice-Version` has them.
    pub(crate) fn text(&self) -> String {
        let member = |(tag, version): (&String, &Version)| format!("{tag}={version}");
        self.0.iter().map(member).collect::<Vec<_>>().join(" ")
    }
}

fn tag(text: String) -> Tag {
    Tag::new(text).expect("ids are of a tag's characters")
}

/// Every listing of products.
pub(crate) fn products() -> Tag {
    tag("products".to_owned())
}

/// Which variants can be had at all: raised where a stock runs out, or is there again.
pub(crate) fn availability() -> Tag {
    tag("availability".to_owned())
}

/// The product whose document a tag stands for.
pub(crate) fn product_of(tag: &Tag) -> Option<ProductId> {
    tag.as_str().strip_prefix("product:")?.parse().ok()
}

/// A product's document.
pub(crate) fn product(id: ProductId) -> Tag {
    tag(format!("product:{id}"))
}

/// How many there are of a variant.
pub(crate) fn stock(id: VariantId) -> Tag {
    tag(format!("stock:{id}"))
}

/// An order's state.
pub(crate) fn order(id: OrderId) -> Tag {
    tag(format!("order:{id}"))
}
