//! The app's tables.

use sluice_storage::Schema;

/// See the module.
pub const SCHEMA: Schema = Schema { migrations: "chat_migrations", steps: &[] };
