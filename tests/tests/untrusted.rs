//! Media made to hurt, looked at by the real codec behind its walls: each is refused with its reason, at a bounded cost.
#![allow(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the story")]
#![allow(clippy::print_stdout, reason = "what each refusal cost is for whoever reads along")]

use bytes::BytesMut;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use sluice_tests::bombs::{jpeg, mkv, mov, mpegts};
use sluice_tests::process::binary;
use sluice_transcoder::sandbox::{self, Bounds, Mode, Options, Sandbox};
use sluice_wire::codec::{CodecFailure, CodecMessage, Order, decode, encode_order};
use sluice_wire::ladder::Source;
use std::fs::File;
use std::io::Write;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Processor time and memory that a refusal may cost.
const MOST_SECONDS: i64 = 32;
const MOST_KIB: i64 = 1 << 20;

/// What came of a look at a source.
type Look = Result<Source, (CodecFailure, String)>;

async fn sandbox() -> Sandbox {
    let options = Options { mode: Mode::Required, user: 65_533, slots: 1 };
    Sandbox::raise(&binary("sluice-codec"), options).await.unwrap()
}

async fn look(sandbox: &Sandbox, media: &[u8], bounds: Bounds) -> Look {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(media).unwrap();
    let source = File::open(file.path()).unwrap();
    let mut child = sandbox.command("probe", &source, bounds).unwrap().spawn().unwrap();
    let mut orders = child.stdin.take().unwrap();
    let whole = Order::whole(media.len() as u64);
    // One that refuses at once may be gone before it was told everything.
    let text = whole.iter().map(|order| encode_order(order).unwrap()).collect::<Vec<_>>().concat();
    drop(orders.write_all(&text).await);
    let output = child.wait_with_output().await.unwrap();
    let mut frames = BytesMut::from(&output.stdout[..]);
    let mut last = None;
    while let Some(frame) = decode(&mut frames).unwrap() {
        last = Some(frame);
    }
    match last {
        Some((CodecMessage::Probed { source }, _)) => Ok(source),
        Some((CodecMessage::Failed { reason, detail }, _)) => Err((reason, detail)),
        _ => Err(sandbox::verdict(output.status)
            .unwrap_or_else(|| panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))),
    }
}

fn used() -> Usage {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap()
}

/// Looks at a bomb and checks what that cost.
async fn refused(sandbox: &Sandbox, name: &str, media: &[u8]) -> CodecFailure {
    refused_within(Bounds::probe(), sandbox, name, media).await
}

async fn refused_within(bounds: Bounds, sandbox: &Sandbox, name: &str, media: &[u8]) -> CodecFailure {
    let before = used();
    let (reason, detail) = look(sandbox, media, bounds).await.expect_err(name);
    let after = used();
    let time = |usage: &Usage| (usage.user_time() + usage.system_time()).num_milliseconds();
    let (milliseconds, kib) = (time(&after) - time(&before), after.max_rss());
    println!(
        "{name}: {} KiB of file, {milliseconds} ms, {kib} KiB at most so far: {detail}",
        media.len() >> 10
    );
    assert!(milliseconds < MOST_SECONDS * 1_000 && kib < MOST_KIB, "{name}: {milliseconds} ms, {kib} KiB");
    assert!(!reason.is_retryable(), "{name}: {detail}");
    reason
}

/// A label that says nothing of what a sample holds.
fn labelled(codec: &[u8; 4], sample: &[u8]) -> Vec<u8> {
    mov::film(&[mov::Track::new(codec, (64, 64), &[sample.len() as u32])], sample)
}

#[tokio::test]
async fn pictures_of_absurd_size_are_refused() {
    let sandbox = sandbox().await;
    let large = labelled(b"jpeg", &jpeg::grey(12_000, 12_000));
    assert_eq!(refused(&sandbox, "a JPEG of 12000 x 12000", &large).await, CodecFailure::TooLarge);
    for side in [16_384, 65_500] {
        refused(&sandbox, "a larger JPEG", &labelled(b"jpeg", &jpeg::grey(side, side))).await;
    }
    for side in [16_384 / 16, 65_536 / 16] {
        let mut track = mov::Track::new(b"avc1", (64, 64), &[64; 50]);
        track.extra = mov::claimed_by_h264(side);
        refused(&sandbox, "H.264 of an absurd size", &mov::film(&[track], &[0; 4_096])).await;
    }
    // What a small one says is believed.
    let small = look(&sandbox, &labelled(b"jpeg", &jpeg::grey(320, 240)), Bounds::probe())
        .await
        .unwrap()
        .video
        .unwrap();
    assert_eq!((small.width, small.height), (320, 240));
}

#[tokio::test]
async fn an_absurd_rate_is_not_believed() {
    let sandbox = sandbox().await;
    let sample = jpeg::grey(320, 240);
    let mut track = mov::Track::new(b"jpeg", (320, 240), &[sample.len() as u32; 30]);
    track.timescale = 1_000_000;
    let rate = look(&sandbox, &mov::film(&[track], &sample.repeat(30)), Bounds::probe())
        .await
        .unwrap()
        .video
        .unwrap()
        .frame_rate;
    assert!(rate.as_f64() <= 240.0, "{rate:?}");
}

#[tokio::test]
async fn a_film_that_lasts_for_years_is_refused() {
    let sandbox = sandbox().await;
    let sample = jpeg::grey(320, 240);
    let mut track = mov::Track::new(b"jpeg", (320, 240), &[sample.len() as u32]);
    (track.timescale, track.samples[0].1) = (1, 5 * 365 * 86_400);
    let reason = refused(&sandbox, "five years", &mov::film(&[track], &sample)).await;
    assert_eq!(reason, CodecFailure::TooLarge);
}

#[tokio::test]
async fn thousands_of_tracks_are_refused() {
    let sandbox = sandbox().await;
    let sample = jpeg::grey(64, 64);
    for tracks in [65, 900, 5_000] {
        let track = mov::Track::new(b"jpeg", (64, 64), &[sample.len() as u32]);
        refused(&sandbox, "tracks of MOV", &mov::film(&vec![track; tracks], &sample)).await;
        let tracks: Vec<u8> = (1..=tracks as u64).flat_map(|id| mkv::track(id, "V_MJPEG", &[])).collect();
        let blocks = std::iter::once(sample.clone());
        refused(&sandbox, "tracks of Matroska", &mkv::film(&[], &tracks, blocks)).await;
    }
    refused(&sandbox, "tracks of MPEG-TS", &mpegts::of_many_tracks(40, 50)).await;
}

#[tokio::test]
async fn tables_that_claim_gigabytes_are_refused() {
    let sandbox = sandbox().await;
    for count in [30_000_000, 400_000_000, u32::MAX] {
        let mut track = mov::Track::new(b"jpeg", (64, 64), &[1]);
        let tables = [
            mov::table(b"stts", &[1, count, 1]),
            mov::table(b"stsz", &[1, count]),
            mov::table(b"stsc", &[1, 1, count, 1]),
            mov::table(b"stco", &[1, 40]),
        ];
        track.tables = Some(tables.concat());
        refused(&sandbox, "samples without bytes", &mov::film(&[track.clone()], &[0; 64])).await;
        let tables = [
            mov::table(b"stts", &[count, 1, 1]),
            mov::table(b"ctts", &[count, 1, 1]),
            mov::table(b"stsz", &[0, count]),
            mov::table(b"stsc", &[count, 1, 1, 1]),
            mov::table(b"stco", &[count, 40]),
        ];
        track.tables = Some(tables.concat());
        refused(&sandbox, "tables without entries", &mov::film(&[track], &[0; 64])).await;
    }
    let nested = (0..20_000).fold(vec![], |inner: Vec<u8>, _| mov::atom(b"moov", &[&inner]));
    refused(&sandbox, "boxes within boxes", &[mov::atom(b"ftyp", &[b"isom\0\0\0\0"]), nested].concat()).await;
    let endless = [&[0, 0, 0, 1][..], b"mdat", &[0x7f; 8], &[0; 64]].concat();
    refused(&sandbox, "a box of exabytes", &[mov::atom(b"ftyp", &[b"isom\0\0\0\0"]), endless].concat()).await;
}

#[tokio::test]
async fn what_unpacks_to_much_is_refused() {
    use flate2::{Compression, write::ZlibEncoder};
    let sandbox = sandbox().await;
    let packed = |bytes: usize| {
        let mut packer = ZlibEncoder::new(vec![], Compression::best());
        packer.write_all(&vec![0; bytes]).unwrap();
        packer.finish().unwrap()
    };
    // Ten kilobytes make nearly ten megabytes, ten thousand times over.
    let block = packed(9 << 20);
    let tracks = mkv::track(1, "V_MJPEG", &mkv::packed_by_zlib());
    let many = mkv::film(&[], &tracks, std::iter::repeat_n(block, 10_000));
    // No single one is too large: what ends it is the processor time, of which a few seconds show as much as thirty.
    let bounds = Bounds { processor: Duration::from_secs(3), ..Bounds::probe() };
    let reason = refused_within(bounds, &sandbox, "blocks packed by zlib", &many).await;
    assert_eq!(reason, CodecFailure::TooLarge);
    // Decoders that unpack are not among those that are used.
    for letters in [b"ZMBV", b"MPNG", b"ZLIB", b"FPS1", b"CSCD", b"G2M4", b"tscc"] {
        let tracks = mkv::track(1, "V_MS/VFW/FOURCC", &mkv::of_windows(letters));
        let sample = packed(64 << 20);
        let media = mkv::film(&[], &tracks, std::iter::repeat_n(sample, 20));
        let reason = refused(&sandbox, "a packed picture", &media).await;
        assert_eq!(reason, CodecFailure::Undecodable, "{letters:?}");
    }
    for codec in [b"png ", b"rle ", b"SVQ3", b"cvid", b"mjp2", b"8BPS", b"rpza"] {
        let reason =
            refused(&sandbox, "a codec that is not accepted", &labelled(codec, &packed(64 << 20))).await;
        assert_eq!(reason, CodecFailure::Undecodable, "{codec:?}");
    }
}

#[tokio::test]
async fn packets_without_end_are_refused() {
    let sandbox = sandbox().await;
    for codec in ["V_VP8", "V_VP9", "V_AV1", "V_MPEG4/ISO/ASP", "V_MPEGH/ISO/HEVC", "V_MJPEG"] {
        let blocks = std::iter::repeat_n(vec![0], 2_000_000);
        let media = mkv::film(&[], &mkv::track(1, codec, &[]), blocks);
        refused(&sandbox, &format!("tiny packets of {codec}"), &media).await;
    }
}

/// Files whose readers open other files, under a name that promises a film: each refers to one that is there.
#[tokio::test]
async fn what_refers_to_other_files_is_refused() {
    let sandbox = sandbox().await;
    let film = tempfile::Builder::new().suffix(".mov").tempfile().unwrap();
    std::fs::write(film.path(), labelled(b"jpeg", &jpeg::grey(320, 240))).unwrap();
    let path = film.path().to_str().unwrap();
    let texts = [
        ("an HLS playlist", format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n")),
        ("an HLS playlist of a server", "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:1/a.ts\n".into()),
        ("a DASH manifest", format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><Period><AdaptationSet>\
             <Representation id=\"1\" bandwidth=\"1\"><BaseURL>file://{path}</BaseURL></Representation></AdaptationSet>\
             </Period></MPD>")),
        ("a concat script", format!("ffconcat version 1.0\nfile '{path}'\n")),
        ("a session description", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n".into()),
        ("a Smooth Streaming manifest", format!("<SmoothStreamingMedia><StreamIndex Url=\"{path}\"/></SmoothStreamingMedia>")),
        ("a playlist of a reader", format!("[playlist]\nFile1={path}\nNumberOfEntries=1\n")),
        ("a Real playlist", format!("rtsp://127.0.0.1:1/x\nfile://{path}\n")),
        ("metadata", ";FFMETADATA1\ntitle=x\n".into()),
        ("subtitles", "1\n00:00:00,000 --> 00:00:09,000\nwords\n".into()),
        ("an SVG picture", format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"{path}\"/></svg>")),
        ("a VobSub index", "# VobSub index file, v7\nsize: 720x576\ntimestamp: 00:00:00:000, filepos: 000000000\n".into()),
    ];
    for (name, text) in texts {
        assert_eq!(refused(&sandbox, name, text.as_bytes()).await, CodecFailure::NotMedia, "{name}");
    }
    assert_eq!(refused(&sandbox, "a picture", &jpeg::grey(320, 240)).await, CodecFailure::NotMedia);
    // A film whose samples are in another.
    let sample = jpeg::grey(320, 240);
    let mut track = mov::Track::new(b"jpeg", (320, 240), &[sample.len() as u32]);
    for place in [format!("file://{path}"), path.to_owned()] {
        track.elsewhere = Some(mov::atom(b"url ", &[&[0; 4], place.as_bytes(), &[0]]));
        refused(&sandbox, "samples elsewhere", &mov::film(&[track.clone()], &[])).await;
    }
    // One that goes on in another, by the other's id.
    let linked = mkv::element(0x3e_b923, &[&[7; 16]]);
    let media = mkv::film(&linked, &mkv::track(1, "V_MJPEG", &[]), std::iter::empty());
    refused(&sandbox, "linked segments", &media).await;
}
