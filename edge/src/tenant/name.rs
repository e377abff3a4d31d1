//! The one spelling of an authority, and of a tenant.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// The fleet's own tenant. No host begins with this character, and no target.
const OWN: &str = "@";

/// So that nobody outside can tell which keys collide.
pub(crate) static SEED: LazyLock<u64> = LazyLock::new(rand::random);

/// A tenant: `@` is the fleet itself, `@name` one that is configured, `http://host:port` any other.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    text: Arc<str>,
    /// What the hash of a target begins with.
    seed: u64,
}

impl Tenant {
    fn new(text: &str) -> Self {
        Self { text: text.into(), seed: seed_of(text) }
    }

    /// The fleet itself.
    pub(crate) fn own() -> Self {
        Self::new(OWN)
    }

    /// One that is configured.
    pub(super) fn named(name: &str) -> Self {
        Self::new(&format!("{OWN}{name}"))
    }

    /// The tenant of an authority in its one spelling.
    pub(super) fn of_authority(authority: &str, secure: bool) -> Self {
        let scheme = if secure { "https" } else { "http" };
        Self::new(&format!("{scheme}://{authority}"))
    }

    /// What another tier says the tenant is.
    pub(crate) fn told(text: &str) -> Option<Self> {
        let (tenant, rest) = split(text)?;
        (rest.is_empty() && tenant.len() <= MAX_LEN).then(|| Self::new(tenant))
    }

    /// Its text: the beginning of every key of it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the hash of a target of it begins with.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Host and port, of a tenant that has only one.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.text.split_once("://").map(|(_, authority)| authority)
    }
}

/// Bytes of a tenant's text: a name of 253, its port and its scheme fit.
const MAX_LEN: usize = 320;

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Tenant {}

impl Hash for Tenant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

pub(crate) fn seed_of(tenant: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(tenant.as_bytes(), *SEED)
}

/// Splits a key's text into its tenant and the rest, which begins with `/` or is empty.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let skipped = ["http://", "https://", OWN].iter().find(|start| text.starts_with(**start))?.len();
    let end = text.get(skipped..)?.find('/').map_or(text.len(), |at| skipped + at);
    Some(text.split_at(end))
}

/// The one spelling of a host and port: in lower case, without the scheme's default port (RFC 9110 section 4.2.3).
pub(super) fn authority(host: &str, secure: bool) -> String {
    let mut authority = host.to_ascii_lowercase();
    let default = if secure { ":443" } else { ":80" };
    if authority.ends_with(default) {
        authority.truncate(authority.len() - default.len());
    }
    authority
}
