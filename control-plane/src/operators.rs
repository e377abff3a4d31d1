//! Who asks: operators by their tokens. Where none is configured, everything comes from this machine or is refused.

use crate::config::Config;
use crate::control::State;
use crate::problem::Failure;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sluice_service::{Faults, Peer};
use sluice_storage::Who;
use std::collections::HashSet;

/// Operators of one fleet.
const MAX_OPERATORS: usize = 256;
/// Bytes of an operator's name.
const MAX_NAME: usize = 64;
/// The one who asks where no operator is configured.
const LOCAL: &str = "local";

/// What an operator may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read the configuration and what was done.
    Viewer,
    /// Drain nodes, purge.
    Operator,
    /// Change the configuration.
    Admin,
}

impl Role {
    /// The name in configuration and audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// An operator and the digest of the token that proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// The name that is written down.
    pub name: String,
    /// What this operator may do.
    pub role: Role,
    /// SHA-256 of the bearer token, in hexadecimal: `sluice operator NAME` makes both.
    pub token_sha256: String,
}

/// Adds what is wrong with a list of operators.
pub(crate) fn faults(operators: &[OperatorConfig], faults: &mut Faults) {
    if operators.len() > MAX_OPERATORS {
        faults.add("operators", format!("at most {MAX_OPERATORS}"));
    }
    let (mut names, mut tokens) = (HashSet::new(), HashSet::new());
    for OperatorConfig { name, token_sha256, .. } in operators {
        let plain = |c: u8| c.is_ascii_graphic();
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) || name == LOCAL {
            faults.add(
                "operators",
                format!("{name:?} is no name: 1 to {MAX_NAME} visible characters, not {LOCAL}"),
            );
        }
        if !names.insert(name) {
            faults.add("operators", format!("{name} is there twice"));
        }
        if token_sha256.len() != 64 || !token_sha256.bytes().all(|c| c.is_ascii_hexdigit()) {
            faults.add("operators", format!("{name}: token_sha256 is 64 hexadecimal digits"));
        }
        if !tokens.insert(token_sha256.to_ascii_lowercase()) {
            faults.add("operators", format!("{name} has another's token"));
        }
    }
}

/// Who sent a request: an operator whose token it bears, or this machine where none is configured.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    who: Who,
    role: Role,
}

impl Caller {
    /// The caller, if it may do what takes this role.
    pub(crate) fn may(&self, least: Role) -> Result<&Who, Failure> {
        if self.role >= least {
            return Ok(&self.who);
        }
        let detail = format!("{} is {}; this takes {}", self.who.name, self.role.as_str(), least.as_str());
        Err(Failure::new(403, "not-allowed", "Not allowed", detail))
    }

    /// True where no operator is configured: this machine, of which no page may change anything.
    pub(crate) fn is_local(&self) -> bool {
        self.who.name == LOCAL
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let here = parts.extensions.get::<Peer>().is_some_and(|p| p.addr.ip().to_canonical().is_loopback());
        identify(&state.config, &parts.headers, here)
            .inspect_err(|_| state.metrics.refused.with_label_values(&["operator"]).inc())
    }
}

fn identify(config: &Config, headers: &HeaderMap, here: bool) -> Result<Caller, Failure> {
    if config.operators.is_empty() {
        return local(headers, here);
    }
    let refused = |detail: &str| Failure::new(401, "not-authenticated", "Not authenticated", detail);
    let field = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = field.and_then(|field| field.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("bring an operator's token: Authorization: Bearer TOKEN"));
    }
    let digest = hex::encode(Sha256::digest(token.trim().as_bytes()));
    let known = config.operators.iter().find(|operator| operator.token_sha256.eq_ignore_ascii_case(&digest));
    let operator = known.ok_or_else(|| refused("no operator has this token"))?;
    let who = Who { name: operator.name.clone(), role: operator.role.as_str() };
    Ok(Caller { who, role: operator.role })
}

/// Whoever is on this machine, but not a page in its browser.
fn local(headers: &HeaderMap, here: bool) -> Result<Caller, Failure> {
    let refused = |detail: &str| Err(Failure::new(403, "not-allowed", "Not allowed", detail));
    if !here {
        return refused("no operator is configured, so this is for the control plane's own machine alone");
    }
    if headers.contains_key(ORIGIN) {
        return refused("no operator is configured, so pages may not ask this");
    }
    Ok(Caller { who: Who { name: LOCAL.into(), role: Role::Admin.as_str() }, role: Role::Admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, role: Role, token: &str) -> OperatorConfig {
        OperatorConfig { name: name.into(), role, token_sha256: hex::encode(Sha256::digest(token)) }
    }

    fn asked(fields: &[(http::HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_makes_an_operator_of_its_role() {
        let operators = vec![operator("ann", Role::Admin, "a"), operator("eve", Role::Viewer, "e")];
        let config = Config { operators, ..Config::default() };
        let by = |token: &str| identify(&config, &asked(&[(AUTHORIZATION, token)]), true);
        assert_eq!(by("Bearer a").unwrap().may(Role::Admin).unwrap().name, "ann");
        let eve = by("bearer e").unwrap();
        assert!(eve.may(Role::Viewer).is_ok());
        assert!(eve.may(Role::Operator).is_err());
        for wrong in ["Bearer b", "Bearer ", "Basic a", "a", ""] {
            assert!(by(wrong).is_err(), "{wrong}");
        }
        assert!(identify(&config, &HeaderMap::new(), true).is_err(), "this machine is no exception");
    }

    #[test]
    fn without_operators_this_machine_alone_is_let_in() {
        let config = Config::default();
        assert!(identify(&config, &HeaderMap::new(), true).unwrap().may(Role::Admin).is_ok());
        assert!(identify(&config, &HeaderMap::new(), false).is_err());
        let page = asked(&[(ORIGIN, "https://elsewhere.example")]);
        assert!(identify(&config, &page, true).is_err());
    }

    #[test]
    fn a_list_with_faults_is_told() {
        let mut bad = operator("ann", Role::Admin, "a");
        let twice = bad.clone();
        bad.token_sha256 = "short".into();
        let mut found = Faults::default();
        faults(&[bad, twice, operator("local", Role::Viewer, "l")], &mut found);
        assert_eq!(found.lines().len(), 3, "{found:?}");
    }
}
