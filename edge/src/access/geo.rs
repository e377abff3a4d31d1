//! Places: the country of an address, by a database in MaxMind's format.

use maxminddb::{PathElement, Reader};
use std::net::IpAddr;

/// Bytes of a database. One of cities has about 70 MB.
pub(super) const MAX_FILE: u64 = 512 << 20;

/// A database.
#[derive(Debug)]
pub(crate) struct Places(Reader<Vec<u8>>);

impl Places {
    /// Reads a database.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        Ok(Self(reader))
    }

    /// The country of an address, two capital letters; else the one in which its network is registered. `None` where neither
    /// is known.
    pub(crate) fn country(&self, address: IpAddr) -> Option<String> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let of = |place| {
            let code = found.decode_path::<String>(&[PathElement::Key(place), PathElement::Key("iso_code")]);
            code.ok().flatten().filter(|code| is_country(code))
        };
        of("country").or_else(|| of("registered_country"))
    }
}

/// True for two capital letters (ISO 3166-1 alpha-2).
pub(crate) fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|c| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_refused() {
        for bytes in [&b""[..], b"x", &[0; 4_096], b"\xab\xcd\xefMaxMind.com", b"\xab\xcd\xefMaxMind.com\xe0"]
        {
            assert!(Places::parse(bytes.to_vec()).is_err());
        }
        assert!(is_country("DE") && !is_country("de") && !is_country("DEU") && !is_country(""));
    }
}
