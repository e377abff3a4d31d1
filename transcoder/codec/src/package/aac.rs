//! AAC-LC: its description in a track's header (ISO/IEC 14496-1, 7.2.6; 14496-14, 5.6).

/// What a track's header says of AAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioTrack {
    /// Samples a second, and ticks a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// Bits a second.
    pub bitrate: u32,
    /// AudioSpecificConfig.
    pub config: Vec<u8>,
    /// Samples that the decoder puts out before the sound begins; an edit list hides them.
    pub priming: u32,
}

impl AudioTrack {
    /// RFC 6381: MPEG-4 audio, and the object type that the configuration names.
    #[must_use]
    pub fn codecs(&self) -> String {
        let object = self.config.first().map_or(2, |byte| byte >> 3);
        format!("mp4a.40.{object}")
    }

    /// The contents of `esds`: descriptors within descriptors, each a tag, a length and a body.
    pub(super) fn descriptors(&self) -> Vec<u8> {
        let specific = descriptor(5, &self.config);
        // MPEG-4 audio, audio stream, no buffer size, peak and average rate.
        let mut decoder = vec![0x40, 0x15, 0, 0, 0];
        decoder.extend_from_slice(&self.bitrate.to_be_bytes());
        decoder.extend_from_slice(&self.bitrate.to_be_bytes());
        decoder.extend(specific);
        let mut stream = vec![0, 0, 0];
        stream.extend(descriptor(4, &decoder));
        stream.extend(descriptor(6, &[2]));
        descriptor(3, &stream)
    }
}

/// A descriptor; ours are below 128 bytes, whose length takes one byte.
fn descriptor(tag: u8, body: &[u8]) -> Vec<u8> {
    debug_assert!(body.len() < 128, "a longer length takes more bytes");
    let mut out = vec![tag, body.len() as u8];
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_type_is_the_configurations() {
        let track = AudioTrack {
            sample_rate: 48_000,
            channels: 2,
            bitrate: 128_000,
            config: vec![0x11, 0x90],
            priming: 1024,
        };
        assert_eq!(track.codecs(), "mp4a.40.2");
        let descriptors = track.descriptors();
        assert_eq!(descriptors[0], 3);
        assert_eq!(descriptors[1] as usize, descriptors.len() - 2);
    }
}
