//! Lists in JSON. A fragment's text goes into the answer as it is: it is read once, to see that it is JSON.

use super::{Fragment, Fragments, resolve};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Keys under which an object names its fragment, each with that under which it gets it; the short ones for lists that are sent
/// often.
const NAMES: [(&str, &str); 2] = [("fragment", "content"), ("f", "c")];

/// A list whose references are resolved.
#[derive(Debug)]
pub(crate) struct List(Node);

#[derive(Debug)]
enum Node {
    Plain(Value),
    Items(Vec<Self>),
    Fields(Vec<(String, Self)>, Option<Named>),
}

/// The path that an object names, and the key for what is there.
#[derive(Debug)]
struct Named {
    path: String,
    content: &'static str,
}

impl List {
    /// The list at a path. `None` for what is no JSON.
    pub(super) fn read(at: &str, list: &[u8]) -> Option<Self> {
        Some(Self(Node::of(at, serde_json::from_slice(list).ok()?)))
    }

    /// The paths that it names.
    pub(super) fn paths(&self) -> Vec<&str> {
        let mut paths = vec![];
        self.0.collect(&mut paths);
        paths
    }

    /// The list with its fragments. `None` when one of them is no JSON.
    pub(super) fn assemble(&self, fragments: &Fragments) -> Option<Vec<u8>> {
        let mut texts = HashMap::new();
        for (path, fragment) in fragments {
            let text = match fragment {
                Fragment::Text(text) => Some(serde_json::from_slice::<&RawValue>(text).ok()?),
                Fragment::Gone => None,
                Fragment::Unavailable => continue,
            };
            texts.insert(path.as_str(), text);
        }
        serde_json::to_vec(&Whole { node: &self.0, texts: &texts }).ok()
    }
}

impl Node {
    fn of(at: &str, value: Value) -> Self {
        match value {
            Value::Array(items) => Self::Items(items.into_iter().map(|item| Self::of(at, item)).collect()),
            Value::Object(fields) => {
                let named = Named::of(at, &fields);
                let fields = fields.into_iter().map(|(name, field)| (name, Self::of(at, field)));
                Self::Fields(fields.collect(), named)
            }
            plain => Self::Plain(plain),
        }
    }

    const fn named(&self) -> Option<&Named> {
        match self {
            Self::Fields(_, named) => named.as_ref(),
            Self::Plain(_) | Self::Items(_) => None,
        }
    }

    fn collect<'a>(&'a self, paths: &mut Vec<&'a str>) {
        paths.extend(self.named().map(|named| named.path.as_str()));
        match self {
            Self::Plain(_) => {}
            Self::Items(items) => items.iter().for_each(|item| item.collect(paths)),
            Self::Fields(fields, _) => fields.iter().for_each(|(_, field)| field.collect(paths)),
        }
    }
}

impl Named {
    fn of(at: &str, fields: &Map<String, Value>) -> Option<Self> {
        NAMES.iter().find_map(|(name, content)| {
            let path = resolve(at, fields.get(*name)?.as_str()?)?;
            Some(Self { path, content: *content })
        })
    }
}

/// A part of a list with the fragments that it names; `None` among the texts is one that is gone.
struct Whole<'a> {
    node: &'a Node,
    texts: &'a HashMap<&'a str, Option<&'a RawValue>>,
}

impl<'a> Whole<'a> {
    const fn of(&self, node: &'a Node) -> Self {
        Whole { node, ..*self }
    }

    fn is_gone(&self, item: &Node) -> bool {
        item.named().is_some_and(|named| matches!(self.texts.get(named.path.as_str()), Some(None)))
    }
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.node {
            Node::Plain(value) => value.serialize(serializer),
            Node::Items(items) => {
                let mut seq = serializer.serialize_seq(None)?;
                for item in items.iter().filter(|item| !self.is_gone(item)) {
                    seq.serialize_element(&self.of(item))?;
                }
                seq.end()
            }
            Node::Fields(fields, named) => {
                let mut map = serializer.serialize_map(None)?;
                let own = |name: &str| named.as_ref().is_none_or(|named| name != named.content);
                for (name, field) in fields.iter().filter(|(name, _)| own(name)) {
                    map.serialize_entry(name, &self.of(field))?;
                }
                if let Some(named) = named {
                    let text = self.texts.get(named.path.as_str()).copied().flatten();
                    map.serialize_entry(named.content, &text)?;
                }
                map.end()
            }
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

    fn paths(list: &[u8]) -> Option<Vec<String>> {
        Some(List::read(AT, list)?.paths().into_iter().map(str::to_owned).collect())
    }

    fn assemble(list: &[u8], fragments: &Fragments) -> Option<Vec<u8>> {
        List::read(AT, list)?.assemble(fragments)
    }

    const AT: &str = "/list";
    const LIST: &str =
        r#"{"items":[{"id":1,"fragment":"/a"},{"id":2,"fragment":"b"},{"id":3,"fragment":"/c"}],"next":"x"}"#;

    #[test]
    fn each_object_gets_its_fragment_and_what_is_gone_is_left_out() {
        assert_eq!(paths(LIST.as_bytes()).unwrap(), ["/a", "/b", "/c"]);
        let all = fragments(&[
            ("/a", text(r#"{"likes": 1.50}"#)),
            ("/b", Fragment::Gone),
            ("/c", Fragment::Unavailable),
        ]);
        let whole = String::from_utf8(assemble(LIST.as_bytes(), &all).unwrap()).unwrap();
        assert_eq!(
            whole,
            r#"{"items":[{"fragment":"/a","id":1,"content":{"likes": 1.50}},{"fragment":"/c","id":3,"content":null}],"next":"x"}"#
        );
    }

    #[test]
    fn a_short_list_has_short_names() {
        let all = fragments(&[("/a", text("{}"))]);
        assert_eq!(assemble(br#"[{"f":"/a"}]"#, &all).unwrap(), br#"[{"f":"/a","c":{}}]"#);
    }

    #[test]
    fn what_is_no_json_makes_no_answer() {
        assert_eq!(assemble(LIST.as_bytes(), &fragments(&[("/a", text("<html>"))])), None);
        assert_eq!(paths(b"{"), None);
        let elsewhere = r#"[{"fragment":"//evil/a"},{"fragment":"http://evil"},{"fragment":7}]"#;
        assert_eq!(paths(elsewhere.as_bytes()).unwrap(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn a_list_without_fragments_is_what_it_was(ids in prop::collection::vec(any::<u32>(), 0..9), name in ".{0,9}") {
            let list = serde_json::json!({ "items": ids, "name": name });
            let whole = assemble(list.to_string().as_bytes(), &Fragments::new()).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), list);
        }
    }
}
