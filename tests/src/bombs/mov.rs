//! MOV and MP4 boxes.

/// A box: its name and what it holds.
#[must_use]
pub fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(name);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A box with a version and flags of zero, then numbers of 32 bits.
#[must_use]
pub fn table(name: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    atom(name, &[&bytes])
}

/// A track of pictures.
#[derive(Debug, Clone)]
pub struct Track {
    /// The codec's four letters.
    pub codec: [u8; 4],
    /// Size on the label.
    pub size: (u16, u16),
    /// Boxes after the label, such as `avcC`.
    pub extra: Vec<u8>,
    /// Ticks a second.
    pub timescale: u32,
    /// Bytes of each sample, and ticks that it lasts.
    pub samples: Vec<(u32, u32)>,
    /// Where the samples are: `None` in this file, else what `dref` holds.
    pub elsewhere: Option<Vec<u8>>,
    /// Boxes in place of the sample tables.
    pub tables: Option<Vec<u8>>,
}

impl Track {
    /// A track of samples of these sizes, 25 a second.
    #[must_use]
    pub fn new(codec: &[u8; 4], size: (u16, u16), bytes: &[u32]) -> Self {
        Self {
            codec: *codec,
            size,
            extra: vec![],
            timescale: 25,
            samples: bytes.iter().map(|&bytes| (bytes, 1)).collect(),
            elsewhere: None,
            tables: None,
        }
    }

    fn ticks(&self) -> u32 {
        self.samples.iter().map(|sample| sample.1).fold(0, u32::saturating_add)
    }

    fn milliseconds(&self) -> u32 {
        u32::try_from(u64::from(self.ticks()) * 1_000 / u64::from(self.timescale)).unwrap_or(u32::MAX)
    }

    fn label(&self) -> Vec<u8> {
        let mut label = vec![0; 6];
        label.extend_from_slice(&[0, 1]);
        label.extend_from_slice(&[0; 16]);
        label.extend_from_slice(&self.size.0.to_be_bytes());
        label.extend_from_slice(&self.size.1.to_be_bytes());
        label.extend_from_slice(&[0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
        label.extend_from_slice(&[0; 32]);
        label.extend_from_slice(&[0, 24, 0xff, 0xff]);
        atom(&self.codec, &[&label, &self.extra])
    }

    fn stbl(&self, offset: u32) -> Vec<u8> {
        let stsd = atom(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &self.label()]);
        if let Some(tables) = &self.tables {
            return atom(b"stbl", &[&stsd, tables]);
        }
        let count = u32::try_from(self.samples.len()).unwrap();
        let (mut sizes, mut times) = (vec![0, count], vec![count]);
        for (bytes, ticks) in &self.samples {
            sizes.push(*bytes);
            times.extend([1, *ticks]);
        }
        let (stts, stsz) = (table(b"stts", &times), table(b"stsz", &sizes));
        let (stsc, stco) = (table(b"stsc", &[1, 1, count, 1]), table(b"stco", &[1, offset]));
        atom(b"stbl", &[&stsd, &stts, &stsc, &stsz, &stco])
    }

    fn trak(&self, id: u32, offset: u32) -> Vec<u8> {
        let length = self.ticks();
        let (width, height) = (u32::from(self.size.0) << 16, u32::from(self.size.1) << 16);
        let matrix = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
        let mut head = vec![0, 0, id, 0, length, 0, 0, 0, 0];
        head.extend(matrix);
        head.extend([width, height]);
        let mdhd = table(b"mdhd", &[0, 0, self.timescale, length, 0]);
        let hdlr = atom(b"hdlr", &[&[0; 8], b"vide", &[0; 13]]);
        let here = table(b"url ", &[]).into_iter().enumerate().map(|(i, b)| if i == 11 { 1 } else { b });
        let place = self.elsewhere.clone().unwrap_or_else(|| here.collect());
        let dinf = atom(b"dinf", &[&atom(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &place])]);
        let vmhd = table(b"vmhd", &[0, 0]);
        let minf = atom(b"minf", &[&vmhd, &dinf, &self.stbl(offset)]);
        atom(b"trak", &[&table(b"tkhd", &head), &atom(b"mdia", &[&mdhd, &hdlr, &minf])])
    }
}

/// A file of these tracks, all of which have their samples at the beginning of `media`.
#[must_use]
pub fn film(tracks: &[Track], media: &[u8]) -> Vec<u8> {
    let ftyp = atom(b"ftyp", &[b"qt  \0\0\0\0qt  "]);
    let mdat = atom(b"mdat", &[media]);
    let offset = u32::try_from(ftyp.len() + 8).unwrap();
    let longest = tracks.iter().map(Track::milliseconds).max().unwrap_or(0);
    let mut head = vec![0, 0, 1_000, longest, 0x1_0000, 0x100_0000, 0, 0];
    head.extend([0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
    head.extend([0, 0, 0, 0, 0, 0, u32::try_from(tracks.len()).unwrap() + 1]);
    let traks: Vec<u8> = tracks.iter().zip(1..).flat_map(|(track, id)| track.trak(id, offset)).collect();
    let moov = atom(b"moov", &[&table(b"mvhd", &head), &traks]);
    [ftyp, mdat, moov].concat()
}

/// An `avcC` whose sequence parameter set claims a picture of so many macroblocks (16 x 16) a side.
#[must_use]
pub fn claimed_by_h264(side: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // profile_idc 66, level 5.2, id 0, frame numbers of 4 bits, picture order type 2, one reference.
    for golomb in [0, 0, 2, 1] {
        bits.golomb(golomb);
    }
    bits.put(0, 1);
    bits.golomb(side - 1);
    bits.golomb(side - 1);
    // Frames only, direct inference, no cropping, no VUI, the stop bit.
    bits.put(0b11001, 5);
    let sps = [&[0x67, 66, 0, 52], &bits.bytes()[..]].concat();
    let pps = [0x68, 0xce, 0x3c, 0x80];
    let mut record = vec![1, 66, 0, 52, 0xff, 0xe1];
    record.extend_from_slice(&u16::try_from(sps.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&sps);
    record.extend_from_slice(&[1, 0, 4]);
    record.extend_from_slice(&pps);
    atom(b"avcC", &[&record])
}

/// Bits, the first one highest.
#[derive(Debug, Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u32, bits: u32) {
        self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn golomb(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.put(0, length);
        self.put(value + 1, length + 1);
    }

    fn bytes(&self) -> Vec<u8> {
        let byte =
            |bits: &[bool]| bits.iter().enumerate().fold(0, |b, (i, &bit)| b | u8::from(bit) << (7 - i));
        self.0.chunks(8).map(byte).collect()
    }
}
