//! The order of versions: after what is newer nothing older is shown, in whatever order fills begin and end.
//!
//! Versions order two answers of the same past of the log alone. What says of none, or was asked for before another past
//! began, is shown as it comes: floors judge it. So is what is kept, confirmed under older versions than it had.

use super::fetch::Fetch;
use crate::cache::{Filled, Key, Object, Permit, Standing};
use crate::floors::{Verdict, marks};
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// What is kept and older than what is shown while that comes. When it does not come, it is as before.
pub(super) struct Aside(Option<Arc<Object>>);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(older) = &self.0 {
            older.bring_back();
        }
    }
}

impl Fetch {
    /// What those who wait are told when what was brought is old by now: the newer answer that is kept or comes, where it may
    /// be served to them; else to look again, when a fill that was sent after this one has brought something.
    pub(super) fn overtaken(&self, permit: &Permit, key: &Key, object: &Object) -> Option<Filled> {
        let place = object.place(key);
        let others = [self.edge.store.peek(&place), self.edge.fills.brought(&place)];
        let newer = |other: &Arc<Object>| other.is_newer_than(object) && self.may_show(key, other);
        let newer = others.into_iter().flatten().find(newer);
        newer.map(Filled::Object).or_else(|| permit.is_overtaken().then_some(Filled::Again))
    }

    fn may_show(&self, key: &Key, newer: &Object) -> bool {
        let (edge, (tenant, target)) = (&self.edge, &self.of);
        let for_asker = newer.head.lifetimes.for_authorised || !self.selecting.contains_key(AUTHORIZATION);
        let stands = edge.floors.stand(newer, &[], || marks::all(tenant, &self.target));
        for_asker
            && stands == Verdict::Above
            && matches!(newer.standing(edge.liveness.is_live()), Standing::Fresh(_))
            && newer.is_selected_by(&self.selecting)
            && edge.searches.serves(tenant, target, key, newer)
    }

    /// Has what is kept and older than what comes stand aside until that is whole, where somebody is shown what comes: whoever was
    /// given what is kept, while it is made new beside, may be given it until then.
    pub(super) fn set_aside(&self, permit: &Permit, key: &Key, object: &Object) -> Aside {
        let kept = permit.fill.is_waited_for().then(|| self.edge.store.peek(&object.place(key)));
        let older = kept.flatten().filter(|kept| object.is_newer_than(kept));
        if let Some(older) = &older {
            older.set_aside();
        }
        Aside(older)
    }
}
