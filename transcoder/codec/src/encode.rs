//! Encoding: read, decode once, hand pictures to the rungs' threads and sound to its encoder.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::picture::{Pictures, full_rate};
use crate::poster::{self, Poster};
use crate::rung::{self, Numbered};
use crate::sound::Sounds;
use crate::source::{Got, Next, Source, got};
use ffmpeg_next::{Packet, decoder, frame};
use sluice_wire::RungName;
use sluice_wire::codec::{CodecMessage, EncodeRequest};
use sluice_wire::limits::MAX_DURATION_S;
use std::fs::File;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle, scope};

/// Pictures waiting for a rung's encoder: a third of a second, so that one slow rung does not idle the others.
const WAITING: usize = 10;
/// Media between two progress frames.
const PROGRESS_MS: u64 = 500;
/// A source may end this much before its container's claim without being called truncated.
const SLACK_MS: u64 = 1_000;

/// Makes the rungs of a request.
pub(crate) fn encode(file: File, request: &EncodeRequest, emit: &Emit) -> Result<CodecMessage, CodecError> {
    let source = Source::open(file)?;
    scope(|scope| {
        let mut job = Job::new(source, request, emit)?;
        let read = job.read(scope);
        let finished = read.and_then(|()| job.finish(scope));
        // A rung that failed closed its channel: its own error says more than that of whoever noticed.
        let rungs = job.join();
        rungs.and(finished)
    })
}

type Handle<'s> = ScopedJoinHandle<'s, Result<(), CodecError>>;

struct Job<'r, 's> {
    source: Source,
    request: &'r EncodeRequest,
    emit: &'r Emit,
    video: Option<decoder::Video>,
    audio: Option<decoder::Audio>,
    pictures: Option<Pictures>,
    sounds: Option<Sounds<'r>>,
    poster: Option<Poster>,
    /// From the highest rung to the lowest, as [`Pictures::pull`] counts them.
    rungs: Vec<Feed>,
    threads: Vec<Handle<'s>>,
    /// When the first track begins, in microseconds.
    zero: i64,
    /// What the container says of the chosen tracks' length; 0 when it says nothing.
    claimed_ms: u64,
    told_ms: u64,
    shown_ms: u64,
    damaged: u64,
    broken: Option<String>,
}

/// A rung's thread, seen from the sender.
struct Feed {
    pictures: SyncSender<Numbered>,
    first: u64,
    /// True for the rung whose pictures are looked at for the poster.
    poster: bool,
}

impl<'r, 's> Job<'r, 's> {
    fn new(source: Source, request: &'r EncodeRequest, emit: &'r Emit) -> Result<Self, CodecError> {
        let seen = &request.source;
        let picture = seen.video.as_ref().filter(|_| !request.ladder.video.is_empty());
        let sound = seen.audio.as_ref().filter(|_| request.ladder.audio.is_some());
        let video = picture.map(|v| source.video(v.stream)).transpose()?;
        let audio = sound.map(|a| source.audio(a.stream)).transpose()?;
        let starts = picture.map(|v| v.stream).into_iter().chain(sound.map(|a| a.stream));
        let zero = starts.clone().filter_map(|s| source.start_of(s)).min().unwrap_or(0);
        let claimed_ms = match starts.map(|s| source.claimed_ms(s)).max() {
            // Other tracks (subtitles, chapters) may be longer, so the container's word is the last resort.
            Some(longest) if longest > 0 => longest,
            _ => seen.duration_ms,
        };
        let rate = full_rate(&request.ladder.video).as_f64();
        let poster = (request.poster && video.is_some()).then(|| Poster::new(seen.duration_ms, rate));
        Ok(Self {
            source,
            request,
            emit,
            video,
            audio,
            pictures: None,
            sounds: None,
            poster,
            rungs: vec![],
            threads: vec![],
            zero,
            claimed_ms,
            told_ms: 0,
            shown_ms: 0,
            damaged: 0,
            broken: None,
        })
    }

    fn read(&mut self, scope: &'s Scope<'s, '_>) -> Result<(), CodecError>
    where
        'r: 's,
    {
        let stream = |index: Option<u32>| index.map(|i| i as usize);
        let picture = stream(self.request.source.video.as_ref().map(|v| v.stream));
        let sound = stream(self.request.source.audio.as_ref().map(|a| a.stream));
        loop {
            match self.source.next() {
                Next::Packet(packet) if Some(packet.stream()) == picture => {
                    self.picture_packet(scope, &packet)?
                }
                Next::Packet(packet) if Some(packet.stream()) == sound => self.sound_packet(&packet)?,
                Next::Packet(_) => {}
                Next::End => return Ok(()),
                Next::Broken(why) => {
                    self.broken = Some(why);
                    return Ok(());
                }
            }
        }
    }

    fn picture_packet(&mut self, scope: &'s Scope<'s, '_>, packet: &Packet) -> Result<(), CodecError>
    where
        'r: 's,
    {
        let Some(decoder) = self.video.as_mut() else { return Ok(()) };
        if decoder.send_packet(packet).is_err() {
            self.damaged += 1;
        }
        self.take_pictures(scope)
    }

    fn sound_packet(&mut self, packet: &Packet) -> Result<(), CodecError> {
        let Some(decoder) = self.audio.as_mut() else { return Ok(()) };
        if decoder.send_packet(packet).is_err() {
            self.damaged += 1;
        }
        self.take_sounds()
    }

    fn take_pictures(&mut self, scope: &'s Scope<'s, '_>) -> Result<(), CodecError>
    where
        'r: 's,
    {
        let mut picture = frame::Video::empty();
        while self.next_picture(&mut picture) {
            if self.pictures.is_none() {
                self.start_rungs(scope, &picture)?;
            }
            if let Some(pictures) = &mut self.pictures {
                pictures.push(&mut picture)?;
                self.shown_ms = pictures.end_ms();
            }
            self.pass_on()?;
            self.tell()?;
        }
        Ok(())
    }

    fn start_rungs(&mut self, scope: &'s Scope<'s, '_>, first: &frame::Video) -> Result<(), CodecError>
    where
        'r: 's,
    {
        let ladder = &self.request.ladder.video;
        let Some(seen) = &self.request.source.video else { return Ok(()) };
        let clock = self.source.clock(seen.stream, self.zero, self.claimed_ms);
        self.pictures = Some(Pictures::new(seen, ladder, first, clock)?);
        let full = full_rate(ladder).as_f64();
        let for_poster = ladder.iter().rposition(|r| r.width <= poster::MAX_WIDTH).unwrap_or(0);
        for (index, rung) in ladder.iter().enumerate().rev() {
            let (sender, receiver) = sync_channel::<Numbered>(WAITING);
            let stride = ((full / rung.frame_rate.as_f64()).round() as u64).max(1);
            let resume = self.resume(&rung.name);
            let emit = self.emit;
            self.threads.push(scope.spawn(move || rung::run(rung, stride, resume, &receiver, emit)));
            let first = rung::first_needed(rung, stride, resume);
            self.rungs.push(Feed { pictures: sender, first, poster: index == for_poster });
        }
        Ok(())
    }

    fn resume(&self, rung: &RungName) -> u32 {
        self.request.resume.iter().find(|(name, _)| name == rung).map_or(0, |(_, seq)| *seq)
    }

    /// Hands every picture that is ready to its rung.
    fn pass_on(&mut self) -> Result<(), CodecError> {
        let Some(pictures) = &mut self.pictures else { return Ok(()) };
        let mut dry = 0;
        for index in (0..pictures.rungs()).cycle() {
            let Some(feed) = self.rungs.get(index) else { break };
            if let Some((number, picture)) = pictures.pull(index) {
                dry = 0;
                if feed.poster
                    && self.poster.as_mut().is_some_and(|p| p.look(number, &picture))
                    && let Some(poster) = self.poster.take()
                {
                    poster.send(self.emit)?;
                }
                if number >= feed.first && feed.pictures.send((number, picture)).is_err() {
                    return Err(CodecError::Internal("a rung ended before its pictures".into()));
                }
            } else {
                dry += 1;
            }
            if dry == self.rungs.len() {
                break;
            }
        }
        Ok(())
    }

    /// The next decoded picture. What cannot be decoded is counted and left out.
    fn next_picture(&mut self, picture: &mut frame::Video) -> bool {
        let Some(decoder) = self.video.as_mut() else { return false };
        let got = got(decoder.receive_frame(picture));
        let whole = matches!(got, Got::One) && !picture.is_corrupt();
        self.damaged += u64::from(!whole && !matches!(got, Got::NoMore));
        matches!(got, Got::One)
    }

    fn next_sound(&mut self, sound: &mut frame::Audio) -> bool {
        let Some(decoder) = self.audio.as_mut() else { return false };
        let got = got(decoder.receive_frame(sound));
        self.damaged += u64::from(matches!(got, Got::Failed(_)));
        matches!(got, Got::One)
    }

    fn take_sounds(&mut self) -> Result<(), CodecError> {
        let mut sound = frame::Audio::empty();
        while self.next_sound(&mut sound) {
            if self.sounds.is_none() {
                let (Some(seen), Some(rung)) = (&self.request.source.audio, &self.request.ladder.audio)
                else {
                    return Ok(());
                };
                let clock = self.source.clock(seen.stream, self.zero, self.claimed_ms);
                self.sounds = Some(Sounds::new(rung, clock, self.resume(&rung.name), self.emit)?);
            }
            if let Some(sounds) = &mut self.sounds {
                sounds.push(&mut sound)?;
            }
            if self.video.is_none() {
                self.shown_ms = self.sounds.as_ref().map_or(0, Sounds::end_ms);
                self.tell()?;
            }
        }
        Ok(())
    }

    /// Says how far it is, now and then.
    fn tell(&mut self) -> Result<(), CodecError> {
        if self.shown_ms > u64::from(MAX_DURATION_S) * 1_000 {
            return Err(CodecError::TooLarge(format!("it goes on after {} h", MAX_DURATION_S / 3_600)));
        }
        if self.shown_ms >= self.told_ms + PROGRESS_MS {
            self.told_ms = self.shown_ms;
            self.emit.message(&CodecMessage::Progress { done_ms: self.shown_ms })?;
        }
        Ok(())
    }

    /// Drains decoders, filters and the sound's encoder; the rungs' threads end when their channels close.
    fn finish(&mut self, scope: &'s Scope<'s, '_>) -> Result<CodecMessage, CodecError>
    where
        'r: 's,
    {
        if let Some(decoder) = &mut self.video {
            decoder.send_eof().ok();
        }
        if let Some(decoder) = &mut self.audio {
            decoder.send_eof().ok();
        }
        self.take_pictures(scope)?;
        self.take_sounds()?;
        if let Some(pictures) = &mut self.pictures {
            pictures.finish()?;
        }
        self.pass_on()?;
        if let Some(poster) = self.poster.take() {
            poster.send(self.emit)?;
        }
        let end = self.pictures.as_ref().map_or(0, Pictures::end);
        let pictures_ms = self.pictures.as_ref().map_or(0, Pictures::end_ms);
        let jumps = self.pictures.as_ref().map_or(0, Pictures::jumps);
        self.damaged += jumps + self.sounds.as_ref().map_or(0, |s| s.jumps() + s.damaged);
        let sounds_ms = self.sounds.take().map(|s| s.finish(end)).transpose()?.unwrap_or(0);
        let duration_ms = pictures_ms.max(sounds_ms);
        if duration_ms == 0 {
            return Err(CodecError::Undecodable("nothing of it could be decoded".into()));
        }
        Ok(CodecMessage::Done { duration_ms, damage: self.damage(duration_ms) })
    }

    /// What is wrong with a source that could be shown nevertheless.
    fn damage(&self, shown_ms: u64) -> Option<String> {
        let claimed = self.claimed_ms;
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        if let Some(why) = &self.broken {
            Some(format!("the file is broken after {:.1} s: {why}", seconds(shown_ms)))
        } else if claimed > shown_ms + SLACK_MS {
            let (shown, claimed) = (seconds(shown_ms), seconds(claimed));
            Some(format!("the file ends after {shown:.1} s of the {claimed:.1} s it claims"))
        } else if self.video.is_some() && self.pictures.is_none() {
            Some("the picture could not be decoded: only the sound is left".into())
        } else {
            (self.damaged > 0).then(|| format!("{} damaged pieces were left out", self.damaged))
        }
    }

    fn join(mut self) -> Result<(), CodecError> {
        self.rungs.clear();
        let mut first = Ok(());
        for thread in self.threads.drain(..) {
            let ended =
                thread.join().unwrap_or_else(|_| Err(CodecError::Internal("a rung's thread died".into())));
            first = first.and(ended);
        }
        first
    }
}
