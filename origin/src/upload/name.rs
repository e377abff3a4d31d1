//! Names: text for people, never a path.

use super::error::UploadError;
use sluice_wire::limits::MAX_NAME_LEN;

/// Cleans a file name: what stands before the last slash is left out, as are control characters.
pub(super) fn file(name: &str) -> Result<String, UploadError> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    match clean.trim() {
        "" | "." | ".." => Err(UploadError::Name("give the file a name".into())),
        text if text.len() > MAX_NAME_LEN => {
            Err(UploadError::Name(format!("a name has at most {MAX_NAME_LEN} bytes")))
        }
        text => Ok(text.into()),
    }
}

/// The title: what was given, or the name without its ending.
pub(super) fn title(given: Option<&str>, name: &str) -> String {
    let given =
        given.map(|t| t.chars().filter(|c| !c.is_control()).take(MAX_NAME_LEN / 4).collect::<String>());
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    given.filter(|t| !t.trim().is_empty()).unwrap_or_else(|| stem.replace(['_', '-'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_never_paths() {
        assert_eq!(file("../../etc/passwd").unwrap(), "passwd");
        assert_eq!(file("C:\\films\\a.mkv").unwrap(), "a.mkv");
        assert_eq!(file("a\u{0}b\n.mp4").unwrap(), "ab.mp4");
        for bad in ["", "..", "/", "a/", "\u{1}", &"x".repeat(256)] {
            assert!(file(bad).is_err(), "{bad:?}");
        }
        assert_eq!(title(None, "my_film-1.mp4"), "my film 1");
        assert_eq!(title(Some("A film"), "x.mp4"), "A film");
    }
}
