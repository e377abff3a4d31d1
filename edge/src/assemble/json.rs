//! Lists in JSON. A fragment's text goes into the answer as it is: it is read once, to see that it is JSON.

use super::{Fragment, Fragments, resolve};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// Keys under which an object names its fragment, each with that under which it gets it; the short ones for lists that are sent
/// often.
const NAMES: [(&str, &str); 2] = [("fragment", "content"), ("f", "c")];

/// The paths that a list at a path names.
pub(super) fn paths(at: &str, list: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(list).ok()?;
    let mut paths = vec![];
    collect(at, &list, &mut paths);
    Some(paths)
}

fn collect(at: &str, value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(at, item, paths)),
        Value::Object(fields) => {
            paths.extend(named(at, value).map(|(path, _)| path));
            fields.values().for_each(|field| collect(at, field, paths));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The path that an object names, and the key for what is there.
fn named(at: &str, value: &Value) -> Option<(String, &'static str)> {
    NAMES.iter().find_map(|(name, content)| Some((resolve(at, value.get(name)?.as_str()?)?, *content)))
}

/// The list with its fragments.
pub(super) fn assemble(at: &str, list: &[u8], fragments: &Fragments) -> Option<Vec<u8>> {
    let list: Value = serde_json::from_slice(list).ok()?;
    let mut texts = HashMap::new();
    for (path, fragment) in fragments {
        let text = match fragment {
            Fragment::Text(text) => Some(serde_json::from_slice::<&RawValue>(text).ok()?),
            Fragment::Gone => None,
            Fragment::Unavailable => continue,
        };
        texts.insert(path.as_str(), text);
    }
    serde_json::to_vec(&Whole { at, value: &list, texts: &texts }).ok()
}

/// A value with the fragments that it names; `None` among the texts is one that is gone.
struct Whole<'a> {
    at: &'a str,
    value: &'a Value,
    texts: &'a HashMap<&'a str, Option<&'a RawValue>>,
}

impl<'a> Whole<'a> {
    const fn of(&self, value: &'a Value) -> Self {
        Whole { value, ..*self }
    }

    fn is_gone(&self, item: &Value) -> bool {
        named(self.at, item).is_some_and(|(path, _)| matches!(self.texts.get(path.as_str()), Some(None)))
    }
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(None)?;
                for item in items.iter().filter(|item| !self.is_gone(item)) {
                    seq.serialize_element(&self.of(item))?;
                }
                seq.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(None)?;
                let named = named(self.at, self.value);
                let own = |name: &str| named.as_ref().is_none_or(|(_, content)| name != *content);
                for (name, field) in fields.iter().filter(|(name, _)| own(name)) {
                    map.serialize_entry(name, &self.of(field))?;
                }
                if let Some((path, content)) = named {
                    map.serialize_entry(content, &self.texts.get(path.as_str()).copied().flatten())?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn fragments(of: &[(&str, Fragment)]) -> Fragments {
        of.iter().map(|(path, fragment)| ((*path).to_owned(), fragment.clone())).collect()
    }

    fn text(text: &'static str) -> Fragment {
        Fragment::Text(Bytes::from_static(text.as_bytes()))
    }

    const AT: &str = "/list";
    const LIST: &str =
        r#"{"items":[{"id":1,"fragment":"/a"},{"id":2,"fragment":"b"},{"id":3,"fragment":"/c"}],"next":"x"}"#;

    #[test]
    fn each_object_gets_its_fragment_and_what_is_gone_is_left_out() {
        assert_eq!(paths(AT, LIST.as_bytes()).unwrap(), ["/a", "/b", "/c"]);
        let all = fragments(&[
            ("/a", text(r#"{"likes": 1.50}"#)),
            ("/b", Fragment::Gone),
            ("/c", Fragment::Unavailable),
        ]);
        let whole = String::from_utf8(assemble(AT, LIST.as_bytes(), &all).unwrap()).unwrap();
        assert_eq!(
            whole,
            r#"{"items":[{"fragment":"/a","id":1,"content":{"likes": 1.50}},{"fragment":"/c","id":3,"content":null}],"next":"x"}"#
        );
    }

    #[test]
    fn a_short_list_has_short_names() {
        let all = fragments(&[("/a", text("{}"))]);
        assert_eq!(assemble(AT, br#"[{"f":"/a"}]"#, &all).unwrap(), br#"[{"f":"/a","c":{}}]"#);
    }

    #[test]
    fn what_is_no_json_makes_no_answer() {
        assert_eq!(assemble(AT, LIST.as_bytes(), &fragments(&[("/a", text("<html>"))])), None);
        assert_eq!(paths(AT, b"{"), None);
        let elsewhere = r#"[{"fragment":"//evil/a"},{"fragment":"http://evil"},{"fragment":7}]"#;
        assert_eq!(paths(AT, elsewhere.as_bytes()).unwrap(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn a_list_without_fragments_is_what_it_was(ids in prop::collection::vec(any::<u32>(), 0..9), name in ".{0,9}") {
            let list = serde_json::json!({ "items": ids, "name": name });
            let whole = assemble(AT, list.to_string().as_bytes(), &Fragments::new()).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), list);
        }
    }
}
