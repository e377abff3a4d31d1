//! The route table as it travels: a document, whole or as what changed, signed.
//!
//! A signature covers the canonical bytes of the *whole* table, also where only changes were sent: what an edge made of them
//! is exactly what the control plane signed, or it is refused. Edges keep the document as it came, with fields that they do not
//! know, so that a fleet of several versions agrees on those bytes.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::limits::MAX_TABLE_BYTES;
use crate::routes::{RouteTable, TableError};
use crate::token::mint::SigningKey;

/// The form of documents, changes and signatures that is spoken here.
pub const FORMAT: u64 = 1;
/// The media type of changes: who can apply them asks for it.
pub const CHANGES: &str = "application/vnd.sluice.route-changes+json";
/// Bytes of a public key.
const KEY: usize = 32;
/// What a signature is of, so that none for something else counts.
const DOMAIN: &[u8] = b"sluice route table 1\n";
/// The member of a message that holds its signature.
const SIGNED: &str = "signed";
/// The member of a message that holds changes.
const CHANGED: &str = "changes";
const NODES: &str = "nodes";
const VERSION: &str = "version";

/// Why a table is refused; the last good one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No JSON, or not of the form of a table.
    #[error("no route table: {0}")]
    Malformed(String),
    /// A form of later times.
    #[error("format {0} is not known here; {FORMAT} is")]
    Format(u64),
    /// No signature, where there must be one.
    #[error("it is not signed")]
    Unsigned,
    /// Signed by whom nobody trusts here.
    #[error("it is signed by a key that is not trusted: {0:.60}")]
    Key(String),
    /// The signature is of something else.
    #[error("the signature is not of this table")]
    Signature,
    /// Not newer than what is in force.
    #[error("version {got}, and {known} is in force")]
    Older {
        /// Its version.
        got: u64,
        /// The version in force.
        known: u64,
    },
    /// Changes of another table than the one in force.
    #[error("changes of version {0}, which is not in force")]
    Base(u64),
    /// A table that says what cannot be.
    #[error(transparent)]
    Content(#[from] TableError),
}

impl Refused {
    /// The metric's label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Format(_) => "format",
            Self::Unsigned => "unsigned",
            Self::Key(_) => "key",
            Self::Signature => "signature",
            Self::Older { .. } => "older",
            Self::Base(_) => "base",
            Self::Content(_) => "content",
        }
    }
}

/// A table as a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document(Map<String, Value>);

/// What changed between two documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The version that they are changes of.
    pub from: u64,
    /// Members but nodes that are new or another.
    pub set: Map<String, Value>,
    /// Members that are no more.
    pub unset: Vec<String>,
    /// Nodes that are new or another, by name.
    pub nodes: BTreeMap<String, Value>,
    /// Nodes that are no more.
    pub gone: Vec<String>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The form of everything.
    pub format: u64,
    /// The public key (Ed25519, RFC 8032), base64url; it is its own id.
    pub key: String,
    /// The signature, base64url.
    pub signature: String,
}

/// What a control plane answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The whole table.
    Whole(Document, Option<Signature>),
    /// What changed.
    Changes(Changes, Signature),
}

impl Document {
    /// A table as a document. Numbers are brought to 15 digits, which every reader reads back as they were written.
    #[must_use]
    pub fn of(table: &RouteTable) -> Self {
        match serde_json::to_value(table) {
            Ok(Value::Object(members)) => Self(members.into_iter().map(|(k, v)| (k, tidy(v))).collect()),
            _ => Self::default(),
        }
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.get(VERSION).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The table that it says, checked.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::Content`].
    pub fn table(&self) -> Result<RouteTable, Refused> {
        let table: RouteTable = serde_json::from_value(Value::Object(self.0.clone()))
            .map_err(|error| Refused::Malformed(error.to_string()))?;
        table.check()?;
        Ok(table)
    }

    /// The bytes that are signed: JSON without spaces, names in order.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        serde_json::to_writer(&mut bytes, &self.0).expect("a value writes itself into memory");
        bytes
    }

    /// What changed since another document; `None` where nodes cannot be told apart.
    #[must_use]
    pub fn since(&self, from: &Self) -> Option<Changes> {
        let (is, was) = (self.nodes()?, from.nodes()?);
        let others = |of: &Self| -> BTreeMap<String, Value> {
            of.0.iter().filter(|(k, _)| *k != NODES).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let (mine, theirs) = (others(self), others(from));
        Some(Changes {
            from: from.version(),
            set: mine
                .iter()
                .filter(|(k, v)| theirs.get(*k) != Some(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            unset: theirs.into_keys().filter(|k| !mine.contains_key(k)).collect(),
            nodes: is
                .iter()
                .filter(|(name, node)| was.get(*name) != Some(node))
                .map(|(name, node)| ((*name).to_owned(), (*node).clone()))
                .collect(),
            gone: was.keys().filter(|name| !is.contains_key(*name)).map(|name| (*name).to_owned()).collect(),
        })
    }

    /// The document that changes make of this one.
    ///
    /// # Errors
    /// [`Refused::Base`] when they are of another.
    pub fn with(&self, changes: &Changes) -> Result<Self, Refused> {
        let base = || Refused::Base(changes.from);
        if changes.from != self.version() {
            return Err(base());
        }
        let mut nodes = self.nodes().ok_or_else(base)?;
        nodes.retain(|name, _| !changes.gone.iter().any(|gone| gone == name));
        nodes.extend(changes.nodes.iter().map(|(name, node)| (name.as_str(), node)));
        let nodes = Value::Array(nodes.into_values().cloned().collect());
        let gone: BTreeSet<&String> = changes.unset.iter().collect();
        let mut members: Map<String, Value> =
            self.0.iter().filter(|(k, _)| !gone.contains(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
        members.extend(changes.set.clone());
        members.insert(NODES.into(), nodes);
        Ok(Self(members))
    }

    /// Nodes by name, which is their order; `None` where one has none or two have the same.
    fn nodes(&self) -> Option<BTreeMap<&str, &Value>> {
        let list = self.0.get(NODES)?.as_array()?;
        let by_name: BTreeMap<&str, &Value> =
            list.iter().map(|node| Some((node.get("node")?.as_str()?, node))).collect::<Option<_>>()?;
        (by_name.len() == list.len()).then_some(by_name)
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(&self.canonical()));
        Signature { format: FORMAT, key: key.public(), signature }
    }

    /// The whole of it as it is sent and kept.
    #[must_use]
    pub fn message(&self, signature: Option<&Signature>) -> Vec<u8> {
        let mut members = self.0.clone();
        if let Some(signature) = signature {
            members.insert(SIGNED.into(), serde_json::to_value(signature).unwrap_or_default());
        }
        Value::Object(members).to_string().into_bytes()
    }
}

impl Changes {
    /// Changes as they are sent: with the signature of what they lead to.
    #[must_use]
    pub fn message(&self, signature: &Signature) -> Vec<u8> {
        serde_json::json!({ CHANGED: self, SIGNED: signature }).to_string().into_bytes()
    }
}

impl Message {
    /// Reads what came over the wire or from a disk. The format is looked at before anything else.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::Format`], [`Refused::Unsigned`] for changes.
    pub fn read(text: &[u8]) -> Result<Self, Refused> {
        let malformed = |error: String| Refused::Malformed(error);
        if text.len() > MAX_TABLE_BYTES {
            return Err(malformed(format!("more than {MAX_TABLE_BYTES} bytes")));
        }
        let mut members: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        let signed = members.remove(SIGNED);
        if let Some(format) = signed.as_ref().and_then(|signed| signed.get("format")) {
            let format = format.as_u64().unwrap_or(0);
            if format != FORMAT {
                return Err(Refused::Format(format));
            }
        }
        let signed: Option<Signature> =
            signed.map(serde_json::from_value).transpose().map_err(|error| malformed(error.to_string()))?;
        match members.remove(CHANGED) {
            Some(changes) => {
                let changes =
                    serde_json::from_value(changes).map_err(|error| malformed(error.to_string()))?;
                Ok(Self::Changes(changes, signed.ok_or(Refused::Unsigned)?))
            }
            None => Ok(Self::Whole(Document(members), signed)),
        }
    }
}

impl Signature {
    /// Whether one of these keys has signed a document.
    ///
    /// # Errors
    /// [`Refused::Key`], [`Refused::Signature`].
    pub fn check(&self, document: &Document, trusted: &[String]) -> Result<(), Refused> {
        if !trusted.contains(&self.key) {
            return Err(Refused::Key(self.key.clone()));
        }
        let key = public_key(&self.key).ok_or_else(|| Refused::Key(self.key.clone()))?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&self.signature).map_err(|_| Refused::Signature)?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&document.canonical(), &signature)
            .map_err(|_| Refused::Signature)
    }
}

/// A public key out of its text; `None` when it is none.
#[must_use]
pub fn public_key(text: &str) -> Option<[u8; KEY]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Numbers that read back as they were written: 15 digits are exact in every reader, and what is nearly nothing is nothing.
fn tidy(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.abs() < 1e-7 => Value::from(0.0),
            Some(float) => {
                let short = format!("{float:.14e}").parse().unwrap_or(float);
                Number::from_f64(short).map_or(Value::Null, Value::Number)
            }
            None => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(tidy).collect(),
        Value::Object(members) => Value::Object(members.into_iter().map(|(k, v)| (k, tidy(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::node::{NodeState, Tier};
    use crate::routes::{RouteNode, Seat};
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap()
    }

    fn table(version: u64, nodes: &BTreeMap<String, (f64, bool)>, origins: &[String]) -> RouteTable {
        let node = |(name, (weight, ready)): (&String, &(f64, bool))| RouteNode {
            node: NodeId::new(name).unwrap(),
            tier: Tier::Near,
            site: "here".into(),
            state: if *ready { NodeState::Ready } else { NodeState::Gone },
            weight: *weight,
            peer_url: format!("http://{name}:1"),
            public_url: format!("http://{name}:2"),
            seat: Seat::default(),
        };
        let nodes = nodes.iter().map(node).collect();
        RouteTable { version, nodes, origins: origins.to_vec(), ..RouteTable::default() }
    }

    fn tables() -> impl Strategy<Value = Vec<RouteTable>> {
        let nodes = prop::collection::btree_map("[a-d]{1,2}", (0.0f64..1e6, any::<bool>()), 0..8);
        let origins = prop::collection::vec("http://[a-c]", 0..3);
        prop::collection::vec((nodes, origins), 1..8).prop_map(|all| {
            all.iter().zip(1..).map(|((nodes, origins), version)| table(version, nodes, origins)).collect()
        })
    }

    /// What an edge reads.
    fn arrived(text: &[u8]) -> Message {
        Message::read(text).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_chain_of_changes_is_the_whole(tables in tables()) {
            let key = key();
            let trusted = [key.public()];
            let mut held = Document::default();
            let mut former: Option<Document> = None;
            for table in &tables {
                let next = Document::of(table);
                let signature = next.sign(&key);
                let message = match former.as_ref().and_then(|former| next.since(former)) {
                    Some(changes) => changes.message(&signature),
                    None => next.message(Some(&signature)),
                };
                held = match arrived(&message) {
                    Message::Whole(document, _) => document,
                    Message::Changes(changes, _) => held.with(&changes).unwrap(),
                };
                prop_assert_eq!(&held, &next);
                prop_assert_eq!(signature.check(&held, &trusted), Ok(()));
                prop_assert_eq!(held.table().unwrap().nodes.len(), table.nodes.len());
                former = Some(next);
            }
        }

        #[test]
        fn a_signature_is_of_one_table_alone(one in tables(), other in tables()) {
            let key = key();
            let (one, other) = (Document::of(&one[0]), Document::of(&other[0]));
            let whole = one.message(Some(&one.sign(&key)));
            let Message::Whole(read, Some(signature)) = arrived(&whole) else { panic!("a whole table") };
            prop_assert_eq!(signature.check(&read, &[key.public()]), Ok(()), "it reads back to the same bytes");
            if one != other {
                prop_assert_eq!(signature.check(&other, &[key.public()]), Err(Refused::Signature));
            }
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_refused_with_its_reason() {
        let (key, other) = (key(), key());
        let document = Document::of(&table(3, &BTreeMap::new(), &["http://o".into()]));
        let signature = document.sign(&key);
        assert_eq!(signature.check(&document, &[key.public()]), Ok(()));
        assert!(matches!(signature.check(&document, &[other.public()]), Err(Refused::Key(_))));
        let later = Document::of(&table(4, &BTreeMap::new(), &["http://o".into()]));
        assert_eq!(
            signature.check(&later, &[key.public()]),
            Err(Refused::Signature),
            "the version is signed too"
        );
        let unknown = String::from_utf8(document.message(Some(&signature)))
            .unwrap()
            .replace("\"format\":1", "\"format\":2");
        assert_eq!(Message::read(unknown.as_bytes()), Err(Refused::Format(2)));
        for text in [&b""[..], b"[]", b"{", b"{\"signed\":{\"format\":1}}", b"{\"changes\":{}}"] {
            assert!(Message::read(text).is_err());
        }
        assert!(matches!(later.with(&document.since(&document).unwrap()), Err(Refused::Base(3))));
    }

    #[test]
    fn fields_of_later_times_are_kept_and_signed() {
        let key = key();
        let mut document = Document::of(&table(1, &[("a".to_owned(), (1.0, true))].into(), &[]));
        document.0.insert("later".into(), Value::from(0.1 + 0.2));
        let document = Document(document.0.into_iter().map(|(k, v)| (k, tidy(v))).collect());
        let signature = document.sign(&key);
        let Message::Whole(read, _) = arrived(&document.message(Some(&signature))) else { panic!("whole") };
        assert_eq!(signature.check(&read, &[key.public()]), Ok(()));
        assert_eq!(read.table().unwrap().nodes.len(), 1, "and the rest is understood");
        let changes = Document::of(&table(2, &BTreeMap::new(), &[])).since(&read).unwrap();
        assert_eq!((changes.unset, changes.gone), (vec!["later".to_owned()], vec!["a".to_owned()]));
    }
}
