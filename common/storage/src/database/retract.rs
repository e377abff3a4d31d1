//! Taking back what events said: their places in the log stay, so that nobody takes them for a loss.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_wire::{Tag, Version};

use super::Tx;
use super::convert::signed;
use super::entity::{log, outbox};
use crate::error::StorageError;

/// The data of an event that says nothing any more.
const NOTHING: &str = "{}";

impl Tx<'_> {
    /// Empties what events of one tag said, in the log and before it. Who reads them from now on finds nothing in them; what was
    /// read before is beyond reach.
    ///
    /// # Errors
    /// The engine's.
    pub async fn retract(&self, tag: &Tag, versions: &[Version]) -> Result<(), StorageError> {
        let versions: Vec<i64> = versions.iter().map(|version| signed(version.0)).collect();
        // The outbox first: a relay that moves them is waited for, and what it has moved is in the log by then.
        outbox::Entity::update_many()
            .col_expr(outbox::Column::Data, Expr::value(NOTHING))
            .filter(outbox::Column::Tag.eq(tag.as_str()))
            .filter(outbox::Column::Version.is_in(versions.iter().copied()))
            .exec(self.conn())
            .await?;
        log::Entity::update_many()
            .col_expr(log::Column::Data, Expr::value(NOTHING))
            .filter(log::Column::Tag.eq(tag.as_str()))
            .filter(log::Column::Version.is_in(versions))
            .exec(self.conn())
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluice_wire::EventKind;

    use super::*;
    use crate::{Storage, StorageConfig};

    #[tokio::test]
    async fn what_was_said_is_gone_and_its_place_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.path().join("sluice.db").display()),
            bus: "local:".into(),
            objects: format!("file:{}", folder.path().join("objects").display()),
        };
        let storage = Storage::open(&config).await.unwrap();
        let tag = &Tag::new("chat:1").unwrap();
        for n in 0..3 {
            let said = storage.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    tx.emit(tag, EventKind::Changed, serde_json::json!({ "live": n })).await?;
                    // The second is taken back in its own transaction.
                    tx.retract(tag, if n == 1 { &[Version(2)] } else { &[] }).await
                })
            });
            said.await.unwrap();
        }
        let drain = tokio_util::sync::CancellationToken::new();
        drain.cancel();
        storage.relay().run(drain).await;
        let data = async || -> Vec<serde_json::Value> {
            let events = storage.log().of_tag(tag, Version(0), 10).await.unwrap();
            events.into_iter().map(|event| event.data).collect()
        };
        let (one, none) = (|n: u64| serde_json::json!({ "live": n }), serde_json::json!({}));
        assert_eq!(data().await, [one(0), none.clone(), one(2)]);
        let taken = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move { tx.retract(tag, &[Version(3), Version(9)]).await })
        });
        taken.await.unwrap();
        assert_eq!(data().await, [one(0), none.clone(), none]);
    }
}
