//! What is spoken and written: languages as players name them (BCP 47), from what people and containers write.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A well-formed language tag (RFC 5646), of at most 35 characters, read in any case and kept in the case that it
/// recommends (`pt-BR`, `zh-Hant`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

/// Why a text is no language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a language is named as in BCP 47: en, pt-BR, zh-Hant")]
pub struct LanguageError;

/// Characters of the longest tag that RFC 5646 (section 4.4.1) asks implementations to take.
const MAX_LENGTH: usize = 35;

impl Language {
    /// What a container writes: a code of ISO 639-2 (by either of its two lists), one of ISO 639-1, or a tag. `None` where
    /// that says nothing.
    #[must_use]
    pub fn of_container(text: &str) -> Option<Self> {
        // Transport streams may name two languages.
        let text = text.split(',').next().unwrap_or_default().trim();
        let (first, rest) =
            text.split_once(['-', '_']).map_or((text, None), |(first, rest)| (first, Some(rest)));
        let first = first.to_ascii_lowercase();
        if NOTHING.contains(&first.as_str()) {
            return None;
        }
        // RFC 5646 section 2.2.1: the shortest code.
        let first = shorter(&first).unwrap_or(&first);
        let rest = rest.map(|rest| format!("-{}", rest.replace('_', "-"))).unwrap_or_default();
        format!("{first}{rest}").parse().ok()
    }

    /// What is not known.
    #[must_use]
    pub fn undetermined() -> Self {
        Self("und".into())
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to take where something is wanted in this language, the best first: the tag, and the tag with ever less at its end
    /// (RFC 4647 section 3.4). Each is the beginning of the one before.
    pub fn lookup(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |&tag| {
            let (mut shorter, _) = tag.rsplit_once('-')?;
            // A singleton says nothing without what it begins.
            while let Some((before, last)) = shorter.rsplit_once('-')
                && last.len() == 1
            {
                shorter = before;
            }
            (shorter.len() > 1).then_some(shorter)
        })
    }
}

/// Codes of ISO 639-2 that name no language: undetermined, none of the listed, several, no words.
const NOTHING: [&str; 4] = ["und", "mis", "mul", "zxx"];

fn shorter(code: &str) -> Option<&'static str> {
    CODES
        .split(' ')
        .find_map(|pair| pair.strip_prefix(code).filter(|short| code.len() == 3 && short.len() == 2))
}

/// Codes of ISO 639-2, by its terminological and its bibliographic list, each before that of ISO 639-1.
const CODES: &str = "aaraa abkab afraf akaak albsq amham araar argan armhy asmas avaav aveae aymay azeaz bakba bambm \
    baqeu belbe benbn bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece chizh chucu chvcv \
    corkw cosco crecr cymcy czecs danda deude divdv dutnl dzodz ellel engen epoeo estet euseu eweee \
    faofo fasfa fijfj finfi frafr frefr fryfy fulff geoka gerde glagd glega glggl glvgv greel grngn \
    gujgu hatht hauha hebhe herhz hinhi hmoho hrvhr hunhu hyehy iboig iceis idoio iiiii ikuiu ileie \
    inaia indid ipkik islis itait javjv jpnja kalkl kankn kasks katka kaukr kazkk khmkm kikki kinrw \
    kirky komkv konkg korko kuakj kurku laolo latla lavlv limli linln litlt ltzlb lublu luglg macmk \
    mahmh malml maomi marmr mayms mkdmk mlgmg mltmt monmn mrimi msams myamy nauna navnv nblnr ndend \
    ndong nepne nldnl nnonn nobnb norno nyany ocioc ojioj orior ormom ossos panpa perfa plipi polpl \
    porpt pusps quequ rohrm ronro rumro runrn rusru sagsg sansa sinsi slksk slosk slvsl smese smosm \
    snasn sndsd somso sotst spaes sqisq srdsc srpsr sswss sunsu swasw swesv tahty tamta tattt telte \
    tgktg tgltl thath tibbo tirti tonto tsntn tsots tuktk turtr twitw uigug ukruk urdur uzbuz venve \
    vievi volvo welcy wlnwa wolwo xhoxh yidyi yoryo zhaza zhozh zulzu";

impl FromStr for Language {
    type Err = LanguageError;
    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let small = text.to_ascii_lowercase();
        if small.len() <= MAX_LENGTH && is_well_formed(&small) {
            Ok(Self(cased(&small)))
        } else {
            Err(LanguageError)
        }
    }
}

impl TryFrom<String> for Language {
    type Error = LanguageError;
    fn try_from(text: String) -> Result<Self, LanguageError> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag in small letters in the case of section 2.1.1.
fn cased(small: &str) -> String {
    let (mut tag, mut plain) = (String::with_capacity(small.len()), true);
    for (place, subtag) in small.split('-').enumerate() {
        if place > 0 {
            tag.push('-');
        }
        match subtag.len() {
            2 if place > 0 && plain => tag.push_str(&subtag.to_ascii_uppercase()),
            4 if place > 0 && plain => {
                let (first, rest) = subtag.split_at(1);
                tag.push_str(&first.to_ascii_uppercase());
                tag.push_str(rest);
            }
            _ => tag.push_str(subtag),
        }
        // After a singleton all is small.
        plain &= subtag.len() > 1;
    }
    tag
}

fn alpha(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_lowercase())
}

fn digits(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit())
}

/// The grammar of section 2.1, of a text in small letters, without grandfathered tags.
fn is_well_formed(text: &str) -> bool {
    let subtags: Vec<&str> = text.split('-').collect();
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if subtags.iter().any(|s| !(1..=8).contains(&s.len()) || !s.bytes().all(letters)) {
        return false;
    }
    let mut rest = subtags.into_iter().peekable();
    let primary = rest.next().unwrap_or_default();
    if primary == "x" {
        return rest.next().is_some();
    }
    // Longer ones are well-formed, and none of them is a language's.
    if !(2..=3).contains(&primary.len()) || !alpha(primary) {
        return false;
    }
    for _ in 0..3 {
        rest.next_if(|s| s.len() == 3 && alpha(s));
    }
    rest.next_if(|s| s.len() == 4 && alpha(s));
    rest.next_if(|s| (s.len() == 2 && alpha(s)) || (s.len() == 3 && digits(s)));
    let mut seen = vec![];
    let variant = |s: &str| s.len() >= 5 || (s.len() == 4 && s.starts_with(|c: char| c.is_ascii_digit()));
    while let Some(variant) = rest.next_if(|s| variant(s)) {
        if seen.contains(&variant) {
            return false;
        }
        seen.push(variant);
    }
    while let Some(singleton) = rest.next_if(|s| s.len() == 1 && *s != "x") {
        if seen.contains(&singleton) || rest.next_if(|s| s.len() > 1).is_none() {
            return false;
        }
        while rest.next_if(|s| s.len() > 1).is_some() {}
        seen.push(singleton);
    }
    match rest.next() {
        None => true,
        Some("x") => rest.next().is_some(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn containers_codes_become_tags() {
        let of = |text| Language::of_container(text).map(|l| l.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!([of("ger"), of("deu"), of("de")], [some("de"), some("de"), some("de")]);
        assert_eq!(
            [of("ENG"), of("eng,fre"), of("pt-BR"), of("zho_Hans")],
            [some("en"), some("en"), some("pt-BR"), some("zh-Hans")]
        );
        assert_eq!([of("gsw"), of("haw")], [some("gsw"), some("haw")], "has no shorter code");
        for nothing in ["und", "", "mul", "English", "e", "en-\"", "en-", "\u{1F600}"] {
            assert_eq!(of(nothing), None, "{nothing:?}");
        }
        assert!(CODES.split(' ').all(|pair| pair.len() == 5 && pair.is_ascii()));
    }

    #[test]
    fn languages_are_read_in_any_case_and_shown_in_one() {
        for (given, shown) in [
            ("EN", "en"),
            ("pt-br", "pt-BR"),
            ("ZH-HANT-tw", "zh-Hant-TW"),
            ("de-CH-1996", "de-CH-1996"),
            ("sl-rozaj-biske", "sl-rozaj-biske"),
            ("es-419", "es-419"),
            ("zh-cmn-Hans", "zh-cmn-Hans"),
            ("en-u-ca-buddhist-x-Ab", "en-u-ca-buddhist-x-ab"),
            ("x-klingon", "x-klingon"),
            ("und", "und"),
        ] {
            assert_eq!(given.parse::<Language>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "e",
            "en-",
            "-en",
            "en_US",
            "en--us",
            "e1",
            "en-us-us",
            "en-a",
            "en-x",
            "x",
            "1234",
            "english",
            "en-a-bb-a-cc",
        ] {
            assert_eq!(bad.parse::<Language>(), Err(LanguageError), "{bad}");
        }
    }

    #[test]
    fn a_language_is_looked_up_with_ever_less_at_its_end() {
        for (wanted, taken) in [
            ("de", "de"),
            ("de-CH", "de-CH de"),
            (
                "zh-Hant-CN-x-private1-private2",
                "zh-Hant-CN-x-private1-private2 zh-Hant-CN-x-private1 zh-Hant-CN zh-Hant zh",
            ),
            ("en-x-a-b", "en-x-a-b en"),
            ("x-klingon", "x-klingon"),
        ] {
            let language: Language = wanted.parse().unwrap();
            assert_eq!(language.lookup().collect::<Vec<_>>().join(" "), taken);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_names_the_same_language(text in "[a-zA-Z0-9-]{1,20}") {
            if let Ok(language) = text.parse::<Language>() {
                prop_assert_eq!(language.to_string().parse(), Ok(language));
            }
        }

        #[test]
        fn tags_are_safe_in_attributes(text in "\\PC{0,12}") {
            if let Some(tag) = Language::of_container(&text) {
                prop_assert!(tag.as_str().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
                prop_assert_eq!(tag.as_str().parse(), Ok(tag.clone()));
            }
        }
    }
}
