//! What is kept between starts: the account's key and the certificate, for nobody else to read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of two files.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens it; makes it when it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self { dir: dir.into() })
    }

    /// The account's credentials at a directory, if there are any. What is of another directory is no account of this.
    pub(super) fn account(&self, directory: &str) -> Option<serde_json::Value> {
        let text = std::fs::read(self.dir.join("account.json")).ok()?;
        let mut kept: serde_json::Value = serde_json::from_slice(&text).ok()?;
        (kept["directory"] == directory).then(|| kept["credentials"].take())
    }

    pub(super) fn keep_account(&self, directory: &str, credentials: &serde_json::Value) -> io::Result<()> {
        let kept = serde_json::json!({ "directory": directory, "credentials": credentials });
        self.keep("account.json", kept.to_string().as_bytes())
    }

    /// Chain and key are one file: one is never there without the other.
    pub(super) fn keep_certificate(&self, chain: &str, key: &str) -> io::Result<()> {
        self.keep(super::CERTIFICATE, format!("{}\n{}", chain.trim_end(), key).as_bytes())
    }

    /// Writes beside the file, and puts it in place once it is on the disk.
    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, beside) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_kept_is_found_again_and_is_the_owner_s_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("acme")).unwrap();
        assert_eq!(store.account("https://a"), None);
        for id in ["1", "2"] {
            store.keep_account("https://a", &serde_json::json!({ "id": id })).unwrap();
        }
        assert_eq!(store.account("https://a"), Some(serde_json::json!({ "id": "2" })));
        assert_eq!(store.account("https://b"), None);
        store.keep_certificate("chain\n", "key\n").unwrap();
        for file in ["account.json", super::super::CERTIFICATE] {
            let mode = std::fs::metadata(dir.path().join("acme").join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let mode = std::fs::metadata(dir.path().join("acme")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
