//! Sources that newcomers get wrong, each as a story.

mod support;

use sluice_wire::codec::CodecMessage;
use sluice_wire::ladder::plan;
use std::path::Path;
use support::{
    Made, decoded_frames, difference, encode, encode_as, encode_low, ffmpeg, first_picture, made_clip, media,
    only, packets, probe, written,
};

fn done(made: &Made) -> (u64, Option<String>) {
    match &made.last {
        CodecMessage::Done { duration_ms, damage } => (*duration_ms, damage.clone()),
        other => panic!("{other:?}"),
    }
}

fn path(file: &Path) -> &str {
    file.to_str().expect("a name in ASCII")
}

fn floats(pcm: &[u8]) -> impl Iterator<Item = f32> {
    pcm.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Where a white flash begins in the picture and a tone in the sound, in seconds.
fn onsets(dir: &Path, made: &Made, after: f64) -> (f64, f64) {
    let picture = written(dir, "flash.mp4", &only(made, 'v').whole());
    let sound = written(dir, "tone.mp4", &only(made, 'a').whole());
    let grey = ffmpeg(&[
        "-i",
        path(&picture),
        "-vf",
        "scale=2:2,format=gray",
        "-f",
        "rawvideo",
        "-fps_mode",
        "passthrough",
        "-",
    ]);
    let from = (after * 25.0) as usize;
    let flash = grey.chunks(4).skip(from).position(|p| p[0] > 128).expect("a flash") + from;
    let pcm =
        ffmpeg(&["-copyts", "-i", path(&sound), "-ac", "1", "-af", "atrim=start=0", "-f", "f32le", "-"]);
    let samples: Vec<f32> = floats(&pcm).collect();
    let from = (after * 48_000.0) as usize;
    let tone = samples.iter().skip(from).position(|s| s.abs() > 0.05).expect("a tone") + from;
    (flash as f64 / 25.0, tone as f64 / 48_000.0)
}

#[test]
fn lips_and_voice_agree_from_the_first_to_the_last_second() {
    let dir = tempfile::tempdir().unwrap();
    let flashes = "between(t,2,2.4)+between(t,9,9.4)";
    let picture =
        format!("color=black:size=320x240:rate=25:duration=10,drawbox=color=white:t=fill:enable='{flashes}'");
    let tone = |from: f64| {
        format!(
            "aevalsrc='0.8*sin(2*PI*1000*t)*(between(t,{},{})+between(t,{},{}))':s=44100:d={}",
            2.0 - from,
            2.4 - from,
            9.0 - from,
            9.4 - from,
            10.0 - from
        )
    };
    // The sound begins with the picture; 1.5 s after it, as in many transport streams; and all of it an hour in.
    for (name, late, shift) in [("sync.mp4", 0.0, "0"), ("late.ts", 1.5, "0"), ("hour.mkv", 0.0, "3600")] {
        let (sound, late) = (tone(late), late.to_string());
        let file = made_clip(
            dir.path(),
            name,
            &format!(
                "-f lavfi -i {picture} -itsoffset {late} -f lavfi -i {sound} -c:v libx264 -preset \
                 ultrafast -pix_fmt yuv420p -c:a aac -output_ts_offset {shift}"
            ),
        );
        let source = probe(&file).unwrap();
        let made = encode(&file, &source, vec![]);
        for (second, around) in [(2.0, 0.5), (9.0, 5.0)] {
            let (flash, heard) = onsets(dir.path(), &made, around);
            assert!((flash - second).abs() < 0.045, "{name}: the flash of {second} is at {flash}");
            assert!((flash - heard).abs() < 0.02, "{name}: seen at {flash}, heard at {heard}");
        }
        let ends = (only(&made, 'v').seconds(), only(&made, 'a').seconds());
        assert!((ends.0 - ends.1).abs() < 0.06, "{name}: {ends:?}");
    }
}

#[test]
fn a_hole_in_the_sound_is_silence() {
    let dir = tempfile::tempdir().unwrap();
    // Sound at 0 to 1 s and again from 3 s on; its stamps say so.
    let file = made_clip(
        dir.path(),
        "hole.mkv",
        "-f lavfi -i sine=f=500:duration=5 -af aselect='not(between(t,1,3))' -c:a pcm_s16le",
    );
    let source = probe(&file).unwrap();
    let made = encode(&file, &source, vec![]);
    assert!((only(&made, 'a').seconds() - 5.0).abs() < 0.05, "{}", only(&made, 'a').seconds());
    let sound = written(dir.path(), "out.mp4", &only(&made, 'a').whole());
    let pcm = ffmpeg(&["-i", path(&sound), "-ss", "1.2", "-t", "1.6", "-f", "f32le", "-"]);
    let loudest = floats(&pcm).map(f32::abs).fold(0.0, f32::max);
    assert!(loudest < 0.01, "{loudest}");
}

#[test]
fn a_last_segment_of_one_frame_fits_the_header_of_the_first_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = made_clip(
        dir.path(),
        "tail.mp4",
        "-f lavfi -i testsrc2=size=320x240:rate=25 -frames:v 101 -c:v libx264 -preset \
         ultrafast -pix_fmt yuv420p",
    );
    let source = probe(&file).unwrap();
    let whole = encode(&file, &source, vec![]);
    let name = whole.rungs.keys().next().unwrap().clone();
    assert_eq!(only(&whole, 'v').segments.len(), 2);
    let tail = encode(&file, &source, vec![(name.clone(), 1)]);
    assert_eq!(only(&tail, 'v').init, only(&whole, 'v').init, "published bytes never change");
    let mut joined = only(&whole, 'v').clone();
    joined.segments[1] = only(&tail, 'v').segments[0].clone();
    let list = packets(&joined.whole());
    let mut times: Vec<i64> = list.iter().map(|p| (p.pts * 25.0).round() as i64).collect();
    times.sort_unstable();
    assert_eq!(times, (0..101).collect::<Vec<_>>());
    assert_eq!(decoded_frames(&joined.whole()), 101);
    // Nothing is left to do: the header comes all the same, so that the rung can be closed.
    let none = encode(&file, &source, vec![(name, 2)]);
    assert_eq!(only(&none, 'v').init, only(&whole, 'v').init);
    assert!(only(&none, 'v').segments.is_empty());
    assert_eq!(done(&none).1, None);
}

#[test]
fn turned_and_mirrored_pictures_look_as_players_show_them() {
    let dir = tempfile::tempdir().unwrap();
    let plain = made_clip(
        dir.path(),
        "plain.mp4",
        "-f lavfi -i testsrc=size=320x192:rate=25:duration=1 -c:v libx264 -pix_fmt yuv420p",
    );
    let mut clips = vec![];
    for turn in ["90", "180", "270"] {
        let name = format!("turn{turn}.mp4");
        let arguments = format!("-i {} -c copy -metadata:s:v:0 rotate={turn}", path(&plain));
        clips.push(made_clip(dir.path(), &name, &arguments));
    }
    clips.extend(media("sample_rotate_and_reflect.mp4"));
    for clip in clips {
        let source = probe(&clip).unwrap();
        let made = encode_low(&clip, &source);
        let rung = &plan(&source).video[0];
        let output = written(dir.path(), "out.mp4", &only(&made, 'v').whole());
        let (ours, theirs) =
            (first_picture(&output, rung.width, rung.height), first_picture(&clip, rung.width, rung.height));
        let off = difference(&ours, &theirs);
        assert!(off < 6.0, "{}: {off} off", clip.display());
    }
}

#[test]
fn hdr_becomes_what_every_screen_shows() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["hdr10-av1.mp4", "hdr10-video-with-sdr-container.mp4"] {
        let Some(file) = media(name) else { continue };
        let source = probe(&file).unwrap();
        assert!(source.video.as_ref().unwrap().hdr, "{name}");
        let made = encode_low(&file, &source);
        let output = written(dir.path(), "out.mp4", &only(&made, 'v').whole());
        let said = support::ffprobe(&output, "stream=pix_fmt,color_transfer,color_space,color_primaries");
        assert_eq!(said, "yuv420p,bt709,bt709,bt709", "{name}");
        let grey = ffmpeg(&["-i", path(&output), "-vf", "scale=16:16,format=gray", "-f", "rawvideo", "-"]);
        let mean = grey.iter().map(|&g| f64::from(g)).sum::<f64>() / grey.len() as f64;
        assert!((20.0..200.0).contains(&mean), "{name}: neither black nor burnt out: {mean}");
    }
}

#[test]
fn interlaced_and_anamorphic_sources_are_shown_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = made_clip(
        dir.path(),
        "broadcast.ts",
        "-f lavfi -i testsrc2=size=720x576:rate=50:duration=2 -vf \
         tinterlace=interleave_top,setsar=64/45 -c:v mpeg2video -b:v 4M -flags +ildct+ilme",
    );
    let source = probe(&file).unwrap();
    let video = source.video.as_ref().unwrap();
    assert!(video.interlaced);
    assert_eq!((video.width, video.height), (1024, 576), "square pixels");
    let made = encode_low(&file, &source);
    assert_eq!(packets(&only(&made, 'v').whole()).len(), 50);
}

#[test]
fn the_sound_is_that_of_the_pictures_programme() {
    let dir = tempfile::tempdir().unwrap();
    // Two programmes; the second has the larger picture, the first the sound with more channels.
    let file = made_clip(
        dir.path(),
        "two.ts",
        "-f lavfi -i testsrc2=size=160x120:rate=25:duration=2 -f lavfi -i \
         sine=f=300:duration=2 -f lavfi -i testsrc2=size=640x480:rate=25:duration=2 -f lavfi \
         -i sine=f=900:duration=2 -map 0 -map 1 -map 2 -map 3 -c:v libx264 -preset ultrafast \
         -c:a aac -ac:a:0 2 -ac:a:1 1 -program st=0:st=1 -program st=2:st=3",
    );
    let source = probe(&file).unwrap();
    let (video, audio) = (source.video.unwrap(), source.audio);
    assert_eq!((video.width, video.height), (640, 480));
    assert_eq!(audio.iter().map(|a| a.channels).collect::<Vec<_>>(), [1], "not the other programme's");
}

#[test]
fn cover_art_is_no_video() {
    let dir = tempfile::tempdir().unwrap();
    let file = made_clip(
        dir.path(),
        "song.m4a",
        "-f lavfi -i sine=duration=2 -f lavfi -i testsrc2=size=300x300:rate=1:duration=1 -map \
         0 -map 1 -c:a aac -c:v mjpeg -disposition:v attached_pic",
    );
    let source = probe(&file).unwrap();
    assert!(source.video.is_none() && !source.audio.is_empty());
}

#[test]
fn a_size_that_changes_on_the_way_and_a_clock_that_begins_anew_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let piece = |name: &str, size: &str| {
        let picture = format!("testsrc2=size={size}:rate=25:duration=3");
        let file = made_clip(
            dir.path(),
            name,
            &format!(
                "-f lavfi -i {picture} -f lavfi -i sine=duration=3 -c:v libx264 -preset ultrafast \
                 -pix_fmt yuv420p -c:a aac"
            ),
        );
        std::fs::read(file).unwrap()
    };
    let joined = [piece("one.ts", "320x240"), piece("two.ts", "480x360")].concat();
    let file = written(dir.path(), "joined.ts", &joined);
    let source = probe(&file).unwrap();
    let made = encode_low(&file, &source);
    assert!(done(&made).0 >= 2_900);
    let list = packets(&only(&made, 'v').whole());
    assert!(list.len() >= 74 && list.windows(2).all(|w| w[0].dts < w[1].dts), "{}", list.len());
}

#[test]
fn a_picture_that_stays_for_long_is_repeated_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    // Two pictures, a minute and a half apart: 2 700 frames of four rungs to make from one.
    let file = made_clip(
        dir.path(),
        "still.mkv",
        "-f lavfi -i testsrc2=size=960x720:rate=30:duration=2 -vf \
         setpts='if(lt(N,59),N,N+2640)/30/TB' -fps_mode passthrough -c:v libx264 -preset \
         ultrafast -bf 0",
    );
    let source = probe(&file).unwrap();
    let mut ladder = plan(&source);
    ladder.video.retain(|r| r.height <= 480);
    let made = encode_as(&file, &source, ladder, vec![]);
    let lengths: Vec<usize> = made.rungs.values().map(|r| packets(&r.whole()).len()).collect();
    assert!(lengths.len() == 2 && lengths.iter().all(|l| l.abs_diff(2_700) <= 2), "{lengths:?}");
    let most = support::PEAK_KIB.load(std::sync::atomic::Ordering::Relaxed);
    assert!(most < 400 << 10, "{most} KiB");
}

#[test]
fn every_clip_ends_in_a_final_word() {
    let folder = media("README.md").map(|file| file.parent().unwrap().to_owned());
    let Some(folder) = folder else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        // The two half-minute and the six-minute clip are for benches.
        if name.contains("30sec") || name.starts_with("long") || name == "README.md" {
            continue;
        }
        let broken = name.starts_with("invalid") || name.contains("missing") || name.contains("too_long");
        match probe(&file) {
            Ok(source) => {
                let made = encode_low(&file, &source);
                let (duration, damage) = done(&made);
                assert!(duration > 50, "{name}: {duration}");
                assert!(broken || damage.is_none(), "{name}: {damage:?}");
                for (rung, parts) in &made.rungs {
                    let list = packets(&parts.whole());
                    assert!(list.windows(2).all(|w| w[0].dts < w[1].dts), "{name} {rung}");
                    let first = if rung.as_str().starts_with('v') { 0 } else { 1 };
                    assert!(list[first].pts.abs() < 1e-3, "{name} {rung} begins at {}", list[first].pts);
                }
            }
            Err(reason) => assert!(broken, "{name}: {reason:?}"),
        }
    }
}
