//! A backup that is being written: a file of its own beside where it will be, gone unless it is finished.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Its owner alone reads it.
const MODE: u32 = 0o600;

/// The unfinished file. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Part(PathBuf);

impl Part {
    /// Begins one for `file`, which nobody else has: not another backup to the same name, nor whoever put something there before.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn begin(file: &Path) -> io::Result<(Self, File)> {
        let mut path = file.as_os_str().to_owned();
        path.push(format!(".{:016x}.part", rand::random::<u64>()));
        let path = PathBuf::from(path);
        let out = create(&path)?;
        Ok((Self(path), out))
    }

    /// Gives it its name, durably, if nobody has taken that meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn publish(self, file: &Path) -> io::Result<()> {
        match std::fs::hard_link(&self.0, file) {
            // The file system may know no links: the name is taken first, and then the whole file put in its place.
            Err(why) if why.kind() != ErrorKind::AlreadyExists => {
                drop(create(file)?);
                std::fs::rename(&self.0, file).inspect_err(|_| drop(std::fs::remove_file(file)))?;
            }
            linked => linked?,
        }
        // Its other name goes before the folder is written out.
        drop(self);
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new("."))).and_then(|folder| folder.sync_all())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A new file; a link that stands there is not followed.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::testing::names;

    #[test]
    fn it_appears_whole_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.backup");
        let (part, mut out) = Part::begin(&file).unwrap();
        out.write_all(b"rows").unwrap();
        assert!(!file.exists());
        part.publish(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"rows");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(names(folder.path()), ["a.backup"]);
    }

    #[test]
    fn of_two_to_one_name_the_first_is_kept_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.backup");
        let ((one, mut out), (other, mut beside)) =
            (Part::begin(&file).unwrap(), Part::begin(&file).unwrap());
        out.write_all(b"one").unwrap();
        beside.write_all(b"other").unwrap();
        one.publish(&file).unwrap();
        assert_eq!(other.publish(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!((std::fs::read(&file).unwrap(), names(folder.path()).len()), (b"one".to_vec(), 1));
        drop(Part::begin(&folder.path().join("b.backup")).unwrap());
        assert_eq!(names(folder.path()), ["a.backup"], "what is given up leaves nothing");
    }

    #[test]
    fn a_link_that_stands_there_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("a.backup"), folder.path().join("elsewhere"));
        symlink(&elsewhere, &file).unwrap();
        assert_eq!(create(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let (part, _) = Part::begin(&file).unwrap();
        assert_eq!(part.publish(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(!elsewhere.exists());
    }
}
