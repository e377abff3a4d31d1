//! A catalog: titles out of a few common words and many rare ones, in forty categories, in colours and sizes; and what is asked.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice_commerce::{ProductId, SCHEMA, VariantId};
use sluice_storage::Storage;

use crate::engines::write;
use crate::pages::{WORDS, common, word, words};

/// Products of one transaction.
const BATCH: usize = 500;
/// Categories, the first of them large.
const CATEGORIES: usize = 40;
const COLOURS: [&str; 12] = [
    "red", "blue", "green", "black", "white", "grey", "brown", "yellow", "orange", "violet", "pink", "beige",
];
const SIZES: [&str; 6] = ["XS", "S", "M", "L", "XL", "XXL"];

/// Rows of each table, as SQL has them.
#[derive(Debug, Default)]
struct Rows {
    products: Vec<String>,
    categories: Vec<String>,
    variants: Vec<String>,
    stocks: Vec<String>,
}

/// Makes a catalog.
pub(super) async fn catalog(storage: &Storage, products: usize) -> anyhow::Result<()> {
    storage.database.install(&SCHEMA).await?;
    let mut random = StdRng::seed_from_u64(7);
    for from in (0..products).step_by(BATCH) {
        let mut rows = Rows::default();
        (from..products.min(from + BATCH)).for_each(|n| rows.product(storage, n, &mut random));
        write(storage, &rows.sql()).await?;
    }
    Ok(())
}

impl Rows {
    fn product(&mut self, storage: &Storage, number: usize, random: &mut StdRng) {
        let id: ProductId = storage.ids.make();
        let id = id.as_i64();
        let title = words(random, 4).join(" ");
        let about = words(random, 20).join(" ");
        self.products.push(format!("({id}, '{title}', '{about}', '[]', TRUE, 0, 0)"));
        self.categories.push(format!("({id}, 'Category {}')", common(random, CATEGORIES)));
        for n in 0..random.random_range(1..5) {
            let variant: VariantId = storage.ids.make();
            let variant = variant.as_i64();
            let colour = COLOURS[random.random_range(0..COLOURS.len())];
            let size = SIZES[random.random_range(0..SIZES.len())];
            let price = 100 + common(random, 50_000);
            self.variants.push(format!(
                "({variant}, {id}, '{number}-{n}', '{size}', '{{\"colour\":\"{colour}\",\"size\":\"{size}\"}}', \
                 '{{\"de\":{price}}}')"
            ));
            let available = if random.random_ratio(1, 10) { 0 } else { 5 };
            self.stocks.push(format!("({variant}, {available}, 0, 0)"));
        }
    }

    fn sql(&self) -> String {
        let tables = [
            (
                "shop_products (id, title, description, images, active, created_ms, changed_ms)",
                &self.products,
            ),
            ("shop_categories (product, category)", &self.categories),
            ("shop_variants (id, product, sku, title, options, prices)", &self.variants),
            ("shop_stock (variant, available, reserved, sold)", &self.stocks),
        ];
        let insert = tables.map(|(table, rows)| format!("INSERT INTO {table} VALUES {};", rows.join(", ")));
        insert.join("\n")
    }
}

/// What is asked, and what it is called.
pub(super) fn questions() -> Vec<(&'static str, String)> {
    let (many, some, rare) = (word(1), word(60), word(WORDS - 7));
    let typed: String = some.chars().take(4).collect();
    // Two letters in each other's place.
    let wrong: String = {
        let mut letters: Vec<char> = rare.chars().collect();
        letters.swap(2, 3);
        letters.into_iter().collect()
    };
    vec![
        ("everything", String::new()),
        ("everything, the cheapest", "sort=price".into()),
        ("the largest category", "category=Category+1".into()),
        ("a small category in stock, the newest", "category=Category+37&in_stock=true&sort=newest".into()),
        ("a common word", format!("q={many}")),
        ("a word", format!("q={some}")),
        ("its first letters", format!("q={typed}")),
        ("one letter", "q=b".into()),
        ("a rare word", format!("q={rare}")),
        ("a rare word, two letters changed places", format!("q={wrong}")),
        ("two words", format!("q={some}+{many}")),
        (
            "a word, a colour, a price, in stock",
            format!("q={some}&option=colour:red&price=-2000&in_stock=true"),
        ),
        (
            "a word, two categories, a size",
            format!("q={some}&category=Category+1&category=Category+2&option=size:M"),
        ),
        ("no such word", "q=nowhere".into()),
    ]
}
