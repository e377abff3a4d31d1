//! Texts in the language that is asked for, at a market's prices.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::place::{Place, version_of};

/// For what comes by itself, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

impl Place {
    /// Writes a product's texts in a language.
    async fn say(&self, product: &str, language: &str, texts: &Value) -> (u16, Value) {
        let at = format!("/v1/shop/products/{product}/texts/{language}");
        let (status, _, told) = self.ask("PUT", &at, Some(&self.admin), None, Some(texts)).await;
        (status, told)
    }

    async fn take_back(&self, product: &str, language: &str) -> u16 {
        let at = format!("/v1/shop/products/{product}/texts/{language}");
        self.ask("DELETE", &at, Some(&self.admin), None, None).await.0
    }

    /// What is shown in a market and a language.
    async fn shown(&self, path: &str, market: &str, language: &str) -> (HeaderMap, Value) {
        let at = format!("/v1/shop/{path}?market={market}&language={language}");
        let (status, headers, told) = self.get(&at, None).await;
        assert_eq!(status, 200, "{at}: {told}");
        (headers, told)
    }
}

fn spoken(headers: &HeaderMap) -> Option<&str> {
    headers.get("content-language").map(|value| value.to_str().unwrap())
}

/// A product that is sold in both markets; its id and its variant's.
async fn sold_in_both(place: &Place) -> (String, String) {
    let variant = json!({ "sku": "both", "title": "M", "prices": { "de": 1_190, "us": 1_500 } });
    let body = json!({ "title": "Shirt", "description": "Of wool", "variants": [variant] });
    let (status, _, made) = place.post("/v1/shop/products", Some(&place.admin), None, &body).await;
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().unwrap().to_owned(), made["variants"][0].as_str().unwrap().to_owned())
}

pub(super) async fn a_product_is_shown_in_the_nearest_language(place: Place) {
    let (product, variant) = sold_in_both(&place).await;
    let swiss = json!({ "title": "Hemmli", "description": "Us Wulle", "variants": { &variant: "Mittel" } });
    let (status, told) = place.say(&product, "DE-ch", &swiss).await;
    assert_eq!((status, &told["language"]), (200, &json!("de-CH")), "{told}");
    assert_eq!(version_of(&told, &format!("product:{product}")), 2);
    assert_eq!(version_of(&told, "products"), 2);
    let entry = place.shop.storage.audit().list(None, 1).await.unwrap().remove(0);
    let was =
        json!({ "texts.de-CH.title": null, "texts.de-CH.description": null, "texts.de-CH.variants": null });
    let is = json!({ "texts.de-CH.title": "Hemmli", "texts.de-CH.description": "Us Wulle",
        "texts.de-CH.variants": { &variant: "Mittel" } });
    assert_eq!((entry.action.as_str(), entry.before, entry.after), ("edit-product", Some(was), Some(is)));

    let german = json!({ "title": "Hemd" });
    assert_eq!(place.say(&product, "de", &german).await.0, 200);
    let at = format!("products/{product}");
    for (market, price) in [("de", 1_190), ("us", 1_500)] {
        for (wanted, language, title, description, size) in [
            ("de-CH", Some("de-CH"), "Hemmli", "Us Wulle", "Mittel"),
            ("DE-ch-1996", Some("de-CH"), "Hemmli", "Us Wulle", "Mittel"),
            ("de-AT", Some("de"), "Hemd", "", "M"),
            ("de", Some("de"), "Hemd", "", "M"),
            // Less is left out at the end, and never at the beginning.
            ("fr-CH", None, "Shirt", "Of wool", "M"),
        ] {
            let (headers, shown) = place.shown(&at, market, wanted).await;
            assert_eq!(spoken(&headers), language, "{wanted}");
            assert_eq!(shown["language"].as_str(), language, "{wanted}: {shown}");
            assert_eq!(headers["sluice-version"], format!("product:{product}=3"));
            assert!(!headers.contains_key("vary"), "an address alone says what is shown");
            let one = &shown["variants"][0];
            assert_eq!(
                (&shown["title"], &shown["description"], &one["title"], &one["price"]),
                (&json!(title), &json!(description), &json!(size), &json!(price)),
                "{wanted} in {market}"
            );
            let (headers, one) = place.shown(&format!("variants/{variant}"), market, wanted).await;
            assert_eq!((spoken(&headers), one["language"].as_str()), (language, language), "{wanted}");
            assert_eq!(
                (&one["title"], &one["product"]["title"], &one["price"]),
                (&json!(size), &json!(title), &json!(price)),
                "{wanted} in {market}"
            );
        }
    }
    let own = place.get(&format!("/v1/shop/{at}?market=de"), None).await.2;
    assert_eq!((&own["title"], own.get("language")), (&json!("Shirt"), None));

    assert_eq!(place.take_back(&product, "de-CH").await, 200);
    assert_eq!(place.take_back(&product, "de-CH").await, 404);
    let (headers, shown) = place.shown(&at, "de", "de-CH").await;
    assert_eq!((spoken(&headers), &shown["title"]), (Some("de"), &json!("Hemd")));
    assert_eq!(headers["sluice-version"], format!("product:{product}=4"), "what was refused is no change");
}

pub(super) async fn a_list_says_its_language_where_it_is_one(place: Place) {
    let (both, _) = sold_in_both(&place).await;
    let (cap, _) = place.product("cap", 1).await;
    let titles = async |market: &str| {
        let (headers, page) = place.shown("products", market, "de-CH").await;
        let products = page["products"].as_array().unwrap().iter();
        let titles: Vec<String> = products.map(|one| one["title"].as_str().unwrap().to_owned()).collect();
        (spoken(&headers).map(str::to_owned), titles)
    };
    let told = |language: Option<&str>, titles: &[&str]| {
        (language.map(str::to_owned), titles.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(titles("de").await, told(None, &["cap", "Shirt"]));
    assert_eq!(place.say(&both, "de", &json!({ "title": "Hemd" })).await.0, 200);
    // What is sold there counts, and nothing else.
    assert_eq!(titles("de").await, told(None, &["cap", "Hemd"]));
    assert_eq!(titles("us").await, told(Some("de"), &["Hemd"]));
    assert_eq!(place.say(&cap, "de-CH", &json!({ "title": "Chappe" })).await.0, 200);
    assert_eq!(titles("de").await, told(None, &["Chappe", "Hemd"]), "two languages are not one");
    assert_eq!(place.say(&both, "de-CH", &json!({ "title": "Hemmli" })).await.0, 200);
    assert_eq!(titles("de").await, told(Some("de-CH"), &["Chappe", "Hemmli"]));
    let first = place.get("/v1/shop/products?market=de&language=de-CH&limit=1", None).await.2;
    let after = first["next"].as_str().unwrap();
    let at = format!("/v1/shop/products?market=de&language=de-CH&limit=1&after={after}");
    let rest = place.get(&at, None).await.2;
    assert_eq!(
        (&first["products"][0]["title"], &rest["products"][0]["title"], rest.get("next")),
        (&json!("Chappe"), &json!("Hemmli"), None)
    );
}

pub(super) async fn words_of_every_language_find_a_product(mut place: Place) {
    place.follow();
    let (product, variant) = sold_in_both(&place).await;
    let german = json!({ "title": "Hemd", "description": "Flauschig", "variants": { &variant: "Mittel" } });
    assert_eq!(place.say(&product, "de", &german).await.0, 200);
    let found = async |query: &str, total: u64| {
        let at = format!("/v1/shop/search?market=us&{query}");
        let found = async {
            loop {
                let (status, headers, told) = place.get(&at, None).await;
                if status == 200 && told["total"] == total {
                    return (spoken(&headers).map(str::to_owned), told);
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, found).await.unwrap()
    };
    for word in ["hemd", "flauschig", "mittel", "shirt", "wool"] {
        let (language, told) = found(&format!("q={word}&language=de-CH"), 1).await;
        assert_eq!(
            (language.as_deref(), &told["products"][0]["title"]),
            (Some("de"), &json!("Hemd")),
            "{word}"
        );
        let (language, told) = found(&format!("q={word}"), 1).await;
        assert_eq!((language, &told["products"][0]["title"]), (None, &json!("Shirt")), "{word}");
    }
    assert_eq!(place.take_back(&product, "de").await, 200);
    found("q=hemd", 0).await;
    found("q=shirt&language=de", 1).await;
}

pub(super) async fn texts_that_cannot_be_are_refused(place: Place) {
    let (product, _) = sold_in_both(&place).await;
    let (_, others) = place.product("cap", 1).await;
    let texts = json!({ "title": "Hemd" });
    for (language, texts, status) in [
        ("german", texts.clone(), 400),
        ("de_CH", texts.clone(), 400),
        ("de", json!({ "title": "" }), 422),
        ("de", json!({ "title": "x".repeat(501) }), 422),
        ("de", json!({ "title": "Hemd", "description": "x".repeat(20_001) }), 422),
        ("de", json!({ "title": "Hemd", "colour": "rot" }), 400),
        ("de", json!({ "title": "Hemd", "variants": { &others: "M" } }), 404),
    ] {
        assert_eq!(place.say(&product, language, &texts).await.0, status, "{language} {texts}");
    }
    assert_eq!(place.say(&others, "de", &texts).await.0, 404, "a variant is no product");
    let at = format!("/v1/shop/products/{product}/texts/de");
    assert_eq!(place.ask("PUT", &at, Some(&place.buyer), None, Some(&texts)).await.0, 403);
    assert_eq!(place.ask("DELETE", &at, None, None, None).await.0, 401);
    for path in [format!("products/{product}"), "products".to_owned(), "search".to_owned()] {
        for language in ["german", "de_CH", ""] {
            let at = format!("/v1/shop/{path}?market=de&language={language}");
            let (status, headers, _) = place.get(&at, None).await;
            assert_eq!(
                (status, headers["content-type"].as_bytes()),
                (400, &b"application/problem+json"[..]),
                "{at}"
            );
        }
    }

    let letter = |n: u8| char::from(b'a' + n);
    let languages: Vec<String> = (0..32).map(|n| format!("q{}{}", letter(n / 26), letter(n % 26))).collect();
    for language in &languages {
        assert_eq!(place.say(&product, language, &texts).await.0, 200, "{language}");
    }
    let (status, told) = place.say(&product, "de", &texts).await;
    assert_eq!((status, &told["detail"]), (422, &json!("language: at most 32 of a product")));
    for language in [&languages[0], &languages[31]] {
        assert_eq!(place.say(&product, language, &texts).await.0, 200, "{language} is one of them");
    }
    assert_eq!(place.take_back(&product, &languages[7]).await, 200);
    assert_eq!(place.say(&product, "de", &texts).await.0, 200);
}
