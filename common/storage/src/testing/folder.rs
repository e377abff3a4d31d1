//! What a test finds in a folder.

use std::path::Path;

/// The names of all that is in a folder, sorted.
///
/// # Panics
/// If it cannot be read, or a name in it is no Unicode.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("the folder can be read").file_name().into_string());
    let mut names: Vec<String> = names.collect::<Result<_, _>>().expect("names are Unicode");
    names.sort();
    names
}
