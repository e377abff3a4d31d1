//! What is opened at all. FFmpeg can read hundreds of formats, most of them by code that nobody has looked at for years;
//! what people upload is a few dozen.

/// Containers, by FFmpeg's names of their readers. Playlists, image sequences and devices are not among them: their
/// readers would follow what they name. The last five hold sound alone.
pub(crate) const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mp3,aac,flac,ogg,wav";

/// Decoders, by FFmpeg's names. Pictures: what cameras, telephones, editors and broadcasters write, not what unpacks
/// screens or sprites. Sound: the same, and plain samples.
pub(crate) const DECODERS: &[&str] = &[
    "h264",
    "hevc",
    "libdav1d",
    "libaom-av1",
    "av1",
    "vp8",
    "libvpx",
    "vp9",
    "libvpx-vp9",
    "mpeg1video",
    "mpeg2video",
    "mpegvideo",
    "mpeg4",
    "h263",
    "mjpeg",
    "prores",
    "dnxhd",
    "theora",
    "ffv1",
    "rawvideo",
    "v210",
    "aac",
    "aac_latm",
    "mp1float",
    "mp1",
    "mp2float",
    "mp2",
    "mp3float",
    "mp3",
    "ac3",
    "eac3",
    "dca",
    "truehd",
    "opus",
    "libopus",
    "vorbis",
    "libvorbis",
    "flac",
    "alac",
    "amrnb",
    "amrwb",
    "pcm_s8",
    "pcm_u8",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_s24be",
    "pcm_s32le",
    "pcm_s32be",
    "pcm_f32le",
    "pcm_f32be",
    "pcm_f64le",
    "pcm_f64be",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_bluray",
    "pcm_dvd",
    "s302m",
];

/// Tracks that a container may have before FFmpeg makes no more of them: twice what is accepted, so that a few too many
/// are refused for that.
pub(crate) const MOST_STREAMS: usize = 2 * sluice_wire::limits::MAX_TRACKS;
