//! Credentials under a fuzzer: who cannot sign is never let in, and what is signed is read within its bounds.

use super::check::{self, Expected};
use super::credentials::{Credential, Kind};
use super::keys::Keys;
use super::rules::{Countries, Need, Rule};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, iana};
use sluice_wire::token::signed::SignedUrl;
use sluice_wire::token::{CLOCK_SLACK_S, Question};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

const NOW: u64 = 1_800_000_000;
/// The id of the one key that is known.
const KID: &str = "k";

struct Signers {
    keys: Keys,
    known: Ed25519KeyPair,
    other: Ed25519KeyPair,
}

fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| {
        let pair = |seed: u8| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed");
        let x = B64.encode(pair(1).public_key());
        let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{KID}","x":"{x}"}}]}}"#);
        let keys = Keys::parse(set.as_bytes()).expect("a set of one key");
        Signers { keys, known: pair(1), other: pair(2) }
    })
}

/// A line that is a JWT's header, a line that is its claims or a signed URL's query, and what is a CAT's payload. Each is
/// brought as it is, signed by a key that is not known, and signed by one that is.
pub fn credentials(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let payload = lines.next().unwrap_or_default().as_bytes();
    let Signers { keys, known, other } = signers();
    drop(Keys::parse(bytes));
    for raw in [header, claims] {
        assert!(!is_let_in(Kind::Token(raw.to_owned()), keys), "nobody has signed {raw}");
    }
    let jwt = |by: &Ed25519KeyPair| {
        let signed = format!("{}.{}", B64.encode(header), B64.encode(claims));
        format!("{signed}.{}", B64.encode(by.sign(signed.as_bytes())))
    };
    let cat = |by: &Ed25519KeyPair| B64.encode(cose(payload, by));
    for forged in [jwt(other), cat(other)] {
        assert!(!is_let_in(Kind::Token(forged), keys), "signed by a key that is not known");
    }
    for minted in [jwt(known), cat(known)] {
        let Ok(grant) = check::read(&minted, keys) else { continue };
        let over = grant.expires.is_none_or(|end| end.saturating_add(CLOCK_SLACK_S) <= NOW);
        assert!(!(over && is_let_in(Kind::Token(minted), keys)), "its time is over: {grant:?}");
    }
    if let Ok(Some((url, signature))) = SignedUrl::parse(claims) {
        assert!(!is_let_in(Kind::Signed(url, signature), keys), "nobody has signed {claims}");
    }
}

fn cose(payload: &[u8], by: &Ed25519KeyPair) -> Vec<u8> {
    let header = HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).key_id(KID.into()).build();
    let message = CoseSign1Builder::new().protected(header).payload(payload.to_vec());
    let message = message.create_signature(&[], |text| by.sign(text).as_ref().to_vec()).build();
    message.to_vec().expect("it can be written")
}

fn is_let_in(kind: Kind, keys: &Keys) -> bool {
    let credential = Credential { kind, in_query: true, query: String::new(), cookie: String::new() };
    let rule = Rule {
        prefix: "/v/".into(),
        methods: vec![],
        need: Need::Either,
        tenants: vec![],
        countries: Countries::default(),
        rate: None,
    };
    let (client, path) = (IpAddr::V4(Ipv4Addr::LOCALHOST), "/v/a/1.m4s");
    let asked = Question { method: "GET", secure: true, host: "h", path, query: None, client, country: None };
    let expected = Expected { issuer: None, audience: None };
    check::check(&credential, &rule, keys, expected, &asked, NOW).is_ok()
}
