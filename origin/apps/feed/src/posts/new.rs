//! A post that is to be made.

use serde::{Deserialize, Serialize};
use sluice_platform::{ApiError, is_local_path};
use sluice_storage::{Tx, Videos};
use sluice_wire::VideoId;
use utoipa::ToSchema;

use crate::PostId;
use crate::photos::Place;

/// Characters of a post.
const MAX_TEXT: usize = 500;
/// Photos of a post.
const MAX_PHOTOS: usize = 4;
/// Characters of a photo's path, of what stands for it until it is there, and of what it shows.
const MAX_PHOTO: (usize, usize, usize) = (256, 64, 500);

/// A photo: one that was sent here before, or another picture that this host serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Photo {
    /// Its path on this host: that of a photo which was kept here (`POST /v1/feed/photos`), or another's.
    pub(crate) path: String,
    /// A few characters that a client paints until it has the photo (a BlurHash); left out, those of the photo that was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) blur: String,
    /// What it shows, for who does not see it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) alt: String,
}

/// A post that is to be made: words, photos or a film.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewPost {
    /// At most 500 characters.
    pub(crate) text: String,
    /// At most four.
    pub(crate) photos: Vec<Photo>,
    /// A video of this installation.
    #[schema(value_type = Option<String>)]
    pub(crate) video: Option<VideoId>,
    /// The post that it answers.
    #[schema(value_type = Option<String>)]
    pub(crate) reply_to: Option<PostId>,
}

impl NewPost {
    /// Says everything that is wrong with it at once.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let fits = |photo: &Photo| {
            let long = |text: &str, most: usize| text.chars().count() > most;
            let (path, blur, alt) = MAX_PHOTO;
            is_local_path(&photo.path)
                && (!Place::is_here(&photo.path) || Place::of_path(&photo.path).is_some())
                && !long(&photo.path, path)
                && !long(&photo.blur, blur)
                && !long(&photo.alt, alt)
        };
        let empty = self.text.trim().is_empty() && self.photos.is_empty() && self.video.is_none();
        let checks = [
            (!empty, "text, photos or video: a post shows something"),
            (self.text.chars().count() <= MAX_TEXT, "text: at most 500 characters"),
            (self.photos.len() <= MAX_PHOTOS, "photos: at most 4"),
            (
                self.photos.iter().all(fits),
                "photos: path is a path on this host, of at most 256 characters; blur has at most 64, alt 500",
            ),
        ];
        let faults: Vec<&str> = checks.iter().filter(|(good, _)| !good).map(|(_, fault)| *fault).collect();
        if faults.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(422, "invalid", "Not a post", faults.join("; ")))
    }

    /// Its video, as a column, which is there now: a statement, if it has one.
    pub(super) async fn film(&self, tx: &Tx<'_>, videos: &Videos) -> Result<Option<i64>, ApiError> {
        let Some(id) = self.video else { return Ok(None) };
        if videos.is_there(tx, id).await? {
            return Ok(Some(id.as_i64()));
        }
        let detail = format!("video: there is no video {id}");
        Err(ApiError::new(422, "no-such-video", "No such video", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_post_is_said_at_once() {
        let photo = |path: &str| Photo { path: path.into(), blur: String::new(), alt: String::new() };
        let good = NewPost { photos: vec![photo("/i/x.jpg")], ..NewPost::default() };
        assert_eq!(good.check(), Ok(()));
        let bad = NewPost {
            text: "ü".repeat(501),
            photos: ["//evil.example/x", "http://evil.example", "/a", "/b", "/c"].map(photo).to_vec(),
            ..NewPost::default()
        };
        let said = bad.check().unwrap_err().0.detail.unwrap_or_default();
        for fault in ["at most 500", "at most 4", "on this host"] {
            assert!(said.contains(fault), "{said}");
        }
        assert!(NewPost { text: " \n".into(), ..NewPost::default() }.check().is_err());
        // A browser reads each of them as a picture of another host.
        for path in ["/\t/evil.example/x", "/\n/evil.example/x", "/\\evil.example/x"] {
            let elsewhere = NewPost { photos: vec![photo(path)], ..NewPost::default() };
            assert!(elsewhere.check().is_err(), "{path:?}");
        }
    }
}
