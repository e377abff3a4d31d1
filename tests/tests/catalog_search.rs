//! The search of the catalog from outside: words with a letter wrong, facets that are exact, changes that are found at once and
//! made fresh at edges, two origins with an index each, and an origin that comes back to its index, sound or damaged.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::client::{client, header};
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, sign_up};
use sluice_tests::stripe::Stripe;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long what is pushed may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
/// Times that an origin made its index of the rows.
const BUILT: &str = "sluice_shop_search_built_total";

/// Two origins on one database, the first with its index in a folder, behind an edge.
struct Scene {
    first: Process,
    second: Process,
    edge: Process,
    /// Where changes are sent to.
    door: String,
    boss: String,
    http: Client,
    index: PathBuf,
    _gateway: Stripe,
    _dir: tempfile::TempDir,
    _shop: Shop,
}

impl Scene {
    async fn new(shop: Shop) -> Self {
        let (gateway, dir) = (Stripe::start().await, tempfile::tempdir().unwrap());
        let (at, index) = (format!("http://{}", gateway.at), dir.path().join("search"));
        let mut first = shop.origin("first", &at);
        first.set("apps.commerce.search.dir", &index.display().to_string());
        first.start().await;
        let mut second = shop.origin("second", &at);
        second.start().await;
        let mut edge = shop.edge("edge", &[first.url(), second.url()]);
        edge.start().await;
        let boss = sign_up(&edge.url(), "boss").await;
        let (http, door) = (client(), edge.url());
        Self { first, second, edge, door, boss, http, index, _gateway: gateway, _dir: dir, _shop: shop }
    }

    /// Changes something; what it was answered.
    async fn write(&self, method: Method, path: &str, body: Value) -> Value {
        let asked = self.http.request(method, format!("{}/v1/shop/{path}", self.door));
        let answer = asked.bearer_auth(&self.boss).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        let told = answer.json().await.unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {told}");
        told
    }

    /// A product with variants of some colours, and a unit of each; its id and the variants'.
    async fn product(
        &self,
        title: &str,
        category: &str,
        price: i64,
        colours: &[&str],
    ) -> (String, Vec<String>) {
        let variants = colours.iter().map(|colour| {
            json!({ "sku": format!("{price}-{colour}"), "title": colour, "options": { "colour": colour },
                "prices": { "de": price } })
        });
        let variants: Vec<Value> = variants.collect();
        let body = json!({ "title": title, "category": category, "variants": variants });
        let made = self.write(Method::POST, "products", body).await;
        let texts = made["variants"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        let variants: Vec<String> = texts.collect();
        for id in &variants {
            self.write(Method::POST, &format!("stock/{id}"), json!({ "quantity": 1 })).await;
        }
        (made["id"].as_str().unwrap().to_owned(), variants)
    }

    /// What is found, once it is `good`; how the edge came by it.
    async fn until(&self, query: &str, good: impl Fn(&Value) -> bool) -> (Value, String) {
        let begun = Instant::now();
        loop {
            let (status, told, did) = search(&self.edge.url(), query, None).await;
            if status == 200 && good(&told) {
                return (told, did);
            }
            assert!(begun.elapsed() < LIMIT, "{query}: {status} {told}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn titles(&self, query: &str) -> Vec<String> {
        titles(&self.until(query, |_| true).await.0)
    }
}

/// Asks for German prices: status, document, what the cache did.
async fn search(at: &str, query: &str, at_least: Option<&str>) -> (u16, Value, String) {
    let mut asked = client().get(format!("{at}/v1/shop/search?market=de{query}"));
    if let Some(versions) = at_least {
        asked = asked.header("sluice-at-least", versions);
    }
    let answer = asked.send().await.unwrap();
    let (status, did) = (answer.status().as_u16(), header(&answer, "cache-status"));
    (status, answer.json().await.unwrap_or_default(), did)
}

fn titles(told: &Value) -> Vec<String> {
    let products = told["products"].as_array().unwrap();
    products.iter().map(|product| product["title"].as_str().unwrap().to_owned()).collect()
}

/// A facet's values with their counts.
fn counts(values: &Value) -> Vec<(&str, u64)> {
    let all = values.as_array().unwrap();
    all.iter().map(|value| (value["value"].as_str().unwrap(), value["count"].as_u64().unwrap())).collect()
}

fn has(title: &'static str) -> impl Fn(&Value) -> bool {
    move |told| titles(told).iter().any(|there| there == title)
}

#[tokio::test]
async fn what_is_sold_is_found_on_sqlite() {
    a_catalog_is_searched(Scene::new(Shop::sqlite()).await).await;
}

#[tokio::test]
async fn what_is_sold_is_found_on_postgres() {
    let server = Postgres::start().await;
    a_catalog_is_searched(Scene::new(Shop::at(server.fresh_database().await)).await).await;
}

async fn a_catalog_is_searched(scene: Scene) {
    let (shirt, _) = scene.product("Wool shirt", "Shirts", 4_900, &["red", "blue"]).await;
    let (_, caps) = scene.product("Cap", "Hats", 1_900, &["red"]).await;
    scene.product("Mütze", "Hats", 2_500, &["blue", "green"]).await;
    scene.until("", |told| told["total"] == 3).await;

    // A wrong letter, a beginning, no diacritics, several words.
    assert_eq!(scene.titles("&q=shrit").await, ["Wool shirt"]);
    assert_eq!(scene.titles("&q=woo").await, ["Wool shirt"]);
    assert_eq!(scene.titles("&q=MUTZE").await, ["Mütze"]);
    assert_eq!(scene.titles("&q=red+cap").await, ["Cap"]);
    assert_eq!(scene.titles("&q=red+mutze").await, Vec::<String>::new());
    assert_eq!(scene.titles("&sort=price").await, ["Cap", "Mütze", "Wool shirt"]);
    assert_eq!(scene.titles("&sort=-price&price=-3000").await, ["Mütze", "Cap"]);

    // Counts say what one would see, and leave the facet's own choice out.
    let (told, _) = scene.until("&option=colour:red", |_| true).await;
    let facets = &told["facets"];
    assert_eq!(
        (&told["total"], counts(&facets["categories"])),
        (&json!(2), vec![("Hats", 1), ("Shirts", 1)])
    );
    assert_eq!(counts(&facets["options"][0]["values"]), [("blue", 2), ("red", 2), ("green", 1)]);
    assert_eq!((&facets["price"]["min"], &facets["price"]["max"]), (&json!(1_900), &json!(4_900)));
    assert_eq!(facets["in_stock"], 2);
    assert_eq!(scene.titles("&option=colour:red&category=Hats").await, ["Cap"]);

    // Page by page.
    let (page, _) = scene.until("&sort=price&limit=2", |_| true).await;
    let rest = scene.titles(&format!("&sort=price&limit=2&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((titles(&page).len(), rest), (2, vec!["Wool shirt".to_owned()]));

    // The edge keeps it, and a change makes it fresh: who demands the change sees it at once.
    let (_, did) = scene.until("&q=cap&sort=newest", |_| true).await;
    assert!(!did.contains("hit"), "{did}");
    let (_, did) = scene.until("&q=cap&sort=newest", |_| true).await;
    assert!(did.contains("hit"), "{did}");
    let edit = json!({ "title": "Shirt of wool", "category": "Knitwear" });
    let told = scene.write(Method::PATCH, &format!("products/{shirt}"), edit).await;
    let version = told["versions"].as_str().unwrap();
    let (status, told, _) = search(&scene.edge.url(), "&q=knitwear", Some(version)).await;
    assert_eq!((status, titles(&told)), (200, vec!["Shirt of wool".to_owned()]));
    scene.until("&category=Knitwear", has("Shirt of wool")).await;
    for origin in [&scene.first, &scene.second] {
        let (status, told, _) = search(&origin.url(), "&q=knitwear", None).await;
        assert_eq!((status, titles(&told)), (200, vec!["Shirt of wool".to_owned()]), "{}", origin.name());
    }

    // A price, a stock that runs out, a product that is not shown any more.
    let variant = json!({ "variants": [{ "id": caps[0], "prices": { "de": 99 } }] });
    let cap = scene.until("&q=cap", |_| true).await.0["products"][0]["id"].as_str().unwrap().to_owned();
    scene.write(Method::PATCH, &format!("products/{cap}"), variant).await;
    scene.until("&price=-100", has("Cap")).await;
    let order = json!({ "market": "de", "lines": [{ "variant": caps[0], "quantity": 1 }] });
    scene.until("&in_stock=true", has("Cap")).await;
    scene.write(Method::POST, "orders", order).await;
    scene.until("&in_stock=true", |told| told["total"] == 2).await;
    scene.write(Method::PATCH, &format!("products/{cap}"), json!({ "active": false })).await;
    scene.until("", |told| told["total"] == 2).await;
    restarts(scene).await;
}

/// An origin comes back to its index, and makes it anew where something became of it.
async fn restarts(mut scene: Scene) {
    scene.first.until(BUILT, &[], |times| times >= 1.0).await;
    scene.first.signal(nix::sys::signal::Signal::SIGTERM);
    scene.first.ended().await;
    // What comes meanwhile is found as well.
    scene.door = scene.second.url();
    scene.product("Scarf", "Knitwear", 2_900, &["grey"]).await;
    scene.first.start().await;
    found_at(&scene.first, "&q=scarf").await;
    let built = scene.first.metric(BUILT, &[]).await;
    assert!(built == 0.0, "it went on from the index that it had: {built}");

    scene.first.kill9();
    harm(&scene.index.join("index"));
    scene.first.start().await;
    found_at(&scene.first, "&q=scarf").await;
    let built = scene.first.metric(BUILT, &[]).await;
    assert!(built == 1.0, "it was made anew: {built}");
    assert!(scene.first.has_said("damaged"), "{}", scene.first.output());

    // And with the folder gone.
    scene.first.kill9();
    std::fs::remove_dir_all(&scene.index).unwrap();
    scene.first.start().await;
    found_at(&scene.first, "&q=scraf").await;
}

async fn found_at(origin: &Process, query: &str) {
    let begun = Instant::now();
    loop {
        let (status, told, _) = search(&origin.url(), query, None).await;
        if status == 200 {
            assert_eq!(titles(&told), ["Scarf"]);
            return;
        }
        assert!(status == 503 && begun.elapsed() < LIMIT, "{status} {told}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Turns a byte over in the middle of every file of an index's parts.
fn harm(index: &Path) {
    for file in std::fs::read_dir(index).unwrap().map(|file| file.unwrap().path()) {
        let is_part = file.extension().is_some_and(|end| end != "json" && end != "lock");
        let mut bytes = std::fs::read(&file).unwrap();
        let half = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(half).filter(|_| is_part) {
            *byte ^= 0xff;
            std::fs::write(&file, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_is_a_problem() {
    let shop = Shop::sqlite();
    let mut origin = shop.origin("origin", "http://127.0.0.1:9");
    origin.start().await;
    for (query, wanted) in [
        ("?market=mars", 404),
        ("", 400),
        ("?market=de&colour=red", 400),
        ("?market=de&cursor=next", 400),
        ("?market=de&price=9-1", 422),
        ("?market=de&sort=best", 422),
        ("?market=de&in_stock=maybe", 422),
    ] {
        let answer = client().get(format!("{}/v1/shop/search{query}", origin.url())).send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{query}");
        assert_eq!(header(&answer, "content-type"), "application/problem+json", "{query}");
    }
}
