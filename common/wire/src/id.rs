//! Identifiers: 64-bit, time-sorted, with a fixed textual form.
//!
//! An id is 42 bits of milliseconds since [`EPOCH_MS`] followed by 21 bits of entropy, so it always fits a signed 64-bit
//! column and sorts by creation time. Its text is 13 characters of lower-case Crockford base 32, which sorts alike.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// 2024-01-01T00:00:00Z in Unix milliseconds: the zero of every id's clock part.
pub const EPOCH_MS: u64 = 1_704_067_200_000;

/// Bits of entropy below the clock part: two million ids a millisecond before a collision is certain.
pub const ENTROPY_BITS: u32 = 21;

/// The last millisecond that an id tells, in 2163.
const MAX_CLOCK: u64 = (1 << 42) - 1;

/// Characters of an id's textual form: 13 x 5 bits hold 64.
pub const TEXT_LEN: usize = 13;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The greatest number of an id.
#[doc(hidden)]
pub const MAX: u64 = i64::MAX as u64;

/// Why a text is not an id or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not 13 characters of lower-case Crockford base 32, or above 2^63 - 1.
    #[error("an id is {TEXT_LEN} characters of 0-9 and a-z without i, l, o, u")]
    Text,
    /// The number does not fit 63 bits.
    #[error("an id is below 2^63")]
    Range,
    /// Not a node name.
    #[error("a node name is 1 to 63 characters of a-z, 0-9 and inner hyphens")]
    Node,
}

#[doc(hidden)]
pub use serde;

/// The number of an id that was made at a time.
#[doc(hidden)]
#[must_use]
pub const fn number(unix_ms: u64, entropy: u32) -> u64 {
    let since = unix_ms.saturating_sub(EPOCH_MS);
    let clock = if since > MAX_CLOCK { MAX_CLOCK } else { since };
    (clock << ENTROPY_BITS) | (entropy as u64 & ((1 << ENTROPY_BITS) - 1))
}

/// The text of a number.
#[doc(hidden)]
#[must_use]
pub fn encode(value: u64) -> String {
    (0..TEXT_LEN).rev().map(|place| char::from(ALPHABET[((value >> (5 * place)) & 31) as usize])).collect()
}

/// The number of a text.
///
/// # Errors
/// [`IdError::Text`].
#[doc(hidden)]
pub fn decode(text: &str) -> Result<u64, IdError> {
    if text.len() != TEXT_LEN {
        return Err(IdError::Text);
    }
    let mut value: u64 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|&c| c == byte).ok_or(IdError::Text)? as u64;
        value = value.checked_mul(32).and_then(|v| v.checked_add(digit)).ok_or(IdError::Text)?;
    }
    if value > MAX { Err(IdError::Text) } else { Ok(value) }
}

/// A kind of id that [`id!`](crate::id!) declares.
pub trait Id: Sized {
    /// The id with this number.
    ///
    /// # Errors
    /// [`IdError::Range`] at or above 2^63.
    fn numbered(number: u64) -> Result<Self, IdError>;
}

/// Declares a kind of id: 64 bits, time-sorted, 13 characters of text. An app declares the kinds that are its own.
///
/// ```
/// sluice_wire::id!(
///     /// A product.
///     ProductId
/// );
/// let id = ProductId::from_parts(1_800_000_000_000, 7);
/// assert_eq!(id.to_string().parse::<ProductId>(), Ok(id));
/// ```
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Makes an id from a Unix time in milliseconds and any entropy (its low 21 bits are used). Times before
            /// 2024 count as its beginning, times after 2163 as the last millisecond of which there are ids.
            #[must_use]
            pub const fn from_parts(unix_ms: u64, entropy: u32) -> Self {
                Self($crate::id::number(unix_ms, entropy))
            }

            /// Takes a number that was an id before, such as a database column.
            ///
            /// # Errors
            /// [`IdError::Range`]($crate::id::IdError::Range) at or above 2^63.
            pub const fn from_u64(value: u64) -> Result<Self, $crate::id::IdError> {
                if value > $crate::id::MAX { Err($crate::id::IdError::Range) } else { Ok(Self(value)) }
            }

            /// The number, always below 2^63.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// The number as a database stores it.
            #[must_use]
            pub const fn as_i64(self) -> i64 {
                self.0.cast_signed()
            }

            /// When the id was made, in Unix milliseconds.
            #[must_use]
            pub const fn unix_ms(self) -> u64 {
                (self.0 >> $crate::id::ENTROPY_BITS) + $crate::id::EPOCH_MS
            }
        }

        impl $crate::id::Id for $name {
            fn numbered(number: u64) -> Result<Self, $crate::id::IdError> {
                Self::from_u64(number)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&$crate::id::encode(self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::id::IdError;
            fn from_str(text: &str) -> Result<Self, $crate::id::IdError> {
                $crate::id::decode(text).map(Self)
            }
        }

        impl $crate::id::serde::Serialize for $name {
            fn serialize<S: $crate::id::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> $crate::id::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::id::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as $crate::id::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err($crate::id::serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A video, from the creation of its upload to its deletion.
    VideoId
);
id!(
    /// An upload. Equal in number to the [`VideoId`] it becomes.
    UploadId
);
id!(
    /// A job of the queue.
    JobId
);
id!(
    /// Somebody's account, the same in every app.
    AccountId
);

id!(
    /// A photo of a post.
    PhotoId
);
id!(
    /// A file of a conversation.
    FileId
);

impl UploadId {
    /// The video this upload becomes.
    #[must_use]
    pub const fn video(self) -> VideoId {
        VideoId(self.0)
    }
}

impl VideoId {
    /// The upload this video came from.
    #[must_use]
    pub const fn upload(self) -> UploadId {
        UploadId(self.0)
    }
}

/// A node's name: 1 to 63 characters of `a-z`, `0-9` and inner hyphens (a DNS label, RFC 1035 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// Checks a name.
    ///
    /// # Errors
    /// [`IdError::Node`] when it is not a DNS label in lower case.
    pub fn new(name: impl Into<String>) -> Result<Self, IdError> {
        let name = name.into();
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let ok = (1..=63).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if ok { Ok(Self(name)) } else { Err(IdError::Node) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl TryFrom<String> for NodeId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> Self {
        node.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips_and_sorts_like_the_number(a in 0..=MAX, b in 0..=MAX) {
            let (x, y) = (VideoId(a), VideoId(b));
            prop_assert_eq!(x.to_string().parse::<VideoId>().unwrap(), x);
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }

        #[test]
        fn any_text_is_refused_or_is_its_own_canonical_form(text in ".{0,20}") {
            if let Ok(id) = text.parse::<VideoId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn ids_keep_their_time(ms in EPOCH_MS..EPOCH_MS + (1 << 42), entropy: u32) {
            prop_assert_eq!(JobId::from_parts(ms, entropy).unix_ms(), ms);
        }

        #[test]
        fn whatever_is_later_has_no_lower_number(a: u64, b: u64) {
            let of = |ms| JobId::from_parts(ms, 0);
            prop_assert_eq!(of(a.min(b)).max(of(a.max(b))), of(a.max(b)));
        }
    }

    #[test]
    fn times_beyond_those_of_ids_are_the_last_or_the_first() {
        let (last, year_9999) = (EPOCH_MS + MAX_CLOCK, 253_402_214_400_000);
        for late in [last, last + 1, year_9999, u64::MAX] {
            assert_eq!(JobId::from_parts(late, 7), JobId::from_parts(last, 7), "{late}");
        }
        assert!(JobId::from_parts(u64::MAX, u32::MAX).as_u64() <= MAX);
        assert_eq!(JobId::from_parts(0, 7), JobId::from_parts(EPOCH_MS, 7));
    }

    #[test]
    fn node_names_are_dns_labels() {
        assert!(NodeId::new("near-a").is_ok());
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", &"x".repeat(64)] {
            assert_eq!(NodeId::new(bad), Err(IdError::Node), "{bad}");
        }
    }
}
