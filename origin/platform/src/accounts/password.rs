//! Passwords: Argon2id (RFC 9106), on threads of its own number, so that a flood of sign-ins takes neither all memory nor
//! all threads.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::ApiError;

/// KiB, passes and lanes: OWASP's second choice, 19 MiB and two passes.
const COST: (u32, u32, u32) = (19 << 10, 2, 1);
/// Hashes at a time: 19 MiB each, and a core each.
const AT_ONCE: usize = 2;
/// How long one waits for its turn before it is told to come again.
const TURN: Duration = Duration::from_secs(3);
/// Characters of a password: shorter ones are guessed, longer ones are an attack on the hash.
pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 8..=200;

/// Makes and checks hashes. Clones share the turns.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// The hash of a password, in PHC's string format, with a salt of its own.
    pub(super) async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.in_turn(move || argon2().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| ApiError::new(500, "internal", "Internal error", error.to_string()))
    }

    /// Whether a password is the one of a hash. Against `None`, where nobody is, as long is spent and the answer is no.
    pub(super) async fn is(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        self.in_turn(move || {
            let Some(hash) = hash else {
                // Whether there is such an account is not to be told by the time it takes.
                drop(argon2().hash_password(password.as_bytes()));
                return false;
            };
            let Ok(parsed) = PasswordHash::new(&hash) else { return false };
            argon2().verify_password(password.as_bytes(), &parsed).is_ok()
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = || ApiError::new(503, "busy", "Too many sign-ins", "try again in a moment");
        let turn = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_| busy())?;
        let turn = turn.expect("the turns are never closed");
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| busy())
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("the costs are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}
