//! The fleet's configuration: every version of it, and the one in force, which is the newest.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value;
use sluice_wire::FleetConfig;

use crate::audit::{self, Act, Who};
use crate::bus::topics;
use crate::database::entity::config_version;
use crate::database::{Database, Tx, from_json, signed, to_json, unsigned};
use crate::error::StorageError;

/// Versions that are kept: one a day for three years.
const KEPT: u64 = 1_000;

/// A version, and who made it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigVersion {
    /// The document; its `version` names it.
    pub config: FleetConfig,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The operator's name.
    pub who: String,
    /// Why, in words.
    pub note: String,
}

/// The versions. Clones share the database.
#[derive(Debug, Clone)]
pub struct Settings {
    database: Database,
}

impl Settings {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// The number of the version in force; 0 before the first.
    ///
    /// # Errors
    /// The engine's.
    pub async fn newest(&self) -> Result<u64, StorageError> {
        newest(self.database.reader()).await
    }

    /// One version; `None` when there is none of this number, or no more.
    ///
    /// # Errors
    /// The engine's.
    pub async fn version(&self, version: u64) -> Result<Option<ConfigVersion>, StorageError> {
        one(self.database.reader(), version).await
    }

    /// Versions before a number, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The engine's.
    pub async fn versions(
        &self,
        before: Option<u64>,
        limit: u64,
    ) -> Result<Vec<ConfigVersion>, StorageError> {
        let mut query =
            config_version::Entity::find().order_by_desc(config_version::Column::Version).limit(limit);
        if let Some(before) = before {
            query = query.filter(config_version::Column::Version.lt(signed(before)));
        }
        let rows = query.all(self.database.reader()).await?;
        rows.into_iter().map(ConfigVersion::try_from).collect()
    }

    /// Puts a configuration in force, if the one in force is the one that it was made from. It is numbered anew, and
    /// written down as an act with what differs.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when another version is in force by now; the engine's.
    pub async fn put(
        &self,
        who: &Who,
        from: Option<u64>,
        config: &FleetConfig,
        note: &str,
    ) -> Result<FleetConfig, StorageError> {
        self.database.write(|tx| Box::pin(put(tx, who, from, config, "config", note))).await
    }

    /// Puts what was in force once into force again, as a new version.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when there is no such version, or no more; the engine's.
    pub async fn roll_back(&self, who: &Who, version: u64) -> Result<FleetConfig, StorageError> {
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let missing = || StorageError::NotFound(format!("configuration {version}"));
                    let old = one(tx.conn(), version).await?.ok_or_else(missing)?;
                    let note = format!("rollback to {version}");
                    put(tx, who, None, &old.config, "config rollback", &note).await
                })
            })
            .await
    }
}

async fn newest(on: &impl ConnectionTrait) -> Result<u64, StorageError> {
    let newest: Option<i64> = config_version::Entity::find()
        .select_only()
        .column_as(config_version::Column::Version.max(), "newest")
        .into_tuple::<Option<i64>>()
        .one(on)
        .await?
        .flatten();
    unsigned("config_versions.version", newest.unwrap_or(0))
}

async fn one(on: &impl ConnectionTrait, version: u64) -> Result<Option<ConfigVersion>, StorageError> {
    let row = config_version::Entity::find_by_id(signed(version)).one(on).await?;
    row.map(ConfigVersion::try_from).transpose()
}

async fn put(
    tx: &Tx<'_>,
    who: &Who,
    from: Option<u64>,
    config: &FleetConfig,
    action: &'static str,
    note: &str,
) -> Result<FleetConfig, StorageError> {
    let newest = newest(tx.conn()).await?;
    if from.is_some_and(|from| from != newest) {
        return Err(StorageError::Conflict(format!("version {newest} is in force")));
    }
    let before = one(tx.conn(), newest).await?.map(|version| version.config).unwrap_or_default();
    let next = FleetConfig { version: newest + 1, ..config.clone() };
    let row = config_version::ActiveModel {
        version: Set(signed(next.version)),
        at_ms: Set(signed(tx.now_ms())),
        who: Set(who.name.clone()),
        note: Set(note.to_owned()),
        body: Set(to_json(&next)?),
    };
    config_version::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    config_version::Entity::delete_many()
        .filter(config_version::Column::Version.lte(signed(next.version.saturating_sub(KEPT))))
        .exec(tx.conn())
        .await?;
    let (was, is) = before.changes(&next);
    let subject = format!("version {}", next.version);
    let act = Act { action, subject, before: Some(Value::Object(was)), after: Some(Value::Object(is)) };
    audit::record(tx, who, &act).await?;
    tx.wake_after_commit(topics::FLEET);
    Ok(next)
}

impl TryFrom<config_version::Model> for ConfigVersion {
    type Error = StorageError;

    fn try_from(row: config_version::Model) -> Result<Self, StorageError> {
        Ok(Self {
            config: from_json("config_versions.body", &row.body)?,
            at_ms: unsigned("config_versions.at_ms", row.at_ms)?,
            who: row.who,
            note: row.note,
        })
    }
}
