//! What the safe bindings do not reach: reads of FFmpeg's structures, and one search.
#![expect(
    unsafe_code,
    reason = "reads of public fields of FFmpeg's structures that the bindings have no accessor for"
)]

use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi::{
    AV_PIX_FMT_FLAG_BE, AV_PIX_FMT_FLAG_BITSTREAM, AV_PIX_FMT_FLAG_FLOAT, AV_PIX_FMT_FLAG_HWACCEL,
    AV_PIX_FMT_FLAG_PAL, AVDiscard, AVMediaType, AVRational, av_find_best_stream, av_frame_ref,
    av_pix_fmt_desc_get,
};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::frame;

/// The encoder's out-of-band header (parameter sets, AudioSpecificConfig). Empty before it is opened.
pub(crate) fn extradata(context: &Context) -> Vec<u8> {
    // SAFETY: the context is alive for the call; extradata is null or points to extradata_size bytes that it owns.
    unsafe {
        let context = &*context.as_ptr();
        let size = usize::try_from(context.extradata_size).unwrap_or(0);
        if context.extradata.is_null() || size == 0 {
            return Vec::new();
        }
        std::slice::from_raw_parts(context.extradata, size).to_vec()
    }
}

/// Another handle on the same picture, without a copy of its planes.
pub(crate) fn share(picture: &frame::Video) -> frame::Video {
    let mut shared = frame::Video::empty();
    // SAFETY: both frames are alive for the call. The new one is empty, as av_frame_ref asks, and has references of its own
    // to the planes after it, or stays empty.
    unsafe {
        av_frame_ref(shared.as_mut_ptr(), picture.as_ptr());
    }
    shared
}

/// Another handle on the same sound, without a copy of its samples.
pub(crate) fn share_sound(sound: &frame::Audio) -> frame::Audio {
    let mut shared = frame::Audio::empty();
    // SAFETY: as for a picture.
    unsafe {
        av_frame_ref(shared.as_mut_ptr(), sound.as_ptr());
    }
    shared
}

/// Where a format's first component (brightness, or red) lies in its plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    /// Bytes from one sample to the next, and before the first.
    pub(crate) step: usize,
    pub(crate) offset: usize,
    shift: u32,
    depth: u32,
    big_endian: bool,
}

impl Component {
    /// The sample that begins these bytes, as eight bits; 0 where they are too few.
    pub(crate) fn sample(self, bytes: &[u8]) -> u8 {
        let wide = match bytes {
            [only, ..] if self.depth + self.shift <= 8 => u16::from(*only),
            [a, b, ..] if self.big_endian => u16::from_be_bytes([*a, *b]),
            [a, b, ..] => u16::from_le_bytes([*a, *b]),
            _ => 0,
        };
        (u32::from(wide) >> (self.shift + self.depth.saturating_sub(8)) & 0xff) as u8
    }
}

/// The first component of a format; `None` where a plane holds no plain samples of 8 to 16 bits.
pub(crate) fn first_component(format: Pixel) -> Option<Component> {
    // SAFETY: FFmpeg's description of a format is constant, or null for one that it does not know.
    let (flags, part) = unsafe {
        let descriptor = av_pix_fmt_desc_get(format.into()).as_ref()?;
        (descriptor.flags, descriptor.comp[0])
    };
    let unlike =
        AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_FLOAT;
    let number = |field: i32| u32::try_from(field).ok();
    let component = Component {
        step: usize::try_from(part.step).ok()?,
        offset: usize::try_from(part.offset).ok()?,
        shift: number(part.shift)?,
        depth: number(part.depth)?,
        big_endian: flags & u64::from(AV_PIX_FMT_FLAG_BE as u32) != 0,
    };
    let plain = flags & u64::from(unlike as u32) == 0 && part.plane == 0;
    (plain && (8..=16).contains(&component.depth) && component.shift <= 8).then_some(component)
}

/// What is known of a stream's codec: its number and, if that is asked for, its out-of-band header.
pub(crate) fn parameters(stream: &Stream<'_>, header: bool) -> Vec<u8> {
    // SAFETY: the stream and its parameters are alive for the call; extradata is null or points to extradata_size bytes
    // that they own.
    unsafe {
        let parameters = &*(*stream.as_ptr()).codecpar;
        let mut out = (parameters.codec_id as u32).to_be_bytes().to_vec();
        let size = usize::try_from(parameters.extradata_size).unwrap_or(0);
        if header && !parameters.extradata.is_null() && size > 0 {
            out.extend_from_slice(std::slice::from_raw_parts(parameters.extradata, size));
        }
        out
    }
}

/// How many frames an encoder's decoding order runs ahead of its presentation order.
pub(crate) fn reorder_depth(context: &Context) -> u32 {
    // SAFETY: the context is alive for the call; a plain number is copied out.
    let depth = unsafe { (*context.as_ptr()).has_b_frames };
    u32::try_from(depth).unwrap_or(0)
}

/// Has packets of other tracks left out, unread where the container allows it.
pub(crate) fn read_only(input: &mut Input, wanted: &[usize]) {
    for index in 0..input.nb_streams() as usize {
        if !wanted.contains(&index) {
            // SAFETY: the input is alive and borrowed mutably for the call; its streams are as many as it says. A plain
            // field that is meant for callers to set is written.
            unsafe {
                let stream = *(*input.as_mut_ptr()).streams.add(index);
                (*stream).discard = AVDiscard::AVDISCARD_ALL;
            }
        }
    }
}

/// The best sound track, of the picture's programme if there is a picture.
pub(crate) fn best_audio(input: &Input, picture: Option<u32>) -> Option<u32> {
    let related = picture.and_then(|p| i32::try_from(p).ok()).unwrap_or(-1);
    // SAFETY: the input is alive for the call, which only reads it; it takes no decoder, so the pointer to one is null.
    let found = unsafe {
        let audio = AVMediaType::AVMEDIA_TYPE_AUDIO;
        av_find_best_stream(input.as_ptr().cast_mut(), audio, -1, related, std::ptr::null_mut(), 0)
    };
    u32::try_from(found).ok()
}

/// The streams that belong to the same programme as this one; `None` where the container has no programmes.
pub(crate) fn programme(input: &Input, stream: u32) -> Option<Vec<u32>> {
    // SAFETY: the input is alive for the call, which only reads it. Its programmes are as many pointers as it counts, each to
    // a list of as many stream numbers as that counts; a null list counts none.
    let programmes: Vec<Vec<u32>> = unsafe {
        let input = &*input.as_ptr();
        let count = if input.programs.is_null() { 0 } else { input.nb_programs as usize };
        let all = (0..count).map(|index| &**input.programs.add(index));
        all.filter(|programme| !programme.stream_index.is_null())
            .map(|p| std::slice::from_raw_parts(p.stream_index, p.nb_stream_indexes as usize).to_vec())
            .collect()
    };
    programmes.into_iter().find(|streams| streams.contains(&stream))
}

/// What the container says of a stream's picture: width, height, and the pixel's shape where it says so.
pub(crate) fn picture_size(stream: &Stream<'_>) -> (u32, u32, Option<(u32, u32)>) {
    // SAFETY: the stream and its parameters are alive for the call; only plain numbers are copied out.
    let (width, height, outer, inner) = unsafe {
        let stream = &*stream.as_ptr();
        let parameters = &*stream.codecpar;
        (parameters.width, parameters.height, stream.sample_aspect_ratio, parameters.sample_aspect_ratio)
    };
    let ratio = |r: AVRational| Some((u32::try_from(r.num).ok()?, u32::try_from(r.den).ok()?));
    let positive = |r: &(u32, u32)| r.0 > 0 && r.1 > 0;
    let shape = ratio(outer).filter(positive).or_else(|| ratio(inner).filter(positive));
    (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0), shape)
}
