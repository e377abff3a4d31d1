//! The announcement: a file that says where a server serves, for launchers and tests.

use crate::listen::Addresses;
use std::path::Path;

/// Writes the addresses and the process id as JSON, whole or not at all.
pub(crate) fn write(file: &Path, at: &Addresses) -> std::io::Result<()> {
    let document = serde_json::json!({
        "pid": std::process::id(),
        "http": at.http,
        "https": at.https,
        "h3": at.h3,
        "admin": at.admin,
    });
    let next = file.with_extension("next");
    std::fs::write(&next, document.to_string())?;
    std::fs::rename(&next, file)
}
