//! Signed URLs: what is signed, and how it stands in a query.
//!
//! ```text
//! /v/ID/master.m3u8?sluice-prefix=/v/ID/&sluice-expires=1800000000&sluice-key=2026&sluice-signature=...
//! ```
//!
//! The signature (Ed25519, base64url) is over lines that begin with [`DOMAIN`], so that no other signed text of the same
//! key is one of these. Every line is there, absent limits as empty ones.

use super::{Grant, MAX_KEY_ID, MAX_LIST, Refusal, jwt, path};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The first line of what is signed.
pub const DOMAIN: &str = "sluice-signed-url-1";
/// What every parameter of a signed URL begins with. The last one is the signature.
const PREFIX: &str = "sluice-prefix";
const EXPIRES: &str = "sluice-expires";
const METHODS: &str = "sluice-methods";
const COUNTRIES: &str = "sluice-countries";
const CLIENT: &str = "sluice-client";
const KEY: &str = "sluice-key";
const SIGNATURE: &str = "sluice-signature";
/// Names of all parameters, in the order in which they are written.
pub const PARAMS: [&str; 7] = [PREFIX, EXPIRES, METHODS, COUNTRIES, CLIENT, KEY, SIGNATURE];

/// Written plainly in a query's value.
const PLAIN: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b',')
    .remove(b':');

/// What a signed URL allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignedUrl {
    /// A prefix of paths; absent, it is for the very path it stands at.
    pub prefix: Option<String>,
    /// Its end, in seconds of Unix time.
    pub expires: u64,
    /// Methods; none for GET and HEAD.
    pub methods: Vec<String>,
    /// Countries; none for all.
    pub countries: Vec<String>,
    /// Address or network of the client.
    pub client: Option<String>,
    /// The id of the key that signs.
    pub key: String,
}

impl SignedUrl {
    /// The bytes that are signed, for the path it stands at (as [`path::compared`] spells it).
    #[must_use]
    pub fn signed_text(&self, at: &str) -> Vec<u8> {
        let scope = self.prefix.as_ref().map_or_else(|| format!("path {at}"), |p| format!("prefix {p}"));
        let lines = [
            DOMAIN.to_owned(),
            scope,
            self.expires.to_string(),
            self.methods.join(","),
            self.countries.join(","),
            self.client.clone().unwrap_or_default(),
            self.key.clone(),
        ];
        lines.join("\n").into_bytes()
    }

    /// The query that carries it, with its signature.
    #[must_use]
    pub fn query(&self, signature: &[u8]) -> String {
        let values = [
            self.prefix.clone().unwrap_or_default(),
            self.expires.to_string(),
            self.methods.join(","),
            self.countries.join(","),
            self.client.clone().unwrap_or_default(),
            self.key.clone(),
            BASE64_URL_SAFE_NO_PAD.encode(signature),
        ];
        let pairs = PARAMS.iter().zip(values).filter(|(_, value)| !value.is_empty());
        pairs
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, &PLAIN)))
            .collect::<Vec<_>>()
            .join("&")
    }

    /// Reads the parameters of a query; others are passed over. `None` when it has no signature.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a parameter that is there twice or has no meaning, and without an end or a key.
    pub fn parse(query: &str) -> Result<Option<(Self, Vec<u8>)>, Refusal> {
        let mut values: [Option<String>; 7] = Default::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(at) = PARAMS.iter().position(|param| *param == name) else { continue };
            let value = percent_decode_str(value).decode_utf8().map_err(|_| Refusal::Malformed)?;
            let odd = value.is_empty() || value.chars().any(char::is_control);
            if odd || values[at].replace(value.into_owned()).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        let [prefix, expires, methods, countries, client, key, signature] = values;
        let Some(signature) = signature else { return Ok(None) };
        let expires = expires.as_deref().and_then(number).ok_or(Refusal::Malformed)?;
        let key = key.filter(|key| key.len() <= MAX_KEY_ID).ok_or(Refusal::Malformed)?;
        let list = |text: Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).take(MAX_LIST).map(str::to_owned).collect()
        };
        if prefix.as_ref().is_some_and(|prefix| !path::is_prefix(prefix)) {
            return Err(Refusal::Malformed);
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed)?;
        let (methods, countries) = (list(methods), list(countries));
        Ok(Some((Self { prefix, expires, methods, countries, client, key }, signature)))
    }

    /// What it allows at the path it stands at. A path is given exactly, a prefix covers what is below it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a client that is no address.
    pub fn grant(&self) -> Result<Grant, Refusal> {
        let or_none = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let reads = || vec!["GET".to_owned()];
        Ok(Grant {
            expires: Some(self.expires),
            paths: self.prefix.clone().map(|prefix| vec![prefix]),
            methods: Some(or_none(&self.methods).unwrap_or_else(reads)),
            countries: or_none(&self.countries),
            clients: self.client.as_deref().map(jwt::network).transpose()?,
            ..Grant::default()
        })
    }
}

/// A decimal without sign or leading zero.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn urls() -> impl Strategy<Value = SignedUrl> {
        let prefix =
            prop::option::of(prop_oneof![Just("/v/a/".to_owned()), Just("/v/\u{e4} !&=".to_owned())]);
        let lists = (prop::collection::vec("[A-Z]{2,5}", 0..3), prop::collection::vec("[A-Z]{2}", 0..3));
        let client = prop::option::of(Just("192.0.2.0/24".to_owned()));
        (prefix, 1..u64::MAX, lists, client, "[a-z0-9&=%+ ]{1,9}").prop_map(
            |(prefix, expires, lists, client, key)| SignedUrl {
                prefix,
                expires,
                methods: lists.0,
                countries: lists.1,
                client,
                key,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(url in urls(), signature in prop::collection::vec(any::<u8>(), 1..70)) {
            let query = format!("a=1&{}&b", url.query(&signature));
            prop_assert_eq!(SignedUrl::parse(&query), Ok(Some((url, signature))));
        }

        #[test]
        fn different_urls_sign_different_texts(one in urls(), other in urls(), at in "/[a-z]{0,3}", there in "/[a-z]{0,3}") {
            let same = one == other && (one.prefix.is_some() || at == there);
            prop_assert_eq!(one.signed_text(&at) == other.signed_text(&there), same);
        }
    }

    #[test]
    fn doubtful_queries_are_refused() {
        let good = "sluice-expires=9&sluice-key=k&sluice-signature=AAAA";
        assert!(SignedUrl::parse(good).unwrap().is_some());
        assert_eq!(SignedUrl::parse("a=1&sluice-expires=9&sluice-key=k"), Ok(None), "unsigned");
        for bad in [
            format!("{good}&sluice-expires=99"),
            format!("{good}&sluice-prefix="),
            format!("{good}&sluice-prefix=/v/../x"),
            format!("{good}&sluice-prefix=/v%0Ax"),
            good.replace('9', "09"),
            good.replace('9', "+9"),
            good.replace("=9", "="),
            good.replace("=9", "=99999999999999999999999"),
            good.replace("sluice-key=k", "x=y"),
            good.replace("AAAA", "AA=="),
            good.replace("AAAA", "%ff"),
        ] {
            assert_eq!(SignedUrl::parse(&bad), Err(Refusal::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_signed_url_reads_unless_told_otherwise() {
        let grant = SignedUrl { expires: 9, key: "k".into(), ..SignedUrl::default() }.grant().unwrap();
        assert_eq!((grant.methods, grant.paths), (Some(vec!["GET".into()]), None));
        assert!(SignedUrl { client: Some("x".into()), ..SignedUrl::default() }.grant().is_err());
    }
}
