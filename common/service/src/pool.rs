//! Work that holds a core, off the runtime's threads and within bounds.

use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// As much waits as may.
    Full,
    /// It panicked.
    Broken,
}

/// A bound on work under way and on work that waits.
#[derive(Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

impl Pool {
    /// A pool of so many cores at a time, in which so much more may wait.
    #[must_use]
    pub fn new(cores: usize, waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(cores + waiting)), cores: Arc::new(Semaphore::new(cores)) }
    }

    /// The pool of codings: half of the cores, so that the other half goes on serving. What may wait is a page's worth
    /// of files for a few askers; who finds it full is served the plain form.
    #[must_use]
    pub fn for_codings() -> Self {
        Self::new(half_the_cores(), 64)
    }

    /// The pool of images: half of the cores, four at most, since each may hold 300 MB. Each that waits holds its source
    /// alone; who finds the pool full is served the image as it is.
    #[must_use]
    pub fn for_images() -> Self {
        Self::new(half_the_cores().min(4), 32)
    }

    /// Does work on a thread of its own, in its turn. Once begun it is done to its end, also when nobody waits for it any
    /// more, and counts until then.
    ///
    /// # Errors
    ///
    /// [`Undone::Full`] when there is no place, [`Undone::Broken`] when the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Undone::Full)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Undone::Full)?;
        let done = spawn_blocking(move || {
            let _held = (place, core);
            work()
        });
        done.await.map_err(|_| Undone::Broken)
    }
}

/// Half of the cores, at least one.
fn half_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_is_bounded_and_a_panic_is_an_error() {
        let pool = Arc::new(Pool::new(1, 1));
        let (go, gate) = mpsc::channel::<()>();
        let first = pool.run(move || gate.recv().is_ok());
        let second = pool.run(|| true);
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert_eq!(pool.run(|| true).await, Err(Undone::Full));
        go.send(()).unwrap();
        assert_eq!((first.await, second.await), (Ok(true), Ok(true)));
        assert_eq!(pool.run(|| assert!(std::hint::black_box(false), "as meant")).await, Err(Undone::Broken));
        assert_eq!(pool.run(|| 1).await, Ok(1), "it goes on");
    }
}
