//! Lists in HTML.

use super::{Fragment, Fragments, is_path};

/// How a fragment is named: what stands before its path, between path and end, and the end.
const OPEN: &str = "<sluice-fragment src=\"";
const CLOSE: &str = "\"></sluice-fragment>";

/// A page as pieces: plain text, and the path that follows it.
fn pieces(page: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(page);
    std::iter::from_fn(move || {
        let text = rest?;
        let named = text.split_once(OPEN).and_then(|(before, after)| {
            let (path, after) = after.split_once(CLOSE)?;
            is_path(path).then_some((before, path, after))
        });
        let Some((before, path, after)) = named else {
            rest = None;
            return Some((text, None));
        };
        rest = Some(after);
        Some((before, Some(path)))
    })
}

/// The paths that a page names.
pub(super) fn paths(page: &str) -> Vec<String> {
    pieces(page).filter_map(|(_, path)| path.map(str::to_owned)).collect()
}

/// The page with its fragments; what is not there leaves nothing behind.
pub(super) fn assemble(page: &str, fragments: &Fragments) -> Vec<u8> {
    let mut whole = Vec::with_capacity(page.len());
    for (text, path) in pieces(page) {
        whole.extend_from_slice(text.as_bytes());
        if let Some(Fragment::Text(text)) = path.and_then(|path| fragments.get(path)) {
            whole.extend_from_slice(text);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fragments_take_their_places() {
        let page = r#"<ul><sluice-fragment src="/a"></sluice-fragment><sluice-fragment src="/b"></sluice-fragment></ul>"#;
        assert_eq!(paths(page), ["/a", "/b"]);
        let fragments = Fragments::from([
            ("/a".into(), Fragment::Text("<li>1</li>".into())),
            ("/b".into(), Fragment::Gone),
        ]);
        assert_eq!(assemble(page, &fragments), b"<ul><li>1</li></ul>");
    }

    proptest! {
        #[test]
        fn any_page_without_fragments_is_what_it_was(page in ".{0,200}") {
            prop_assert_eq!(assemble(&page, &Fragments::new()), page.as_bytes());
        }

        #[test]
        fn broken_names_are_text(cut in 0usize..60) {
            let whole = r#"a<sluice-fragment src="/path/of/it"></sluice-fragment>b"#;
            let page: String = whole.chars().take(cut.min(whole.len() - 2)).collect();
            prop_assert_eq!(assemble(&page, &Fragments::new()), page.as_bytes());
        }
    }
}
