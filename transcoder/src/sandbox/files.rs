//! The files that the codec may open: its program, the libraries that it is linked to, and the loader's index of them.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The dynamic loader of the platforms that Sluice is built for. It lists a program's libraries without running it.
const LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };
/// The loader's index of libraries.
const INDEX: &str = "/etc/ld.so.cache";
/// Landlock as it is known here. On an older kernel fewer things are refused by it; seccomp refuses those as well.
const NEWEST: ABI = ABI::V6;

/// The libraries that a program needs, with the loader. Empty for a program that needs none.
pub(super) fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = Command::new(LOADER)
        .arg("--list")
        .arg(program)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    // A program without libraries is refused by the loader, and needs nothing of it.
    if !listing.status.success() {
        return Ok(vec![]);
    }
    Ok(listed(&listing.stdout))
}

/// Reads lines such as `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)` and `/lib64/ld-linux-x86-64.so.2 (0x...)`.
fn listed(listing: &[u8]) -> Vec<PathBuf> {
    let path = |line: &[u8]| {
        let mut words = line.split(u8::is_ascii_whitespace);
        words.find(|word| word.first() == Some(&b'/')).map(|word| PathBuf::from(OsStr::from_bytes(word)))
    };
    listing.split(|&byte| byte == b'\n').filter_map(path).collect()
}

/// Landlock's rules, not in force yet: `program` and the loader may be run and read, `libraries` may be read, and nothing
/// else may be opened, made, bound, connected to or sent a signal. `None` where the kernel has no landlock.
pub(super) fn rules(program: &impl AsFd, libraries: &[PathBuf]) -> Result<Option<OwnedFd>, RulesetError> {
    let run = AccessFs::Execute | AccessFs::ReadFile;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(program, run))?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| {
        // One that is not there any more is missed by the loader, which says so.
        PathFd::new(path)
            .map_or(Ok(()), |file| (&mut rules).add_rule(PathBeneath::new(file, access)).map(drop))
    };
    for library in libraries {
        let loader = library == Path::new(LOADER);
        allow(library, if loader { run } else { AccessFs::ReadFile.into() })?;
    }
    if !libraries.is_empty() {
        allow(Path::new(INDEX), AccessFs::ReadFile.into())?;
    }
    Ok(rules.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_libraries_are_found_and_the_loader_with_them() {
        let found = libraries(&std::env::current_exe().unwrap()).unwrap();
        assert!(found.iter().any(|f| f == Path::new(LOADER)), "{found:?}");
        assert!(found.len() > 1 && found.iter().all(|f| f.is_file()), "{found:?}");
    }

    #[test]
    fn what_is_no_program_needs_no_libraries() {
        assert!(libraries(Path::new("/etc/hostname")).unwrap().is_empty());
    }
}
