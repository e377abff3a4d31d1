//! The coded forms of one body: each made once, whoever asks, and gone with the body.

use super::Coding;
use crate::cache::Growing;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The coded forms of a body, made when they are first asked for.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    slots: [Slot; Coding::ALL.len()],
    done: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    /// The form; `None` in it when it is not worth having.
    made: OnceLock<Option<Bytes>>,
    making: AtomicBool,
}

impl Forms {
    /// A form that is ready. The outer `None`: not made yet; the inner: not worth having.
    pub(crate) fn ready(&self, coding: Coding) -> Option<Option<Bytes>> {
        self.slots[coding as usize].made.get().cloned()
    }

    /// Bytes of all that is made.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.iter().filter_map(|slot| slot.made.get()?.as_ref()).map(|form| form.len() as u64).sum()
    }

    /// Waits for a form that somebody makes. `None` when nobody does, or it failed. Cancel safe.
    pub(super) async fn made(&self, coding: Coding) -> Option<Option<Bytes>> {
        let slot = &self.slots[coding as usize];
        loop {
            let mut done = std::pin::pin!(self.done.notified());
            // Registered before the look, so that an end between the two is not missed.
            done.as_mut().enable();
            if let Some(made) = slot.made.get() {
                return Some(made.clone());
            }
            if !slot.making.load(Ordering::Acquire) {
                return slot.made.get().cloned();
            }
            done.await;
        }
    }
}

/// The right to make a form of a body, given to one at a time. Given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    body: Arc<Growing>,
    pub(super) coding: Coding,
}

impl Claim {
    /// The right to make a form, unless it is made or being made.
    pub(super) fn on(body: &Arc<Growing>, coding: Coding) -> Option<Self> {
        let slot = &body.forms().slots[coding as usize];
        let first = slot.made.get().is_none() && !slot.making.swap(true, Ordering::AcqRel);
        first.then(|| Self { body: Arc::clone(body), coding })
    }

    /// Gives the form to all who ask; those who wait have it once the claim is dropped.
    pub(super) fn finish(&self, form: Option<Bytes>) {
        drop(self.body.forms().slots[self.coding as usize].made.set(form));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let forms = self.body.forms();
        forms.slots[self.coding as usize].making.store(false, Ordering::Release);
        forms.done.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_is_made_by_one_and_had_by_all() {
        let body = Arc::new(Growing::new(3));
        let claim = Claim::on(&body, Coding::Gzip).expect("the first");
        assert!(Claim::on(&body, Coding::Gzip).is_none(), "the second waits");
        assert!(Claim::on(&body, Coding::Zstd).is_some(), "another form is another matter");
        let (made, ()) = tokio::join!(body.forms().made(Coding::Gzip), async {
            claim.finish(Some(Bytes::from_static(b"abc")));
            drop(claim);
        });
        assert_eq!(made, Some(Some(Bytes::from_static(b"abc"))));
        assert!(Claim::on(&body, Coding::Gzip).is_none(), "made once");
        assert_eq!(body.forms().bytes(), 3);
    }

    #[tokio::test]
    async fn who_gives_up_lets_the_next_try() {
        let body = Arc::new(Growing::new(3));
        let claim = Claim::on(&body, Coding::Zstd).unwrap();
        let (made, ()) = tokio::join!(body.forms().made(Coding::Zstd), async { drop(claim) });
        assert_eq!(made, None);
        assert!(Claim::on(&body, Coding::Zstd).is_some());
    }
}
