//! What a text is found by.
//!
//! Words are letters and digits, without case. Scripts that are written without spaces between words (Chinese, Japanese, Thai; Korean
//! likewise, whose endings stick to its words) have none to tell apart: of a run of theirs each two characters that follow one
//! another are a term, `ab bc cd`, in messages and in questions alike. So whatever two characters or more of a run are asked
//! for, they are found.

use std::collections::BTreeSet;

/// Characters of a word that count.
const MAX_TERM: usize = 40;

/// The terms of a text: fewer than it has characters, but for a single one.
pub(crate) fn terms(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for piece in pieces(text) {
        match piece {
            Piece::Word(word) => _ = found.insert(short(&word)),
            Piece::Run(run) => found.extend(pairs(&run)),
        }
    }
    found
}

/// How many different words a text has, of which a run is one.
pub(crate) fn count(text: &str) -> usize {
    let words = pieces(text).into_iter().map(|piece| match piece {
        Piece::Word(word) => short(&word),
        Piece::Run(run) => run,
    });
    words.collect::<BTreeSet<_>>().len()
}

/// What messages were found by while a run counted as a word: some still are, and are not to be when they are deleted.
pub(crate) fn old_terms(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(short).collect()
}

/// A piece of a text that is found.
#[derive(Debug)]
enum Piece {
    Word(String),
    /// Of a script without spaces.
    Run(String),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = vec![];
    let mut before = None;
    for c in text.chars() {
        let is_run = if is_unspaced(c) { Some(true) } else { c.is_alphanumeric().then_some(false) };
        if is_run.is_some()
            && is_run == before
            && let Some(Piece::Word(piece) | Piece::Run(piece)) = pieces.last_mut()
        {
            piece.push(c);
        } else if let Some(is_run) = is_run {
            pieces.push(if is_run { Piece::Run(c.into()) } else { Piece::Word(c.into()) });
        }
        before = is_run;
    }
    pieces
}

fn short(word: &str) -> String {
    word.to_lowercase().chars().take(MAX_TERM).collect()
}

/// Each two characters of a run, or the one that it has.
fn pairs(run: &str) -> Vec<String> {
    let run: Vec<char> = run.chars().collect();
    if run.len() == 1 {
        return vec![run.into_iter().collect()];
    }
    run.windows(2).map(|two| two.iter().collect()).collect()
}

/// True for characters of scripts whose words are not told apart: Thai, Hangul, Hiragana, Katakana, Han.
const fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{0E01}'..='\u{0E3A}'
            | '\u{0E40}'..='\u{0E4E}'
            | '\u{1100}'..='\u{11FF}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3041}'..='\u{3096}'
            | '\u{309D}'..='\u{309F}'
            | '\u{30A1}'..='\u{30FA}'
            | '\u{30FC}'..='\u{30FF}'
            | '\u{31F0}'..='\u{31FF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{AC00}'..='\u{D7A3}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{FF66}'..='\u{FF9F}'
            | '\u{20000}'..='\u{323AF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Vec<String> {
        terms(text).into_iter().collect()
    }

    #[test]
    fn words_have_no_case_and_runs_are_found_by_their_pairs() {
        assert_eq!(of("Big words, big WORDS: 42!"), ["42", "big", "words"]);
        let is = |text: &str, terms: &[&str]| {
            assert_eq!(
                of(text).iter().map(String::as_str).collect::<BTreeSet<_>>(),
                terms.iter().copied().collect()
            );
        };
        is("東京タワー", &["東京", "京タ", "タワ", "ワー"]);
        is("iPhone発売、猫", &["iphone", "発売", "猫"]);
        assert!(terms("ฉันกินข้าวแล้ว").is_superset(&terms("ข้าว")), "with its marks");
        assert_eq!((count("東京タワー tower Tower"), count("猫"), count("...")), (2, 1, 0));
    }

    #[test]
    fn every_word_of_the_longest_message_counts() {
        let words: Vec<String> = (0..1_000).map(|n| format!("{n:03}")).collect();
        assert_eq!(words.join(" ").len(), 3_999);
        assert_eq!(terms(&words.join(" ")).len(), 1_000);
    }

    proptest! {
        #[test]
        fn terms_are_bounded(text in ".{0,300}") {
            let (terms, most) = (terms(&text), text.chars().count());
            prop_assert!(terms.len() <= most && count(&text) <= most);
            for term in terms {
                prop_assert!(!term.is_empty() && term.chars().count() <= MAX_TERM);
            }
        }

        #[test]
        fn whatever_is_asked_for_of_a_run_is_found(text in "[東京日本語ひらカナ한글ไทย]{2,40}", from in 0..38_usize, length in 2..40_usize) {
            let part: String = text.chars().skip(from).take(length).collect();
            if part.chars().count() >= 2 {
                prop_assert!(terms(&text).is_superset(&terms(&part)));
            }
        }

        #[test]
        fn each_word_of_a_text_is_found(words in prop::collection::vec("[a-zäß0-9]{1,50}", 1..40)) {
            let all = terms(&words.join(" "));
            for word in &words {
                prop_assert!(all.is_superset(&terms(&word.to_uppercase())) || word.contains('ß'));
            }
        }
    }
}
