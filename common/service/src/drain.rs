//! The orderly end: stop accepting, finish what is under way, cut what takes too long.

use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A server's end, shared by everything that must know of it. Clones are the same drain.
#[derive(Debug, Clone)]
pub struct Drain {
    begun: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    grace: Duration,
}

/// What the end of a server was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Tasks and connections still under way when the grace was over.
    pub cut: usize,
}

impl Drain {
    /// A drain that has not begun. `grace` is the time between its beginning and the cut.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        let (begun, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { begun, cut, tasks: TaskTracker::new(), grace }
    }

    /// Cancelled when the server must accept nothing new and finish what it has.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Cancelled when the grace is over and whatever is left must end at once.
    #[must_use]
    pub fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// The owner of background tasks; they are waited for.
    #[must_use]
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the end. Calling it again changes nothing.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// True once it has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits for all tasks, at most for the grace; then cuts what is left and waits a second more for it to notice.
    pub async fn finish(&self) -> DrainReport {
        self.begin();
        self.tasks.close();
        if tokio::time::timeout(self.grace, self.tasks.wait()).await.is_ok() {
            return DrainReport { cut: 0 };
        }
        let report = DrainReport { cut: self.tasks.len() };
        self.cut.cancel();
        drop(tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await);
        report
    }
}
