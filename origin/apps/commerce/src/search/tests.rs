//! The index against counting by hand: whatever products there are, and whatever is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sluice_storage::words;
use sluice_wire::Version;
use tantivy::schema::Schema;
use tantivy::{Index, IndexWriter, TantivyDocument};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::collect::{Found, Hit};
use super::facets::{RANGES, range_of};
use super::fields::{Entry, Fields, Item, Other, facet};
use super::query::{NEAR_BEGINNING_FROM, NEAR_FROM, TEXT, TITLE, Worth};
use super::question::{CATEGORY, Place, Question, Sort};
use super::writer::{MAX_HELD, Mark, Writer};
use super::{Search, Shown};
use crate::config::Config;
use crate::ids::ProductId;

static WORDS: [&str; 14] = [
    "shirt", "shirts", "short", "Jacket", "jackets", "cap", "cape", "coat", "boat", "boots", "Mütze", "wool",
    "red", "Größe",
];
/// As people type: beginnings, wrong letters, letters that changed places, without diacritics.
static ASKED: [&str; 14] = [
    "shirt", "shrit", "shir", "jaket", "jacekt", "jackats", "jackt", "c", "coar", "boot", "mutze", "RED",
    "grosse", "nothing",
];
static COLOURS: [&str; 3] = ["red", "blue", "Weiß"];
static SIZES: [&str; 2] = ["M", "L"];
static CATEGORIES: [&str; 2] = ["Shirts", "Hats"];

/// An index of these products, after changes: some were otherwise before, and some are gone.
fn index(before: &[Entry], after: &[Entry], gone: &[ProductId]) -> Shown {
    let fields = Arc::new(Fields::new(&Config::default().markets));
    let (mut writer, mark) = Writer::open(None, fields).unwrap();
    assert_eq!(mark, None);
    before.iter().for_each(|entry| writer.add(entry).unwrap());
    writer.commit(&Mark::default()).unwrap();
    for some in after.chunks(3) {
        some.iter().for_each(|entry| writer.put(entry.id, Some(entry)).unwrap());
        writer.commit(&Mark::default()).unwrap();
    }
    gone.iter().for_each(|id| writer.put(*id, None).unwrap());
    writer.commit(&Mark::default()).unwrap();
    writer.shown(&Mark::default())
}

/// One letter too many, too few, another, or two that changed places; in the whole word or in one that begins so.
fn is_near(asked: &str, word: &str, beginning: bool) -> bool {
    let (a, word): (Vec<char>, Vec<char>) = (asked.chars().collect(), word.chars().collect());
    let ends = if beginning { 0..=word.len() } else { word.len()..=word.len() };
    ends.into_iter().any(|end| distance(&a, &word[..end]) <= 1)
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let other = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = other.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

fn worth(asked: &str, there: &BTreeSet<String>, worth: Worth) -> Option<i64> {
    let letters = asked.chars().count();
    let of = |word: &String| {
        if word == asked {
            Some(worth.whole)
        } else if word.starts_with(asked) {
            Some(worth.begins)
        } else if letters >= NEAR_FROM && is_near(asked, word, letters >= NEAR_BEGINNING_FROM) {
            Some(worth.near)
        } else {
            None
        }
    };
    there.iter().filter_map(of).max().map(i64::from)
}

/// What all words of a question are worth in a variant; `None` where one is missing.
fn worth_of_all(asked: &[String], entry: &Entry, item: &Item) -> Option<i64> {
    let split = |texts: &[&str]| texts.iter().flat_map(|text| words(text)).collect::<BTreeSet<_>>();
    let mut title = vec![entry.title.as_str(), item.title.as_str()];
    title.extend(entry.others.iter().map(|other| other.title.as_str()));
    title.extend(item.others.iter().map(String::as_str));
    let title = split(&title);
    let mut text = vec![entry.description.as_str(), entry.category.as_deref().unwrap_or_default(), &item.sku];
    text.extend(item.options.values().map(String::as_str));
    text.extend(entry.others.iter().map(|other| other.description.as_str()));
    let text = split(&text);
    asked.iter().map(|word| worth(word, &title, TITLE).max(worth(word, &text, TEXT))).sum()
}

fn values(entry: &Entry, item: &Item) -> Vec<(String, String)> {
    let category = entry.category.iter().map(|name| (CATEGORY.to_owned(), name.clone()));
    category.chain(item.options.clone()).collect()
}

/// Counted by hand.
fn expected(entries: &[Entry], asked: &Question) -> Found {
    let mut found = Found { ranges: vec![0; RANGES], ..Found::default() };
    for entry in entries {
        let (mut best, mut counted, mut ranges, mut had) = (None, BTreeSet::new(), BTreeSet::new(), false);
        for item in &entry.variants {
            let (Some(price), Some(worth)) =
                (item.prices.get(&asked.market), worth_of_all(&asked.words, entry, item))
            else {
                continue;
            };
            let values = values(entry, item);
            let fits = |name: &String, wanted: &BTreeSet<String>| {
                values.iter().any(|(of, value)| of == name && wanted.contains(value))
            };
            let missing: Vec<&String> = asked
                .chosen
                .iter()
                .filter(|(name, wanted)| !fits(name, wanted))
                .map(|(name, _)| name)
                .collect();
            let in_range = asked.price.as_ref().is_none_or(|range| range.contains(price));
            if asked.in_stock && !item.in_stock || missing.len() + usize::from(!in_range) > 1 {
                continue;
            }
            if missing.is_empty() {
                ranges.insert(range_of(*price));
                let (min, max) = found.span.unwrap_or((*price, *price));
                found.span = Some((min.min(*price), max.max(*price)));
            }
            if in_range {
                let counts = |name: &String| missing.first().is_none_or(|missing| *missing == name);
                counted.extend(
                    values.iter().filter(|(name, _)| counts(name)).map(|(name, value)| facet(name, value)),
                );
            }
            if in_range && missing.is_empty() {
                had |= item.in_stock;
                let (most, least) = best.unwrap_or((worth, *price));
                best = Some((worth.max(most), *price.min(&least)));
            }
        }
        found.in_stock += u64::from(had);
        counted.into_iter().for_each(|value| *found.values.entry(value).or_default() += 1);
        ranges.into_iter().for_each(|range| found.ranges[range] += 1);
        if let Some((worth, price)) = best {
            found.total += 1;
            let worth = if asked.sort == Sort::Relevance { worth } else { 0 };
            found
                .hits
                .push(Hit { place: Place { rank: asked.sort.rank(worth, price), product: entry.id }, price });
        }
    }
    found.hits.retain(|hit| asked.after.is_none_or(|after| hit.place < after));
    found.hits.sort_by(|a, b| b.cmp(a));
    found.hits.truncate(asked.limit + 1);
    found
}

fn item() -> impl Strategy<Value = Item> {
    let price = prop::option::of(1..3_000_i64);
    let options = (prop::option::of(select(&COLOURS[..])), prop::option::of(select(&SIZES[..])));
    let others = prop::collection::vec(select(&WORDS[..]), 0..3);
    (select(&WORDS[..]), others, options, price.clone(), price, any::<bool>()).prop_map(
        |(title, others, (colour, size), de, us, in_stock)| {
            let pairs = [("colour", colour), ("size", size)];
            let prices = [("de", de), ("us", us)];
            Item {
                title: title.to_owned(),
                others: others.into_iter().map(str::to_owned).collect(),
                sku: format!("{title}-7"),
                options: pairs.iter().filter_map(|(name, v)| Some(((*name).into(), (*v)?.into()))).collect(),
                prices: prices.iter().filter_map(|(name, v)| Some(((*name).into(), (*v)?))).collect(),
                in_stock,
            }
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let some = || subsequence(&WORDS[..], 0..4).prop_map(|all| all.join(" "));
    let variants = prop::collection::vec(item(), 1..5);
    let other = (some(), some()).prop_map(|(title, description)| Other { title, description });
    let others = prop::collection::vec(other, 0..3);
    (some(), some(), prop::option::of(select(&CATEGORIES[..])), others, variants).prop_map(
        |(title, description, category, others, variants)| Entry {
            id: ProductId::from_parts(0, 0),
            title,
            description,
            category: category.map(str::to_owned),
            others,
            variants,
        },
    )
}

fn numbered(entries: Vec<Entry>) -> Vec<Entry> {
    let id = |n: u64| ProductId::from_parts(1_800_000_000_000 + n, 0);
    (0..).zip(entries).map(|(n, entry)| Entry { id: id(n), ..entry }).collect()
}

fn question() -> impl Strategy<Value = Question> {
    let chosen = |values: &'static [&'static str]| subsequence(values, 0..=values.len());
    let chosen = (chosen(&CATEGORIES[..]), chosen(&COLOURS[..]), chosen(&SIZES[..])).prop_map(|(a, b, c)| {
        let named = [(CATEGORY, a), ("colour", b), ("size", c)];
        let some = named.into_iter().filter(|(_, values)| !values.is_empty());
        some.map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()))
            .collect()
    });
    let price = prop::option::of((0..1_500_i64, 0..3_000_i64).prop_map(|(min, more)| min..=min + more));
    let sort = select(vec![Sort::Relevance, Sort::Price, Sort::PriceDown, Sort::Newest]);
    let words = subsequence(&ASKED[..], 0..3).prop_map(|all| words(&all.join(" ")).collect::<Vec<_>>());
    (words, select(vec!["de", "us"]), chosen, price, any::<bool>(), sort, 1..6_usize).prop_map(
        |(words, market, chosen, price, in_stock, sort, limit)| Question {
            words,
            market: market.to_owned(),
            language: None,
            chosen,
            price,
            in_stock,
            sort,
            limit,
            after: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_found_and_every_count_are_exact(
        before in prop::collection::vec(entry(), 0..12),
        after in prop::collection::vec(entry(), 0..12),
        questions in prop::collection::vec(question(), 1..12),
    ) {
        let (before, after) = (numbered(before), numbered(after));
        let gone: Vec<ProductId> = before.iter().chain(&after).map(|entry| entry.id).step_by(4).collect();
        let index = index(&before, &after, &gone);
        let newest = before.into_iter().chain(after).map(|entry| (entry.id, entry)).collect::<BTreeMap<_, _>>();
        let there: Vec<Entry> = newest.into_values().filter(|entry| !gone.contains(&entry.id)).collect();
        for mut asked in questions {
            let all = expected(&there, &Question { limit: 100, ..asked.clone() }).hits;
            let mut paged = vec![];
            loop {
                let found = index.find(&asked).unwrap();
                prop_assert_eq!(&found, &expected(&there, &asked), "{:?}", asked);
                paged.extend(found.hits.iter().take(asked.limit).copied());
                if found.hits.len() <= asked.limit {
                    break;
                }
                asked.after = paged.last().map(|hit| hit.place);
            }
            prop_assert_eq!(paged, all, "page by page it is all of them, each once: {:?}", asked);
        }
    }
}

/// A cap of one size.
fn cap() -> Entry {
    let item = Item {
        title: "M".into(),
        others: vec![],
        sku: "1".into(),
        options: BTreeMap::new(),
        prices: BTreeMap::from([("de".into(), 900)]),
        in_stock: true,
    };
    Entry {
        id: ProductId::from_parts(1_800_000_000_000, 1),
        title: "Cap".into(),
        description: String::new(),
        category: None,
        others: vec![],
        variants: vec![item],
    }
}

/// A folder with an index of one product, whose log is at event 7.
fn kept(dir: &std::path::Path) -> Mark {
    let fields = Arc::new(Fields::new(&Config::default().markets));
    let (mut writer, _) = Writer::open(Some(dir), fields).unwrap();
    let cap = cap();
    writer.put(cap.id, Some(&cap)).unwrap();
    let mark = Mark { seq: 7, products: 3, ..Mark::default() };
    writer.commit(&mark).unwrap();
    mark
}

#[test]
fn an_index_is_opened_as_it_was_left_and_forgotten_where_a_byte_of_it_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Question { words: vec!["cap".into()], market: "de".into(), limit: 1, ..Question::default() };
    let open = |markets: &[_]| {
        let (writer, mark) = Writer::open(Some(dir.path()), Arc::new(Fields::new(markets))).unwrap();
        let total = writer.shown(&Mark::default()).find(&asked).unwrap().total;
        (mark.map(|mark| (mark.seq, mark.products)), total)
    };
    let markets = Config::default().markets;
    let mark = kept(dir.path());
    assert_eq!(open(&markets), (Some((mark.seq, mark.products)), 1));
    assert_eq!(open(&markets[..1]), (None, 0), "other markets are another index");

    // Whichever file it is, and whatever became of it.
    let mut harmed = 0;
    for n in 0.. {
        kept(dir.path());
        let folder = dir.path().join("index");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_none_or(|end| end != "lock"));
        files.sort();
        let Some(file) = files.get(n / 2).filter(|file| file.is_file()) else { break };
        let mut bytes = std::fs::read(file).unwrap();
        let half = bytes.len() / 2;
        if n % 2 == 0 {
            bytes.truncate(half);
        } else if let Some(byte) = bytes.get_mut(half) {
            *byte ^= 0x55;
        }
        std::fs::write(file, bytes).unwrap();
        let (found, total) = open(&markets);
        assert!((found.is_some(), total) == (true, 1) || (found, total) == (None, 0), "{}", file.display());
        harmed += usize::from(found.is_none());
    }
    assert!(harmed > 4, "{harmed} of them made it unsound");
}

#[test]
fn a_folder_is_one_process_s_and_the_other_one_has_its_index_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let fields = || Arc::new(Fields::new(&Config::default().markets));
    let (first, _) = Writer::open(Some(dir.path()), fields()).unwrap();
    let (mut second, mark) = Writer::open(Some(dir.path()), fields()).unwrap();
    second.commit(&Mark::default()).unwrap();
    assert_eq!(mark, None);
    drop(first);
    let (_third, mark) = Writer::open(Some(dir.path()), fields()).unwrap();
    assert_eq!(mark, None, "nothing was committed there");
}

#[test]
fn an_index_that_is_made_anew_has_nothing_of_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    kept(dir.path());
    let fields = || Arc::new(Fields::new(&Config::default().markets));
    let asked = Question { market: "de".into(), limit: 1, ..Question::default() };
    let writer = Writer::anew(Some(dir.path()), fields()).unwrap();
    assert_eq!(writer.shown(&Mark::default()).find(&asked).unwrap().total, 0);
    drop(writer);
    assert_eq!(Writer::open(Some(dir.path()), fields()).unwrap().1, None, "whatever had been sound");
}

#[test]
fn an_index_that_was_not_made_to_its_end_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    kept(dir.path());
    let fields = || Arc::new(Fields::new(&Config::default().markets));
    let (mut writer, mark) = Writer::open(Some(dir.path()), fields()).unwrap();
    assert!(mark.is_some());
    writer.clear().unwrap();
    let (mut large, small) = (cap(), cap());
    large.variants = vec![large.variants[0].clone(); 100];
    large.description = "x".repeat(MAX_HELD / 100);
    writer.add(&large).unwrap();
    writer.add(&small).unwrap();
    drop(writer);
    assert_eq!(
        Writer::open(Some(dir.path()), fields()).unwrap().1,
        None,
        "some of it was written, and no mark"
    );
}

#[tokio::test]
async fn a_search_that_fails_says_that_its_index_is_damaged() {
    // Nothing is where it should be.
    let index = Index::create_in_ram(Schema::builder().build());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    writer.add_document(TantivyDocument::default()).unwrap();
    writer.commit().unwrap();
    let shown = Shown {
        reader: index.reader().unwrap(),
        fields: Arc::new(Fields::new(&Config::default().markets)),
        products: Version(0),
        availability: Version(0),
        seq: 0,
        damaged: CancellationToken::new(),
    };
    let (_told, receiver) = watch::channel(Some(shown.clone()));
    let search = Search { shown: receiver, turns: Arc::new(Semaphore::new(1)) };
    let asked = Question { market: "de".into(), limit: 1, ..Question::default() };
    let refused = search.look(shown.clone(), asked).await.unwrap_err();
    assert_eq!((refused.0.status, shown.damaged.is_cancelled()), (500, true));
}
