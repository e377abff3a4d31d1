//! Counts the statements that a piece of work sends, so that an endpoint's number of them can be asserted.

use std::cell::Cell;

use sea_orm::DatabaseConnection;

tokio::task_local! {
    static SENT: Cell<u64>;
}

/// Does work, and gives beside what came of it how many statements this task sent for it; where a transaction begins and
/// ends does not count, nor what the work spawned.
pub async fn count_statements<T>(work: impl Future<Output = T>) -> (T, u64) {
    SENT.scope(Cell::new(0), async {
        let done = work.await;
        (done, SENT.with(Cell::get))
    })
    .await
}

/// Has a connection's statements counted.
pub(super) fn watch(connection: &mut DatabaseConnection) {
    // Work that nobody counts is most of it.
    connection.set_metric_callback(|_| SENT.try_with(|sent| sent.set(sent.get() + 1)).unwrap_or_default());
}
