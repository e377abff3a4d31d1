//! What a forger may try, each with its verdict: none is let in.

use super::check::{Expected, check};
use super::credentials::{Credential, Kind};
use super::keys::Keys;
use super::rules::{Countries, Need, Rule};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use ciborium::Value;
use coset::{
    CborSerializable, CoseMac0Builder, CoseSign1Builder, HeaderBuilder, RegisteredLabelWithPrivate,
    TaggedCborSerializable, iana,
};
use serde_json::json;
use sluice_wire::token::cat::label;
use sluice_wire::token::signed::SignedUrl;
use sluice_wire::token::{Question, Refusal};

const NOW: u64 = 1_800_000_000;
const KID: &str = "2026";

/// One whose key is known, and one whose key is not.
fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn known() -> Keys {
    let key = |kid: &str, seed| json!({"kty":"OKP","crv":"Ed25519","kid":kid,"x":B64.encode(pair(seed).public_key())});
    Keys::parse(json!({"keys":[key(KID, 1), key("old", 3)]}).to_string().as_bytes()).unwrap()
}

fn rule(need: Need, tenants: &[&str]) -> Rule {
    let tenants = tenants.iter().map(|t| (*t).to_owned()).collect();
    Rule { prefix: "/v/".into(), methods: vec![], need, tenants, countries: Countries::default(), rate: None }
}

fn asked(path: &str) -> Question<'_> {
    let client = "192.0.2.7".parse().unwrap();
    Question { method: "GET", secure: true, host: "h", path, query: None, client, country: Some("DE") }
}

fn verdict(kind: Kind, path: &str) -> Result<(), Refusal> {
    let (need, tenants): (_, &[&str]) =
        if matches!(kind, Kind::Signed(..)) { (Need::Signed, &[]) } else { (Need::Token, &["acme"]) };
    let credential = Credential { kind, in_query: true, query: String::new(), cookie: String::new() };
    let expected = Expected { issuer: Some("https://login"), audience: Some("cdn") };
    check(&credential, &rule(need, tenants), &known(), expected, &asked(path), NOW).map(drop)
}

fn of_token(token: &str) -> Result<(), Refusal> {
    verdict(Kind::Token(token.to_owned()), "/v/a/1.m4s")
}

fn claims() -> serde_json::Value {
    json!({"sub":"u1","iss":"https://login","aud":"cdn","tenant":"acme","exp":NOW + 300,"nbf":NOW,"paths":["/v/a"]})
}

fn jws(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", B64.encode(header), B64.encode(claims));
    format!("{text}.{}", B64.encode(sign(text.as_bytes())))
}

fn by(seed: u8) -> impl Fn(&[u8]) -> Vec<u8> {
    move |text| pair(seed).sign(text).as_ref().to_vec()
}

fn header(more: &str) -> String {
    format!(r#"{{"alg":"EdDSA","typ":"JWT"{more}}}"#)
}

fn good() -> String {
    jws(&header(r#","kid":"2026""#), &claims().to_string(), by(1))
}

#[test]
fn good_tokens_are_let_in() {
    assert_eq!(of_token(&good()), Ok(()));
    let old = jws(&header(r#","kid":"old""#), &claims().to_string(), by(3));
    assert_eq!(of_token(&old), Ok(()), "until its key is removed");
    for n in 0..100 {
        let mut claims = claims();
        claims["sub"] = json!(format!("user-{n}"));
        claims["exp"] = json!(NOW + n);
        assert_eq!(of_token(&jws(&header(r#","kid":"2026""#), &claims.to_string(), by(1))), Ok(()), "{n}");
    }
}

#[test]
fn algorithms_cannot_be_chosen() {
    let public = pair(1).public_key().as_ref().to_vec();
    let mac = |key: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        move |text: &[u8]| hmac::sign(&key, text).as_ref().to_vec()
    };
    let text = claims().to_string();
    for alg in ["none", "NONE", "nOnE", "", "HS256", "HS512", "RS256", "ES256", "Ed448", "eddsa", " EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"2026"}}"#);
        for token in [
            jws(&header, &text, |_| vec![]),
            jws(&header, &text, mac(&public)),
            jws(&header, &text, mac(B64.encode(&public).as_bytes())),
            jws(&header, &text, mac(b"")),
            jws(&header, &text, by(1)),
        ] {
            assert_eq!(of_token(&token), Err(Refusal::Algorithm), "{alg}");
        }
    }
    let mixed = jws(&header(r#","kid":"2026""#), &text, mac(&public));
    assert_eq!(of_token(&mixed), Err(Refusal::Signature), "a MAC under EdDSA's name");
    let unsigned = jws(&header(r#","kid":"2026""#), &text, |_| vec![0; 64]);
    assert_eq!(of_token(&unsigned), Err(Refusal::Signature));
}

#[test]
fn keys_cannot_be_brought_along() {
    let (text, attacker) = (claims().to_string(), B64.encode(pair(2).public_key()));
    for field in [
        format!(r#","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{attacker}"}}"#),
        r#","jku":"https://evil/keys","kid":"2026""#.into(),
        r#","x5u":"https://evil/cert""#.into(),
        r#","x5c":["AAAA"]"#.into(),
        r#","x5t":"AAAA""#.into(),
        r#","crit":["exp"],"kid":"2026""#.into(),
        r#","b64":false,"crit":["b64"],"kid":"2026""#.into(),
        r#","kid":"2026","kid":"old""#.into(),
    ] {
        // Even signed by the right key: what is in the header is never a matter of taste.
        for seed in [1, 2] {
            assert_eq!(of_token(&jws(&header(&field), &text, by(seed))), Err(Refusal::Header), "{field}");
        }
    }
    for kid in
        ["../../etc/passwd", "/dev/null", "2026/../2026", "2026\\u0000", "' OR 1=1 --", "202", "20266", "OLD"]
    {
        let header = header(&format!(r#","kid":"{kid}""#));
        for seed in [1, 2] {
            assert_eq!(of_token(&jws(&header, &text, by(seed))), Err(Refusal::Key), "{kid}");
        }
    }
    assert_eq!(of_token(&jws(&header(""), &text, by(1))), Err(Refusal::Key), "no id, and two keys");
    let crossed = jws(&header(r#","kid":"old""#), &text, by(1));
    assert_eq!(of_token(&crossed), Err(Refusal::Signature), "a known key under another's id");
    assert_eq!(of_token(&jws(&header(r#","kid":"2026""#), &text, by(2))), Err(Refusal::Signature));
}

#[test]
fn claims_that_do_not_fit_are_refused() {
    for (claim, value, why) in [
        ("exp", json!(NOW - 60), Refusal::Expired),
        ("exp", json!(null), Refusal::Expired),
        ("exp", json!("9999999999"), Refusal::Malformed),
        ("exp", json!(-1), Refusal::Malformed),
        ("nbf", json!(NOW + 61), Refusal::Early),
        ("iat", json!(NOW + 61), Refusal::Early),
        ("tenant", json!("other"), Refusal::Tenant),
        ("tenant", json!("acme "), Refusal::Tenant),
        ("tenant", json!("ACME"), Refusal::Tenant),
        ("tenant", json!(null), Refusal::Tenant),
        ("tenant", json!(["acme"]), Refusal::Malformed),
        ("aud", json!("cdn2"), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("iss", json!("https://login.evil"), Refusal::Issuer),
        ("iss", json!(null), Refusal::Issuer),
        ("paths", json!([]), Refusal::Path),
        ("paths", json!(["/v/ab", "/V/a", "/v/a/2"]), Refusal::Path),
        ("paths", json!(["/v/a/../a"]), Refusal::Malformed),
        ("paths", json!(["/v/%61"]), Refusal::Malformed),
        ("paths", json!(["v/a"]), Refusal::Malformed),
        ("methods", json!(["PUT"]), Refusal::Method),
        ("methods", json!(["get"]), Refusal::Method),
        ("countries", json!(["FR"]), Refusal::Country),
        ("client", json!("192.0.2.8"), Refusal::Client),
    ] {
        let mut changed = claims();
        changed[claim] = value.clone();
        let token = jws(&header(r#","kid":"2026""#), &changed.to_string(), by(1));
        assert_eq!(of_token(&token), Err(why), "{claim} {value}");
    }
    for path in ["/v/ab", "/v/ab/1.m4s", "/V/a/1.m4s", "/v/", "/v/b/a", "/v/a%2F..%2Fb"] {
        assert_eq!(verdict(Kind::Token(good()), path), Err(Refusal::Path), "{path}");
    }
}

#[test]
fn no_changed_token_is_let_in() {
    let good = good();
    let mut tried = 0;
    let mut refused = |token: &str| {
        assert!(of_token(token).is_err(), "{token}");
        tried += 1;
    };
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        for other in [b'A', b'_', b'.', b'='] {
            if bytes[at] != other {
                let was = std::mem::replace(&mut bytes[at], other);
                refused(std::str::from_utf8(&bytes).unwrap());
                bytes[at] = was;
            }
        }
        let (before, rest) = good.split_at(at);
        refused(before);
        refused(&[before, rest.strip_prefix(|_: char| true).unwrap()].concat());
    }
    for odd in ["", ".", "..", "...", "a.b.c", "\u{e4}.\u{e4}.\u{e4}"] {
        refused(odd);
    }
    for tail in [".", "=", "==", "A", ".AAAA", "\n", " ", "\0"] {
        refused(&format!("{good}{tail}"));
    }
    let parts: Vec<&str> = good.split('.').collect();
    refused(&format!("{}.{}.", parts[0], parts[1]));
    refused(&format!("{}.{}", parts[0], parts[1]));
    refused(&format!("{}..{}", parts[0], parts[2]));
    refused(&format!("{}.{}.{}", parts[1], parts[0], parts[2]));
    assert!(tried > 1_000, "{tried}");
}

fn cose(alg: iana::Algorithm, claims: &[(i128, Value)], seed: u8) -> Vec<u8> {
    let header = HeaderBuilder::new().algorithm(alg).key_id(KID.into()).build();
    let message = CoseSign1Builder::new().protected(header).payload(cbor(claims));
    message
        .create_signature(&[], |text| pair(seed).sign(text).as_ref().to_vec())
        .build()
        .to_tagged_vec()
        .unwrap()
}

fn cbor(claims: &[(i128, Value)]) -> Vec<u8> {
    let pairs = claims.iter().map(|(k, v)| (Value::Integer((*k).try_into().unwrap()), v.clone())).collect();
    let mut bytes = vec![];
    ciborium::into_writer(&Value::Map(pairs), &mut bytes).unwrap();
    bytes
}

fn cat_claims() -> Vec<(i128, Value)> {
    let below = Value::Map(vec![(3.into(), Value::Map(vec![(1.into(), "/v/a/".into())]))]);
    vec![
        (label::ISS, "https://login".into()),
        (label::AUD, Value::Array(vec!["cdn".into(), "acme".into()])),
        (label::EXP, (NOW + 300).into()),
        (label::CATV, 1.into()),
        (label::CATU, below),
    ]
}

#[test]
fn common_access_tokens_are_checked_alike() {
    let good = cose(iana::Algorithm::EdDSA, &cat_claims(), 1);
    let of = |bytes: &[u8]| of_token(&B64.encode(bytes));
    assert_eq!(of(&good), Ok(()));
    assert_eq!(of(&[&[0xd8, 0x3d], &good[..]].concat()), Ok(()), "tagged as a CWT");
    assert_eq!(of(&good[1..]), Ok(()), "without a tag");
    assert_eq!(verdict(Kind::Token(B64.encode(&good)), "/v/b/1.m4s"), Err(Refusal::Path));
    assert_eq!(of(&cose(iana::Algorithm::EdDSA, &cat_claims(), 2)), Err(Refusal::Signature));
    assert_eq!(of(&cose(iana::Algorithm::ES256, &cat_claims(), 1)), Err(Refusal::Algorithm));
    let mut limited = cat_claims();
    limited.push((311, Value::Array(vec![])));
    assert_eq!(of(&cose(iana::Algorithm::EdDSA, &limited, 1)), Err(Refusal::Claim));

    let public = pair(1).public_key().as_ref().to_vec();
    let header = HeaderBuilder::new().algorithm(iana::Algorithm::HMAC_256_256).key_id(KID.into()).build();
    let mac = |text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), text).as_ref().to_vec();
    let maced =
        CoseMac0Builder::new().protected(header).payload(cbor(&cat_claims())).create_tag(&[], mac).build();
    assert_eq!(of(&maced.clone().to_tagged_vec().unwrap()), Err(Refusal::Algorithm));
    assert_eq!(of(&maced.to_vec().unwrap()), Err(Refusal::Algorithm));
    let odd = HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).key_id(KID.into());
    for header in [
        odd.value(35, Value::Text("https://evil/cert".into())).build(),
        HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .add_critical_label(RegisteredLabelWithPrivate::Text("x".into()))
            .build(),
    ] {
        let message = CoseSign1Builder::new().protected(header).payload(cbor(&cat_claims()));
        let message = message.create_signature(&[], |text| pair(1).sign(text).as_ref().to_vec()).build();
        assert_eq!(of(&message.to_vec().unwrap()), Err(Refusal::Header));
    }
    for at in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            assert!(of(&bytes).is_err(), "byte {at}");
        }
        assert!(of(&good[..at]).is_err(), "cut at {at}");
    }
    assert!(of(&[&good[..], &[0]].concat()).is_err());
}

#[test]
fn signed_urls_are_for_what_was_signed() {
    let url = SignedUrl { expires: NOW + 300, key: KID.into(), ..SignedUrl::default() };
    let sign = |url: &SignedUrl, at: &str| pair(1).sign(&url.signed_text(at)).as_ref().to_vec();
    let of = |url: &SignedUrl, signature: Vec<u8>, at| verdict(Kind::Signed(url.clone(), signature), at);
    assert_eq!(of(&url, sign(&url, "/v/a"), "/v/a"), Ok(()));
    for elsewhere in ["/v/ab", "/v/a/", "/v/a/b", "/v", "/V/a"] {
        assert_eq!(of(&url, sign(&url, "/v/a"), elsewhere), Err(Refusal::Signature), "{elsewhere}");
    }
    let below = SignedUrl { prefix: Some("/v/a/".into()), ..url.clone() };
    assert_eq!(of(&below, sign(&below, "/"), "/v/a/b"), Ok(()));
    assert_eq!(of(&below, sign(&below, "/"), "/v/b/a"), Err(Refusal::Path));
    let signature = sign(&below, "/");
    for changed in [
        SignedUrl { prefix: Some("/v/".into()), ..below.clone() },
        SignedUrl { prefix: None, ..below.clone() },
        SignedUrl { expires: NOW + 301, ..below.clone() },
        SignedUrl { methods: vec!["PUT".into()], ..below.clone() },
        SignedUrl { countries: vec!["DE".into()], ..below.clone() },
        SignedUrl { client: Some("192.0.2.7".into()), ..below.clone() },
        SignedUrl { key: "old".into(), ..below.clone() },
    ] {
        assert_eq!(of(&changed, signature.clone(), "/v/a/b"), Err(Refusal::Signature), "{changed:?}");
    }
    let unknown = SignedUrl { key: "x".into(), ..url.clone() };
    assert_eq!(of(&unknown, sign(&unknown, "/v/a"), "/v/a"), Err(Refusal::Key));
    let ended = SignedUrl { expires: NOW - 60, ..url.clone() };
    assert_eq!(of(&ended, sign(&ended, "/v/a"), "/v/a"), Err(Refusal::Expired));
    // A token's signature is not one of a URL, whatever its claims say.
    assert_eq!(of(&url, by(1)(b"/v/a"), "/v/a"), Err(Refusal::Signature));
    for n in 0..64 {
        let mut forged = sign(&url, "/v/a");
        forged[n] ^= 1;
        assert_eq!(of(&url, forged, "/v/a"), Err(Refusal::Signature));
    }
}
