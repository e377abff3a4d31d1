//! Variants by their own ids, as baskets ask for them.

use serde_json::json;

use super::place::Place;

pub(super) async fn a_variant_is_found_by_itself_and_is_what_its_product_says(place: Place) {
    let (product, variant) = place.product("shirt", 5).await;
    let at = format!("/v1/shop/variants/{variant}?market=de");
    let (status, headers, shown) = place.get(&at, None).await;
    assert_eq!(
        (status, &shown),
        (
            200,
            &json!({
                "id": variant, "sku": "shirt", "title": "M", "options": { "size": "M" }, "price": 1_190,
                "market": "de", "currency": "EUR", "tax_bp": 1_900,
                "product": { "id": product, "title": "shirt", "image": "/a.jpg", "others": false },
            })
        )
    );
    let of_product = place.get(&format!("/v1/shop/products/{product}?market=de"), None).await.1;
    for field in ["surrogate-key", "sluice-version", "sluice-cache-control", "cache-control"] {
        assert_eq!(headers.get(field), of_product.get(field), "edges keep it as its product: {field}");
    }
    assert_eq!(headers["sluice-version"], format!("product:{product}=1"));
    let abroad = place.get(&format!("/v1/shop/variants/{variant}?market=us"), None).await;
    assert_eq!((abroad.0, &abroad.2["price"]), (200, &json!(null)), "it has no price there");

    // What is written into the product is said of the variant, under the version of that.
    let one = json!({ "sku": "large", "title": "L", "options": {}, "prices": { "de": 1_290 } });
    let changed = json!({ "id": variant, "prices": { "de": 990 } });
    let edit = json!({ "title": "Shirt", "variants": [changed], "add": [one] });
    let write = format!("/v1/shop/products/{product}");
    let (status, _, told) = place.ask("PATCH", &write, Some(&place.admin), None, Some(&edit)).await;
    assert_eq!(status, 200, "{told}");
    let (_, headers, shown) = place.get(&at, None).await;
    assert_eq!(headers["sluice-version"], format!("product:{product}=2"));
    assert_eq!(
        (&shown["price"], &shown["product"]["title"], &shown["product"]["others"]),
        (&json!(990), &json!("Shirt"), &json!(true))
    );
    let large = told["variants"][0].as_str().unwrap();
    let shown = place.get(&format!("/v1/shop/variants/{large}?market=de"), None).await.2;
    assert_eq!((&shown["id"], &shown["price"]), (&json!(large), &json!(1_290)), "each is itself");

    for (wrong, status) in [
        (format!("/v1/shop/variants/{product}?market=de"), 404),
        (format!("/v1/shop/variants/{variant}?market=nowhere"), 404),
        (format!("/v1/shop/variants/{variant}"), 400),
    ] {
        assert_eq!(place.get(&wrong, None).await.0, status, "{wrong}");
    }
    let entry = place.shop.storage.audit().list(None, 1).await.unwrap().remove(0);
    let prices = format!("variants.{variant}.prices");
    let was = json!({ "title": "shirt", &prices: { "de": 1_190 }, "added": null });
    let is = json!({ "title": "Shirt", &prices: { "de": 990 }, "added": ["large"] });
    assert_eq!((entry.action.as_str(), entry.before, entry.after), ("edit-product", Some(was), Some(is)));
    let gone = json!({ "active": false });
    assert_eq!(place.ask("PATCH", &write, Some(&place.admin), None, Some(&gone)).await.0, 200);
    assert_eq!(place.get(&at, None).await.0, 404, "it is sold no longer");
}
