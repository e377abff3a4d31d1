//! Points at which a process can be made to die, for stories of kills between two steps. There are none in a release build.
//!
//! `CRASH_AT=NAME` ends the process as `kill -9` does when it comes to that point; `NAME:3`, the third time.

/// A point in the code at which a story may end the process.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use nix::sys::signal::{Signal, raise};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The point, and the passes that are survived.
    static AT: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let text = std::env::var("CRASH_AT").ok()?;
        let (name, pass) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(pass.parse().ok()?)))
    });

    pub(super) fn pass(name: &str) {
        let Some((at, left)) = AT.as_ref().filter(|(at, _)| at == name) else { return };
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::warn!(at, "this is where the process was to end");
            raise(Signal::SIGKILL).ok();
        }
    }
}
