//! Keys: what is kept is found by them.

use crate::floors::marks;
use crate::tenant::{self, Tenant};
use std::sync::Arc;

/// What an object is kept under: whose it is, the target's one spelling, and for a variant what selects it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    hash: u64,
    text: Arc<str>,
}

impl Key {
    pub(crate) fn new(tenant: &Tenant, target: &str) -> Self {
        let text = format!("{}{target}", tenant.as_str());
        Self { hash: hashed(target, tenant.seed()), text: text.into() }
    }

    /// What one of an image's variants is kept under.
    pub(crate) fn image(&self, variant: &str) -> Self {
        self.variant(&format!("\nimage {variant}"))
    }

    /// What a variant of an image is kept under on disk: it is of this form of the image alone.
    pub(crate) fn image_of(&self, variant: &str, validator: &str) -> Self {
        self.variant(&format!("\nimage {variant} of {validator}"))
    }

    /// Where an image's variants are listed.
    pub(super) fn images(&self) -> Self {
        self.variant("\nimages")
    }

    /// What a slice of the target is kept under, in the generation of this number.
    pub(super) fn slice(&self, generation: u64, index: u64) -> Self {
        self.variant(&format!("\n{generation:016x}\n{index}"))
    }

    /// Where the generation of the target's slices is kept on disk.
    pub(super) fn slices(&self) -> Self {
        self.variant("\nslices")
    }

    /// True for the key of a slice.
    pub(super) fn is_slice(&self) -> bool {
        let selection = self.text.split_once('\n').and_then(|(_, selection)| selection.split_once('\n'));
        selection.is_some_and(|(generation, index)| {
            generation.len() == 16
                && generation.bytes().all(|byte| byte.is_ascii_hexdigit())
                && index.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// The key with this text, as [`text`](Self::text) gave it.
    pub(crate) fn of_text(text: &str) -> Self {
        let (tenant, rest) = tenant::split(text).unwrap_or(("", text));
        let (target, selection) = rest.find('\n').map_or((rest, ""), |at| rest.split_at(at));
        let plain = hashed(target, tenant::seed_of(tenant));
        let hash = if selection.is_empty() { plain } else { hashed(selection, plain) };
        Self { hash, text: text.into() }
    }

    /// By which purges find what is kept under it.
    pub(crate) fn marks(&self) -> Box<[u64]> {
        let split =
            tenant::split(&self.text).and_then(|(tenant, target)| Some((Tenant::told(tenant)?, target)));
        let plain = |target: &str| target.split('\n').next().map_or_else(String::new, str::to_owned);
        split.map(|(tenant, target)| marks::all(&tenant, &plain(target))).unwrap_or_default()
    }

    /// Its hash, which differs from process to process.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Its text, whole: equal keys have equal texts.
    pub(crate) const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The key of a variant of the target. A selection begins with a line's end, which no target has.
    pub(crate) fn variant(&self, selection: &str) -> Self {
        let text = format!("{}{selection}", self.text);
        Self { hash: hashed(selection, self.hash), text: text.into() }
    }

    /// True for a key that goes with the target: of a form of it, or of a part.
    pub(crate) fn is_variant_of(&self, target: &Self) -> bool {
        self.text.strip_prefix(&*target.text).is_some_and(|rest| rest.starts_with('\n'))
    }

    /// True for the text of a target's own key.
    pub(super) fn is_of(text: &str, tenant: &Tenant, target: &str) -> bool {
        text.strip_prefix(tenant.as_str()) == Some(target)
    }
}

/// The hash of a part of a key, after what the seed stands for.
pub(super) fn hashed(text: &str, seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), seed)
}
