//! Built web pages: the files of a folder, as a browser keeps them.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use sha2::{Digest, Sha256};
use sluice_wire::conditions;
use std::path::{Component, Path, PathBuf};

/// The answer to a GET of the file that `path` names below the folder (`/assets/a.js`). `None` when there is none.
pub async fn page(dir: &Path, path: &str, asked: &HeaderMap) -> Option<Response> {
    let file = inside(dir, path)?;
    let bytes = tokio::fs::read(&file).await.ok()?;
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
    let known = asked.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut answer = if known.is_some_and(|known| conditions::none_match(known, &etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into_response()
    };
    let kind = mime_guess::from_path(&file).first_or_octet_stream();
    // Assets are named by their contents; the page that names them is asked for anew.
    let lifetime = if path.starts_with("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=0, must-revalidate"
    };
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_str(kind.as_ref()).expect("a media type is plain characters"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lifetime));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal digits"));
    Some(answer)
}

/// The file that a path names below the folder, if it names one without tricks.
fn inside(dir: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.strip_prefix('/')?);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    (plain && !path.contains(['%', '\\', '\0'])).then(|| dir.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        let dir = Path::new("/pages");
        assert_eq!(inside(dir, "/assets/a.js"), Some("/pages/assets/a.js".into()));
        for trick in ["/../etc/passwd", "/assets/../../x", "//etc/passwd", "/%2e%2e/x", "assets", "/a\\..\\b"]
        {
            assert_eq!(inside(dir, trick), None, "{trick}");
        }
    }

    #[tokio::test]
    async fn a_file_is_what_it_says_and_nothing_that_a_browser_guesses() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.js"), "1").unwrap();
        let answer = page(dir.path(), "/a.js", &HeaderMap::new()).await.unwrap();
        assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
