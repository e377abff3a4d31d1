//! Videos whose segments have no names, since they were made before segments had any: they are made anew of their sources.

use sea_orm::{ActiveValue::Set, EntityTrait};
use sea_orm_migration::prelude::*;
use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::database::entity::job;
use crate::database::signed;
use crate::jobs::JobState;
use crate::videos::VideoState;
use sluice_wire::VideoId;

pub(super) struct Migration;

/// Tries of each.
const ATTEMPTS: i64 = 5;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0015_anew"
    }
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        make_anew(manager).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

/// Videos with renditions that name no header.
fn nameless() -> SelectStatement {
    Query::select()
        .column("video")
        .distinct()
        .from("renditions")
        .and_where(Expr::col("init").eq(""))
        .to_owned()
}

async fn make_anew(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    for row in connection.query_all(&nameless()).await? {
        let id: i64 = row.try_get("", "video")?;
        let state =
            Query::select().column("state").from("videos").and_where(Expr::col("id").eq(id)).to_owned();
        let state: Option<String> =
            connection.query_one(&state).await?.map(|row| row.try_get("", "state")).transpose()?;
        // One that is being made has its job.
        if state.as_deref() == Some(VideoState::Ready.as_str()) {
            job::Entity::insert(job_of(id)?).exec_without_returning(connection).await?;
        }
        let again = Query::update()
            .table("videos")
            .value("state", VideoState::Queued.as_str())
            .value("progress_permille", 0)
            .value("plan", None::<String>)
            .and_where(Expr::col("id").eq(id))
            .and_where(Expr::col("state").ne(VideoState::Failed.as_str()))
            .to_owned();
        connection.execute(&again).await?;
        for table in ["segments", "renditions"] {
            let gone = Query::delete().from_table(table).and_where(Expr::col("video").eq(id)).to_owned();
            connection.execute(&gone).await?;
        }
    }
    Ok(())
}

/// Under the video's own number, which no other job has.
fn job_of(id: i64) -> Result<job::ActiveModel, DbErr> {
    let odd = |why: String| DbErr::Custom(format!("videos.id {id}: {why}"));
    let number = TryInto::<u64>::try_into(id).map_err(|why| odd(why.to_string()))?;
    let video = VideoId::from_u64(number).map_err(|why| odd(why.to_string()))?;
    let now = signed(SystemClock.now_ms());
    Ok(job::ActiveModel {
        id: Set(id),
        kind: Set("transcode".into()),
        state: Set(JobState::Queued.as_str().to_owned()),
        priority: Set(0),
        payload: Set(json!({ "video": video }).to_string()),
        attempt: Set(0),
        max_attempts: Set(ATTEMPTS),
        run_at_ms: Set(now),
        lease_until_ms: Set(0),
        worker: Set(None),
        token: Set(0),
        reason: Set(None),
        created_ms: Set(now),
        updated_ms: Set(now),
        subject: Set(id),
        due_ms: Set(now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewVideo, Storage, StorageConfig, StorageError};
    use std::time::Duration;

    #[tokio::test]
    async fn a_video_of_before_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.path().join("sluice.db").display()),
            objects: format!("file:{}", folder.path().display()),
            ..StorageConfig::default()
        };
        let storage = Storage::open(&config).await.unwrap();
        let (videos, id) = (&storage.videos(), storage.ids.video());
        let new = &NewVideo {
            id,
            name: "film.mp4".into(),
            title: "A film".into(),
            state: VideoState::Ready,
            bytes: None,
            sha256: None,
            edition_of: None,
        };
        let made = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.create(tx, new)));
        made.await.unwrap();
        let raw = sea_orm::Database::connect(&config.database).await.unwrap();
        let manager = SchemaManager::new(&raw);
        let columns = "video, rung, kind, codecs, width, height, frame_rate_num, frame_rate_den, bandwidth, \
                       average_bandwidth, timescale, init_bytes, ended";
        let rendition = format!(
            "insert into renditions ({columns}) values ({}, 'v240', 'video', '', 2, 2, 1, 1, 1, 1, 1, 1, true)",
            id.as_i64()
        );
        manager.get_connection().execute_unprepared(&rendition).await.unwrap();
        make_anew(&manager).await.unwrap();
        make_anew(&manager).await.unwrap();
        assert_eq!(videos.get(id).await.unwrap().unwrap().state, VideoState::Queued);
        assert!(videos.media(id).await.unwrap().renditions.is_empty());
        let jobs = storage.jobs();
        let lease = jobs.lease("one", &["transcode"], Duration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(lease.payload, json!({ "video": id }));
        assert_eq!(jobs.lease("one", &["transcode"], Duration::from_secs(9)).await.unwrap(), None, "once");
    }
}
