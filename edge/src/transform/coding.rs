//! Content codings: what a request accepts and prefers (RFC 9110 section 12.5.3), and the tags of coded forms.

use http::header::{ACCEPT_ENCODING, HeaderMap};

/// A coding that answers are made in here, the most wanted first: where a client does not care, zstd is decoded fastest
/// at about the size of br, and gzip is larger than both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// All of them, the most wanted first.
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in `Content-Encoding`, and its label in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let is = |coding: &Self| name.eq_ignore_ascii_case(coding.as_str());
        let gzip = || name.eq_ignore_ascii_case("x-gzip").then_some(Self::Gzip);
        Self::ALL.into_iter().find(is).or_else(gzip)
    }
}

/// Weight of what no member names and nothing forbids: acceptable, and behind whatever is named.
const LEAST: u16 = 1;

/// What a request accepts: weights in thousandths, 0 for what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    codings: [u16; Coding::ALL.len()],
    identity: u16,
}

impl Accepts {
    /// Nothing but the plain form.
    pub(crate) const IDENTITY: Self = Self { codings: [0; Coding::ALL.len()], identity: LEAST };

    /// Reads a request's `Accept-Encoding`. One that is absent asks for the plain form: who cannot read codings says
    /// nothing either.
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self::read(request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok()))
    }

    /// Reads the field's lines. The first of several members of one name counts; one whose weight breaks the grammar
    /// is passed over.
    pub(crate) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut codings = [None; Coding::ALL.len()];
        let (mut identity, mut any) = (None, None);
        for member in lines.flat_map(|line| line.split(',')) {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            let Some(weight) = weight(parameters) else { continue };
            let name = name.trim();
            let slot = match Coding::of(name) {
                Some(coding) => &mut codings[coding as usize],
                None if name.eq_ignore_ascii_case("identity") => &mut identity,
                None if name == "*" => &mut any,
                None => continue,
            };
            slot.get_or_insert(weight);
        }
        Self {
            codings: codings.map(|weight| weight.or(any).unwrap_or(0)),
            identity: identity.or(any).unwrap_or(LEAST),
        }
    }

    /// The coding that is wanted most; `None` for the plain form. Of equals the first of [`Coding::ALL`] wins, and any
    /// coding over none.
    pub(crate) fn best(&self) -> Option<Coding> {
        let weight = |coding: &Coding| self.codings[*coding as usize];
        let most = Coding::ALL.iter().map(weight).max().filter(|most| *most > 0 && *most >= self.identity)?;
        Coding::ALL.into_iter().find(|coding| weight(coding) == most)
    }

    /// True when a coding may be answered in.
    pub(crate) const fn takes(&self, coding: Coding) -> bool {
        self.codings[coding as usize] > 0
    }

    /// True when the plain form is refused.
    pub(crate) const fn refuses_identity(&self) -> bool {
        self.identity == 0
    }
}

/// A member's weight in thousandths (RFC 9110 section 12.4.2): 1000 without one, `None` for what is no weight.
pub(super) fn weight(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1_000);
    }
    let (name, value) = parameters.split_once('=')?;
    let value = value.trim();
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = part.len() <= 3 && part.bytes().all(|c| c.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("q") || !digits {
        return None;
    }
    let thousandths = part.bytes().chain(*b"000").take(3).fold(0, |sum, c| sum * 10 + u16::from(c - b'0'));
    match (whole, thousandths) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// The entity tag of a coded form: a strong tag names one sequence of bytes, so each form has its own (RFC 9110 section
/// 8.8.3.3); a weak one names them all. `None` for what is no tag.
pub(crate) fn coded_tag(tag: &str, coding: Coding) -> Option<String> {
    if tag.starts_with("W/") {
        return Some(tag.to_owned());
    }
    let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
    Some(format!("\"{opaque}-{}\"", coding.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best(field: &str) -> &'static str {
        Accepts::read([field].into_iter()).best().map_or("identity", Coding::as_str)
    }

    #[test]
    fn the_most_wanted_coding_is_chosen() {
        for (field, wanted) in [
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip, deflate, br", "br"),
            ("gzip", "gzip"),
            ("X-GZIP", "gzip"),
            ("br;q=0.5, gzip;q=0.8", "gzip"),
            ("br;q=0.5, gzip; Q=0.50", "br"),
            ("", "identity"),
            ("deflate", "identity"),
            ("identity", "identity"),
            ("identity, gzip", "gzip"),
            ("identity;q=1, gzip;q=0.9", "identity"),
            ("gzip;q=0", "identity"),
            ("*", "zstd"),
            ("*, zstd;q=0", "br"),
            ("*;q=0", "identity"),
            ("gzip;q=0.001", "gzip"),
            ("gzip;q=1.001, br;q=x", "identity"),
            ("gzip;q=0.0001", "identity"),
            ("gzip;level=9", "identity"),
        ] {
            assert_eq!(best(field), wanted, "{field}");
        }
        assert_eq!(Accepts::of(&HeaderMap::new()), Accepts::IDENTITY);
    }

    #[test]
    fn the_plain_form_is_refused_by_name_or_by_star() {
        for (field, refused) in [
            ("identity;q=0", true),
            ("*;q=0", true),
            ("gzip, *;q=0", true),
            ("identity;q=0.1, *;q=0", false),
            ("gzip", false),
        ] {
            assert_eq!(Accepts::read([field].into_iter()).refuses_identity(), refused, "{field}");
        }
    }

    #[test]
    fn each_form_has_a_strong_tag_of_its_own() {
        assert_eq!(coded_tag("\"a\"", Coding::Brotli).as_deref(), Some("\"a-br\""));
        assert_eq!(coded_tag("W/\"a\"", Coding::Gzip).as_deref(), Some("W/\"a\""));
        assert_eq!(coded_tag("a", Coding::Gzip), None);
    }

    proptest! {
        #[test]
        fn no_field_breaks_it_and_what_is_chosen_is_accepted(lines in prop::collection::vec("[ -~]{0,40}", 0..3)) {
            let accepts = Accepts::read(lines.iter().map(String::as_str));
            if let Some(best) = accepts.best() {
                prop_assert!(accepts.takes(best));
            }
        }

        #[test]
        fn nothing_acceptable_is_wanted_more_than_the_best(weights in prop::array::uniform4(0u16..=1000)) {
            let field: Vec<String> = ["zstd", "br", "gzip", "identity"]
                .iter()
                .zip(weights)
                .map(|(name, w)| format!("{name};q={}.{:03}", w / 1_000, w % 1_000))
                .collect();
            let accepts = Accepts::read([field.join(", ").as_str()].into_iter());
            let most = weights.into_iter().max().unwrap();
            let chosen = accepts.best().map_or(weights[3], |coding| weights[coding as usize]);
            prop_assert_eq!(chosen, most);
            prop_assert_eq!(accepts.refuses_identity(), weights[3] == 0);
        }

        #[test]
        fn the_order_of_members_does_not_matter(mut members in Just(vec!["zstd;q=0.3", "br", "gzip;q=0.9", "*;q=0.1"]).prop_shuffle()) {
            let of = |members: &[&str]| Accepts::read(members.iter().copied());
            let accepts = of(&members);
            members.sort_unstable();
            prop_assert_eq!(accepts, of(&members));
        }
    }
}
