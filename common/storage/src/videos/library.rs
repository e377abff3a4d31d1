//! The library: one page of videos, with all that a list shows of them, in three statements of one snapshot.
//!
//! Pages go on after an id, never after a count, so that page 4,000 costs what the first does. Words and tags are terms
//! ([`terms`](super::terms)); a page of hits is a walk down the first term's part of an index, which asks for the others as
//! it goes.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order as Direction, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use sluice_wire::{Tag, Version, VideoId};

use super::{Media, Video, VideoState, Videos, Visibility, media::video_id, row, terms};
use crate::database::entity::{rendition, segment, tag_version, video, video_term};
use crate::database::unsigned;
use crate::error::StorageError;

/// The most videos of a page.
const MAX_PAGE: u64 = 200;

/// The most tags of a question.
const MAX_TAGS: usize = 8;

/// In which order videos come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

/// Which of the videos, by where they are in their life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// All but those whose source is still coming, and those that are deleted.
    #[default]
    There,
    /// Those in this state that are not deleted.
    In(VideoState),
    /// Those that are deleted and can be restored. They are found by nothing.
    Deleted,
}

/// What a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Words, each of which must begin a word of the video's texts; without case and diacritics. Eight count.
    pub words: String,
    /// Tags, all of which it must have. Eight count.
    pub tags: Vec<String>,
    /// Who comes by it; everybody's and nobody's when absent.
    pub visibility: Option<Visibility>,
    /// Where they are in their life.
    pub which: Which,
    /// In which order.
    pub order: Order,
    /// The last video of the page before.
    pub after: Option<VideoId>,
    /// Videos wanted; at most 200.
    pub limit: u64,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Its videos.
    pub videos: Vec<Video>,
    /// What is stored of each; those of which nothing is stored are left out.
    pub media: HashMap<VideoId, Media>,
    /// The version of the library that it shows.
    pub version: Version,
}

impl Videos {
    /// A page of the library.
    ///
    /// # Errors
    /// The engine's.
    pub async fn page(&self, asked: &Listing) -> Result<Page, StorageError> {
        if nothing_can_match(asked) {
            return Ok(Page::default());
        }
        let view = self.database.snapshot().await?;
        let rows = select(asked).all(&view).await?;
        let page = filled(&view, rows).await?;
        view.commit().await?;
        Ok(page)
    }

    /// One video and what is stored of it, in three statements of one snapshot.
    ///
    /// # Errors
    /// The engine's.
    pub async fn show(&self, id: VideoId) -> Result<Option<(Video, Media)>, StorageError> {
        let view = self.database.snapshot().await?;
        let Some(row) = video::Entity::find_by_id(id.as_i64()).one(&view).await? else { return Ok(None) };
        let mut page = filled(&view, vec![row]).await?;
        view.commit().await?;
        let media = page.media.remove(&id).unwrap_or_default();
        Ok(page.videos.pop().map(|video| (video, media)))
    }
}

/// True for a question without a single letter or digit.
fn nothing_can_match(asked: &Listing) -> bool {
    !asked.words.trim().is_empty() && terms::asked(&asked.words).is_empty()
}

fn select(asked: &Listing) -> sea_orm::Select<video::Entity> {
    let mut found = video::Entity::find().limit(asked.limit.clamp(1, MAX_PAGE));
    found = found.filter(video::Column::EditionOf.is_null());
    found = match asked.which {
        Which::There => found
            .filter(video::Column::DeletedMs.is_null())
            .filter(video::Column::State.ne(VideoState::Uploading.as_str())),
        Which::In(state) => {
            found.filter(video::Column::DeletedMs.is_null()).filter(video::Column::State.eq(state.as_str()))
        }
        Which::Deleted => found.filter(video::Column::DeletedMs.is_not_null()),
    };
    let mut terms = terms::asked(&asked.words);
    terms.extend(asked.tags.iter().take(MAX_TAGS).map(|tag| terms::of_tag(tag)));
    let mut terms = terms.into_iter();
    // Few are in a state that passes: these are looked through, and not all that a term finds.
    let first = if passes(asked.which) { None } else { terms.next() };
    let (id, visibility) = match &first {
        Some(_) => ((WALK, "video"), (WALK, "visibility")),
        None => (("videos", "id"), ("videos", "visibility")),
    };
    let statement = QueryTrait::query(&mut found);
    if let Some(first) = first {
        let same = Expr::col(id).equals(("videos", "id"));
        statement.join_as(JoinType::InnerJoin, video_term::Entity, WALK, same);
        statement.and_where(Expr::col((WALK, "term")).eq(first));
    }
    for term in terms {
        statement.and_where(Expr::exists(having(term, id)));
    }
    if let Some(one) = asked.visibility {
        statement.and_where(Expr::col(visibility).eq(one.as_str()));
    }
    if let Some(after) = asked.after.map(|after| after.as_i64()) {
        let at = Expr::col(id);
        statement.and_where(if asked.order == Order::Newest { at.lt(after) } else { at.gt(after) });
    }
    let direction = if asked.order == Order::Newest { Direction::Desc } else { Direction::Asc };
    statement.order_by(id, direction);
    found
}

/// What the first term's rows are called in a statement.
const WALK: &str = "walk";

/// True of states that a video leaves within hours, or that are rare.
const fn passes(which: Which) -> bool {
    !matches!(which, Which::There | Which::In(VideoState::Ready))
}

/// The row of a term for the video in a column.
fn having(term: String, video: (&'static str, &'static str)) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from_as(video_term::Entity, "having_it")
        .and_where(Expr::col(("having_it", "term")).eq(term))
        .and_where(Expr::col(("having_it", "video")).equals(video))
        .to_owned()
}

/// Rows with their versions and the media that they show: two more statements.
async fn filled(view: &impl ConnectionTrait, rows: Vec<video::Model>) -> Result<Page, StorageError> {
    let mut videos: Vec<Video> = rows.into_iter().map(Video::try_from).collect::<Result<_, _>>()?;
    let library = Tag::library();
    let tags = videos.iter().map(|v| Tag::video(v.id)).chain([library.clone()]).map(String::from);
    let versions = tag_version::Entity::find().filter(tag_version::Column::Tag.is_in(tags)).all(view).await?;
    let mut versions: HashMap<&str, &tag_version::Model> =
        versions.iter().map(|row| (row.tag.as_str(), row)).collect();
    let version = row::version_of(versions.remove(library.as_str()))?;
    for video in &mut videos {
        video.version = row::version_of(versions.remove(Tag::video(video.id).as_str()))?;
    }
    let media = media(view, &videos).await?;
    Ok(Page { videos, media, version })
}

/// A rendition, and how many segments it has.
#[derive(FromQueryResult)]
struct Counted {
    #[sea_orm(nested)]
    rendition: rendition::Model,
    stored: i64,
}

async fn media(
    view: &impl ConnectionTrait,
    videos: &[Video],
) -> Result<HashMap<VideoId, Media>, StorageError> {
    let column = |column: segment::Column| Expr::col((segment::Entity, column));
    let count = Query::select()
        .expr(column(segment::Column::Seq).count())
        .from(segment::Entity)
        .and_where(column(segment::Column::Video).equals((rendition::Entity, rendition::Column::Video)))
        .and_where(column(segment::Column::Rung).equals((rendition::Entity, rendition::Column::Rung)))
        .to_owned();
    let rows = rendition::Entity::find()
        .expr_as(Expr::from(count), "stored")
        .filter(rendition::Column::Video.is_in(videos.iter().map(|v| v.shown().as_i64())))
        .order_by_asc(rendition::Column::Rung)
        .into_model::<Counted>()
        .all(view)
        .await?;
    let whose: HashMap<VideoId, VideoId> = videos.iter().map(|v| (v.shown(), v.id)).collect();
    let mut all: HashMap<VideoId, Media> = HashMap::new();
    for Counted { rendition, stored } in rows {
        let shown = video_id(rendition.video)?;
        let media = all.entry(whose.get(&shown).copied().unwrap_or(shown)).or_default();
        media.add(rendition)?;
        if let Some(added) = media.renditions.last().filter(|_| stored > 0) {
            media.segments.insert(added.rung.clone(), unsigned("segments.count", stored)?);
        }
    }
    Ok(all)
}
