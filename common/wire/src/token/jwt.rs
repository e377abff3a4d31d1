//! JSON Web Tokens (RFC 7519) in the one form that is taken: three parts, signed with EdDSA (RFC 8037), a key named by id.

use super::{Grant, MAX_KEY_ID, MAX_LIST, MAX_TOKEN, Refusal, path};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The algorithm that is taken (RFC 8037 section 3.1). Nothing in a token can choose another.
pub const ALGORITHM: &str = "EdDSA";

/// The header. Fields that bring or point at a key (`jwk`, `jku`, `x5c`, `x5u`), critical extensions (`crit`, `b64`) and
/// any that is not known are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

/// Reads a token's form and header, before anything of it is believed; the id of its key.
///
/// # Errors
/// [`Refusal::Malformed`] for what is not three parts in [`MAX_TOKEN`] bytes, [`Refusal::Algorithm`] for another than
/// [`ALGORITHM`], [`Refusal::Header`] for a field that is not known, [`Refusal::Signature`] for one of another length than 64 bytes.
pub fn key_id(token: &str) -> Result<Option<String>, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err(Refusal::Malformed) };
    let decode = |part| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
    let header = decode(header)?;
    if decode(claims)?.is_empty() {
        return Err(Refusal::Malformed);
    }
    // Read loosely first, so that the reason is the right one.
    let loose: serde_json::Value = serde_json::from_slice(&header).map_err(|_| Refusal::Malformed)?;
    if loose.get("alg").and_then(serde_json::Value::as_str) != Some(ALGORITHM) {
        return Err(Refusal::Algorithm);
    }
    let strict: Header = serde_json::from_slice(&header).map_err(|_| Refusal::Header)?;
    let known = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
    if strict.typ.is_some_and(|typ| !known(&typ)) {
        return Err(Refusal::Header);
    }
    if strict.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KEY_ID) {
        return Err(Refusal::Header);
    }
    // An Ed25519 signature has 64 bytes and one spelling.
    if decode(signature)?.len() == 64 { Ok(strict.kid) } else { Err(Refusal::Signature) }
}

/// The claims. Others are not about access here and are passed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Who it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Who minted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<OneOrMore>,
    /// Its end, in seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<serde_json::Number>,
    /// Its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<serde_json::Number>,
    /// When it was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<serde_json::Number>,
    /// Whose content it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Prefixes of paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Countries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<String>>,
    /// Address or network of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The session of an account that it was minted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The account's name, as others see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the account may do beyond what all may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// When it was minted, in milliseconds of Unix time: what is revoked at a time is what was minted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat_ms: Option<u64>,
    /// Channels that its bearer may listen to; a trailing `*` covers all that begin so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// The number that each of these channels had when it was looked up whether its bearer may: who is taken out of one with a
    /// higher number may not any more, whatever clocks say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Vec<u64>>,
}

/// One text, or a list of them (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// A list.
    More(Vec<String>),
}

impl Claims {
    /// What they allow.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a date that is none, a list beyond [`MAX_LIST`], a prefix that is none or a network
    /// that is none.
    pub fn grant(self) -> Result<Grant, Refusal> {
        let audiences = match self.aud {
            None => vec![],
            Some(OneOrMore::One(one)) => vec![one],
            Some(OneOrMore::More(list)) => list,
        };
        let lists = [
            self.paths.as_ref(),
            self.methods.as_ref(),
            self.countries.as_ref(),
            self.channels.as_ref(),
            Some(&audiences),
        ];
        let long = lists.into_iter().flatten().any(|list| list.len() > MAX_LIST)
            || self.versions.as_ref().is_some_and(|list| list.len() > MAX_LIST);
        if long || self.paths.iter().flatten().any(|prefix| !path::is_prefix(prefix)) {
            return Err(Refusal::Malformed);
        }
        let issued = date(self.iat.as_ref())?;
        Ok(Grant {
            subject: self.sub,
            issuer: self.iss,
            audiences,
            tenant: self.tenant,
            expires: date(self.exp.as_ref())?,
            not_before: date(self.nbf.as_ref())?,
            issued,
            session: self.sid,
            minted_ms: self.iat_ms.or_else(|| issued.map(|s| s.saturating_mul(1_000))),
            channels: self.channels.unwrap_or_default(),
            versions: self.versions.unwrap_or_default(),
            paths: self.paths,
            uri: vec![],
            methods: self.methods,
            countries: self.countries,
            clients: self.client.map(|text| network(&text)).transpose()?,
        })
    }
}

/// A network, or one address. One spelling alone.
pub(super) fn network(text: &str) -> Result<ipnet::IpNet, Refusal> {
    let alone = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
    text.parse::<ipnet::IpNet>().or_else(|_| alone()).map_err(|_| Refusal::Malformed)
}

/// Seconds of a NumericDate (RFC 7519 section 2), which may have a fraction: it is cut off.
fn date(number: Option<&serde_json::Number>) -> Result<Option<u64>, Refusal> {
    let Some(number) = number else { return Ok(None) };
    let seconds = number.as_u64().or_else(|| {
        let fraction = number.as_f64().filter(|n| (0.0..1e15).contains(n))?;
        format!("{:.0}", fraction.floor()).parse().ok()
    });
    seconds.map(Some).ok_or(Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        let encode = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(&[7; 64]))
    }

    #[test]
    fn one_form_of_header_is_taken() {
        assert_eq!(key_id(&token(r#"{"alg":"EdDSA","typ":"JWT","kid":"a"}"#)), Ok(Some("a".into())));
        assert_eq!(key_id(&token(r#"{"alg":"EdDSA"}"#)), Ok(None));
        for alg in ["none", "None", "", "HS256", "RS256", "ES256", "eddsa", "EdDSA ", "Ed448"] {
            assert_eq!(key_id(&token(&format!(r#"{{"alg":"{alg}"}}"#))), Err(Refusal::Algorithm), "{alg}");
        }
        for field in [
            r#""jwk":{"kty":"OKP"}"#,
            r#""jku":"http://x/""#,
            r#""x5u":"http://x/""#,
            r#""x5c":[]"#,
            r#""crit":["exp"]"#,
            r#""b64":false"#,
            r#""kid":"""#,
            r#""kid":7"#,
            r#""typ":"JWE""#,
            r#""alg":"EdDSA""#,
            r#""zip":"DEF""#,
        ] {
            let header = format!(r#"{{"alg":"EdDSA",{field}}}"#);
            assert_eq!(key_id(&token(&header)), Err(Refusal::Header), "{field}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let good = token(r#"{"alg":"EdDSA"}"#);
        for bad in [
            String::new(),
            "..".into(),
            "a.b".into(),
            format!("{good}."),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}.x.y"),
            good.replace('.', ".."),
            "x".repeat(MAX_TOKEN + 1),
        ] {
            assert!(key_id(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_become_a_grant_or_are_refused() {
        let of = |text: &str| serde_json::from_str::<Claims>(text).map_err(|_| Refusal::Malformed)?.grant();
        let grant =
            of(r#"{"sub":"s","exp":12.9,"aud":["a","b"],"paths":["/v/a"],"client":"::1","x":{}}"#).unwrap();
        assert_eq!((grant.expires, grant.audiences.len()), (Some(12), 2));
        assert_eq!(grant.clients.unwrap().to_string(), "::1/128");
        assert_eq!(of(r#"{"aud":"a"}"#).unwrap().audiences, ["a"]);
        for bad in [
            r#"{"exp":-1}"#,
            r#"{"exp":"9999999999"}"#,
            r#"{"exp":1e300}"#,
            r#"{"exp":1,"exp":2}"#,
            r#"{"paths":["v"]}"#,
            r#"{"paths":["/v/../x"]}"#,
            r#"{"paths":"/v"}"#,
            r#"{"client":"10.0.0.0/99"}"#,
        ] {
            assert_eq!(of(bad), Err(Refusal::Malformed), "{bad}");
        }
    }
}
