//! Waiting rooms: in front of what is scarce, edges hold the crowd (see [`sluice_wire::room`]).
//!
//! An app opens a room in the transaction of its own write, says in the same transaction what is left each time that changes,
//! and has each reservation use up an admission with it. The rest is done here: `GET /v1/rooms` and
//! `POST /v1/rooms/NAME/admissions`, for edges alone, and the log's events.
//!
//! - `allow`: how many may be let in, a pure function; `admit`: letting them in; `rows`: what is kept
//!
//! No more admissions are good at a time than there are units, whichever edges ask and whatever becomes of them: a ticket has
//! one admission, for ever; one that is not used in time counts no more, and its unit is the next ticket's.

mod admit;
mod allow;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use http::HeaderMap;
use rows::{admission, room};
use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{Storage, StorageError, Tx};
use sluice_wire::headers::SLUICE_ADMISSION;
use sluice_wire::room::{Guard, MAX_ROOMS, ROOM, Said, Ticket, brought, tag};
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{EventKind, Version};

use crate::ApiError;

/// The rooms of a database. Clones are the same.
#[derive(Debug, Clone)]
pub struct Rooms {
    storage: Storage,
    signer: Arc<SigningKey>,
}

/// How a room is opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What it guards.
    pub guard: Guard,
    /// Units that one admission may take; 1 upwards.
    pub each: i64,
    /// Admissions in a second, on all edges together; 1 upwards.
    pub rate: i64,
    /// Milliseconds for which an admission is good.
    pub hold_ms: u64,
}

/// A room as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// Whether it is open.
    pub open: bool,
    /// Units that one admission may take.
    pub each: i64,
    /// Admissions in a second.
    pub rate: i64,
    /// Milliseconds for which an admission is good.
    pub hold_ms: i64,
}

/// The admissions that a request brings: checked, and not used yet.
#[derive(Debug, Clone, Default)]
pub struct Brought {
    /// By room.
    tickets: BTreeMap<String, Ticket>,
    /// Why one of them is not good. It counts where one is needed: what was answered before is answered again without.
    refused: Option<ApiError>,
}

/// How many were let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Admissions that are good and unused.
    pub outstanding: u64,
    /// Admissions that were used.
    pub used: u64,
}

impl Rooms {
    pub(crate) fn new(storage: Storage, signer: Arc<SigningKey>) -> Self {
        Self { storage, signer }
    }

    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route(sluice_wire::room::PATH, get(admit::list))
            .route("/v1/rooms/{room}/admissions", post(admit::admissions))
            .with_state(self.clone())
    }

    /// Opens a room, or has one that is open go on otherwise. `units` are those that can be had now.
    ///
    /// # Errors
    /// 409 when [`MAX_ROOMS`] others are open; the engine's.
    pub async fn open(
        &self,
        tx: &Tx<'_>,
        name: &str,
        opening: &Opening,
        units: i64,
    ) -> Result<Version, ApiError> {
        let found = room::Entity::find_by_id(name.to_owned()).one(tx.conn()).await?;
        let now = signed(tx.now_ms());
        let (opened_ms, secret) = match found.filter(|row| row.open) {
            Some(row) => (row.opened_ms, row.secret),
            None => {
                let open = room::Entity::find().filter(room::Column::Open.eq(true)).count(tx.conn()).await?;
                if open >= MAX_ROOMS as u64 {
                    return Err(ApiError::conflict(format!("{MAX_ROOMS} rooms are open: close one first")));
                }
                forget(tx, name).await?;
                (now, hex::encode(rand::random::<[u8; 32]>()))
            }
        };
        let row = room::Model {
            name: name.to_owned(),
            open: true,
            opened_ms,
            path: opening.guard.path.clone(),
            word: opening.guard.word.clone(),
            secret,
            units,
            told: units,
            each: opening.each,
            rate: opening.rate,
            credit: 0,
            credit_ms: now,
            hold_ms: signed(opening.hold_ms),
        };
        self.put(tx, row).await
    }

    /// Closes a room: what it guarded is free to all. Closed already, nothing is done.
    ///
    /// # Errors
    /// 404 when there is none; the engine's.
    pub async fn close(&self, tx: &Tx<'_>, name: &str) -> Result<Option<Version>, ApiError> {
        let found = room::Entity::find_by_id(name.to_owned()).one(tx.conn()).await?;
        let row = found.ok_or_else(|| ApiError::not_found(format!("no room {name:?}")))?;
        if !row.open {
            return Ok(None);
        }
        forget(tx, name).await?;
        self.put(tx, room::Model { open: false, ..row }).await.map(Some)
    }

    async fn put(&self, tx: &Tx<'_>, row: room::Model) -> Result<Version, ApiError> {
        use room::Column as C;
        let told = say(tx, &row);
        let again = OnConflict::column(C::Name)
            .update_columns([
                C::Open,
                C::OpenedMs,
                C::Path,
                C::Word,
                C::Secret,
                C::Units,
                C::Told,
                C::Each,
                C::Rate,
                C::Credit,
                C::CreditMs,
                C::HoldMs,
            ])
            .to_owned();
        let told = told.await?;
        room::Entity::insert(room::ActiveModel::from(row))
            .on_conflict(again)
            .exec_without_returning(tx.conn())
            .await?;
        Ok(told)
    }

    /// A room and who was let in, as it is now.
    ///
    /// # Errors
    /// 404 when there is none; the engine's.
    pub async fn show(&self, name: &str) -> Result<(Room, Counts), ApiError> {
        let reader = self.storage.database.reader();
        let found = room::Entity::find_by_id(name.to_owned()).one(reader).await?;
        let row = found.ok_or_else(|| ApiError::not_found(format!("no room {name:?}")))?;
        let all = || admission::Entity::find().filter(admission::Column::Room.eq(name));
        let now = signed(self.storage.clock.now_ms());
        let good = admission::Column::UsedBy.is_null().and(admission::Column::UntilMs.gt(now));
        let outstanding = all().filter(good).count(reader).await?;
        let used = all().filter(admission::Column::UsedBy.is_not_null()).count(reader).await?;
        Ok((of_row(row), Counts { outstanding, used }))
    }

    /// The admissions that a request brings.
    #[must_use]
    pub fn brought(&self, headers: &HeaderMap) -> Brought {
        let fields = headers.get_all(SLUICE_ADMISSION).iter();
        let tokens = brought(fields.map(|field| field.to_str().unwrap_or("?")));
        let mut brought = Brought::default();
        for token in tokens {
            match admit::read(&self.signer, token, self.storage.clock.now_ms()) {
                Ok((room, ticket)) => drop(brought.tickets.insert(room, ticket)),
                Err(why) => brought.refused = Some(why),
            }
        }
        brought
    }
}

/// Which of some rooms are open: one statement, for at most some hundred names.
///
/// # Errors
/// The engine's.
pub async fn open_among(
    tx: &Tx<'_>,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<Room>, StorageError> {
    let these = room::Entity::find().filter(room::Column::Name.is_in(names));
    let rows = these.filter(room::Column::Open.eq(true)).all(tx.conn()).await?;
    Ok(rows.into_iter().map(of_row).collect())
}

/// Says what is left of what a room guards, if it is open. Edges are told when that matters to them: at the end, after it, and
/// on the way down each time it is half.
///
/// # Errors
/// The engine's.
pub async fn left(tx: &Tx<'_>, name: &str, units: i64) -> Result<(), StorageError> {
    let changed = room::Entity::update_many()
        .col_expr(room::Column::Units, Expr::value(units))
        .filter(room::Column::Name.eq(name))
        .filter(room::Column::Open.eq(true))
        .exec_with_returning(tx.conn())
        .await?;
    let Some(row) = changed.into_iter().next() else { return Ok(()) };
    let size = |units: i64| u64::try_from(units).unwrap_or(0).checked_ilog2();
    if size(row.told) != size(units) {
        let told = room::Entity::update_many().col_expr(room::Column::Told, Expr::value(units));
        told.filter(room::Column::Name.eq(name)).exec(tx.conn()).await?;
        say(tx, &row).await?;
    }
    Ok(())
}

impl Brought {
    /// Uses up the admission to a room, for something of so many units that is called by a name. With it, that is committed
    /// or neither is.
    ///
    /// # Errors
    /// 403 without a good one or where its time is over, 409 for one that was used, 422 for more units than it is for; the engine's.
    pub async fn enter(&self, tx: &Tx<'_>, room: &Room, units: i64, what: &str) -> Result<(), ApiError> {
        let name = &room.name;
        let Some(ticket) = self.tickets.get(name) else {
            if let Some(why) = &self.refused {
                return Err(why.clone());
            }
            let detail = format!("take a ticket at /v1/rooms/{name}/tickets, and bring what it is given for");
            return Err(ApiError::new(403, "admission-needed", "Wait in line", detail));
        };
        if units > room.each {
            let detail = format!("an admission is for {} at most", room.each);
            return Err(ApiError::new(422, "too-many-units", "Too many", detail));
        }
        use admission::Column as C;
        let used = admission::Entity::update_many()
            .col_expr(C::UsedBy, Expr::value(what))
            .filter(C::Room.eq(name))
            .filter(C::Ticket.eq(ticket.to_string()))
            .filter(C::UsedBy.is_null())
            .filter(C::UntilMs.gt(signed(tx.now_ms())))
            .exec(tx.conn())
            .await?;
        if used.rows_affected == 1 {
            return Ok(());
        }
        let found = admission::Entity::find_by_id((name.clone(), ticket.to_string()));
        match found.one(tx.conn()).await?.and_then(|row| row.used_by) {
            Some(by) => {
                let detail = format!("it was used for {by}");
                Err(ApiError::new(409, "admission-used", "Used before", detail))
            }
            None => Err(admit::over()),
        }
    }
}

/// Tells edges of a room.
async fn say(tx: &Tx<'_>, row: &room::Model) -> Result<Version, StorageError> {
    let tag = tag(&row.name).ok_or_else(|| StorageError::Corrupt(format!("rooms.name is {:?}", row.name)))?;
    tx.emit(&tag, EventKind::Changed, json!({ ROOM: said(row)? })).await
}

fn said(row: &room::Model) -> Result<Said, StorageError> {
    Ok(Said {
        open: row.open,
        opened_ms: unsigned("rooms.opened_ms", row.opened_ms)?,
        left: unsigned("rooms.units", row.units)?,
        guard: Guard { path: row.path.clone(), word: row.word.clone() },
    })
}

fn of_row(row: room::Model) -> Room {
    let room::Model { name, open, each, rate, hold_ms, .. } = row;
    Room { name, open, each, rate, hold_ms }
}

/// Forgets who was let in before: another opening has another secret, and so other tickets.
async fn forget(tx: &Tx<'_>, name: &str) -> Result<(), StorageError> {
    let old = admission::Entity::delete_many().filter(admission::Column::Room.eq(name));
    old.exec(tx.conn()).await?;
    Ok(())
}
