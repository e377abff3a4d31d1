//! All seams of one installation, opened together.

use std::sync::Arc;

use crate::audit::Audit;
use crate::bus::Bus;
use crate::clock::{SharedClock, SystemClock};
use crate::config::StorageConfig;
use crate::cursors::Cursors;
use crate::database::Database;
use crate::error::StorageError;
use crate::fleet::Fleet;
use crate::ids::Ids;
use crate::jobs::Jobs;
use crate::lists::Lists;
use crate::log::Log;
use crate::objects::Objects;
use crate::relay::{self, Relay};
use crate::settings::Settings;
use crate::traffic::Traffic;
use crate::uploads::Uploads;
use crate::videos::{Removals, Videos};

/// The opened seams. Clones share everything.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Rows and transactions.
    pub database: Database,
    /// Wake-ups and live messages.
    pub bus: Bus,
    /// Lists that are kept in front of rows.
    pub lists: Lists,
    /// Bytes.
    pub objects: Objects,
    /// The maker of ids.
    pub ids: Ids,
    /// The clock that everything in here tells time by.
    pub clock: SharedClock,
}

impl Storage {
    /// Opens every seam and brings the database's schema up to date. Several processes may do so at once.
    ///
    /// # Errors
    /// [`StorageError::Config`] for a URL that is not understood, [`StorageError::Unavailable`] when an engine does not
    /// answer.
    pub async fn open(config: &StorageConfig) -> Result<Self, StorageError> {
        Self::open_with(config, Arc::new(SystemClock)).await
    }

    /// As [`Storage::open`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub async fn open_with(config: &StorageConfig, clock: SharedClock) -> Result<Self, StorageError> {
        let objects = Objects::open(&config.objects)?;
        let bus = Bus::open(&config.bus).await?;
        let lists = Lists::open(&config.bus)?;
        let ids = Ids::new(Arc::clone(&clock));
        let database = Database::open(&config.database, bus.clone(), ids.clone(), Arc::clone(&clock)).await?;
        if database.has_one_writer() {
            // What is emitted from now on is in the log at once, and comes after what was left for a relay.
            relay::empty(&database).await?;
        }
        Ok(Self { database, bus, lists, objects, ids, clock })
    }

    /// The event log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(self.database.clone(), self.bus.clone())
    }

    /// What moves committed events into the log; run it wherever writers run.
    #[must_use]
    pub fn relay(&self) -> Relay {
        Relay::new(self.database.clone(), self.bus.clone())
    }

    /// The job queue.
    #[must_use]
    pub fn jobs(&self) -> Jobs {
        Jobs::new(self.database.clone())
    }

    /// Videos, their renditions and segments.
    #[must_use]
    pub fn videos(&self) -> Videos {
        Videos::new(self.database.clone())
    }

    /// What removes deleted videos for good, rows first and objects after.
    #[must_use]
    pub fn removals(&self) -> Removals {
        Removals::new(self.database.clone(), self.objects.clone())
    }

    /// Uploads under way.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        Uploads::new(self.database.clone())
    }

    /// Readers of the log that remember where they are.
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        Cursors::new(self.database.clone())
    }

    /// The fleet's nodes and route table.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        Fleet::new(self.database.clone(), self.bus.clone())
    }

    /// The fleet's configuration in all its versions.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(self.database.clone())
    }

    /// What sites have sent.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic::new(self.database.clone())
    }

    /// What operators have done.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.database.clone())
    }
}
