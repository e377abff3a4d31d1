//! What the disk has: it is asked for what memory has not, and told what begins and ends.

use super::Store;
use crate::cache::key::Key;
use crate::cache::object::Object;
use crate::cache::slicing::Sliced;
use crate::disk::Tier;
use http::header::HeaderMap;
use std::sync::Arc;

impl Store {
    /// True when the disk may have what is not in memory for a target.
    pub(crate) fn may_recall(&self, target: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_have(target))
    }

    /// What the disk has for a request.
    pub(crate) async fn recall(&self, target: &Key, request: &HeaderMap) -> Option<Arc<Object>> {
        self.disk.as_ref()?.find(target, request).await
    }

    /// True when the disk may have slices of a target of which memory knows nothing.
    pub(crate) fn may_recall_slices(&self, target: &Key) -> bool {
        let may_have = |disk: &Tier| disk.may_have(&target.slices());
        self.disk.as_ref().is_some_and(may_have) && self.slicing.of(target).is_none()
    }

    /// Takes up the generation that the disk has of a target.
    pub(crate) async fn recall_slices(&self, target: &Key) {
        let Some(disk) = &self.disk else { return };
        let record = disk.find(&target.slices(), &HeaderMap::new()).await;
        if let Some(sliced) = record.and_then(|record| Sliced::of_record(&record)) {
            self.slicing.begin(target, Arc::new(sliced));
        }
    }

    /// Begins a generation of slices; one before it is forgotten.
    pub(crate) fn begin_slices(&self, target: &Key, sliced: Arc<Sliced>) {
        if let Some(disk) = &self.disk
            && !target.text().contains('\n')
        {
            disk.put(&target.slices(), &Arc::new(sliced.recorded()));
        }
        self.slicing.begin(target, sliced);
    }

    /// Forgets a generation of slices, unless another has taken its place.
    pub(crate) fn end_slices(&self, target: &Key, sliced: &Sliced) {
        if self.slicing.end(target, sliced)
            && let Some(disk) = &self.disk
        {
            disk.forget(&target.slices());
        }
    }

    /// Has the disk keep a variant of an image, under a key that says of which form.
    pub(crate) fn keep_image(&self, variant: &Key, object: &Arc<Object>) {
        if let Some(disk) = &self.disk {
            disk.put(variant, object);
        }
    }

    /// A variant of an image as the disk has it.
    pub(crate) async fn recall_image(&self, variant: &Key) -> Option<Arc<Object>> {
        let disk = self.disk.as_ref().filter(|disk| disk.may_have(variant))?;
        disk.find(variant, &HeaderMap::new()).await
    }
}
