//! Credentials: where they stand in a request, and how they are taken out of it, so that neither the cache's key nor a
//! parent sees them.

use super::config::AccessConfig;
use super::rules::Need;
use crate::gate::Target;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use sluice_wire::token::signed::{PARAMS, SignedUrl};
use sluice_wire::token::{MAX_TOKEN, Refusal};

/// The field of CTA-5007.
pub(crate) const CAT_FIELD: &str = "common-access-token";

/// What was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A JWT or a CAT.
    Token(String),
    /// A signed URL's parameters, and the signature.
    Signed(SignedUrl, Vec<u8>),
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) kind: Kind,
    /// It stood in the query.
    pub(crate) in_query: bool,
    /// As it stands in a query: a redirect carries it on.
    pub(crate) query: String,
    /// As it stands in a cookie.
    pub(crate) cookie: String,
}

/// What a query held of credentials.
#[derive(Debug, Default)]
struct FromQuery {
    tokens: Vec<String>,
    signed: Vec<String>,
}

/// Takes what carries credentials out of a request; the one that counts. What is not ours stays: `Authorization` counts,
/// and goes, only where a rule takes tokens.
pub(crate) fn take(
    config: &AccessConfig,
    need: Need,
    headers: &mut HeaderMap,
    target: &mut Target,
) -> Result<Option<Credential>, Refusal> {
    let query = from_query(config, target);
    let cookies = from_cookies(config, headers);
    if need == Need::Open {
        return Ok(None);
    }
    let mut given = vec![];
    for token in query.tokens {
        given.push(token_credential(config, token, true)?);
    }
    if let Some(credential) = signed_credential(&query.signed.join("&"), true)? {
        given.push(credential);
    }
    if need.takes_tokens() {
        for token in from_fields(headers)? {
            given.push(token_credential(config, token, false)?);
        }
    }
    match (given.pop(), given.is_empty()) {
        (_, false) => Err(Refusal::Several),
        (Some(one), true) => Ok(Some(one)),
        // A browser sends what it got before; what is given now counts more.
        (None, true) => cookies.first().map_or(Ok(None), |value| from_cookie(config, value)),
    }
}

/// Out of the query, and out of the target.
fn from_query(config: &AccessConfig, target: &mut Target) -> FromQuery {
    let mut found = FromQuery::default();
    let Some(query) = target.query.take() else { return found };
    let mut kept = vec![];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == config.param {
            found.tokens.push(value.to_owned());
        } else if PARAMS.contains(&name) {
            found.signed.push(pair.to_owned());
        } else {
            kept.push(pair);
        }
    }
    target.query = (!kept.is_empty()).then(|| kept.join("&"));
    found
}

/// Out of `Authorization: Bearer` (RFC 6750 section 2.1) and `Common-Access-Token`.
fn from_fields(headers: &mut HeaderMap) -> Result<Vec<String>, Refusal> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).map_err(|_| Refusal::Malformed);
    let mut tokens = vec![];
    let bearer = |value: &HeaderValue| {
        let scheme = value.as_bytes().get(..7).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer ")
    };
    if headers.get_all(AUTHORIZATION).iter().any(bearer) {
        for value in headers.get_all(AUTHORIZATION) {
            let value = text(value)?;
            tokens.push(value.split_once(' ').map_or("", |(_, token)| token).trim().to_owned());
        }
        headers.remove(AUTHORIZATION);
    }
    for value in headers.get_all(CAT_FIELD) {
        tokens.push(text(value)?);
    }
    headers.remove(CAT_FIELD);
    Ok(tokens)
}

/// Out of the cookies of our name; the others stay as they are.
fn from_cookies(config: &AccessConfig, headers: &mut HeaderMap) -> Vec<String> {
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    let named = |field: &HeaderValue| {
        let name = config.cookie.as_bytes();
        field.as_bytes().windows(name.len()).any(|window| window == name)
    };
    if !fields.iter().any(named) {
        return vec![];
    }
    headers.remove(COOKIE);
    let mut found = vec![];
    for field in fields {
        let Ok(text) = field.to_str() else {
            headers.append(COOKIE, field);
            continue;
        };
        let mut kept = vec![];
        for pair in text.split(';').map(str::trim) {
            match pair.split_once('=') {
                Some((name, value)) if name == config.cookie => found.push(value.to_owned()),
                _ if pair.is_empty() => {}
                _ => kept.push(pair),
            }
        }
        if let Ok(value) = HeaderValue::from_str(&kept.join("; "))
            && !kept.is_empty()
        {
            headers.append(COOKIE, value);
        }
    }
    found
}

fn from_cookie(config: &AccessConfig, value: &str) -> Result<Option<Credential>, Refusal> {
    match signed_credential(value, false)? {
        Some(signed) => Ok(Some(signed)),
        None => token_credential(config, value.to_owned(), false).map(Some),
    }
}

fn token_credential(config: &AccessConfig, token: String, in_query: bool) -> Result<Credential, Refusal> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(plain) {
        return Err(Refusal::Malformed);
    }
    let query = format!("{}={token}", config.param);
    Ok(Credential { cookie: token.clone(), kind: Kind::Token(token), in_query, query })
}

fn signed_credential(query: &str, in_query: bool) -> Result<Option<Credential>, Refusal> {
    let Some((url, signature)) = SignedUrl::parse(query)? else { return Ok(None) };
    let query = url.query(&signature);
    Ok(Some(Credential { kind: Kind::Signed(url, signature), in_query, cookie: query.clone(), query }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(
        need: Need,
        query: &str,
        fields: &[(&'static str, &str)],
    ) -> (Result<Option<Credential>, Refusal>, Target, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let mut target = Target { path: "/v/a".into(), query: Some(query.into()), tried: vec![] };
        let found = take(&AccessConfig::default(), need, &mut headers, &mut target);
        (found, target, headers)
    }

    fn token(found: Result<Option<Credential>, Refusal>) -> String {
        match found.unwrap().unwrap().kind {
            Kind::Token(token) => token,
            Kind::Signed(..) => panic!("a token"),
        }
    }

    #[test]
    fn credentials_are_taken_out_wherever_they_stand() {
        let (found, target, _) = taken(Need::Token, "a=1&sluice-token=t.t.t&b=2", &[]);
        assert_eq!((token(found), target.query.as_deref()), ("t.t.t".into(), Some("a=1&b=2")));
        let (found, target, headers) =
            taken(Need::Token, "sluice-token=t", &[("cookie", "x=1; sluice-token=u; y=2")]);
        assert_eq!((token(found), target.query), ("t".into(), None));
        assert_eq!(headers["cookie"], "x=1; y=2");
        let (found, _, headers) = taken(Need::Either, "a", &[("cookie", "sluice-token=u")]);
        assert_eq!((token(found), headers.get("cookie")), ("u".into(), None));
        let (found, _, headers) = taken(Need::Token, "a", &[("authorization", "bEarer t.u")]);
        assert_eq!((token(found), headers.len()), ("t.u".into(), 0));
        let (found, _, headers) = taken(Need::Token, "a", &[(CAT_FIELD, "abc")]);
        assert_eq!((token(found), headers.len()), ("abc".into(), 0));
        let signed = "sluice-expires=9&sluice-key=k&sluice-signature=AAAA";
        let (found, target, _) = taken(Need::Signed, &format!("{signed}&a=1"), &[]);
        let found = found.unwrap().unwrap();
        assert!(found.in_query && found.query == signed && target.query.as_deref() == Some("a=1"));
        let (found, ..) = taken(Need::Signed, "a", &[("cookie", &format!("sluice-token={signed}"))]);
        assert!(matches!(found.unwrap().unwrap().kind, Kind::Signed(..)));
    }

    #[test]
    fn what_is_not_ours_stays() {
        let fields = [("authorization", "Bearer app"), ("cookie", "a=1; sluice-tokens=2")];
        let (found, target, headers) = taken(Need::Open, "sluice-token=t&a", &fields);
        assert_eq!((found, target.query.as_deref()), (Ok(None), Some("a")));
        assert_eq!(
            (&headers["authorization"], &headers["cookie"]),
            (&"Bearer app".parse().unwrap(), &"a=1; sluice-tokens=2".parse().unwrap())
        );
        let (found, _, headers) = taken(Need::Token, "a", &[("authorization", "Basic x")]);
        assert_eq!((found, headers.len()), (Ok(None), 1));
        let (found, _, headers) = taken(Need::Signed, "a", &[("authorization", "Bearer x")]);
        assert_eq!((found, headers.len()), (Ok(None), 1));
    }

    #[test]
    fn doubt_is_refused() {
        for (query, fields) in [
            ("sluice-token=t&sluice-token=u", vec![]),
            ("sluice-token=t", vec![("authorization", "Bearer u")]),
            ("a", vec![("authorization", "Bearer u"), ("authorization", "Bearer v")]),
            ("a", vec![("authorization", "Bearer u"), (CAT_FIELD, "v")]),
            ("sluice-token=t&sluice-expires=9&sluice-key=k&sluice-signature=AAAA", vec![]),
        ] {
            assert_eq!(taken(Need::Either, query, &fields).0, Err(Refusal::Several), "{query} {fields:?}");
        }
        for query in ["sluice-token=", "sluice-token=a%41", "sluice-token=a b", "sluice-token=../../etc"] {
            assert_eq!(taken(Need::Token, query, &[]).0, Err(Refusal::Malformed), "{query}");
        }
    }
}
