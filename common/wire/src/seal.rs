//! How a video's media is sealed for delivery, and what names a content key.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::media::sixteen;

/// What is done to media when they are served. What is stored is clear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Nothing.
    #[default]
    None,
    /// Segments are encrypted whole (RFC 8216bis section 4.4.4.4, `METHOD=AES-128`): HLS alone.
    Aes128,
    /// Parts of samples are encrypted (ISO/IEC 23001-7, `cbcs`): HLS and DASH.
    Cbcs,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Aes128, Self::Cbcs];

    /// The name in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes128 => "aes-128",
            Self::Cbcs => "cbcs",
        }
    }

    /// The protection of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protection| protection.as_str() == name)
    }
}

/// What names a content key (ISO/IEC 23001-7, KID): 16 bytes that everybody may know. The last four count key periods, so
/// that whoever knows how it was made finds the key without looking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub [u8; 16]);

/// Why a text names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is named by 32 characters of 0-9 and a-f")]
pub struct KeyIdError;

impl KeyId {
    /// The key of a period among those that begin alike.
    #[must_use]
    pub fn new(beginning: [u8; 12], period: u32) -> Self {
        let mut id = [0; 16];
        id[..12].copy_from_slice(&beginning);
        id[12..].copy_from_slice(&period.to_be_bytes());
        Self(id)
    }

    /// Its period, if it was made by [`KeyId::new`].
    #[must_use]
    pub const fn period(self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// As DASH writes it: a UUID (RFC 9562 section 4).
    #[must_use]
    pub fn uuid(self) -> String {
        let text = self.to_string();
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| text.get(range).unwrap_or_default());
        parts.join("-")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;
    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        sixteen(text).map(Self).ok_or(KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;
    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_has_one_spelling_and_knows_its_period() {
        let id = KeyId::new([0xab; 12], 0x0102_0304);
        assert_eq!(id.to_string(), "abababababababababababab01020304");
        assert_eq!(id.uuid(), "abababab-abab-abab-abab-abab01020304");
        assert_eq!((id.period(), id.to_string().parse()), (0x0102_0304, Ok(id)));
        assert_eq!("AB".repeat(16).parse::<KeyId>(), Err(KeyIdError));
        for protection in Protection::ALL {
            assert_eq!(Protection::parse(protection.as_str()), Some(protection));
        }
    }
}
