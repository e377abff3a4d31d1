//! What is remembered of an upload under way: a small file below `$XDG_STATE_HOME/sluice/uploads`, named by the file and the
//! server, replaced at once and gone when all is sent.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file at a moment, and the server it goes to: of another content it is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    text: String,
    /// Bytes.
    pub(crate) length: u64,
}

impl Identity {
    pub(crate) fn of(server: &str, path: &Path, file: &File) -> anyhow::Result<Self> {
        let whole = fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?;
        let meta = file.metadata()?;
        let (at, length) = (whole.display(), meta.len());
        let when = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec());
        Ok(Self { text: format!("{server}\n{at}\n{length} {when:?}"), length })
    }

    fn file(&self) -> Option<PathBuf> {
        let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")))?;
        let name = hex::encode(Sha256::digest(self.text.as_bytes()));
        Some(state.join("sluice/uploads").join(format!("{name}.json")))
    }
}

/// A piece of the file, and the upload that takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) url: String,
    /// Where it begins in the file, and where it ends.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What is sent, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) pieces: Vec<Piece>,
    /// The upload that becomes the video.
    pub(crate) whole: String,
}

impl Plan {
    /// The video's id.
    pub(crate) fn video(&self) -> Option<&str> {
        self.whole.rsplit('/').next().filter(|id| !id.is_empty())
    }
}

/// What was remembered, if anything was.
pub(crate) fn load(identity: &Identity) -> Option<Plan> {
    serde_json::from_slice(&fs::read(identity.file()?).ok()?).ok()
}

/// Remembers an upload, so that it is there after a kill of this process or of the machine.
pub(crate) fn save(identity: &Identity, plan: &Plan) -> anyhow::Result<()> {
    let file = identity.file().context("neither XDG_STATE_HOME nor HOME is set")?;
    let folder = file.parent().context("a state file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let mut out = File::create(&new).with_context(|| format!("writing {}", new.display()))?;
    out.write_all(&serde_json::to_vec(plan)?)?;
    out.sync_all()?;
    fs::rename(&new, &file)?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Forgets an upload that is done.
pub(crate) fn forget(identity: &Identity) {
    identity.file().into_iter().for_each(|file| drop(fs::remove_file(file)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_time_or_server_is_another() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let of = |server: &str, file: &tempfile::NamedTempFile| {
            Identity::of(server, file.path(), file.as_file()).unwrap()
        };
        let first = of("http://a", &file);
        assert_eq!(first, of("http://a", &file));
        assert_ne!(first, of("http://b", &file));
        file.write_all(b"x").unwrap();
        assert_ne!(first, of("http://a", &file));
    }

    #[test]
    fn a_video_is_named_by_its_upload() {
        let plan = |whole: &str| Plan { pieces: vec![], whole: whole.into() };
        assert_eq!(plan("http://h/v1/uploads/abc").video(), Some("abc"));
        assert_eq!(plan("http://h/").video(), None);
    }
}
