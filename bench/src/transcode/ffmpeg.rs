//! The peer: one ffmpeg command line for the whole ladder, with one filter graph, into HLS with fragmented MP4.
//!
//! Same scaler and order of scaling, same preset, quality, caps, keyframe grid and segment length as our own encoder.
//! Threads are ffmpeg's own choice.

use super::clip::Clip;
use super::{LIMIT, Made, Room, Way};
use crate::machine;
use crate::process::Process;
use anyhow::{Context, ensure};
use sluice_wire::ladder::{AudioRung, Ladder, VideoRung};
use std::path::Path;

/// The peer, before its first round.
pub(super) fn way(words: &[String], clip: &Clip) -> Way {
    let shown = words.iter().map(|word| quoted(word, clip)).collect::<Vec<_>>().join(" ");
    let version = machine::version("ffmpeg", "-version");
    Way { name: "ffmpeg", version, command: format!("ffmpeg {shown}"), rounds: vec![] }
}

fn quoted(word: &str, clip: &Clip) -> String {
    if Path::new(word) == clip.file {
        "CLIP".into()
    } else if word.contains([' ', '[', ';']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// One round. Output names are relative to the room's folder.
pub(super) async fn encode(words: &[String], room: &Room) -> anyhow::Result<Made> {
    let mut command = room.measured(Path::new("ffmpeg"))?;
    std::fs::create_dir(room.output())?;
    command.args(words).current_dir(room.output());
    Process::start("ffmpeg", command, None, room.0.path())?.finish(LIMIT).await?;
    let (bytes, segments) = count(&room.output())?;
    Ok(Made { taken: room.taken()?, bytes, segments })
}

/// Bytes of segments and headers, and the number of segments, in all folders below one.
fn count(folder: &Path) -> anyhow::Result<(u64, usize)> {
    let (mut bytes, mut segments) = (0, 0);
    for entry in std::fs::read_dir(folder).context("reading what ffmpeg wrote")? {
        let path = entry?.path();
        if path.is_dir() {
            let (more, further) = count(&path)?;
            (bytes, segments) = (bytes + more, segments + further);
        } else if let Some(kind @ ("m4s" | "mp4")) = path.extension().and_then(|e| e.to_str()) {
            bytes += std::fs::metadata(&path)?.len();
            segments += usize::from(kind == "m4s");
        }
    }
    Ok((bytes, segments))
}

/// The command line after the program's name.
pub(super) fn words(clip: &Clip) -> anyhow::Result<Vec<String>> {
    let video = clip.source.video.as_ref().context("the clip has no picture")?;
    ensure!(
        !video.interlaced && !video.hdr,
        "the comparison is made for progressive clips of standard range"
    );
    let ladder = &clip.ladder;
    let highest_first: Vec<&VideoRung> = ladder.video.iter().rev().collect();
    let file = clip.file.to_str().context("the clip's name is no text")?;
    let graph = graph(video.stream, &highest_first);
    let mut words: Vec<String> =
        ["-v", "error", "-nostdin", "-y", "-i", file, "-filter_complex", &graph].map(str::to_owned).to_vec();
    for (index, rung) in highest_first.iter().enumerate() {
        words.extend(["-map".into(), format!("[v{index}]")]);
        words.extend(rate_control(index, rung));
    }
    let all = "-c:v libx264 -preset veryfast -profile:v high -sc_threshold 0 -forced-idr 1 -flags:v +cgop";
    words.extend(all.split(' ').map(str::to_owned));
    for (index, rung) in ladder.audio.iter().enumerate() {
        let seen = clip.source.audio.get(rung.track as usize).context("a rung of no track")?;
        words.extend(sound(seen.stream, index, rung));
    }
    words.extend(hls(ladder));
    Ok(words)
}

/// Each rung is scaled from the next larger one, as our own encoder does it.
fn graph(stream: u32, highest_first: &[&VideoRung]) -> String {
    let mut text = format!("[0:{stream}]");
    for (index, rung) in highest_first.iter().enumerate() {
        let rate = format!("fps={}/{}", rung.frame_rate.num, rung.frame_rate.den);
        let scale = format!("scale={}:{}:flags=bicubic", rung.width, rung.height);
        let last = index + 1 == highest_first.len();
        let same = index == 0 || highest_first[index - 1].frame_rate == rung.frame_rate;
        let pace = if index == 0 || !same { format!("{rate},") } else { String::new() };
        text += &format!("{pace}{scale},format=yuv420p,setsar=1");
        text +=
            &if last { format!("[v{index}]") } else { format!(",split=2[v{index}][t{index}];[t{index}]") };
    }
    text
}

fn rate_control(index: usize, rung: &VideoRung) -> Vec<String> {
    let buffer = u64::from(rung.max_bitrate) * 3 / 2;
    let (crf, cap, gop) = (rung.crf, rung.max_bitrate, rung.gop_frames);
    format!("-crf:v:{index} {crf} -maxrate:v:{index} {cap} -bufsize:v:{index} {buffer} -g:v:{index} {gop} -keyint_min:v:{index} {gop}")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

fn sound(stream: u32, index: usize, rung: &AudioRung) -> Vec<String> {
    let (bitrate, channels, rate) = (rung.bitrate, rung.channels, rung.sample_rate);
    format!("-map 0:{stream} -c:a aac -b:a:{index} {bitrate} -ac:a:{index} {channels} -ar:a:{index} {rate}")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

fn hls(ladder: &Ladder) -> Vec<String> {
    let seconds =
        ladder.video.first().map_or(0.0, |rung| f64::from(rung.segment_frames) / rung.frame_rate.as_f64());
    let group = if !ladder.audio.is_empty() { ",agroup:sound" } else { "" };
    let videos = ladder.video.iter().rev().enumerate();
    let mut map: Vec<String> =
        videos.map(|(index, rung)| format!("v:{index}{group},name:{}", rung.name.as_str())).collect();
    let sounds = ladder.audio.iter().enumerate();
    map.extend(sounds.map(|(index, rung)| format!("a:{index}{group},name:{}", rung.name.as_str())));
    let options = format!(
        "-f hls -hls_time {seconds:.3} -hls_playlist_type vod -hls_segment_type fmp4 -hls_flags \
         independent_segments -master_pl_name master.m3u8 -hls_segment_filename %v/%d.m4s -hls_fmp4_init_filename \
         init.mp4 -var_stream_map"
    );
    let mut words: Vec<String> = options.split(' ').map(str::to_owned).collect();
    words.extend([map.join(" "), "%v/index.m3u8".into()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::ladder::{Ratio, SoundRole, Source, SourceAudio, SourceVideo, VideoRange, plan};

    fn clip(rate: Ratio, sound: bool) -> Clip {
        let video = SourceVideo {
            stream: 1,
            codec: "h264".into(),
            width: 854,
            height: 480,
            quarter_turns: 0,
            mirrored: false,
            frame_rate: rate,
            interlaced: false,
            hdr: false,
            range: VideoRange::Sdr,
        };
        let audio = SourceAudio {
            stream: 0,
            codec: "aac".into(),
            channels: 2,
            sample_rate: 48_000,
            start_us: 0,
            language: None,
            title: None,
            role: SoundRole::Main,
            loudness: None,
            surround_loudness: None,
        };
        let audio = sound.then_some(audio).into_iter().collect();
        let (container, video) = ("mov".into(), Some(video));
        let source = Source { container, duration_ms: 1_000, zero_us: 0, indexed: true, video, audio };
        Clip { file: "clip.mp4".into(), ladder: plan(&source), source }
    }

    #[test]
    fn every_rung_has_its_output_and_its_limits() {
        let clip = clip(Ratio::new(30, 1), true);
        let line = words(&clip).unwrap().join(" ");
        let graph = "[0:1]fps=30/1,scale=854:480:flags=bicubic,format=yuv420p,setsar=1,split=2[v0][t0];\
                     [t0]scale=426:240:flags=bicubic,format=yuv420p,setsar=1[v1]";
        assert!(line.contains(graph), "{line}");
        let cap = clip.ladder.video[0].max_bitrate;
        let limits = format!("-maxrate:v:1 {cap} -bufsize:v:1 {} -g:v:1 60", cap * 3 / 2);
        assert!(line.contains(&limits), "{line}");
        assert!(line.contains("-map 0:0 -c:a aac") && line.contains("-hls_time 4.000"), "{line}");
        assert!(
            line.contains("v:0,agroup:sound,name:v480 v:1,agroup:sound,name:v240 a:0,agroup:sound"),
            "{line}"
        );
    }

    #[test]
    fn a_silent_clip_has_no_sound_group() {
        let line = words(&clip(Ratio::new(25, 1), false)).unwrap().join(" ");
        assert!(!line.contains("agroup") && !line.contains("-c:a"), "{line}");
    }

    #[test]
    fn what_is_not_comparable_is_refused() {
        let mut hdr = clip(Ratio::new(30, 1), true);
        hdr.source.video.as_mut().unwrap().hdr = true;
        assert!(words(&hdr).is_err());
    }
}
