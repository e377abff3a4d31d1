//! Every bound two processes share, each with how it was chosen.

/// Characters of a tag. Long enough for `app:kind:id`, short enough that 64 of them fit one header field.
pub const MAX_TAG_LEN: usize = 96;
/// Tags of one answer. A fragment page of 50 items and its lists fit; a purge index stays small.
pub const MAX_TAGS: usize = 64;
/// Bytes of a URL to purge. It travels in an event's data, which stays small.
pub const MAX_PURGE_URL: usize = 2_048;
/// Segments of a prefix to purge. An object's marks are one more than its own; deeper paths are found by these.
pub const MAX_PREFIX_DEPTH: usize = 32;
/// Bytes of a video's file name or title.
pub const MAX_NAME_LEN: usize = 255;
/// Target duration of a segment. Apple asks for 6 s and less; 4 s is what live and quick starts settle on.
pub const SEGMENT_MS: u32 = 4_000;
/// Distance of keyframes: half a segment, so that a part or a seek never waits longer.
pub const GOP_MS: u32 = 2_000;
/// Segments encoded together: 16 s, the most that a lost worker costs, and what a worker does before it looks whether
/// something is more urgent.
pub const CHUNK_SEGMENTS: u32 = 4;
/// Segments placed together: about 60 s of media, so that prefetch stays on one owner while hot titles still spread.
pub const SEGMENTS_PER_GROUP: u32 = 15;
/// The highest segment number: 12 days of media at 4 s.
pub const MAX_SEGMENT: u32 = 262_143;
/// Seconds of the longest source a job accepts (12 hours).
pub const MAX_DURATION_S: u32 = 43_200;
/// Width and height a source may have.
pub const MAX_DIMENSION: u32 = 8_192;
/// Frames a second a source may be turned into.
pub const MAX_FRAME_RATE: u32 = 60;
/// Tracks a source may have before it is refused.
pub const MAX_TRACKS: usize = 64;
/// Sound tracks of a source that are kept: a film with its dubs, commentary and description.
pub const MAX_SOUND_TRACKS: usize = 8;
/// Bytes of one frame between transcoder and codec child: a 4 s segment at 100 Mbit/s is 50 MB.
pub const MAX_CODEC_FRAME: usize = 128 << 20;
/// Bytes of the JSON head of such a frame.
pub const MAX_CODEC_HEAD: usize = 1 << 20;
/// Nodes in a route table; placement has two levels long before.
pub const MAX_NODES: usize = 1_024;
/// Keys in a route table that have more than one replica. At Zipf 1.2 over 100 nodes there are some 50.
pub const MAX_POPULAR: usize = 1_024;
/// Bytes of a route table or a node report.
pub const MAX_TABLE_BYTES: usize = 4 << 20;
/// Redirects between edges for one object before a client is told the truth.
pub const MAX_TRIED: usize = 8;
/// Bytes of a text track: ten times the subtitles of a film of three hours.
pub const MAX_TEXT_BYTES: usize = 2 << 20;
/// Cues of a text track: one a second for five hours.
pub const MAX_CUES: usize = 20_000;
/// Bytes of a cue's text: a screen full.
pub const MAX_CUE_BYTES: usize = 4_096;
/// Text tracks of a video: every language that large libraries have, and more.
pub const MAX_TEXTS: usize = 64;
/// Tiles of a storyboard: one for each five pixels of a wide seek bar.
pub const MAX_TILES: u32 = 240;
/// Seconds of a segment of text: a few kilobytes, so that a film takes some dozen requests.
pub const TEXT_SEGMENT_S: u32 = 60;
