//! The codec child on real and made clips, read back by ffprobe.

mod support;

use sluice_wire::RungName;
use sluice_wire::codec::{CodecFailure, CodecMessage};
use sluice_wire::ladder::plan;
use support::{Packet, decoded_frames, encode, made_clip, media, packets, probe, test_clip};

#[test]
fn every_rung_has_the_same_grid_and_every_frame() {
    let dir = tempfile::tempdir().unwrap();
    for (rate, frames) in [("30", 300), ("30000/1001", 300), ("50", 500)] {
        let file = test_clip(dir.path(), 10, "640x360", rate);
        let source = probe(&file).unwrap();
        let made = encode(&file, &source, vec![]);
        assert!(
            matches!(&made.last, CodecMessage::Done { damage: None, duration_ms } if duration_ms.abs_diff(10_000) < 60)
        );
        assert_eq!(made.poster.as_ref().unwrap()[..3], [0xff, 0xd8, 0xff]);
        let mut grids = vec![];
        for (name, rung) in made.rungs.iter().filter(|(n, _)| n.as_str().starts_with('v')) {
            let whole = rung.whole();
            let list = packets(&whole);
            let ladder = plan(&source);
            let planned = ladder.video.iter().find(|r| r.name == *name).unwrap();
            let wanted = if planned.frame_rate.as_f64() < 40.0 && frames == 500 { 250 } else { frames };
            assert_eq!(list.len(), wanted, "{rate} {name}");
            assert_eq!(decoded_frames(&whole), wanted);
            assert!(
                list[0].pts.abs() < 1e-6 && list[0].key,
                "{rate} {name} begins at 0 with a keyframe, not {}",
                list[0].pts
            );
            assert!(list.windows(2).all(|w| w[0].dts < w[1].dts));
            assert!(rung.codecs.starts_with("avc1.64"), "{}", rung.codecs);
            grids.push(
                list.iter().filter(|p| p.key).map(|p| (p.pts * 1e4).round() as i64).collect::<Vec<_>>(),
            );
            for (index, segment) in rung.segments.iter().enumerate() {
                assert_eq!(segment.0 as usize, index);
                assert_eq!(segment.1, planned.segment_ticks() * index as u64);
            }
        }
        assert!(grids.len() >= 2 && grids.windows(2).all(|w| w[0] == w[1]), "keyframes align: {grids:?}");
        let audio = &made.rungs[&RungName::new("a64").unwrap()];
        assert_eq!(audio.codecs, "mp4a.40.2");
        assert!((audio.seconds() - 10.0).abs() < 0.06, "{}", audio.seconds());
        assert!(packets(&audio.whole())[1].pts.abs() < 1e-3, "the priming frame plays before zero");
    }
}

#[test]
fn a_resumed_run_joins_without_a_seam() {
    let dir = tempfile::tempdir().unwrap();
    let file = test_clip(dir.path(), 14, "426x240", "25");
    let source = probe(&file).unwrap();
    let whole = encode(&file, &source, vec![]);
    let again = encode(&file, &source, vec![]);
    let resume: Vec<_> = whole.rungs.keys().map(|name| (name.clone(), 2)).collect();
    let rest = encode(&file, &source, resume);
    for (name, rung) in &whole.rungs {
        assert_eq!(rung.whole(), again.rungs[name].whole(), "{name}: the same each time");
        let late = &rest.rungs[name];
        assert_eq!(late.init, rung.init, "{name}: one header fits both runs");
        assert_eq!(late.segments.first().unwrap().0, 2);
        let mut joined = rung.clone();
        joined.segments.truncate(2);
        joined.segments.extend(late.segments.iter().cloned());
        let (one, two) = (packets(&rung.whole()), packets(&joined.whole()));
        assert_eq!(one.len(), two.len());
        let shape = |list: &[Packet]| list.iter().map(|p| (p.dts * 1e4).round() as i64).collect::<Vec<_>>();
        assert_eq!(shape(&one), shape(&two), "{name}: no gap and no overlap");
        if name.as_str().starts_with('a') {
            assert_eq!(joined.whole(), rung.whole(), "sound is the same to the byte");
        } else {
            assert_eq!(decoded_frames(&joined.whole()), one.len());
        }
    }
}

#[test]
fn sources_of_odd_shapes_come_out_upright_and_even() {
    // Name, size as shown, has sound.
    let clips = [
        ("sample_portrait.mp4", None, true),
        ("sample_rotate_and_reflect.mp4", None, true),
        ("bear-vp9-odd-dimensions.webm", Some((160, 120)), false),
        ("bt601.mov", None, false),
        ("sample_edit_list.mp4", None, true),
    ];
    for (name, size, _) in clips {
        let Some(file) = media(name) else { continue };
        let source = probe(&file).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let video = source.video.clone().unwrap();
        let made = encode(&file, &source, vec![]);
        let CodecMessage::Done { duration_ms, .. } = made.last else { panic!("{name}: {:?}", made.last) };
        assert!(duration_ms > 0);
        let ladder = plan(&source);
        let top = ladder.video.last().unwrap();
        assert!(top.width.is_multiple_of(2) && top.height.is_multiple_of(2));
        assert_eq!(top.width > top.height, video.width > video.height, "{name}");
        if let Some(size) = size {
            assert_eq!((top.width, top.height), size, "{name}");
        }
        for (rung, parts) in &made.rungs {
            let list = packets(&parts.whole());
            assert!(!list.is_empty() && list.windows(2).all(|w| w[0].dts < w[1].dts), "{name} {rung}");
        }
    }
}

#[test]
fn sound_alone_and_silent_pictures_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let sound =
        made_clip(dir.path(), "mono.m4a", "-f lavfi -i sine=f=300:sample_rate=8000:duration=9 -c:a aac");
    let source = probe(&sound).unwrap();
    assert!(source.video.is_none());
    let made = encode(&sound, &source, vec![]);
    assert_eq!(made.rungs.len(), 1);
    let rung = made.rungs.values().next().unwrap();
    assert!((rung.seconds() - 9.0).abs() < 0.15, "{}", rung.seconds());
    assert_eq!(rung.segments.len(), 3);

    let silent = made_clip(
        dir.path(),
        "silent.webm",
        "-f lavfi -i testsrc2=size=320x240:rate=24:duration=5 -c:v libvpx -b:v 300k",
    );
    let source = probe(&silent).unwrap();
    assert!(source.audio.is_empty());
    let made = encode(&silent, &source, vec![]);
    assert_eq!(packets(&made.rungs.values().next().unwrap().whole()).len(), 120);
}

#[test]
fn late_sound_is_filled_so_that_both_agree() {
    let dir = tempfile::tempdir().unwrap();
    // The sound begins 1.5 s after the picture, as it does in many transport streams.
    let file = made_clip(
        dir.path(),
        "late.ts",
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=6 -itsoffset 1.5 -f lavfi -i \
         sine=f=440:duration=4.5 -c:v libx264 -preset ultrafast -c:a aac -f mpegts",
    );
    let source = probe(&file).unwrap();
    let made = encode(&file, &source, vec![]);
    let length =
        |kind: char| made.rungs.iter().find(|(n, _)| n.as_str().starts_with(kind)).unwrap().1.seconds();
    assert!((length('v') - length('a')).abs() < 0.1, "{} and {}", length('v'), length('a'));
}

#[test]
fn broken_sources_end_in_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    for file in [
        write("text.mp4", b"not a video at all, only words"),
        write("empty.mp4", b""),
        write("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
        write("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        write(
            "noise.mp4",
            &(0..60_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
        ),
    ] {
        assert_eq!(probe(&file).unwrap_err(), CodecFailure::NotMedia, "{}", file.display());
    }
    for name in ["sample_missing_stsd.mp4", "invalid-bitstream.webm", "sample_mdat_too_long.mp4"] {
        let Some(file) = media(name) else { continue };
        if let Ok(source) = probe(&file) {
            let made = encode(&file, &source, vec![]);
            assert!(matches!(made.last, CodecMessage::Done { .. } | CodecMessage::Failed { .. }), "{name}");
        }
    }
}

#[test]
fn a_truncated_source_is_as_long_as_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = made_clip(
        dir.path(),
        "whole.mp4",
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=12 -c:v libx264 -preset ultrafast \
         -movflags +faststart",
    );
    let bytes = std::fs::read(&file).unwrap();
    let cut = dir.path().join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let source = probe(&cut).unwrap();
    assert_eq!(source.duration_ms, 12_000, "the header still promises all of it");
    let made = encode(&cut, &source, vec![]);
    let CodecMessage::Done { duration_ms, damage } = made.last else { panic!("{:?}", made.last) };
    assert!((3_000..9_000).contains(&duration_ms), "{duration_ms}");
    assert!(damage.unwrap().contains("12.0 s"));
    let shown = made.rungs.values().next().unwrap().seconds();
    assert!((shown * 1_000.0 - duration_ms as f64).abs() < 100.0, "no frozen tail: {shown}");
}
