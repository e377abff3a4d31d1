//! Counts the statements that a piece of work sends, so that an endpoint's number of them can be asserted.

use std::cell::Cell;

use sea_orm::DatabaseConnection;

use crate::wakes::NOTIFY;

tokio::task_local! {
    static SENT: Cell<u64>;
}

/// Does work, and gives beside what came of it how many statements this task sent for it; where a transaction begins and
/// ends does not count, nor the word by which PostgreSQL wakes other processes, nor what the work spawned.
pub async fn count_statements<T>(work: impl Future<Output = T>) -> (T, u64) {
    SENT.scope(Cell::new(0), async {
        let done = work.await;
        (done, SENT.with(Cell::get))
    })
    .await
}

/// Counts statements that another task sent for this one.
pub fn note_statements(sent: u64) {
    SENT.try_with(|so_far| so_far.set(so_far.get() + sent)).unwrap_or_default();
}

/// Has a connection's statements counted.
pub(super) fn watch(connection: &mut DatabaseConnection) {
    // Work that nobody counts is most of it.
    connection.set_metric_callback(|info| {
        SENT.try_with(|sent| {
            if info.statement.sql != NOTIFY {
                sent.set(sent.get() + 1);
            }
        })
        .unwrap_or_default();
    });
}
