//! Tables as they are given out: signed, and as what changed since each of the last.

use bytes::Bytes;
use sluice_wire::RouteTable;
use sluice_wire::published::{Document, Signature};
use sluice_wire::reports::{self, Signed};
use sluice_wire::token::mint::SigningKey;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Versions whose changes are told: some minutes of a fleet in which something changes each few seconds.
const HISTORY: usize = 64;

/// One version of the table, ready to be sent.
#[derive(Debug)]
struct Issue {
    document: Document,
    signature: Signature,
    whole: Bytes,
    /// Changes by the version that they are of, as far as they were asked for.
    changes: Mutex<BTreeMap<u64, Option<Bytes>>>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Whole(Bytes),
    Changes(Bytes),
}

/// The last versions, the newest at the end. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Issues {
    key: Arc<SigningKey>,
    last: Arc<Mutex<VecDeque<Arc<Issue>>>>,
}

impl Issues {
    pub(crate) fn new(key: SigningKey) -> Self {
        Self { key: Arc::new(key), last: Arc::default() }
    }

    /// The public key that edges may pin.
    pub(crate) fn key(&self) -> String {
        self.key.public()
    }

    /// Signs a body as what it is, with the key that tables are signed with.
    pub(crate) fn sign(&self, what: Signed, body: &[u8]) -> (String, String) {
        reports::sign(what, &self.key, body)
    }

    /// Signs a table, to be given out from now on. One that is not newer than what is given out replaces it all: the
    /// database was replaced.
    pub(crate) fn add(&self, table: &RouteTable) {
        let document = Document::of(table);
        let signature = document.sign(&self.key);
        let whole = document.message(Some(&signature)).into();
        let issue = Arc::new(Issue { document, signature, whole, changes: Mutex::default() });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.back().is_some_and(|newest| newest.document.version() >= table.version) {
            last.clear();
        }
        last.push_back(issue);
        while last.len() > HISTORY {
            last.pop_front();
        }
    }

    /// The newest table, for someone who has version `from` and can apply changes, or not.
    pub(crate) fn newest(&self, from: Option<u64>) -> Option<Sent> {
        let (newest, former) = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let former = last.iter().find(|issue| Some(issue.document.version()) == from);
            (Arc::clone(last.back()?), former.cloned())
        };
        let changes = former.and_then(|former| newest.since(&former));
        Some(changes.map_or_else(|| Sent::Whole(newest.whole.clone()), Sent::Changes))
    }
}

impl Issue {
    /// What changed, where that is less to say than the whole.
    fn since(&self, former: &Self) -> Option<Bytes> {
        let mut known = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let made = known.entry(former.document.version()).or_insert_with(|| {
            let changes = self.document.since(&former.document)?.message(&self.signature);
            (changes.len() < self.whole.len()).then(|| changes.into())
        });
        made.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::published::Message;

    fn table(version: u64) -> RouteTable {
        let origins = (0..20).map(|n| format!("http://origin-{n}")).collect();
        RouteTable { version, origins, ..RouteTable::default() }
    }

    #[test]
    fn who_is_not_far_behind_is_told_what_changed() {
        let issues =
            Issues::new(SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap());
        assert_eq!(issues.newest(None), None);
        (1..=70).for_each(|version| issues.add(&table(version)));
        let Some(Sent::Changes(changes)) = issues.newest(Some(69)) else { panic!("changes") };
        let Ok(Message::Changes(changes, signature)) = Message::read(&changes) else { panic!("changes") };
        let now = Document::of(&table(69)).with(&changes).unwrap();
        assert_eq!(signature.check(&now, &[issues.key()]), Ok(()));
        for whole in [None, Some(2), Some(70), Some(90)] {
            let Some(Sent::Whole(whole)) = issues.newest(whole) else { continue };
            let Ok(Message::Whole(document, Some(_))) = Message::read(&whole) else { panic!("whole") };
            assert_eq!(document.version(), 70);
        }
        assert!(matches!(issues.newest(Some(2)), Some(Sent::Whole(_))), "too far behind");
        issues.add(&table(5));
        assert!(matches!(issues.newest(Some(4)), Some(Sent::Whole(_))), "all of before is another history");
    }
}
