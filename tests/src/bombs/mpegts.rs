//! MPEG transport streams of tables.

/// A stream of `programmes` programmes that claim 180 tracks each, with nothing in them, `rounds` times over.
#[must_use]
pub fn of_many_tracks(programmes: u16, rounds: usize) -> Vec<u8> {
    let map_of = |programme: u16| 0x20 + programme;
    let mut body = vec![];
    for programme in 1..=programmes {
        body.extend_from_slice(&programme.to_be_bytes());
        body.extend_from_slice(&(0xe000 | map_of(programme)).to_be_bytes());
    }
    let mut round = packets(0, &section(0, 1, &body));
    for programme in 1..=programmes {
        let mut body = vec![0xff, 0xff, 0xf0, 0];
        for track in 0..180u16 {
            let pid = 0x200 + (programme * 180 + track) % 0x1d00;
            body.push(0x1b);
            body.extend_from_slice(&(0xe000 | pid).to_be_bytes());
            body.extend_from_slice(&[0xf0, 0]);
        }
        round.extend(packets(map_of(programme), &section(2, programme, &body)));
    }
    round.repeat(rounds)
}

fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 9).unwrap();
    let mut out = vec![table];
    out.extend_from_slice(&(0xb000 | length).to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0xc1, 0, 0]);
    out.extend_from_slice(body);
    let sum = out.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte) << 24,
            |s, _| if s >> 31 == 1 { s << 1 ^ 0x04c1_1db7 } else { s << 1 },
        )
    });
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

fn packets(pid: u16, section: &[u8]) -> Vec<u8> {
    let data = [&[0][..], section].concat();
    let mut out = vec![];
    for (i, piece) in data.chunks(184).enumerate() {
        let start = if i == 0 { 0x40 } else { 0 };
        out.extend_from_slice(&[0x47, start | (pid >> 8) as u8, pid as u8, 0x10 | (i as u8 & 15)]);
        out.extend_from_slice(piece);
        out.resize(out.len().div_ceil(188) * 188, 0xff);
    }
    out
}
