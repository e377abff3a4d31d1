//! Accounts: one for all apps.
//!
//! A sign-in makes a session. Its *access token* is a JWT (EdDSA) of minutes, which edges and apps check without asking
//! anybody; its *refresh token* renews it once, and comes with the next. Who brings a refresh token that was used before has
//! it from somebody else, or somebody else has: the session ends. For a few seconds it may come again, from another tab of the
//! same page or from who lost the answer. What ends is told by the log, and refused everywhere within a second, at edges and here,
//! though its access tokens would be good for minutes yet.
//!
//! - `password`: hashes; `sessions`: rows of who is signed in; `caller`: who asks, as handlers take it
//! - `http`: `/v1/accounts` and what is below it; `known`: accounts as others name them
//! - `door`: who is let in by a password; `tries`: guessing has a price; `refusals`: it is written down, but not without end
//! - `ends`: sessions end, one or all; `changes`: a new password, and signing out everywhere; `roles`: who may what
//! - `revoked`: what the log says has ended; `sweep`: what renews nothing any more is forgotten

mod caller;
mod changes;
mod door;
mod ends;
mod http;
mod known;
mod password;
mod refusals;
mod revoked;
mod roles;
mod rows;
mod sessions;
mod sweep;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod tries;

pub use caller::Caller;
pub(crate) use caller::{CHALLENGE, brings_token};
pub(crate) use http::routes;
pub use known::Known;

use std::sync::Arc;

use password::Passwords;
use refusals::Refusals;
use serde::{Deserialize, Serialize};
use sluice_storage::Storage;
use sluice_wire::token::Revocations;
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use tries::Tries;

use crate::ApiError;

sluice_wire::id!(
    /// A session: a device that is signed in.
    SessionId
);

/// The cookie that carries a page's access token.
pub(crate) const ACCESS_COOKIE: &str = "sluice_access";
/// The cookie that carries a page's refresh token, sent to [`REFRESH_PATH`] alone.
const REFRESH_COOKIE: &str = "sluice_refresh";
/// Where sessions are renewed.
const REFRESH_PATH: &str = "/v1/accounts/refresh";

/// How accounts are let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsConfig {
    /// Seconds for which an access token is good: 30 to 3,600.
    pub access_ttl_s: u64,
    /// Seconds for which a session that nobody renews can be.
    pub session_ttl_s: u64,
    /// Milliseconds for which a refresh token that was used may come again: two tabs at once, or an answer that was lost.
    /// At most 60,000.
    pub renew_grace_ms: u64,
    /// Handles that have the role `admin` from their first sign-up on.
    pub admins: Vec<String>,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self { access_ttl_s: 300, session_ttl_s: 30 * 24 * 3_600, renew_grace_ms: 10_000, admins: vec![] }
    }
}

/// Who asks. Clones share everything.
#[derive(Debug, Clone)]
pub struct Accounts {
    storage: Storage,
    signer: Arc<SigningKey>,
    config: Arc<AccountsConfig>,
    passwords: Passwords,
    tries: Arc<Tries>,
    /// Of handles that somebody has.
    refusals: Arc<Refusals>,
    /// Of all others: who makes them up hides no guess at one that somebody has.
    refusals_of_nobody: Arc<Refusals>,
    revoked: Arc<Revocations>,
}

impl Accounts {
    pub(crate) fn new(storage: Storage, signer: Arc<SigningKey>, config: AccountsConfig) -> Self {
        Self {
            storage,
            signer,
            config: Arc::new(config),
            passwords: Passwords::default(),
            tries: Arc::default(),
            refusals: Arc::default(),
            refusals_of_nobody: Arc::default(),
            revoked: Arc::default(),
        }
    }

    /// The caller of an access token.
    ///
    /// # Errors
    /// 401, saying why.
    pub fn read(&self, token: &str) -> Result<Caller, ApiError> {
        let now_s = self.storage.clock.now_ms() / 1_000;
        let claims = self.signer.read(token, now_s).map_err(|why| {
            caller::unauthorised(&format!(
                "the access token is not good: {}; renew it or sign in again",
                why.as_str()
            ))
        })?;
        let minted_ms = claims.iat_ms.unwrap_or(0);
        let caller =
            of_claims(claims).ok_or_else(|| caller::unauthorised("the token is not an account's"))?;
        let names = [caller.session.to_string(), caller.account.to_string()];
        if names.iter().any(|name| self.revoked.is_revoked(name, None, minted_ms)) {
            return Err(caller::unauthorised(
                "the session has ended, or the account was changed: renew it or sign in again",
            ));
        }
        Ok(caller)
    }

    /// An access token for an account in a session, as the account was at a time, in Unix milliseconds: what is changed after that
    /// has it refused, also where it is minted later.
    fn access(&self, caller: &Caller, as_of_ms: u64) -> String {
        let (name, roles) = (Some(caller.name.clone()), Some(caller.roles.clone()));
        let (iat, iat_ms) = (Some((as_of_ms / 1_000).into()), Some(as_of_ms));
        self.signer.token(&Claims { name, roles, iat, iat_ms, ..self.claims(caller) })
    }

    /// A token that lets an account listen to channels, for as long as an access token is good.
    #[must_use]
    pub fn channels(&self, caller: &Caller, channels: Vec<String>) -> String {
        self.signer.token(&Claims { channels: Some(channels), ..self.claims(caller) })
    }

    /// The same for channels that somebody is taken out of, each with a number of its own that was read with whether the account
    /// may: a withdrawal with a higher number ends the token there, though it was minted while that was being committed.
    #[must_use]
    pub fn channels_as_of(&self, caller: &Caller, channels: Vec<(String, u64)>) -> String {
        let (names, versions): (Vec<String>, Vec<u64>) = channels.into_iter().unzip();
        let (channels, versions) = (Some(names), Some(versions));
        self.signer.token(&Claims { channels, versions, ..self.claims(caller) })
    }

    /// What every token of a session says.
    fn claims(&self, caller: &Caller) -> Claims {
        let now_ms = self.storage.clock.now_ms();
        Claims {
            sub: Some(caller.account.to_string()),
            sid: Some(caller.session.to_string()),
            iat: Some((now_ms / 1_000).into()),
            iat_ms: Some(now_ms),
            exp: Some((now_ms / 1_000 + self.config.access_ttl_s).into()),
            ..Claims::default()
        }
    }
}

/// Of a token that lets one listen to channels nothing else is taken: it stands in URLs.
fn of_claims(claims: Claims) -> Option<Caller> {
    if claims.channels.is_some() {
        return None;
    }
    Some(Caller {
        account: claims.sub?.parse().ok()?,
        session: claims.sid?.parse().ok()?,
        name: claims.name.unwrap_or_default(),
        roles: claims.roles.unwrap_or_default(),
    })
}
