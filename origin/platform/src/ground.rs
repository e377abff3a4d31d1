//! What an app stands on.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Extension, Router};
use http::StatusCode;
use sluice_service::{Drain, Metrics};
use sluice_storage::{Storage, StorageError};
use sluice_wire::token::mint::SigningKey;

use crate::accounts::{self, Accounts, AccountsConfig};
use crate::cache::{self, Lifetime};
use crate::once::Once;
use crate::rooms::Rooms;
use crate::schema::SCHEMA;

/// What every app of a process shares. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Rows, the log, objects.
    pub storage: Storage,
    /// Who asks.
    pub accounts: Accounts,
    /// Answers that are given once.
    pub once: Once,
    /// Waiting rooms.
    pub rooms: Rooms,
    /// Where an app counts.
    pub metrics: Metrics,
    /// The process's end; background work is spawned in its tasks.
    pub drain: Drain,
}

/// What is not there for one account may be there for another: nobody keeps such an answer.
async fn own_absence(request: Request, next: Next) -> Response {
    let known = accounts::brings_token(request.headers());
    let mut answer = next.run(request).await;
    if known && answer.status() == StatusCode::NOT_FOUND {
        cache::lifetime(answer.headers_mut(), Lifetime::Never);
    }
    answer
}

impl Ground {
    /// Opens what apps share, and brings its tables up to date.
    ///
    /// # Errors
    /// The engine's.
    pub async fn open(
        storage: Storage,
        signer: Arc<SigningKey>,
        config: &AccountsConfig,
        metrics: Metrics,
        drain: Drain,
    ) -> Result<Self, StorageError> {
        storage.database.install(&SCHEMA).await?;
        let rooms = Rooms::new(storage.clone(), Arc::clone(&signer));
        let accounts = Accounts::new(storage.clone(), signer, config.clone());
        let once = Once::new(storage.database.clone());
        drain.tasks().spawn(once.clone().sweep(drain.token()));
        Ok(Self { storage, accounts, once, rooms, metrics, drain })
    }

    /// Has an app's routes know who asks.
    pub fn under(&self, routes: Router) -> Router {
        routes.layer(from_fn(own_absence)).layer(Extension(self.accounts.clone()))
    }

    /// The routes of accounts themselves, and those of rooms for edges.
    pub fn routes(&self) -> Router {
        self.under(accounts::routes(self.accounts.clone())).merge(self.rooms.routes())
    }
}
