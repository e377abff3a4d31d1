//! What the readers of this crate are held to, whatever the bytes: fuzz targets, each a function of bytes that panics when
//! something does not hold. An origin never calls them.

/// A URL that somebody named is refused, or has one spelling and leads to no address outside the public net.
pub fn outbound(bytes: &[u8]) {
    crate::outbound::fuzzing(bytes);
}

/// Fields of tus requests are refused or mean what they say.
pub fn tus(bytes: &[u8]) {
    crate::upload::tus::fields::fuzzing(bytes);
}
