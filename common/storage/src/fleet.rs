//! The fleet's nodes and its route table, as any number of control planes share them.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use sluice_wire::{NodeId, NodeReport, RouteTable};

use crate::audit::{self, Act, Who};
use crate::bus::{Bus, Subscription, topics};
use crate::clock::millis;
use crate::database::entity::{fleet_key, node, route_table, seen_health};
use crate::database::{Database, Tx, from_json, signed, to_json, unsigned};
use crate::error::StorageError;

/// The most nodes of a fleet that are read.
const MAX_NODES: u64 = 10_000;

/// How long what a control plane says of nodes counts: several times as long as it takes to say it again.
const SEEN_COUNTS: Duration = Duration::from_secs(10);

/// Control planes that are heard.
const MAX_PLANES: u64 = 64;

/// The fleet's one row in `route_tables`.
const TABLE: &str = "fleet";

/// A node as the fleet knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    /// Its newest report.
    pub report: NodeReport,
    /// True when an operator asked that it get nothing new.
    pub draining: bool,
    /// It counts as gone from this time on, in Unix milliseconds.
    pub lease_until_ms: u64,
    /// When it first reported, in Unix milliseconds.
    pub first_ms: u64,
    /// When it last reported, in Unix milliseconds.
    pub updated_ms: u64,
}

/// What a control plane sees of a node.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// How much of its share it should be given, in percent; `None` for all of it.
    pub percent: Option<u8>,
    /// From 0 to 1.
    pub score: f64,
    /// What is worst about it.
    pub why: String,
}

/// Nodes and the route table. Clones share the database.
#[derive(Debug, Clone)]
pub struct Fleet {
    database: Database,
    bus: Bus,
}

impl Fleet {
    pub(crate) fn new(database: Database, bus: Bus) -> Self {
        Self { database, bus }
    }

    /// A message whenever another process, or this one, may have changed the table, the configuration or a drain.
    #[must_use]
    pub fn changes(&self) -> Subscription {
        self.bus.subscribe(topics::FLEET)
    }

    /// Takes a node's report and renews its lease. What operators set stays.
    ///
    /// # Errors
    /// The engine's.
    pub async fn report(&self, report: &NodeReport, lease: Duration) -> Result<NodeRecord, StorageError> {
        let body = to_json(report)?;
        let body = &body;
        let row = self
            .database
            .write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    let now = signed(tx.now_ms());
                    let row = node::ActiveModel {
                        node: Set(report.node.to_string()),
                        report: Set(body.clone()),
                        draining: Set(false),
                        lease_until_ms: Set(now + signed(millis(lease))),
                        first_ms: Set(now),
                        updated_ms: Set(now),
                    };
                    let renew = OnConflict::column(node::Column::Node)
                        .update_columns([
                            node::Column::Report,
                            node::Column::LeaseUntilMs,
                            node::Column::UpdatedMs,
                        ])
                        .to_owned();
                    let inserted = node::Entity::insert(row).on_conflict(renew);
                    Ok(inserted.exec_with_returning(tx.conn()).await?)
                })
            })
            .await?;
        NodeRecord::try_from(row)
    }

    /// All nodes by name, those that are gone too.
    ///
    /// # Errors
    /// The engine's.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StorageError> {
        let rows = node::Entity::find()
            .order_by_asc(node::Column::Node)
            .limit(MAX_NODES)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(NodeRecord::try_from).collect()
    }

    /// Marks a node as draining or not, and writes down who did. False when there is no such node.
    ///
    /// # Errors
    /// The engine's.
    pub async fn set_draining(&self, node: &NodeId, draining: bool, who: &Who) -> Result<bool, StorageError> {
        self.database.write(|tx| Box::pin(set_draining(tx, node, draining, who))).await
    }

    /// Forgets a node. False when there is no such node.
    ///
    /// # Errors
    /// The engine's.
    pub async fn forget(&self, node: &NodeId) -> Result<bool, StorageError> {
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let gone = node::Entity::delete_by_id(node.to_string()).exec(tx.conn()).await?;
                    Ok(gone.rows_affected == 1)
                })
            })
            .await
    }

    /// Says what a control plane sees of the nodes, in place of what it said before. What others said more than
    /// 100 s ago is forgotten.
    ///
    /// # Errors
    /// The engine's.
    pub async fn say_health(&self, plane: &str, seen: &BTreeMap<NodeId, Seen>) -> Result<(), StorageError> {
        let body = to_json(seen)?;
        let body = &body;
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let row = seen_health::ActiveModel {
                        plane: Set(plane.to_owned()),
                        at_ms: Set(signed(tx.now_ms())),
                        body: Set(body.clone()),
                    };
                    let renew = OnConflict::column(seen_health::Column::Plane)
                        .update_columns([seen_health::Column::AtMs, seen_health::Column::Body])
                        .to_owned();
                    seen_health::Entity::insert(row)
                        .on_conflict(renew)
                        .exec_without_returning(tx.conn())
                        .await?;
                    let old = tx.now_ms().saturating_sub(10 * millis(SEEN_COUNTS));
                    seen_health::Entity::delete_many()
                        .filter(seen_health::Column::AtMs.lt(signed(old)))
                        .exec(tx.conn())
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// What each control plane that said so within 10 s sees of the nodes, by its name: at most 64.
    ///
    /// # Errors
    /// The engine's.
    pub async fn seen_health(&self) -> Result<BTreeMap<String, BTreeMap<NodeId, Seen>>, StorageError> {
        let since = self.database.now_ms().saturating_sub(millis(SEEN_COUNTS));
        let rows = seen_health::Entity::find()
            .filter(seen_health::Column::AtMs.gte(signed(since)))
            .limit(MAX_PLANES)
            .all(self.database.reader())
            .await?;
        rows.into_iter()
            .map(|row| Ok::<_, StorageError>((row.plane, from_json("seen_health.body", &row.body)?)))
            .collect()
    }

    /// The key that signs the route table, in PEM: the one that is there, or else this one from now on, for every control
    /// plane over this database.
    ///
    /// # Errors
    /// The engine's.
    pub async fn signing_key(&self, new: &str) -> Result<String, StorageError> {
        let kept = fleet_key::Entity::find_by_id(TABLE.to_owned()).one(self.database.reader()).await?;
        if let Some(kept) = kept {
            return Ok(kept.pem);
        }
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let row =
                        fleet_key::ActiveModel { name: Set(TABLE.to_owned()), pem: Set(new.to_owned()) };
                    let keep = OnConflict::column(fleet_key::Column::Name).do_nothing().to_owned();
                    fleet_key::Entity::insert(row)
                        .on_conflict(keep)
                        .exec_without_returning(tx.conn())
                        .await?;
                    let kept = fleet_key::Entity::find_by_id(TABLE.to_owned()).one(tx.conn()).await?;
                    kept.map(|row| row.pem).ok_or_else(|| StorageError::NotFound("the fleet's key".into()))
                })
            })
            .await
    }

    /// The newest route table; `None` before the first.
    ///
    /// # Errors
    /// The engine's.
    pub async fn table(&self) -> Result<Option<RouteTable>, StorageError> {
        let row = route_table::Entity::find_by_id(TABLE.to_owned()).one(self.database.reader()).await?;
        row.map(|row| from_json("route_tables.body", &row.body)).transpose()
    }

    /// The newest route table's version; 0 before the first.
    ///
    /// # Errors
    /// The engine's.
    pub async fn table_version(&self) -> Result<u64, StorageError> {
        let row = route_table::Entity::find_by_id(TABLE.to_owned()).one(self.database.reader()).await?;
        unsigned("route_tables.version", row.map_or(0, |row| row.version))
    }

    /// Publishes a route table if it is exactly one version above the newest. False when another control plane was
    /// first: read the newest and compute again.
    ///
    /// # Errors
    /// The engine's.
    pub async fn publish(&self, table: &RouteTable) -> Result<bool, StorageError> {
        let body = to_json(table)?;
        let (body, version) = (&body, signed(table.version));
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let first = route_table::ActiveModel {
                        name: Set(TABLE.to_owned()),
                        version: Set(0),
                        body: Set(String::new()),
                    };
                    let keep = OnConflict::column(route_table::Column::Name).do_nothing().to_owned();
                    if version == 1 {
                        route_table::Entity::insert(first)
                            .on_conflict(keep)
                            .exec_without_returning(tx.conn())
                            .await?;
                    }
                    let set = route_table::Entity::update_many()
                        .col_expr(route_table::Column::Version, Expr::value(version))
                        .col_expr(route_table::Column::Body, Expr::value(body.as_str()))
                        .filter(route_table::Column::Name.eq(TABLE))
                        .filter(route_table::Column::Version.eq(version - 1))
                        .exec(tx.conn())
                        .await?;
                    tx.wake_after_commit(topics::FLEET);
                    Ok(set.rows_affected == 1)
                })
            })
            .await
    }
}

async fn set_draining(tx: &Tx<'_>, node: &NodeId, draining: bool, who: &Who) -> Result<bool, StorageError> {
    let Some(row) = node::Entity::find_by_id(node.to_string()).one(tx.conn()).await? else {
        return Ok(false);
    };
    node::Entity::update_many()
        .col_expr(node::Column::Draining, Expr::value(draining))
        .filter(node::Column::Node.eq(node.as_str()))
        .exec(tx.conn())
        .await?;
    let act = Act {
        action: if draining { "drain" } else { "undrain" },
        subject: node.to_string(),
        before: Some(json!({ "draining": row.draining })),
        after: Some(json!({ "draining": draining })),
    };
    audit::record(tx, who, &act).await?;
    tx.wake_after_commit(topics::FLEET);
    Ok(true)
}

impl TryFrom<node::Model> for NodeRecord {
    type Error = StorageError;

    fn try_from(row: node::Model) -> Result<Self, StorageError> {
        Ok(Self {
            report: from_json("nodes.report", &row.report)?,
            draining: row.draining,
            lease_until_ms: unsigned("nodes.lease_until_ms", row.lease_until_ms)?,
            first_ms: unsigned("nodes.first_ms", row.first_ms)?,
            updated_ms: unsigned("nodes.updated_ms", row.updated_ms)?,
        })
    }
}
