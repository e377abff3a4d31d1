//! Which variants of images are made.

use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use sluice_wire::ImageVariant;
use sluice_wire::image::{self, MIN_KEY};
use std::path::{Path, PathBuf};

/// Presets in a configuration: each may be made of every image.
const MAX_PRESETS: usize = 64;

/// The keys below `transform.images`. Without any, queries of images mean nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesConfig {
    /// A file with the key that signs variants, 32 bytes or more; a line's end after it is not part of it.
    pub key_file: Option<PathBuf>,
    /// Variants that anybody may ask for without a signature, as a query spells them: `w=320&fmt=auto`.
    pub presets: Vec<String>,
}

impl ImagesConfig {
    /// Adds a fault for each key that cannot be used.
    pub fn validate(&self, faults: &mut Faults) {
        if let Some(Err(error)) = self.key_file.as_deref().map(read_key) {
            faults.add("transform.images.key_file", error);
        }
        if self.presets.len() > MAX_PRESETS {
            faults.add("transform.images.presets", format!("at most {MAX_PRESETS}"));
        }
        for preset in &self.presets {
            if let Err(error) = read_preset(preset) {
                faults.add("transform.images.presets", format!("{preset}: {error}"));
            }
        }
    }
}

/// Reads a key's file.
pub(super) fn read_key(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let short = || format!("{}: a key has at least {MIN_KEY} bytes", path.display());
    image::key(&text).map(<[u8]>::to_vec).ok_or_else(short)
}

pub(super) fn read_preset(preset: &str) -> Result<ImageVariant, String> {
    match ImageVariant::parse(preset) {
        Ok((variant, None)) => Ok(variant),
        Ok((_, Some(_))) => Err("a preset has no signature".into()),
        Err(error) => Err(error.to_string()),
    }
}
