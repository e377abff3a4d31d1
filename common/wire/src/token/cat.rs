//! Common Access Tokens (CTA-5007): claims of a CBOR Web Token (RFC 8392). Their COSE envelope is left to who checks it.
//!
//! A claim that limits and is not known here refuses the token, since to pass over it would allow more than was granted.

use super::uri::{Match, UriPart, UriTest};
use super::{Grant, MAX_LIST, MAX_TOKEN, Refusal};
use ciborium::Value;

/// Claims with a meaning here, by their labels in IANA's registry of CWT claims.
pub mod label {
    #![allow(missing_docs, reason = "names of the registry")]
    pub const ISS: i128 = 1;
    pub const SUB: i128 = 2;
    pub const AUD: i128 = 3;
    pub const EXP: i128 = 4;
    pub const NBF: i128 = 5;
    pub const IAT: i128 = 6;
    pub const CTI: i128 = 7;
    pub const CATREPLAY: i128 = 308;
    pub const CATV: i128 = 310;
    pub const CATU: i128 = 312;
    pub const CATM: i128 = 313;
    pub const CATGEOISO3166: i128 = 316;
    pub const CATIFDATA: i128 = 320;
    pub const CATIF: i128 = 322;
    pub const CATR: i128 = 323;
}
use label::{
    AUD, CATGEOISO3166, CATIF, CATIFDATA, CATM, CATR, CATREPLAY, CATU, CATV, CTI, EXP, IAT, ISS, NBF, SUB,
};

/// The version of the claims that is known.
const VERSION: i128 = 1;

/// What claims allow.
///
/// # Errors
/// [`Refusal::Malformed`] for what is no map of at most [`MAX_LIST`] claims, and for one that is there twice or has no meaning;
/// [`Refusal::Claim`] for one that is not known.
pub fn grant(claims: &[u8]) -> Result<Grant, Refusal> {
    let mut grant = Grant::default();
    let mut seen = vec![];
    for (key, value) in map(&read(claims)?)? {
        let key = integer(key).ok_or(Refusal::Claim)?;
        if seen.contains(&key) || seen.len() == MAX_LIST {
            return Err(Refusal::Malformed);
        }
        seen.push(key);
        claim(&mut grant, key, value)?;
    }
    Ok(grant)
}

fn claim(grant: &mut Grant, key: i128, value: &Value) -> Result<(), Refusal> {
    match key {
        ISS => grant.issuer = Some(text(value)?),
        SUB => grant.subject = Some(text(value)?),
        AUD => grant.audiences = texts(value)?,
        EXP => grant.expires = Some(date(value)?),
        NBF => grant.not_before = Some(date(value)?),
        IAT => grant.issued = Some(date(value)?),
        CATU => grant.uri = tests(value)?,
        CATM => grant.methods = Some(texts(value)?),
        CATGEOISO3166 => grant.countries = Some(texts(value)?),
        CATV if integer(value) == Some(VERSION) => {}
        // 0: may be used again. Other values need a memory shared by all edges.
        CATREPLAY if integer(value) == Some(0) => {}
        // Names of the token, how to renew it, and what to do when it is refused: they limit nothing.
        CTI | CATR | CATIF | CATIFDATA => {}
        _ => return Err(Refusal::Claim),
    }
    Ok(())
}

/// One CBOR value that is all there is.
fn read(bytes: &[u8]) -> Result<Value, Refusal> {
    let mut rest = bytes;
    let fits = bytes.len() <= MAX_TOKEN;
    let value = ciborium::from_reader(&mut rest).ok().filter(|_| fits).ok_or(Refusal::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(Refusal::Malformed) }
}

fn map(value: &Value) -> Result<&Vec<(Value, Value)>, Refusal> {
    value.as_map().ok_or(Refusal::Malformed)
}

fn integer(value: &Value) -> Option<i128> {
    value.as_integer().map(i128::from)
}

fn text(value: &Value) -> Result<String, Refusal> {
    value.as_text().map(str::to_owned).ok_or(Refusal::Malformed)
}

/// One text or a list of them.
fn texts(value: &Value) -> Result<Vec<String>, Refusal> {
    let Some(list) = value.as_array() else { return Ok(vec![text(value)?]) };
    if list.len() > MAX_LIST { Err(Refusal::Malformed) } else { list.iter().map(text).collect() }
}

/// Seconds (RFC 8392 section 3.1.4): an integer, or a float whose fraction is cut off; never with a tag.
fn date(value: &Value) -> Result<u64, Refusal> {
    let whole = integer(value).and_then(|n| u64::try_from(n).ok());
    let cut = || {
        let fraction = value.as_float().filter(|n| (0.0..1e15).contains(n))?;
        format!("{:.0}", fraction.floor()).parse().ok()
    };
    whole.or_else(cut).ok_or(Refusal::Malformed)
}

fn tests(value: &Value) -> Result<Vec<UriTest>, Refusal> {
    let mut tests = vec![];
    for (part, matches) in map(value)? {
        let part = integer(part).and_then(UriPart::of_label).ok_or(Refusal::Claim)?;
        for (kind, wanted) in map(matches)? {
            let kind = integer(kind).ok_or(Refusal::Claim)?;
            let by = Match::of_label(kind, wanted.as_text().ok_or(Refusal::Claim)?).ok_or(Refusal::Claim)?;
            if tests.len() == MAX_LIST {
                return Err(Refusal::Malformed);
            }
            tests.push(UriTest { part, by });
        }
    }
    Ok(tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cbor(value: &Value) -> Vec<u8> {
        let mut bytes = vec![];
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn claims(list: Vec<(i128, Value)>) -> Result<Grant, Refusal> {
        let pairs = list.into_iter().map(|(k, v)| (Value::Integer(k.try_into().unwrap()), v)).collect();
        grant(&cbor(&Value::Map(pairs)))
    }

    fn of(pairs: &[(i64, Value)]) -> Value {
        Value::Map(pairs.iter().map(|(k, v)| (Value::from(*k), v.clone())).collect())
    }

    #[test]
    fn known_claims_are_read() {
        let catu = of(&[(3, of(&[(1, "/v/a/".into())])), (8, of(&[(0, ".m4s".into())]))]);
        let read = claims(vec![
            (ISS, "i".into()),
            (AUD, "a".into()),
            (EXP, Value::from(99.5)),
            (CATV, 1.into()),
            (CATREPLAY, 0.into()),
            (CATU, catu),
            (CATM, Value::Array(vec!["GET".into()])),
            (CATGEOISO3166, Value::Array(vec!["DE".into(), "FR".into()])),
            (CTI, Value::Bytes(vec![1])),
        ])
        .unwrap();
        assert_eq!((read.expires, read.uri.len(), read.audiences.len()), (Some(99), 2, 1));
        assert_eq!(read.uri[0], UriTest { part: UriPart::Path, by: Match::Prefix("/v/a/".into()) });
        assert_eq!(read.countries.unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_known_refuses() {
        let regex = of(&[(3, of(&[(4, Value::Array(vec!["/v/.*".into()]))]))]);
        for (key, value) in [
            (311, Value::Array(vec![])),
            (309, 50.into()),
            (314, Value::Array(vec!["h3".into()])),
            (315, of(&[])),
            (319, Value::Bytes(vec![1])),
            (321, of(&[])),
            (9_999, Value::Null),
            (CATREPLAY, 1.into()),
            (CATREPLAY, 2.into()),
            (CATV, 2.into()),
            (CATU, regex),
            (CATU, of(&[(9, of(&[]))])),
            (CATU, of(&[(3, of(&[(-1, "x".into())]))])),
        ] {
            assert_eq!(claims(vec![(key, value.clone())]), Err(Refusal::Claim), "{key} {value:?}");
        }
        let named = cbor(&Value::Map(vec![("unknown".into(), 1.into())]));
        assert_eq!(grant(&named), Err(Refusal::Claim));
    }

    #[test]
    fn what_is_no_map_of_claims_refuses() {
        let twice = vec![(EXP, 1.into()), (EXP, 2.into())];
        assert_eq!(claims(twice), Err(Refusal::Malformed));
        for (key, value) in
            [(EXP, "1".into()), (EXP, Value::from(-1)), (ISS, 1.into()), (CATM, 1.into()), (CATU, 1.into())]
        {
            assert_eq!(claims(vec![(key, value)]), Err(Refusal::Malformed), "{key}");
        }
        let more = [cbor(&of(&[])), vec![0]].concat();
        for bytes in [&b""[..], b"\xa1", b"\x80", b"\xff", &more, &[0x81; 4_000]] {
            assert_eq!(grant(bytes), Err(Refusal::Malformed));
        }
    }
}
