//! What is spoken: languages as players name them (BCP 47), from what containers write.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A language tag (RFC 5646): subtags of letters and digits, joined by hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

/// Why a text is no language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a language tag is 2 to 3 letters, then subtags of 1 to 8 letters and digits behind hyphens, at most 35 in all"
)]
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

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
        let mut subtags = text.split('-');
        let first = subtags.next().unwrap_or_default();
        let named = (2..=3).contains(&first.len()) && first.bytes().all(|c| c.is_ascii_lowercase());
        let plain =
            |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|c| c.is_ascii_alphanumeric());
        let ok = text.len() <= MAX_LENGTH && named && subtags.all(plain);
        if ok { Ok(Self(text.to_owned())) } else { Err(LanguageError) }
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

    proptest! {
        #[test]
        fn tags_are_safe_in_attributes(text in "\\PC{0,12}") {
            if let Some(tag) = Language::of_container(&text) {
                prop_assert!(tag.as_str().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
                prop_assert_eq!(tag.as_str().parse(), Ok(tag.clone()));
            }
        }
    }
}
