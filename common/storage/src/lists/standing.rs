//! Whether an engine is what it was. Who asks it has it count, for itself alone, what it told it: one that knows of less has an older
//! state of itself, or none. What it kept before it failed to answer is not believed until that was looked at.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// What is known of an engine.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The highest count that it answered with.
    count: AtomicI64,
    /// It answered with one that is no higher than another before.
    back: AtomicBool,
    /// Times that it failed.
    failures: AtomicU64,
    /// Those that were before the last look that found it as it was.
    forgiven: AtomicU64,
}

/// What was known when a question was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The highest count by then.
    pub(super) count: i64,
    failures: u64,
}

impl Standing {
    /// Before a question that is counted is sent.
    pub(super) fn asked(&self) -> Asked {
        Asked { count: self.count.load(Ordering::SeqCst), failures: self.failures.load(Ordering::SeqCst) }
    }

    /// Whether what it kept is believed.
    pub(super) fn is_believed(&self) -> bool {
        let failures = self.failures.load(Ordering::SeqCst);
        failures == self.forgiven.load(Ordering::SeqCst) && !self.back.load(Ordering::SeqCst)
    }

    /// It did not answer, or with an error.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::SeqCst);
    }

    /// It counted a question. False where it has an older state of itself than it had.
    pub(super) fn counted(&self, asked: Asked, count: i64) -> bool {
        let is_more = count > asked.count;
        if is_more {
            self.count.fetch_max(count, Ordering::SeqCst);
        } else {
            self.back.store(true, Ordering::SeqCst);
        }
        is_more
    }

    /// It counted a look. False, once, where it has an older state of itself; the next one finds it as it was then.
    pub(super) fn looked(&self, asked: Asked, count: i64) -> bool {
        self.counted(asked, count);
        if self.back.load(Ordering::SeqCst) {
            // Not believed until the next look, whoever reads meanwhile.
            self.failed();
            self.back.store(false, Ordering::SeqCst);
            self.count.store(count, Ordering::SeqCst);
            return false;
        }
        self.forgiven.store(asked.failures, Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_failed_is_believed_after_a_look_that_was_sent_after_it() {
        let standing = Standing::default();
        assert!(standing.is_believed(), "nothing has failed");
        let before = standing.asked();
        standing.failed();
        assert!(standing.looked(before, 1) && !standing.is_believed(), "it failed while that was on its way");
        assert!(standing.looked(standing.asked(), 2) && standing.is_believed());
    }

    #[test]
    fn one_that_counts_anew_is_found_out_by_whatever_is_counted() {
        let standing = Standing::default();
        assert!(standing.looked(standing.asked(), 1));
        assert!(standing.counted(standing.asked(), 2));
        assert!(!standing.counted(standing.asked(), 2), "it has forgotten that one");
        // Others are counted meanwhile, and it is past where it was.
        assert!(standing.counted(standing.asked(), 3) && !standing.is_believed());
        assert!(!standing.looked(standing.asked(), 4) && !standing.is_believed(), "said once");
        assert!(standing.looked(standing.asked(), 5) && standing.is_believed());
        assert!(!standing.looked(standing.asked(), 1), "a look finds it out, too");
    }

    #[test]
    fn two_questions_at_once_are_no_step_back() {
        let standing = Standing::default();
        let (one, other) = (standing.asked(), standing.asked());
        assert!(standing.counted(other, 2) && standing.counted(one, 1));
        assert!(standing.looked(standing.asked(), 3) && standing.is_believed());
    }
}
