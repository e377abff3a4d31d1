//! A question's words as the index looks for them. Every word must be there: as it is, as the beginning of another, or with one
//! letter too many, too few, another or in the other's place.
//!
//! What a word is worth depends on where and how it is found, and on nothing else: no counts over the index, which differ from
//! process to process and from minute to minute. So pages that different processes answer are of one order.

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::fields::Fields;

/// What a word is worth as it is, as a beginning, and with one letter wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worth {
    pub(super) whole: u8,
    pub(super) begins: u8,
    pub(super) near: u8,
}

/// In a title, and anywhere else.
pub(super) const TITLE: Worth = Worth { whole: 16, begins: 12, near: 6 };
pub(super) const TEXT: Worth = Worth { whole: 4, begins: 3, near: 1 };

/// Letters from which on one may be wrong: of a shorter word too many others are near.
pub(super) const NEAR_FROM: usize = 4;
/// Letters from which on one may be wrong in what another word begins with.
pub(super) const NEAR_BEGINNING_FROM: usize = 6;

/// What looks for all of some words; for everything where there is none. Words are folded.
pub(super) fn query(fields: &Fields, words: &[String]) -> Box<dyn Query> {
    if words.is_empty() {
        return Box::new(AllQuery);
    }
    let all = words.iter().map(|word| {
        let ways = ways(fields.title, word, TITLE).chain(ways(fields.text, word, TEXT));
        let best: Box<dyn Query> = Box::new(DisjunctionMaxQuery::new(ways.collect()));
        (Occur::Must, best)
    });
    Box::new(BooleanQuery::new(all.collect()))
}

/// The ways in which a word can be in a field.
fn ways(field: Field, word: &str, worth: Worth) -> impl Iterator<Item = Box<dyn Query>> {
    let term = Term::from_field_text(field, word);
    let letters = word.chars().count();
    let whole = TermQuery::new(term.clone(), IndexRecordOption::Basic);
    let begins = FuzzyTermQuery::new_prefix(term.clone(), 0, true);
    let near = (letters >= NEAR_FROM).then(|| {
        if letters >= NEAR_BEGINNING_FROM {
            FuzzyTermQuery::new_prefix(term, 1, true)
        } else {
            FuzzyTermQuery::new(term, 1, true)
        }
    });
    let near = near.map(|near| worth_of(near, worth.near));
    [worth_of(whole, worth.whole), worth_of(begins, worth.begins)].into_iter().chain(near)
}

fn worth_of(query: impl Query, worth: u8) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), f32::from(worth)))
}
