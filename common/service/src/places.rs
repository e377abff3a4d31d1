//! Places: where an address is and whose network it is in, by databases in MaxMind's format.

use crate::files::read_bounded;
use maxminddb::{LookupResult, PathElement, Reader};
use sluice_wire::{Country, Position};
use std::net::IpAddr;
use std::path::Path;

/// Bytes of a database. One of cities has about 70 MB.
const MAX_FILE: u64 = 512 << 20;

/// A database: of countries, of cities or of networks. What it does not hold is unknown.
#[derive(Debug)]
pub struct Places(Reader<Vec<u8>>);

impl Places {
    /// Reads a database.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// Reads a database from a file.
    ///
    /// # Errors
    /// Why it cannot be read, or what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(read_bounded(path, MAX_FILE)?)
    }

    /// The country of an address; else the one in which its network is registered. `None` where neither
    /// is known.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.look(address)?;
        let of = |place| {
            let code = found.decode_path::<String>(&[PathElement::Key(place), PathElement::Key("iso_code")]);
            code.ok().flatten().and_then(|code| Country::parse(&code))
        };
        of("country").or_else(|| of("registered_country"))
    }

    /// Where on earth an address is. `None` where that is unknown.
    #[must_use]
    pub fn position(&self, address: IpAddr) -> Option<Position> {
        let found = self.look(address)?;
        let of = |name| {
            let path = [PathElement::Key("location"), PathElement::Key(name)];
            found.decode_path::<f64>(&path).ok().flatten()
        };
        let position = Position { latitude: of("latitude")?, longitude: of("longitude")? };
        position.is_real().then_some(position)
    }

    /// The number of the autonomous system an address is announced by. `None` where that is unknown.
    #[must_use]
    pub fn network(&self, address: IpAddr) -> Option<u32> {
        let found = self.look(address)?;
        found.decode_path::<u32>(&[PathElement::Key("autonomous_system_number")]).ok().flatten()
    }

    fn look(&self, address: IpAddr) -> Option<LookupResult<'_, Vec<u8>>> {
        self.0.lookup(address.to_canonical()).ok()
    }
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
        assert_eq!(Places::read(Path::new("/")).unwrap_err(), "Is a directory (os error 21)");
    }
}
