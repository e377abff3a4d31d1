//! Warehouses: a short list that administrators keep, and what is on the shelves of each.
//!
//! What can be sold of a variant is one number, whatever place it is at ([`stock`](crate::stock)): nobody who orders waits for a
//! shelf. A place is decided on when a parcel is made, which takes units off its shelf ([`shelves`]).

pub(crate) mod shelves;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, EntityTrait};
use sluice_storage::rows::signed;
use sluice_storage::{Act, Tx, Who};
use utoipa::ToSchema;

use crate::catalog::invalid;
use crate::rows::place;
use crate::{Shop, private};

/// The place of all that came in without one being named: it is always there.
pub(crate) const DEFAULT: &str = "main";
/// Places of a shop, with the default one: they are listed without pages.
const MAX_PLACES: usize = 64;
/// Characters of a name.
const MAX_NAME: usize = 40;
/// Characters of a title.
const MAX_TITLE: usize = 100;

/// A warehouse.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Place {
    /// 1 to 40 of `a` to `z`, digits and inner hyphens. `main` is always there.
    #[schema(example = "north")]
    name: String,
    #[schema(example = "Hamburg, gate 3")]
    title: String,
}

/// All places, by their names: 64 at most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Places {
    places: Vec<Place>,
}

/// What a place is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlace {
    /// 1 to 100 characters.
    #[schema(example = "Hamburg, gate 3")]
    title: String,
}

/// All places.
#[utoipa::path(get, path = "/v1/shop/places", tag = "places", responses(
    (status = 200, body = Places), (status = 401), (status = 403),
))]
pub(crate) async fn list(State(shop): State<Shop>, caller: Caller) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let rows = place::Entity::find().all(shop.storage.database.reader()).await?;
    Ok(private(Json(Places { places: with_default(rows) })))
}

/// Places in the order of their names, which no engine has a say in, and the default one among them, whether or not it has a row.
fn with_default(rows: Vec<place::Model>) -> Vec<Place> {
    let mut places: Vec<Place> =
        rows.into_iter().map(|place::Model { name, title, .. }| Place { name, title }).collect();
    if places.iter().all(|place| place.name != DEFAULT) {
        places.push(Place { name: DEFAULT.to_owned(), title: "Main".to_owned() });
    }
    places.sort_by(|a, b| a.name.cmp(&b.name));
    places
}

/// Makes a place, or calls one that is there otherwise. A place stays: what came in there names it.
#[utoipa::path(put, path = "/v1/shop/places/{place}", tag = "places", request_body = NewPlace,
    params(("place" = String, Path, description = "1 to 40 of a to z, digits and inner hyphens")),
    responses((status = 200, body = Place), (status = 401), (status = 403),
        (status = 409, description = "there are 64 already"), (status = 422)))]
pub(crate) async fn keep(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    caller: Caller,
    asked: Asked<NewPlace>,
) -> Result<Response, ApiError> {
    caller.needs("admin")?;
    let (name, title, owner) = (&name, &asked.body.title, caller.owner());
    if !is_name(name) {
        return Err(invalid("place: 1 to 40 of a to z, digits and inner hyphens"));
    }
    if !(1..=MAX_TITLE).contains(&title.chars().count()) || title.contains(char::is_control) {
        return Err(invalid("title: 1 to 100 characters"));
    }
    let (who, audit) = (&Who { name: caller.name.clone(), role: "admin" }, &shop.storage.audit());
    shop.once
        .write(&asked, &owner, &|tx| {
            Box::pin(async move {
                let before = put(tx, name, title).await?.map(|title| json!(title));
                let after = Some(json!(title));
                let act = Act { action: "keep-place", subject: name.clone(), before, after };
                audit.record(tx, who, &act).await?;
                Ok(Answer::ok(json!({ "name": name, "title": title })))
            })
        })
        .await
}

/// Writes a place: two statements. What it was called before.
async fn put(tx: &Tx<'_>, name: &str, title: &str) -> Result<Option<String>, ApiError> {
    let rows = place::Entity::find().all(tx.conn()).await?;
    let before = rows.iter().find(|row| row.name == name).map(|row| row.title.clone());
    let all = with_default(rows);
    if all.len() >= MAX_PLACES && all.iter().all(|place| place.name != name) {
        let detail = format!("there are {MAX_PLACES} places already");
        return Err(ApiError::new(409, "too-many-places", "Too many places", detail));
    }
    let row = place::ActiveModel {
        name: Set(name.to_owned()),
        title: Set(title.to_owned()),
        created_ms: Set(signed(tx.now_ms())),
        changed_ms: Set(signed(tx.now_ms())),
    };
    let again = OnConflict::column(place::Column::Name)
        .update_columns([place::Column::Title, place::Column::ChangedMs])
        .to_owned();
    place::Entity::insert(row).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(before)
}

/// Whether there is a place with this name: a statement, and none for the default one, nor for what is no name, however long.
///
/// # Errors
/// 404.
pub(crate) async fn must_be(tx: &Tx<'_>, name: &str) -> Result<(), ApiError> {
    if !is_name(name) {
        return Err(ApiError::not_found("no place: names are 1 to 40 of a to z, digits and inner hyphens"));
    }
    if name == DEFAULT || place::Entity::find_by_id(name.to_owned()).one(tx.conn()).await?.is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(format!("no place {name:?}")))
}

/// Whether a text can be the name of a place.
fn is_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_place_is_there_once_and_in_its_order() {
        let row = |name: &str| place::Model {
            name: name.to_owned(),
            title: name.to_owned(),
            created_ms: 0,
            changed_ms: 0,
        };
        let names = |rows: &[&str]| -> Vec<String> {
            let rows = rows.iter().map(|name| row(name)).collect();
            with_default(rows).into_iter().map(|place| place.name).collect()
        };
        assert_eq!(names(&[]), ["main"]);
        assert_eq!(names(&["north", "east"]), ["east", "main", "north"]);
        assert_eq!(names(&["east", "main"]), ["east", "main"]);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("main") && is_name("hamburg-2"));
        for bad in ["", "-a", "a-", "Main", "a b", "a/b", "ä", &"a".repeat(41)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
