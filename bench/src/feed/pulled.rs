//! An author whom so many follow that nothing is written for each of them: readers pull its posts.

use super::Ground;
use super::readers::{Imported, Readers};
use super::scene::{Differs, Scene};
use super::visible::{BROUGHT, Delays, EDGES, Play, WARM_UP};
use crate::report::progress;
use crate::statistics::percentile;
use std::collections::BTreeMap;

/// Posts at most: each is looked for by readers out of all of them.
const POSTS: usize = 50;
/// Readers who were told of something new, a note in each one's row.
const TOLD: &str = "SELECT COUNT(*) FROM feed_profiles WHERE badged";

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) imported: Imported,
    pub(super) delays: Delays,
    /// Posts, with those that do not count.
    pub(super) posts: usize,
    /// Rows that came to each table with the posts, where there are more or fewer.
    pub(super) rows: Vec<(String, i64)>,
    /// Entries of home lists among them, and readers who have a note that there is something new.
    pub(super) entries: i64,
    pub(super) told: i64,
    /// Statements of a post's request.
    pub(super) statements: f64,
    /// Homes that were read in the end, and found whole.
    pub(super) read: usize,
    pub(super) commands: Vec<String>,
}

/// Measures it, with the feed as it is configured unless told otherwise.
pub(super) async fn run(ground: &Ground) -> anyhow::Result<Found> {
    let readers = Readers { count: ground.followers };
    // Whom so many follow that they are pulled from: in a small run, fewer.
    let least = readers.count.min(10_000).to_string();
    let origin = ["--apps.run", "feed", "--apps.feed.push_below", &least];
    let scene = Scene::start(Differs { edges: &EDGES, origin: &origin, ..Differs::default() }).await?;
    let author = scene.author("ann").await?;
    progress(format!("feed: {} readers are brought", readers.count));
    let imported = readers.follow(&scene, "ann").await?;
    progress(format!("feed: {:.0} a second", imported.rate()));
    let before = (scene.rows().await?, scene.number(TOLD).await?, statements(&scene).await?);
    let play = Play { scene: &scene, token: &author.token, readers, listeners: 0 };
    let delays = play.posts(ground.posts.min(POSTS), ground.post_rate).await?;
    scene.brought(BROUGHT).await?;
    let posts = ground.posts.min(POSTS) + WARM_UP;
    let (rows, sent) = (more(&before.0, &scene.rows().await?), statements(&scene).await?);
    let told = scene.number(TOLD).await? - before.1;
    let read = play.read_all(posts).await?;
    progress(format!("feed: pulled, p99 {:.1} ms", percentile(&delays.sent_to_seen, 0.99)));
    let commands = scene.fleet.commands();
    scene.stop().await;
    let entries = rows.iter().find(|(table, _)| table == "feed_home").map_or(0, |(_, more)| *more);
    let statements = (sent.0 - before.2.0) / (sent.1 - before.2.1).max(1.0);
    Ok(Found { imported, delays, posts, rows, entries, told, statements, read, commands })
}

/// Statements of posts' requests so far, and such requests.
async fn statements(scene: &Scene) -> anyhow::Result<(f64, f64)> {
    let words = ["method=\"POST\"", "route=\"/v1/feed/posts\""];
    let (origin, client) = (&scene.fleet.origin, &scene.fleet.client);
    let sum = origin.metric_of(client, "sluice_origin_statements_sum", &words).await?;
    Ok((sum, origin.metric_of(client, "sluice_origin_statements_count", &words).await?))
}

/// Tables whose number of rows differs, and by how many.
fn more(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> Vec<(String, i64)> {
    let difference = |(table, rows): (&String, &i64)| {
        let more = rows - before.get(table).copied().unwrap_or_default();
        (more != 0).then(|| (table.clone(), more))
    };
    after.iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_with_as_many_rows_as_before_say_nothing() {
        let of = |all: [(&str, i64); 3]| all.map(|(table, rows)| (table.to_owned(), rows)).into();
        let (before, after) = (of([("a", 1), ("b", 2), ("c", 3)]), of([("a", 1), ("b", 7), ("c", 1)]));
        assert_eq!(more(&before, &after), [("b".to_owned(), 5), ("c".to_owned(), -2)]);
        assert_eq!(more(&BTreeMap::new(), &after).len(), 3);
    }
}
