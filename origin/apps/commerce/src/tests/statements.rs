//! What reads cost.

use sluice_storage::count_statements;

use super::place::Place;

pub(super) async fn reads_cost_three_statements_at_most(place: Place) {
    let (product, variant) = place.product("a", 5).await;
    let order = place.order(&variant, 1, None).await.2["id"].as_str().unwrap().to_owned();
    let (admin, buyer) = (Some(place.admin.as_str()), Some(place.buyer.as_str()));
    let reads = [
        ("/v1/shop/products?market=de&limit=2".to_owned(), None, 3),
        (format!("/v1/shop/products/{product}?market=de"), None, 3),
        (format!("/v1/shop/stock/{variant}"), None, 2),
        (format!("/v1/shop/stock/{variant}/entries"), admin, 2),
        ("/v1/shop/carts/mine".to_owned(), buyer, 1),
        ("/v1/shop/orders".to_owned(), buyer, 1),
        (format!("/v1/shop/orders/{order}"), buyer, 2),
        ("/v1/shop/ledger/balance".to_owned(), admin, 2),
        ("/v1/shop/openapi.json".to_owned(), None, 0),
    ];
    for (path, token, most) in reads {
        let ((status, _, body), sent) = count_statements(place.get(&path, token)).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(sent <= most, "{path}: {sent} statements");
    }
    let described = place.get("/v1/shop/openapi.json", None).await.2;
    assert_eq!(described["paths"].as_object().unwrap().len(), 13, "each of our paths is described");
}
