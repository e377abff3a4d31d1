//! Files that somebody else writes.

use std::path::Path;

/// All bytes of a file, if there are at most so many.
///
/// # Errors
/// Why it cannot be read, or how long it is.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > most {
        return Err(format!("{length} bytes; at most {most}"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
