//! Whom a step brings a post to, as readers follow and cease to between its two looks at them.

use sluice_platform::AccountsConfig;
use sluice_platform::testing::Alone;
use sluice_storage::testing::Postgres;
use sluice_wire::AccountId;

use super::*;
use crate::people::import;
use crate::{SCHEMA, http};

/// The app without its background work: the test brings posts itself.
struct Scene {
    alone: Alone,
    feed: Feed,
    /// Ann's readers, lowest first.
    readers: Vec<i64>,
}

impl Scene {
    /// With five readers of ann's, and a post of hers that is ours to bring.
    async fn start(server: Option<&Postgres>, config: Config) -> (Self, Held) {
        let mut alone = Alone::start(server, &AccountsConfig::default()).await;
        alone.ground.storage.database.install(&SCHEMA).await.unwrap();
        let (feed, _wanted) = Feed::new(&alone.ground, config);
        let routes = alone.ground.under(http::routes(feed.clone()));
        alone.serve(routes);
        let (_, ann) = alone.join("ann").await;
        let made = alone.ask("POST", "/v1/feed/posts", &ann, &json!({ "text": "to all" })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let author = feed.person("ann").await.unwrap();
        let reader = |n: u32| (AccountId::from_parts(1_800_000_000_000, n), format!("r{n}"));
        let mut readers: Vec<_> = (1..=5).map(reader).collect();
        readers.sort();
        let (author, readers) = (&author, &readers);
        let brought = feed.database().write(|tx| Box::pin(import(tx, author, readers, true))).await;
        assert_eq!(brought.unwrap().0, 5);
        let held = take(feed.database(), "me").await.unwrap().unwrap();
        let readers = readers.iter().map(|(account, _)| account.as_i64()).collect();
        (Self { alone, feed, readers }, held)
    }

    /// What a follow, or its end, makes of a reader's list, and what rebuilding it does.
    async fn listed(&self, reader: usize, is: bool) {
        let account = self.readers[reader];
        let write = self.feed.database().write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                profile::Entity::update_many()
                    .col_expr(profile::Column::Listed, Expr::value(is))
                    .filter(profile::Column::Account.eq(account))
                    .exec(tx.conn())
                    .await?;
                Ok(())
            })
        });
        write.await.unwrap();
    }

    /// Readers that the next step would tell, by their places.
    async fn next(&self, held: &Held) -> Vec<usize> {
        let found = next(&self.feed, held).await.unwrap();
        found.iter().map(|account| self.place(*account)).collect()
    }

    /// A step after so many were told. Whether some are left, and who has the post.
    async fn step(&self, held: &Held, told: &[usize]) -> (bool, Vec<usize>) {
        let told: Vec<i64> = told.iter().map(|place| self.readers[*place]).collect();
        let (told, config): (&[i64], &Config) = (&told, &self.feed.config);
        let step = self
            .feed
            .database()
            .write::<_, StorageError, _>(|tx| Box::pin(chunk(tx, config, held, Some(told))));
        let more = step.await.unwrap();
        let entries = home::Entity::find()
            .filter(home::Column::Post.eq(held.post))
            .order_by_asc(home::Column::Reader)
            .all(self.feed.database().reader())
            .await
            .unwrap();
        (more, entries.iter().map(|entry| self.place(entry.reader)).collect())
    }

    fn place(&self, account: i64) -> usize {
        self.readers.iter().position(|reader| *reader == account).unwrap()
    }
}

async fn a_step_brings_a_post_to_nobody_who_was_not_told(server: Option<&Postgres>) {
    let (scene, held) = Scene::start(server, Config { chunk: 2, ..Config::default() }).await;
    assert_eq!(scene.next(&held).await, [0, 1]);
    scene.listed(0, false).await;
    assert_eq!(scene.step(&held, &[0, 1]).await, (true, vec![1]), "the third was not told");

    // The third comes to have a list once the two after it were told: it is passed over by neither.
    scene.listed(2, false).await;
    assert_eq!(scene.next(&held).await, [3, 4]);
    scene.listed(2, true).await;
    assert_eq!(scene.step(&held, &[3, 4]).await, (true, vec![1]));
    assert_eq!(scene.next(&held).await, [2, 3]);
    assert_eq!(scene.step(&held, &[2, 3]).await, (true, vec![1, 2, 3]));
    assert_eq!(scene.next(&held).await, [4]);
    assert_eq!(scene.step(&held, &[4]).await, (false, vec![1, 2, 3, 4]));
    assert!(take(scene.feed.database(), "me").await.unwrap().is_none(), "all is done");
    scene.alone.end().await;
}

async fn nobody_is_told_of_what_readers_pull(server: Option<&Postgres>) {
    let config = Config { chunk: 2, push_below: 5, ..Config::default() };
    let (scene, held) = Scene::start(server, config).await;
    assert_eq!(scene.next(&held).await, [0; 0]);
    assert_eq!(scene.step(&held, &[]).await, (false, vec![]));
    let marked = post::Entity::find_by_id(held.post).one(scene.feed.database().reader()).await.unwrap();
    assert!(marked.unwrap().pulled);
    scene.alone.end().await;
}

#[tokio::test]
async fn a_step_brings_a_post_to_nobody_who_was_not_told_on_both_engines() {
    a_step_brings_a_post_to_nobody_who_was_not_told(None).await;
    let server = Postgres::start().await;
    a_step_brings_a_post_to_nobody_who_was_not_told(Some(&server)).await;
}

#[tokio::test]
async fn nobody_is_told_of_what_readers_pull_on_both_engines() {
    nobody_is_told_of_what_readers_pull(None).await;
    let server = Postgres::start().await;
    nobody_is_told_of_what_readers_pull(Some(&server)).await;
}
