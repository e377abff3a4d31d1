//! The search of the catalog while its log is behind, its store is away, or its index is damaged.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::ConnectionTrait;
use tokio::time::{sleep, timeout};

use super::place::Place;

/// For what comes by itself, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Times that the index was made of the rows.
const BUILT: &str = "sluice_shop_search_built_total";
/// Times that it could not go on.
const STORAGE: &str = r#"sluice_shop_search_troubles_total{why="storage"}"#;
const DAMAGED: &str = r#"sluice_shop_search_troubles_total{why="damaged"}"#;

impl Place {
    /// Searches for all that is sold, at least as these versions have it.
    async fn found(&self, at_least: Option<&str>) -> (u16, HeaderMap, Value) {
        let mut request = Request::builder().uri("/v1/shop/search?market=de");
        if let Some(versions) = at_least {
            request = request.header("sluice-at-least", versions);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Searches until so many are found; the answer's fields.
    async fn until_found(&self, total: u64) -> HeaderMap {
        let found = async {
            loop {
                let (status, headers, told) = self.found(None).await;
                if status == 200 && told["total"] == total {
                    return headers;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, found).await.unwrap()
    }

    /// What a counter says, by its name and labels.
    fn counted(&self, name: &str) -> u64 {
        let text = self.alone.ground.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    async fn until_counted(&self, name: &str, least: u64) {
        let counted = async {
            while self.counted(name) < least {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, counted).await.unwrap();
    }

    /// Calls a table otherwise: what reads it fails until it has its name again.
    async fn rename(&self, table: &str, other: &str) {
        let sql = &format!("ALTER TABLE {table} RENAME TO {other}");
        let write = self.shop.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                tx.conn().execute_unprepared(sql).await?;
                Ok(())
            })
        });
        write.await.unwrap();
    }
}

/// Edges hear of changes by the log: they are told what it has told, under the versions that it has told. Whoever has written
/// more, and says so, is not shown less.
pub(super) async fn what_the_log_has_not_told_is_not_claimed(mut place: Place) {
    if place.shop.storage.database.has_one_writer() {
        // The log has told of all that is committed there.
        return;
    }
    place.product("first", 1).await;
    place.follow_log();
    let headers = place.until_found(1).await;
    assert_eq!(headers["sluice-version"], "products=1 availability=1");

    place.product("second", 1).await;
    let (status, headers, told) = place.found(None).await;
    assert_eq!((status, &told["total"]), (200, &json!(1)), "{told}");
    assert_eq!(headers["sluice-version"], "products=1 availability=1");
    let (status, _, told) = place.found(Some("products=2")).await;
    assert_eq!((status, &told["type"]), (503, &json!("/problems/search-behind")), "{told}");

    place.relay();
    let headers = place.until_found(2).await;
    assert_eq!(headers["sluice-version"], "products=2 availability=2");
    assert_eq!(place.found(Some("products=2")).await.0, 200);
}

pub(super) async fn an_index_goes_on_once_its_store_is_there_again(mut place: Place) {
    place.follow();
    place.product("first", 1).await;
    place.until_found(1).await;
    place.rename("shop_categories", "shop_elsewhere").await;
    place.product("second", 1).await;
    place.until_counted(STORAGE, 2).await;
    let (status, _, told) = place.found(None).await;
    let wanted = (503, &json!("/problems/search-behind"));
    assert_eq!((status, &told["type"]), wanted, "the log has told of more: {told}");

    place.rename("shop_elsewhere", "shop_categories").await;
    place.until_found(2).await;
    assert_eq!(place.counted(BUILT), 1, "it was not made anew");
}

pub(super) async fn a_damaged_index_is_made_anew_once(mut place: Place) {
    place.follow();
    place.product("first", 1).await;
    place.until_found(1).await;
    let damaged = place.shop.search.damaged().unwrap();
    damaged.cancel();
    // It answers meanwhile: what is asked may be whole.
    assert_eq!(place.found(None).await.0, 200);
    place.until_counted(BUILT, 2).await;
    // Those who were looking into the old one tell so as well.
    damaged.cancel();
    place.product("second", 1).await;
    place.until_found(2).await;
    assert_eq!((place.counted(BUILT), place.counted(DAMAGED)), (2, 1));
}
