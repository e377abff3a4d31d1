//! The terms by which a video is found: pure functions of its texts, the same on every engine.
//!
//! A term is a beginning of a word or a whole tag. Every beginning is kept, so that finding is asking for equal texts: no
//! engine's collation, folding or full-text search has a part in it, and a page of hits is one walk down an index.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of a word that count. Titles that differ only after that are both found.
const MAX_WORD: usize = 16;

/// Different words of a video that it is found by: a title, a file's name and the beginning of a description.
const MAX_WORDS: usize = 64;

/// Words of a question: what a person types. More are not looked at.
const MAX_ASKED: usize = 8;

/// What begins a tag's term; no word has it.
const TAG: char = '#';

/// All terms of a video, each once.
pub(crate) fn of(title: &str, name: &str, description: &str, tags: &[String]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for word in [title, name].into_iter().chain(tags.iter().map(String::as_str)).chain([description]) {
        for word in split(word) {
            if words.len() == MAX_WORDS {
                break;
            }
            words.insert(word);
        }
    }
    let mut terms: BTreeSet<String> = tags.iter().map(|tag| of_tag(tag)).collect();
    for word in &words {
        let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
        terms.extend(ends.filter_map(|end| word.get(..end)).map(str::to_owned));
    }
    terms
}

/// The terms of which a video must have every one to be found by a question: the longest, which is mostly the rarest,
/// first.
pub(crate) fn asked(question: &str) -> Vec<String> {
    let mut words: Vec<String> = split(question).take(MAX_ASKED).collect();
    words.sort_by(|a, b| b.chars().count().cmp(&a.chars().count()).then_with(|| a.cmp(b)));
    words.dedup();
    // What begins another word of the question says nothing more.
    let all = words.clone();
    words.retain(|word| !all.iter().any(|other| other != word && other.starts_with(word.as_str())));
    words
}

/// The term of a tag.
pub(crate) fn of_tag(tag: &str) -> String {
    format!("{TAG}{}", folded(tag))
}

/// The words of a text, as the library and the catalog are searched by them: runs of letters and digits, without case and diacritics, of each the
/// first 16 characters.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    split(text)
}

/// The words of a text: runs of letters and digits, folded.
fn split(text: &str) -> impl Iterator<Item = String> {
    let folded = folded(text);
    let words: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect();
    words.into_iter()
}

/// Without case and diacritics. Each character for itself: what a letter becomes does not depend on where it stands.
fn folded(text: &str) -> String {
    let bare = text.nfkd().filter(|c| !is_combining_mark(*c));
    // Twice small: the capital sharp s is ß when it is small, which is SS when it is large.
    bare.flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !is_combining_mark(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(title: &str, question: &str) -> bool {
        let terms = of(title, "", "", &[]);
        let asked = asked(question);
        !asked.is_empty() && asked.iter().all(|term| terms.contains(term))
    }

    #[test]
    fn words_are_found_by_their_beginnings_without_case_and_diacritics() {
        let title = "Über die STRASSE: Café №1, Ὀδυσσεύς İstanbul";
        for question in
            ["uber", "ÜBER", "str", "straße", "cafe", "CAFÉ stra", "οδυσσευς", "οδυσσευσ", "istanbul", "u"]
        {
            assert!(found(title, question), "{question}");
        }
        for question in ["ber", "cafes", "cafe nothing", "", "...", "#"] {
            assert!(!found(title, question), "{question}");
        }
        assert!(
            found("Donaudampfschifffahrtsgesellschaft", "donaudampfschifffahrtskapitän"),
            "16 characters count"
        );
    }

    #[test]
    fn tags_are_words_and_terms_of_their_own() {
        let terms = of("", "clip.mp4", "", &["Été 2026".into()]);
        assert!(terms.contains(&of_tag("ete 2026")) && terms.contains("2026") && terms.contains("clip"));
        assert!(!terms.contains(&of_tag("ete")), "a tag is whole");
    }

    #[test]
    fn a_question_is_short_and_says_nothing_twice() {
        assert_eq!(asked("the thesis THE a"), ["thesis", "a"]);
        assert_eq!(asked(&"a b c d e f g h i j k".repeat(9)).len(), 8);
    }

    #[test]
    fn folding_twice_changes_nothing_of_any_character() {
        for c in '\0'..=char::MAX {
            let once = folded(&c.to_string());
            assert_eq!(folded(&once), once, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn every_beginning_of_every_word_finds(title in "\\PC{0,60}", at in any::<prop::sample::Index>(), cut in 1usize..20) {
            let words: Vec<String> = split(&title).collect();
            if !words.is_empty() {
                let word: String = at.get(&words).chars().take(cut).collect();
                prop_assert!(found(&title, &word), "{word}");
            }
        }

        #[test]
        fn terms_are_bounded_and_folding_twice_changes_nothing(text in "\\PC{0,2000}") {
            prop_assert!(of(&text, &text, &text, &[]).len() <= MAX_WORDS * MAX_WORD);
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
