//! What an origin lists for edges: newline-delimited JSON, a document each.

use crate::edge::Shared;
use bytes::Bytes;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::timeout;

/// All that an origin lists at a path, or nothing: for lists of which what is left out counts as gone. An origin that does not
/// know of such things has none.
///
/// # Errors
/// Why it cannot be had within `patience`, or which line of it cannot be read.
pub(crate) async fn at<T: DeserializeOwned>(
    edge: &Shared,
    origin: &str,
    path: &str,
    patience: Duration,
) -> Result<Vec<T>, String> {
    let text = text(edge, origin, path, patience).await?;
    lines(&text).map(|line| read(line).map_err(|error| error.to_string())).collect()
}

/// What can be read of such a list, and how many of its lines cannot: a newer origin may say more than is understood here.
///
/// # Errors
/// Why it cannot be had within `patience`, or that it is no list.
pub(crate) async fn readable<T: DeserializeOwned>(
    edge: &Shared,
    origin: &str,
    path: &str,
    patience: Duration,
) -> Result<(Vec<T>, usize), String> {
    let text = text(edge, origin, path, patience).await?;
    sifted(&text).ok_or_else(|| "this is no list".into())
}

async fn text(edge: &Shared, origin: &str, path: &str, patience: Duration) -> Result<Bytes, String> {
    let asked = async {
        let answer = edge.http.get(format!("{origin}{path}")).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Bytes::new());
        }
        let answer = answer.error_for_status().map_err(|error| error.to_string())?;
        answer.bytes().await.map_err(|error| error.to_string())
    };
    timeout(patience, asked).await.unwrap_or_else(|_| Err("no answer".into()))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

fn read<T: DeserializeOwned>(line: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(line)
}

/// What can be read of a list, and how many lines cannot. `None` for a text that has lines, and no document in any: that is a page of
/// somebody else.
fn sifted<T: DeserializeOwned>(text: &[u8]) -> Option<(Vec<T>, usize)> {
    let mut bad = vec![];
    let good: Vec<T> = lines(text).filter_map(|line| read(line).map_err(|_| bad.push(line)).ok()).collect();
    let is_document = |line: &&[u8]| read::<Map<String, Value>>(line).is_ok();
    let is_list = !good.is_empty() || bad.is_empty() || bad.iter().any(is_document);
    is_list.then_some((good, bad.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::channel::Revoked;

    fn subjects(text: &str) -> Option<(Vec<String>, usize)> {
        let (good, bad) = sifted::<Revoked>(text.as_bytes())?;
        Some((good.into_iter().map(|said| said.revoke.subject).collect(), bad))
    }

    const ONE: &str = r#"{"revoke":{"subject":"u1"},"at_ms":1}"#;
    const TWO: &str = r#"{"revoke":{"subject":"u2","channel":"chat:1"},"at_ms":2,"version":3}"#;

    #[test]
    fn what_cannot_be_read_is_passed_over_and_the_rest_is_taken() {
        let both = vec!["u1".to_owned(), "u2".to_owned()];
        assert_eq!(subjects(&format!("{ONE}\n{TWO}\n")), Some((both.clone(), 0)));
        for bad in ["{", "null", r#"{"revoke":{}}"#, r#"{"revoke":{"subject":"u3"},"at_ms":"now"}"#] {
            let once = format!("{bad}\n{ONE}\n{TWO}");
            let twice = format!("{ONE}\n{bad}\n\n{TWO}\n{bad}");
            for (text, count) in [(once, 1), (twice, 2)] {
                assert_eq!(subjects(&text), Some((both.clone(), count)), "{text}");
            }
        }
    }

    #[test]
    fn a_text_without_a_document_is_no_list_and_an_empty_one_is() {
        assert_eq!(subjects(""), Some((vec![], 0)));
        assert_eq!(subjects(r#"{"revoked":"in another way"}"#), Some((vec![], 1)));
        for none in ["<html>\n<p>Sign in\n", "not now", "null\n[]\n7", "{\n}"] {
            assert_eq!(subjects(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_line_among_others_leaves_them_be(line in "[^\n]{1,40}") {
            let (good, bad) = subjects(&format!("{ONE}\n{line}\n{TWO}\n")).unwrap();
            prop_assert_eq!((good.len(), bad), (2, 1));
        }
    }
}
