//! Media made to hurt: small files that claim much, unpack to much, or name other files. Written byte by byte, since no
//! encoder would.

pub mod jpeg;
pub mod mkv;
pub mod mov;
pub mod mpegts;
pub mod png;
