//! Lists in HTML.

use super::{Fragment, Fragments, resolve};

/// How a fragment is named: what stands before its reference, and after it.
const OPEN: &str = "<sluice-fragment src=\"";
const CLOSE: &str = "\"></sluice-fragment>";

/// A page as pieces: plain text, and the path that follows it.
#[derive(Debug)]
pub(crate) struct Page<'a>(Vec<(&'a str, Option<String>)>);

impl<'a> Page<'a> {
    /// The page at a path.
    pub(super) fn read(at: &str, page: &'a str) -> Self {
        let mut rest = Some(page);
        let pieces = std::iter::from_fn(|| {
            let text = rest?;
            let named = text.split_once(OPEN).and_then(|(before, after)| {
                let (reference, after) = after.split_once(CLOSE)?;
                Some((before, resolve(at, reference)?, after))
            });
            let Some((before, path, after)) = named else {
                rest = None;
                return Some((text, None));
            };
            rest = Some(after);
            Some((before, Some(path)))
        });
        Self(pieces.collect())
    }

    /// The paths that it names.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.0.iter().filter_map(|(_, path)| path.as_deref()).collect()
    }

    /// The page with its fragments; what is not there leaves nothing behind.
    pub(super) fn assemble(&self, fragments: &Fragments) -> Vec<u8> {
        let mut whole = vec![];
        for (text, path) in &self.0 {
            whole.extend_from_slice(text.as_bytes());
            if let Some(Fragment::Text(text)) = path.as_ref().and_then(|path| fragments.get(path)) {
                whole.extend_from_slice(text);
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: &str = "/list";

    fn assemble(page: &str, fragments: &Fragments) -> Vec<u8> {
        Page::read(AT, page).assemble(fragments)
    }

    #[test]
    fn fragments_take_their_places() {
        let page = r#"<ul><sluice-fragment src="/a"></sluice-fragment><sluice-fragment src="b"></sluice-fragment></ul>"#;
        assert_eq!(Page::read(AT, page).paths(), ["/a", "/b"]);
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
