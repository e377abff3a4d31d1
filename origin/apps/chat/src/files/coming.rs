//! Files on their way: each is in memory, some at a time, and of one account a few, so that one who sends slowly leaves room for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_wire::AccountId;

/// Files that may come at a time: each is in memory, twice for a moment.
const MAX_BODIES: usize = 16;
/// Those of one account.
const MAX_OF_ONE: usize = 4;

/// How many files are on their way, by account. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Coming(Arc<Mutex<HashMap<AccountId, usize>>>);

/// A place that a file has until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    coming: Coming,
    who: AccountId,
}

impl Coming {
    /// A place, unless all are taken, or all that the account may have.
    pub(super) fn begin(&self, who: AccountId) -> Option<Place> {
        let mut coming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (coming.values().sum::<usize>(), coming.get(&who).copied().unwrap_or_default());
        if all >= MAX_BODIES || own >= MAX_OF_ONE {
            return None;
        }
        coming.insert(who, own + 1);
        Some(Place { coming: self.clone(), who })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut coming = self.coming.0.lock().unwrap_or_else(PoisonError::into_inner);
        match coming.get_mut(&self.who) {
            Some(own) if *own > 1 => *own -= 1,
            _ => _ = coming.remove(&self.who),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u32) -> AccountId {
        AccountId::from_parts(1_800_000_000_000, number)
    }

    #[test]
    fn one_account_leaves_room_for_others_and_gives_back_what_it_had() {
        let coming = Coming::default();
        let mut own: Vec<Place> = (0..MAX_OF_ONE).map(|_| coming.begin(account(1)).unwrap()).collect();
        assert!(coming.begin(account(1)).is_none(), "no more of one");
        let others: Vec<Place> =
            (MAX_OF_ONE..MAX_BODIES).map(|n| coming.begin(account(n.try_into().unwrap())).unwrap()).collect();
        assert!(coming.begin(account(99)).is_none(), "no more at all");
        own.pop();
        assert!(coming.begin(account(1)).is_some());
        drop((own, others));
        assert!(coming.0.lock().unwrap().is_empty());
    }
}
