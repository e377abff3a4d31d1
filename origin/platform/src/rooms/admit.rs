//! Letting tickets in, for edges; and reading what those who were let in bring.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx};
use sluice_wire::Version;
use sluice_wire::room::{Admission, Ask, Given, MAX_ASK, MAX_ROOMS, Room as Listed, Ticket, tag};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;

use super::rows::{admission, room};
use super::{Rooms, allow, said};
use crate::ApiError;
use crate::cache::{self, Lifetime};
use crate::once::Asked;

/// What a transaction has decided: the room, and tickets with the end of their admissions.
struct Decided {
    room: room::Model,
    admitted: Vec<(Ticket, i64)>,
    used: Vec<Ticket>,
}

/// `GET /v1/rooms`: the rooms that are open, newline-delimited JSON, for edges.
pub(super) async fn list(State(rooms): State<Rooms>) -> Result<Response, ApiError> {
    let reader = rooms.storage.database.reader();
    let open = || room::Entity::find().filter(room::Column::Open.eq(true)).limit(MAX_ROOMS as u64);
    // The versions first: what is listed is as new as they say, or newer.
    let tags: Vec<_> = open().all(reader).await?.iter().filter_map(|row| tag(&row.name)).collect();
    let versions = rooms.storage.log().versions_of(&tags).await?;
    let mut text = vec![];
    for row in open().all(reader).await? {
        let of_this = versions.iter().find(|(known, _)| Some(known) == tag(&row.name).as_ref());
        let version = of_this.map_or_else(Default::default, |(_, version)| *version);
        let listed = Listed { version, said: said(&row)?, name: row.name, secret: row.secret };
        text.extend(serde_json::to_vec(&listed).unwrap_or_default());
        text.push(b'\n');
    }
    let mut answer = text.into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

/// `POST /v1/rooms/NAME/admissions`: lets in as many of an edge's tickets as may be, for edges. Asked again for one, it is the
/// same admission.
pub(super) async fn admissions(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    asked: Asked<Ask>,
) -> Result<Response, ApiError> {
    let ask = asked.body;
    if ask.tickets.len() > MAX_ASK {
        return Err(ApiError::bad_request(format!("at most {MAX_ASK} tickets")));
    }
    // Before what it describes: what is decided is as new, or newer.
    let version = match tag(&name) {
        Some(tag) => rooms.storage.log().version_of(&tag).await?,
        None => Version::default(),
    };
    let (name, ask) = (&name, &ask);
    let decided =
        rooms.storage.database.write::<_, ApiError, _>(move |tx| Box::pin(decide(tx, name, ask))).await?;
    let mint = |(ticket, until): &(Ticket, i64)| {
        let until_ms = unsigned("room_admissions.until_ms", *until)?;
        let token = mint(&rooms.signer, &decided.room, *ticket, until_ms);
        Ok(Admission { ticket: *ticket, token, until_ms })
    };
    let admissions: Result<Vec<_>, StorageError> = decided.admitted.iter().map(mint).collect();
    let left = unsigned("rooms.units", decided.room.units)?;
    let given = Given { version, left, admissions: admissions?, used: decided.used };
    let mut answer = Json(given).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

async fn decide(tx: &Tx<'_>, name: &str, ask: &Ask) -> Result<Decided, ApiError> {
    let found = room::Entity::find_by_id(name.to_owned()).one(tx.conn()).await?;
    let room = found.filter(|row| row.open && row.opened_ms == signed(ask.opened_ms));
    let room =
        room.ok_or_else(|| ApiError::not_found(format!("no room {name:?} of that opening is open")))?;
    let mine = || admission::Entity::find().filter(admission::Column::Room.eq(name));
    let texts = ask.tickets.iter().map(ToString::to_string);
    let known = mine().filter(admission::Column::Ticket.is_in(texts)).all(tx.conn()).await?;
    let known: HashMap<&str, &admission::Model> =
        known.iter().map(|row| (row.ticket.as_str(), row)).collect();
    let now = signed(tx.now_ms());
    let good = admission::Column::UsedBy.is_null().and(admission::Column::UntilMs.gt(now));
    let outstanding = signed(mine().filter(good).count(tx.conn()).await?);
    let allowance = allow::Room {
        units: room.units,
        outstanding,
        each: room.each,
        rate: room.rate,
        credit: room.credit,
        since_ms: now - room.credit_ms,
    };
    let (mut allowed, credit) = allowance.allows();
    let (mut admitted, mut used, mut fresh) = (vec![], vec![], vec![]);
    for ticket in &ask.tickets {
        match known.get(ticket.to_string().as_str()) {
            Some(row) if row.used_by.is_some() => used.push(*ticket),
            Some(row) if row.until_ms > now => admitted.push((*ticket, row.until_ms)),
            Some(_) | None if allowed > 0 => {
                allowed -= 1;
                admitted.push((*ticket, now + room.hold_ms));
                fresh.push(*ticket);
            }
            // The others wait; but what is asked again after them is told.
            Some(_) | None => {}
        }
    }
    if !fresh.is_empty() {
        let spent = 1_000 * i64::try_from(fresh.len()).unwrap_or(i64::MAX);
        keep(tx, &room, &fresh, credit - spent).await?;
    }
    Ok(Decided { room, admitted, used })
}

/// Keeps who is let in now, and what that costs.
async fn keep(tx: &Tx<'_>, room: &room::Model, fresh: &[Ticket], credit: i64) -> Result<(), StorageError> {
    let now = signed(tx.now_ms());
    let row = |ticket: &Ticket| admission::ActiveModel {
        room: Set(room.name.clone()),
        ticket: Set(ticket.to_string()),
        until_ms: Set(now + room.hold_ms),
        used_by: Set(None),
    };
    let again = OnConflict::columns([admission::Column::Room, admission::Column::Ticket])
        .update_column(admission::Column::UntilMs)
        .to_owned();
    admission::Entity::insert_many(fresh.iter().map(row))
        .on_conflict(again)
        .exec_without_returning(tx.conn())
        .await?;
    room::Entity::update_many()
        .col_expr(room::Column::Credit, Expr::value(credit))
        .col_expr(room::Column::CreditMs, Expr::value(now))
        .filter(room::Column::Name.eq(&room.name))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The token that lets a ticket's holder in. It is good for what the room guards, and for nothing else.
fn mint(signer: &SigningKey, room: &room::Model, ticket: Ticket, until_ms: u64) -> String {
    signer.token(&Claims {
        sub: Some(ticket.to_string()),
        exp: Some(until_ms.div_ceil(1_000).into()),
        paths: Some(vec![room.path.clone()]),
        methods: Some(vec!["POST".to_owned()]),
        channels: Some(vec![format!("room:{}", room.name)]),
        ..Claims::default()
    })
}

/// The room and the ticket of a token.
///
/// # Errors
/// 403.
pub(super) fn read(signer: &SigningKey, token: &str, now_ms: u64) -> Result<(String, Ticket), ApiError> {
    let claims = signer.read(token, now_ms / 1_000).map_err(|why| match why {
        sluice_wire::token::Refusal::Expired => over(),
        why => refused(why.as_str()),
    })?;
    let channels = claims.channels.unwrap_or_default();
    let room = match &channels[..] {
        [one] => one.strip_prefix("room:").map(str::to_owned),
        _ => None,
    };
    let ticket = claims.sub.and_then(|ticket| Ticket::try_from(ticket).ok());
    room.zip(ticket).ok_or_else(|| refused("it is another token"))
}

fn refused(why: &str) -> ApiError {
    ApiError::new(403, "admission-refused", "Wait in line", format!("the admission is not good: {why}"))
}

/// The time of an admission is over.
pub(super) fn over() -> ApiError {
    let detail = "the admission's time is over: its ticket has its place in line again";
    ApiError::new(403, "admission-expired", "Wait in line", detail)
}
