//! Tokens and signed URLs, before anybody has looked at their signatures.

use super::lines;
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::signed::SignedUrl;
use sluice_wire::token::{cat, jwt, path};

/// Each is refused, or says one thing; paths have one spelling, and a prefix covers whole segments.
pub fn tokens(bytes: &[u8]) {
    let (text, other) = lines(bytes);
    if jwt::key_id(&text).is_ok() {
        assert_eq!(text.split('.').count(), 3);
    }
    if let Ok(claims) = serde_json::from_str::<Claims>(&text) {
        let paths = claims.grant().ok().and_then(|grant| grant.paths).unwrap_or_default();
        assert!(paths.iter().all(|prefix| path::is_prefix(prefix)));
    }
    drop(cat::grant(bytes));
    if let Ok(Some((url, signature))) = SignedUrl::parse(&text) {
        assert_eq!(SignedUrl::parse(&url.query(&signature)), Ok(Some((url, signature))));
    }
    if let Some(once) = path::compared(&text) {
        assert_eq!(path::compared(&once).as_ref(), Some(&once));
        let rest = once.strip_prefix(&*other).filter(|_| path::covers(&other, &once));
        assert!(rest.is_none_or(|rest| rest.is_empty() || other.ends_with('/') || rest.starts_with('/')));
        assert!(rest.is_some() || !path::covers(&other, &once));
    }
}
