//! Sheets of small pictures: each keyframe of the source is one, in rows from left to right.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::picture::poster::compressed;
use crate::source::{Got, Next, Source, Supply, got};
use ffmpeg_next::codec::discard::Discard;
use ffmpeg_next::{decoder, filter, frame, media};
use sluice_wire::codec::{CodecMessage, SheetWork};
use std::sync::Arc;

/// Makes the sheets of a source, which is a CMAF track of ours.
pub(crate) fn storyboard(
    supply: &Arc<Supply>,
    work: &SheetWork,
    emit: &Emit,
) -> Result<CodecMessage, CodecError> {
    let mut source = Source::open(supply, true)?;
    let stream = source.input.streams().find(|s| s.parameters().medium() == media::Type::Video);
    let stream = stream.ok_or_else(|| CodecError::Undecodable("it has no picture".into()))?.index();
    let mut decoder = source.video(stream as u32)?;
    decoder.skip_frame(Discard::NonKey);
    let mut sheets = Sheets { work, emit, graph: None, sent: 0 };
    loop {
        match source.next() {
            Next::Packet(packet) if packet.stream() == stream && packet.is_key() => {
                // One that cannot be decoded is left out, and shifts those after it by a place at most.
                decoder.send_packet(&packet).ok();
                sheets.take(&mut decoder)?;
            }
            Next::Packet(_) => {}
            Next::End | Next::Broken(_) => break,
        }
    }
    decoder.send_eof().ok();
    sheets.take(&mut decoder)?;
    sheets.end()?;
    Ok(CodecMessage::Done { duration_ms: 0, damage: None })
}

struct Sheets<'w> {
    work: &'w SheetWork,
    emit: &'w Emit,
    graph: Option<filter::Graph>,
    sent: u32,
}

impl Sheets<'_> {
    fn take(&mut self, decoder: &mut decoder::Video) -> Result<(), CodecError> {
        let mut picture = frame::Video::empty();
        while let Got::One = got(decoder.receive_frame(&mut picture)) {
            if self.graph.is_none() {
                self.graph =
                    Some(graph(self.work, &picture).map_err(CodecError::internal("making a sheet"))?);
            }
            picture.set_pts(None);
            self.feed(Some(&picture)).map_err(CodecError::internal("filling a sheet"))?;
            self.send()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), CodecError> {
        self.feed(None).map_err(CodecError::internal("filling a sheet"))?;
        self.send()
    }

    fn feed(&mut self, picture: Option<&frame::Video>) -> Result<(), ffmpeg_next::Error> {
        let Some(graph) = &mut self.graph else { return Ok(()) };
        let mut input = graph.get("in").ok_or(ffmpeg_next::Error::FilterNotFound)?;
        match picture {
            Some(picture) => input.source().add(picture),
            None => input.source().flush(),
        }
    }

    fn send(&mut self) -> Result<(), CodecError> {
        let mut sheet = frame::Video::empty();
        loop {
            let Some(mut output) = self.graph.as_mut().and_then(|graph| graph.get("out")) else {
                return Ok(());
            };
            match got(output.sink().frame(&mut sheet)) {
                Got::One => {}
                Got::NoMore => return Ok(()),
                Got::Failed(error) => return Err(CodecError::internal("taking a sheet")(error)),
            }
            let jpeg = compressed(&mut sheet, QUALITY).map_err(CodecError::internal("encoding a sheet"))?;
            self.emit.payload(&CodecMessage::Sheet { sheet: self.sent }, &jpeg)?;
            self.sent += 1;
        }
    }
}

fn graph(work: &SheetWork, first: &frame::Video) -> Result<filter::Graph, ffmpeg_next::Error> {
    let find = |name| filter::find(name).ok_or(ffmpeg_next::Error::FilterNotFound);
    let mut graph = filter::Graph::new();
    let (width, height) = (first.width(), first.height());
    let input = format!("video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/25:pixel_aspect=1/1");
    graph.add(&find("buffer")?, "in", &input)?;
    graph.add(&find("buffersink")?, "out", "")?;
    let SheetWork { width, height, columns, rows } = work;
    let chain = format!(
        "scale={width}:{height}:in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc,format=yuvj420p,\
         tile={columns}x{rows}"
    );
    graph.output("in", 0)?.input("out", 0)?.parse(&chain)?;
    graph.validate()?;
    Ok(graph)
}

/// Quantiser 6 in FFmpeg's lambda units: small pictures, looked at for a moment.
const QUALITY: i32 = 6 * 118;
